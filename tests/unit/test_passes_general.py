"""Folding, dead code and binding of dimensions: what they change, and that results stay the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from webnn_runtime.backends import compile_graph
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.passes.bind_dims import bind_dims
from webnn_runtime.passes.dead import remove_dead
from webnn_runtime.passes.fold import fold_constants

if TYPE_CHECKING:
    from webnn_runtime.format.graph import Array

F32 = DataType.FLOAT32


def _run(graph: Graph, **feeds: Array) -> dict[str, Array]:
    return compile_graph(graph, "numpy").run(feeds)


def _with_constant_part() -> Graph:
    builder = GraphBuilder("folding", dims=[DynamicDim("n", 8)])
    x = builder.input("x", F32, (symbol("n"), 3))
    weight = builder.constant(np.arange(6, dtype=np.float32).reshape(3, 2), name="w")
    scaled = builder.op("mul", weight, builder.constant(2, F32))
    return builder.build({"y": builder.op("matmul", x, builder.op("transpose", builder.op("transpose", scaled)))})


def test_folding_leaves_only_what_depends_on_inputs() -> None:
    graph = _with_constant_part()
    folded = fold_constants(graph)
    assert [node.op for node in folded.nodes] == ["matmul"]
    assert len(folded.constants) == 1
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(_run(folded, x=x)["y"], _run(graph, x=x)["y"])


@pytest.mark.parametrize(
    ("rows", "max_growth", "left"), [(64, 1, ["add"]), (512, 1, ["expand", "add"]), (512, 4, ["add"])]
)
def test_folding_keeps_results_that_are_large_and_much_larger_than_their_operands(
    rows: int, max_growth: int, left: list[str]
) -> None:
    builder = GraphBuilder("large")
    x = builder.input("x", F32, (4, rows, 1024))
    spread = builder.op("expand", builder.constant(np.ones((rows, 1024), np.float32)), new_shape=[4, rows, 1024])
    graph = builder.build({"y": builder.op("add", x, spread)})
    assert [node.op for node in fold_constants(graph, max_growth=max_growth).nodes] == left


def test_a_folded_output_stays_a_node() -> None:
    builder = GraphBuilder("constant output")
    one = builder.constant(np.ones(3, np.float32), name="one")
    graph = builder.build({"y": builder.op("neg", one)})
    folded = fold_constants(graph)
    assert [node.op for node in folded.nodes] == ["identity"]
    np.testing.assert_array_equal(_run(folded)["y"], -np.ones(3, np.float32))
    assert fold_constants(folded) is folded


def test_a_shape_that_the_run_decides_is_not_folded() -> None:
    builder = GraphBuilder("dynamic", dims=[DynamicDim("n", 8)])
    x = builder.input("x", F32, (symbol("n"),))
    spread = builder.op("expand", builder.constant(1, F32), new_shape=[symbol("n")])
    graph = builder.build({"y": builder.op("add", x, spread)})
    assert fold_constants(graph) is graph


def test_dead_nodes_and_constants_go_and_inputs_stay() -> None:
    live = _with_constant_part()
    dead = Node("neg", ("unused",), {}, ("nowhere",))
    graph = Graph.create(
        "dead",
        dims=live.dims,
        inputs={**live.inputs, "unused": live.inputs["x"]},
        constants=live.constants,
        nodes=(*live.nodes, dead),
        outputs=live.outputs,
    )
    cleaned = remove_dead(graph)
    assert cleaned.nodes == live.nodes
    assert list(cleaned.inputs) == ["x", "unused"]
    assert list(remove_dead(graph, keep_inputs=False).inputs) == ["x"]


def _dynamic() -> Graph:
    builder = GraphBuilder("dynamic", dims=[DynamicDim("batch", 4), DynamicDim("length", 16)])
    batch, length = symbol("batch"), symbol("length")
    x = builder.input("x", F32, (batch, length, 4))
    return builder.build({"y": builder.op("reshape", x, new_shape=[batch * length, 4])})


def test_binding_all_names_makes_a_static_graph() -> None:
    bound = bind_dims(_dynamic(), {"batch": 2, "length": 3})
    assert bound.is_static
    assert not bound.dims
    assert bound.output_types["y"].shape == (6, 4)
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    np.testing.assert_array_equal(_run(bound, x=x)["y"], x.reshape(6, 4))


def test_binding_one_name_leaves_the_other_free() -> None:
    bound = bind_dims(_dynamic(), {"batch": 2})
    assert list(bound.dims) == ["length"]
    assert bound.output_types["y"].shape == (symbol("length") * 2, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sequence": 3}, "the graph has no dimension 'sequence'; its dimensions: batch, length"),
        ({"length": 17}, "length = 17; the graph allows 1 to 16"),
        ({"batch": 0}, "batch = 0; the graph allows 1 to 4"),
    ],
)
def test_a_binding_that_does_not_fit_is_refused(values: dict[str, int], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        bind_dims(_dynamic(), values)
    assert str(caught.value) == message
