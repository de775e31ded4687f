"""Filters of convolutions are rounded by the windows that they are laid over, and layers by rows that are all alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph
from webnn_translator.quantize import QuantizeOptions, quantize_graph
from webnn_translator.quantize.sites import find_sites
from webnn_translator.quantize.windows import windows_of

F32 = DataType.FLOAT32
# Order of the filters -> groups; channels of the data are first, or last.
LAYOUTS = {"oihw": 1, "ohwi": 4, "hwio": 2, "ihwo": 192}
CHANNELS = 192


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def network(layout: str, is_last: bool) -> Graph:
    """A convolution with padding, strides and dilations of their own in each direction, and a bias."""
    groups = LAYOUTS[layout]
    sizes = {"o": CHANNELS, "i": CHANNELS // groups, "h": 3, "w": 2}
    builder = GraphBuilder("network")
    x = builder.input("x", F32, (1, 11, 13, CHANNELS) if is_last else (1, CHANNELS, 11, 13))
    weight = normal(1, *(sizes[axis] for axis in layout))
    y = builder.op(
        "conv2d",
        x,
        builder.constant(weight, name="filters"),
        builder.constant(normal(2, CHANNELS), name="bias"),
        padding=[1, 0, 2, 1],
        strides=[2, 1],
        dilations=[1, 3],
        groups=groups,
        inputLayout="nhwc" if is_last else "nchw",
        filterLayout=layout,
    )
    return builder.build({"y": y})


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_convolution_is_a_product_of_its_windows(layout: str, is_last: bool) -> None:
    graph = network(layout, is_last)
    windows = windows_of(graph, next(iter(find_sites(graph))))
    assert windows is not None
    x = normal(3, *(2, *graph.inputs["x"].static_shape[1:]))
    rows = windows.rows(x, 10**6).astype(np.float64)
    filters = np.moveaxis(graph.constants["filters"].values, layout.index("o"), 0)
    products = rows @ filters.reshape(len(rows), CHANNELS // len(rows), -1).transpose(0, 2, 1)
    sums = np.concatenate(list(products), axis=1) + graph.constants["bias"].values
    run = get_backend("numpy").compile(graph).run
    made = np.concatenate([run({"x": one[None]})["y"] for one in x])
    expected = made if is_last else made.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(sums, expected.reshape(sums.shape), rtol=1e-4, atol=1e-4)
    # Some of them are windows of the whole, and no two are the same.
    some = windows.rows(x, 20)
    whole = {row.tobytes() for row in windows.rows(x, 10**6)[0]}
    assert some.shape[1] == 20 == len({row.tobytes() for row in some[0]} & whole)


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_filters_that_are_rounded_by_pictures_change_pictures_less(layout: str, is_last: bool, tmp_path: Path) -> None:
    graph = network(layout, is_last)
    shape = graph.inputs["x"].static_shape

    def pictures(seed: int, count: int) -> np.ndarray:
        """Few causes, over an offset for each channel, as behind an activation."""
        causes = normal(seed, count, 1, 11, 13, 12) @ normal(5, 12, CHANNELS) + 4 * normal(6, CHANNELS)
        return causes if is_last else causes.transpose(0, 1, 4, 2, 3)

    path = tmp_path / "pictures.npz"
    np.savez(path, x=pictures(7, 24).reshape(24, *shape))
    run = get_backend("numpy").compile(graph).run
    unseen = [{"x": one.reshape(shape)} for one in pictures(8, 6)]
    errors = []
    for options in (QuantizeOptions("int4"), QuantizeOptions("int4", calibrate=path)):
        made = quantize_graph(graph, options, tmp_path)
        assert made.widths == {"filters": "int8"}
        small = get_backend("numpy").compile(made.graph).run
        errors.append(np.concatenate([small(feed)["y"] - run(feed)["y"] for feed in unseen]))
    nearest, fitted = (float(np.sqrt(np.mean(error**2))) for error in errors)
    # What all pictures have in common goes into the bias, the rest to other inputs, of which one channel has few.
    assert fitted < (0.8 if LAYOUTS[layout] == CHANNELS else 0.5) * nearest
    per_channel = errors[1].mean(axis=(0, 1, 2) if is_last else (0, 2, 3))
    assert np.abs(per_channel).max() < 0.2 * errors[0].std()


@pytest.mark.parametrize("kind", ["int8", "uint8", "int4"])
@pytest.mark.parametrize("size", [0.1, 100.0])
def test_rows_that_are_all_alike_are_met_by_the_bias(kind: str, size: float, tmp_path: Path) -> None:
    """As of a learnt token that goes through a layer: nothing differs between rows."""
    builder = GraphBuilder("token", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", F32, (symbol("batch"), 64))
    token = builder.op("expand", builder.constant(normal(1, 1, 64) * size), newShape=[symbol("batch"), 64])
    product = builder.op("matmul", token, builder.constant(normal(2, 64, 64), name="w"))
    y = builder.op("add", product, builder.constant(normal(3, 64), name="bias"))
    graph = builder.build({"y": builder.op("add", x, y)})
    made = quantize_graph(graph, QuantizeOptions(kind), tmp_path).graph
    found, expected = (
        get_backend("numpy").compile(each).run({"x": np.zeros((2, 64), np.float32)})["y"] for each in (made, graph)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5 * float(np.abs(expected).max()))


@pytest.mark.parametrize("kind", ["int4", "mixed"])
def test_it_is_said_where_nothing_gets_four_bits(kind: str, tmp_path: Path) -> None:
    notes: list[str] = []
    made = quantize_graph(network("oihw", False), QuantizeOptions(kind), tmp_path, note=notes.append)
    assert set(made.widths.values()) == {"int8"}
    assert notes[0].startswith("no weight gets 4 bits, all have 8: none is a matrix")
    builder = GraphBuilder("product")
    x = builder.input("x", F32, (2, 64))
    graph = builder.build({"y": builder.op("matmul", x, builder.constant(normal(1, 64, 64), name="w"))})
    notes.clear()
    quantize_graph(graph, QuantizeOptions("int4"), tmp_path, note=notes.append)
    assert not any("4 bits" in note for note in notes)
