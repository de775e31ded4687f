"""Rows that are repeated as often as a size says that the run decides."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

N = helper.make_node
F, I64 = np.float32, np.int64


def ints(*values):
    return np.asarray(values, I64)


def x_of(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(F)


def test_rows_are_repeated_as_often_as_a_free_size_says(build, agree) -> None:
    """torch's repeat_interleave, as SAM gives every prompt its image."""
    nodes = [
        N("Shape", ["x"], ["rows"], start=0, end=1),
        N("Shape", ["prompts"], ["s"], start=1, end=2),
        N("Squeeze", ["s"], ["often"]),
        N("ConstantOfShape", ["rows"], ["zeros"], value=helper.make_tensor("", TensorProto.INT64, [1], [0])),
        N("Add", ["zeros", "often"], ["repeats"]),
        N("ReduceMax", ["repeats"], ["most"], keepdims=0),
        N("Range", ["zero", "most", "one"], ["r"]),
        N("Unsqueeze", ["repeats", "a1"], ["column"]),
        N("Less", ["r", "column"], ["wanted"]),
        N("NonZero", ["wanted"], ["places"]),
        N("Transpose", ["places"], ["pairs"]),
        N("Unsqueeze", ["x", "a1"], ["wide"]),
        N("Concat", ["rows", "s", "eight"], ["shape"], axis=0),
        N("Expand", ["wide", "shape"], ["spread"]),
        N("GatherND", ["spread", "pairs"], ["y"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "a1": ints(1), "eight": ints(8)}
    inputs = {"x": (F, ("batch", 8)), "prompts": (F, ("batch", "often", 2))}
    feeds = [{"x": x_of(b, 8), "prompts": x_of(b, p, 2)} for b, p in ((1, 1), (2, 3), (3, 1))]
    agree(build(nodes, inputs, constants=constants), *feeds)


def test_each_element_is_repeated_as_often_as_a_free_size_says(build, agree) -> None:
    """torch's repeat_interleave by its older exporter, as CANINE spreads its molecules: OneHot makes the repeats."""
    nodes = [
        N("Shape", ["x"], ["rows"], start=0, end=1),
        N("Shape", ["often"], ["n"], start=0, end=1),
        N("Concat", ["one", "n"], ["values"], axis=0),
        N("OneHot", ["place", "three", "values"], ["hot"]),
        N("Reshape", ["hot", "all"], ["repeats"]),
        N("Unsqueeze", ["x", "two"], ["wide"]),
        N("Tile", ["wide", "repeats"], ["spread"]),
        N("Concat", ["rows", "all"], ["shape"], axis=0),
        N("Reshape", ["spread", "shape"], ["y"]),
    ]
    for place in (2, -1):
        constants = {"one": ints(1), "place": ints(place), "three": ints(3), "all": ints(-1), "two": ints(2)}
        model = build(nodes, {"x": (F, ("batch", 4)), "often": (F, ("n",))}, constants=constants)
        agree(model, *({"x": x_of(b, 4), "often": x_of(n)} for b, n in ((1, 1), (2, 3), (3, 1))))
