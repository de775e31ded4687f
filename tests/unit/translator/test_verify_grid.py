"""At which sizes the check runs a graph whose names have minima, or have to be equal."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_translator.verify.grid import grid

F32 = DataType.FLOAT32


def test_sizes_with_a_minimum_are_uneven_too() -> None:
    """A patch of 14 pixels: with the minimum alone no image was wider than one."""
    builder = GraphBuilder("image", dims=[DynamicDim(name, min_size=14) for name in ("height", "width")])
    x = builder.input("x", F32, (1, 3, symbol("height"), symbol("width")))
    built = builder.build({"y": builder.op("relu", x)})
    points = [tuple(point.bindings.values()) for point in grid(built, has_masks=False)]
    assert points[0] == (14, 14)
    assert len({height // 14 for height, _ in points}) > 2 < len({width // 14 for _, width in points})
    assert max(map(max, points)) <= 128


def test_sizes_that_have_to_be_equal_are() -> None:
    first, second, width = symbol("first"), symbol("second"), symbol("width")
    builder = GraphBuilder("equal", dims=[DynamicDim("first"), DynamicDim("second"), DynamicDim("width")])
    rows = builder.op("add", builder.input("x", F32, (first, 3)), builder.input("y", F32, (second, 3)))
    product = builder.op("matmul", builder.input("z", F32, (2, width)), builder.constant(np.ones((37, 4), np.float32)))
    points = grid(builder.build({"a": rows, "b": product}), has_masks=False)
    assert len(points) > 2
    assert {point.bindings["width"] for point in points} == {37}
    assert all(point.bindings["first"] == point.bindings["second"] for point in points)
    assert len({point.bindings["first"] for point in points}) > 2


def test_sizes_that_have_to_be_equal_are_not_multiplied() -> None:
    first, second = symbol("first"), symbol("second")
    builder = GraphBuilder("wide", dims=[DynamicDim("first"), DynamicDim("second")])
    product = builder.op("matmul", builder.input("x", F32, (first, second)), builder.constant(np.ones((1500, 2), "f4")))
    points = grid(builder.build({"y": product}), has_masks=False)
    assert {point.bindings["second"] for point in points} == {1500}
    assert {point.bindings["first"] for point in points} == {1, 2}


def test_names_of_one_size_are_counted_once() -> None:
    """Each input of an encoder and a decoder with names of its own: batches and lengths above 1 are checked."""
    names = ("ids", "mask", "bias", "other", "text", "tokens", "rows", "columns")
    builder = GraphBuilder("alike", dims=[DynamicDim(name) for name in names])
    parts = [builder.input(a, F32, (symbol(a), symbol(b))) for a, b in zip(names[::2], names[1::2], strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = builder.op("add", part, total)
    short = builder.op("slice", parts[0], starts=[0, 0], sizes=[symbol("rows"), 1], strides=[1, 1])
    points = grid(builder.build({"y": builder.op("add", total, short)}), has_masks=False)
    sizes = {tuple(point.bindings.values()) for point in points}
    assert all(len({*one[::2]}) == len({*one[1::2]}) == 1 for one in sizes)
    assert {(2, 7), (3, 33)} & {one[:2] for one in sizes}
    assert max(point.size for point in points) <= 4096
