"""Graphs are valid from the moment they exist."""

import numpy as np
import pytest

from webnn_runtime.format.dims import DynamicDim, parse_dim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError, OperandError, OptionError, ShapeError, UnknownOp, WeightsError
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType, frozen_array, is_identifier

F32 = DataType.FLOAT32
DIMS = {"batch": DynamicDim("batch", 64), "past": DynamicDim("past", 511, 0)}


def f32(*shape):
    return TensorType(F32, tuple(parse_dim(dim) if isinstance(dim, str) else dim for dim in shape))


def create(nodes=(), inputs=None, constants=None, outputs=None, dims=DIMS):
    return Graph.create(
        "g",
        dims=dims,
        inputs={"x": f32("batch", 3)} if inputs is None else inputs,
        constants=constants or {},
        nodes=tuple(nodes),
        outputs={"y": "y"} if outputs is None else outputs,
    )


def test_a_graph_knows_all_types_and_complete_options():
    graph = create([Node("softmax", ("x",), {"axis": -1}, ("s",)), Node("abs", ("s",), {}, ("y",))])
    assert {name: str(kind) for name, kind in graph.types.items()} == dict.fromkeys(("x", "s", "y"), "f32[batch, 3]")
    assert dict(graph.nodes[0].options) == {"axis": 1}
    assert graph.output_types == {"y": f32("batch", 3)}
    assert not graph.is_static
    assert [[node.name for node in readers] for readers in graph.consumers().values()] == [["s"], ["y"], []]


def test_a_node_is_held_with_all_its_operand_slots():
    graph = create([Node("layerNormalization", ("x",), {"axes": [1]}, ("y",))])
    assert graph.nodes[0].inputs == ("x", None, None)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"nodes": [Node("nonsense", ("x",), {}, ("y",))]}, UnknownOp, "no WebNN operator is called 'nonsense'"),
        ({"nodes": [Node("unsqueeze", ("x",), {}, ("y",))]}, UnknownOp, "unsqueeze"),
        ({"nodes": [Node("abs", ("z",), {}, ("y",))]}, OperandError, "reads 'z', which nothing before it defines"),
        ({"nodes": [Node("abs", ("y",), {}, ("y",))]}, OperandError, "reads 'y', which nothing before it defines"),
        (
            {"nodes": [Node("abs", ("s",), {}, ("y",)), Node("abs", ("x",), {}, ("s",))]},
            OperandError,
            "reads 's', which nothing before it defines",
        ),
        ({"nodes": [Node("abs", ("x",), {}, ("x",))]}, GraphError, "'x' is assigned twice"),
        ({"nodes": [Node("split", ("x",), {"splits": [1, 2], "axis": 1}, ("y", "y"))]}, GraphError, "assigned twice"),
        ({"nodes": [Node("abs", ("x",), {}, ("y", "z"))]}, OperandError, "has 1 results, but 2 are named"),
        ({"nodes": [Node("softmax", ("x",), {}, ("y",))]}, OptionError, "needs option 'axis'"),
        ({"outputs": {}}, GraphError, "no outputs"),
        ({"outputs": {"y": "z"}}, OperandError, "output 'y' refers to 'z', which nothing defines"),
        ({"inputs": {"": f32(1)}}, OperandError, "a value has an empty name"),
        ({"inputs": {"x": f32("unknown")}}, ShapeError, "dimension 'unknown' is not known to the graph"),
        ({"inputs": {"x": f32(0)}}, ShapeError, "every dimension must be at least 1"),
        ({"inputs": {"x": f32("batch - 2")}}, ShapeError, "every dimension must be at least 1"),
        ({"inputs": {"x": f32(2**31)}}, ShapeError, "a dimension is at most 2147483647"),
        ({"inputs": {"x": f32(2**16, 2**16)}}, ShapeError, "more than 2147483647 elements"),
        ({"inputs": {"x": f32(*[1] * 33)}}, ShapeError, "declared with 33 dimensions; at most 32"),
        ({"nodes": [Node("expand", ("x",), {"newShape": [1] * 32 + [3]}, ("y",))]}, ShapeError, "has 33 dimensions"),
        (
            {
                "inputs": {},
                "constants": {"c": Constant(f32(1), None, "c")},
                "nodes": [Node("expand", ("c",), {"newShape": [symbol("batch")]}, ("y",))],
            },
            ShapeError,
            "uses dimension 'batch', which no input's shape contains",
        ),
        ({"constants": {"x": Constant(f32(1), None, "x")}}, GraphError, "'x' is declared twice"),
        ({"constants": {"c": Constant(f32("batch"), None, "c")}}, ShapeError, "not known to the graph"),
    ],
)
def test_an_invalid_graph_is_refused(change, error, words):
    with pytest.raises(error, match=words):
        create(**{"nodes": [Node("abs", ("x",), {}, ("y",))], **change})


