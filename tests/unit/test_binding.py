"""From the shapes of one call to the values of the names."""

import numpy as np
import pytest

from webnn_runtime.format.binding import bind_inputs, bind_shapes, concrete_options, concrete_shape
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, parse_dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import OperandError, ShapeError

DIMS = [DynamicDim("batch", 64), DynamicDim("seq", 512), DynamicDim("past", 511, 0)]


def graph_of(shapes, dims=DIMS):
    """A graph whose inputs x0, x1, ... have `shapes`."""
    builder = GraphBuilder(dims=dims)
    outputs = {}
    for place, shape in enumerate(shapes):
        x = builder.input(f"x{place}", DataType.FLOAT32, [parse_dim(str(dim)) for dim in shape])
        outputs[f"y{place}"] = builder.op("identity", x)
    return builder.build(outputs)


@pytest.mark.parametrize(
    ("declared", "given", "expected"),
    [
        ([["batch", "seq"]], [(2, 7)], {"batch": 2, "seq": 7}),
        ([["batch", "seq"], ["batch", "past + seq"]], [(2, 7), (2, 10)], {"batch": 2, "seq": 7, "past": 3}),
        # An expression may come before the name it needs.
        ([["past + seq"], ["seq"]], [(10,), (7,)], {"seq": 7, "past": 3}),
        ([["seq//2"], ["seq"]], [(3,), (7,)], {"seq": 7}),
        ([["batch*seq"], ["seq"]], [(14,), (7,)], {"seq": 7, "batch": 2}),
        ([["past"]], [(0,)], {"past": 0}),
        ([["2*seq + 1"]], [(15,)], {"seq": 7}),
        ([["512 - seq"]], [(500,)], {"seq": 12}),
        ([[3, 4]], [(3, 4)], {}),
        ([[]], [()], {}),
    ],
)
def test_names_are_bound_from_shapes(declared, given, expected):
    graph = graph_of(declared)
    assert bind_shapes(graph, {f"x{place}": shape for place, shape in enumerate(given)}) == expected


@pytest.mark.parametrize(
    ("declared", "given", "words"),
    [
        ([["batch", 3]], [(2, 4)], r"input 'x0' has 4 where the graph needs 3 \(it is"),
        ([["batch", 3]], [(2,)], r"input 'x0' has shape \[2\]; the graph needs f32\[batch, 3\]"),
        ([["batch"], ["batch"]], [(2,), (3,)], r"input 'x1' has 3 where the graph needs batch = 2"),
        ([["batch"]], [(65,)], r"batch = 65; the graph allows 1 to 64"),
        ([["seq"]], [(0,)], r"seq = 0; the graph allows 1 to 512"),
        ([["2*seq"]], [(7,)], r"has 7 where the graph needs 2\*seq, which no 'seq' gives"),
        ([["past + seq"], ["seq"]], [(3,), (4,)], r"past = -1; the graph allows 0 to 511"),
        ([["seq//2"], ["seq"]], [(4,), (7,)], r"has 4 where the graph needs seq//2 = 3"),
        ([["batch*seq"]], [(4,)], r"dimension 'batch\*seq' of f32\[batch\*seq\] cannot be solved"),
        ([["seq//2"]], [(4,)], r"cannot be solved from the inputs' shapes"),
        ([["12//past"], ["past"]], [(4,), (0,)], r"past = 0: .* divided by 0"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(declared, given, words):
    graph = graph_of(declared)
    with pytest.raises(ShapeError, match=words):
        bind_shapes(graph, {f"x{place}": shape for place, shape in enumerate(given)})


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        ({}, OperandError, "inputs given: none; the graph needs exactly: x0"),
        (
            {"x0": np.zeros(2, np.float32), "z": np.zeros(2)},
            OperandError,
            "inputs given: x0, z; the graph needs exactly: x0",
        ),
        ({"x0": [1.0]}, OperandError, "input 'x0' is a list; give a NumPy array of float32"),
        ({"x0": np.float32(1)}, OperandError, "input 'x0' is a float32; give a NumPy array"),
        ({"x0": np.zeros(2)}, OperandError, "input 'x0' is float64; the graph needs float32"),
        ({"x0": np.zeros(2, np.float16)}, OperandError, "input 'x0' is float16; the graph needs float32"),
        ({"x0": np.zeros((2, 2), np.float32)}, ShapeError, r"input 'x0' has shape \[2, 2\]"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(inputs, error, words):
    with pytest.raises(error, match=words):
        bind_inputs(graph_of([["batch"]]), inputs)


def test_arrays_that_fit_bind_the_names():
    assert bind_inputs(graph_of([["batch"]]), {"x0": np.zeros(3, np.float32)}) == {"batch": 3}


def test_what_building_left_open_is_decided_when_the_names_are_known():
    builder = GraphBuilder(dims=DIMS)
    x = builder.input("x", DataType.FLOAT32, [parse_dim("seq")])
    graph = builder.build({"y": builder.op("slice", x, starts=[1], sizes=[4])})
    assert bind_shapes(graph, {"x": (5,)}) == {"seq": 5}
    with pytest.raises(ShapeError, match=r"slice: .*: needs seq >= 5, but here they are 4 and 5") as caught:
        bind_shapes(graph, {"x": (4,)})
    assert caught.value.node == "y"


def test_types_and_options_become_concrete():
    builder = GraphBuilder(dims=DIMS)
    x = builder.input("x", DataType.FLOAT32, [parse_dim("batch"), parse_dim("seq")])
    graph = builder.build({"y": builder.op("reshape", x, newShape=[parse_dim("batch*seq"), 1])})
    bindings = bind_shapes(graph, {"x": (3, 5)})
    assert concrete_shape(graph.types["y"], bindings) == (15, 1)
    assert concrete_options(graph.nodes[0].options, bindings) == {"newShape": (15, 1)}