def test_an_error_names_the_node_and_the_operator():
    with pytest.raises(ShapeError, match="node 'y': matmul: inner dimensions of") as caught:
        create([Node("matmul", ("x", "x"), {}, ("y",))], inputs={"x": f32(2, 3)})
    assert (caught.value.node, caught.value.op) == ("y", "matmul")


def test_an_empty_cache_is_a_valid_input():
    graph = create([Node("concat", ("x", "n"), {"axis": 0}, ("y",))], inputs={"x": f32("past", 3), "n": f32(1, 3)})
    assert str(graph.types["y"]) == "f32[past + 1, 3]"
    assert not graph.checks


def test_a_condition_is_left_to_the_run_once():
    nodes = [Node("add", ("x", "z"), {}, (name,)) for name in ("a", "b", "y")]
    graph = create(nodes, inputs={"x": f32("batch"), "z": f32("past")})
    assert [(str(check.left), check.relation, str(check.right)) for check in graph.checks] == [("batch", "==", "past")]


def test_graphs_with_equal_content_are_equal():
    def make(value):
        constant = Constant(f32(3), np.full(3, value, np.float32), "c")
        return create([Node("add", ("x", "c"), {}, ("y",))], constants={"c": constant})

    assert make(1) == make(1)
    assert make(1) != make(2)
    assert make(np.nan) == make(np.nan)
    assert make(0.0) != make(-0.0)


def test_labels_are_commentary():
    assert Node("abs", ("x",), {}, ("y",), "first") == Node("abs", ("x",), {}, ("y",), "second")
    assert hash(Node("abs", ("x",), {}, ("y",), "first")) == hash(Node("abs", ("x",), {}, ("y",), "second"))
    assert Node("abs", ("x",), {}, ("y",)) != Node("neg", ("x",), {}, ("y",))
    assert Node("abs", ("x",), {}, ("y",)) != "abs"


@pytest.mark.parametrize(
    ("kind", "array", "words"),
    [
        (f32(2), np.zeros(3, np.float32), r"declared f32\[2\] but holds float32\[3\]"),
        (f32(2), np.zeros(2), r"declared f32\[2\] but holds float64\[2\]"),
        (f32(2), np.zeros((2, 1), np.float32), r"holds float32\[2, 1\]"),
    ],
)
def test_a_constant_holds_what_it_declares(kind, array, words):
    with pytest.raises(WeightsError, match=words):
        Constant(kind, array, "c")


def test_a_constant_without_weights_says_what_to_do():
    constant = Constant(f32(2), None, "c")
    with pytest.raises(WeightsError, match="load the graph together with its weights"):
        _ = constant.values
    with pytest.raises(WeightsError, match="must hold its values"):
        Constant(f32(2), None)


def test_a_constant_cannot_be_written_to():
    array = np.zeros(2, np.float32)
    constant = Constant(f32(2), array, "c")
    with pytest.raises(ValueError, match="read-only"):
        constant.values[0] = 1
    assert array.flags.writeable


def test_a_frozen_array_is_row_major_and_of_the_same_shape():
    for array in (np.zeros((2, 3), np.float32).T, np.float32(1).reshape(()), np.zeros((0, 2), np.float32)):
        frozen = frozen_array(array)
        assert frozen.shape == array.shape
        assert frozen.flags.c_contiguous
        assert not frozen.flags.writeable


def test_a_static_shape_is_integers():
    assert f32(2, 3).static_shape == (2, 3)
    assert f32(2, 3).size == 6
    assert f32().size == 1
    assert str(f32("batch", 3).size) == "3*batch"
    with pytest.raises(ShapeError, match="depends on batch, past; bind them first"):
        _ = f32("past + batch", 3).static_shape


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a", True), ("_1", True), ("a.b", False), ("1a", False), ("", False), ("é", False), ("a\n", False)]
    + [(word + rest, False) for word in ("true", "false", "null") for rest in ("", "_1", "x")]
    + [("True", True), ("x_true", True)],
)
def test_an_identifier_is_what_files_hold_as_it_is(name, expected):
    assert is_identifier(name) is expected
