"""Copying and sending: a graph travels whole and checked, what is bound to files and contexts says what to do."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from webnn_runtime import ML, MLGraphBuilder, load, load_bundle
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import MissingFile, UnknownOp
from webnn_runtime.format.graph import Graph


@pytest.fixture
def graph() -> Graph:
    builder = GraphBuilder("sent", dims=[DynamicDim("n", 8, 0)])
    x = builder.input("x", DataType.FLOAT32, (symbol("n") + 1, 2))
    table = builder.constant(np.arange(6, dtype=np.float32).reshape(3, 2), name="table")
    product = builder.op("matmul", x, builder.op("transpose", table))
    parts = builder.op_many("split", builder.op("softmax", product, axis=1), splits=[1, 2], axis=1)
    return builder.build({"b": parts[1], "a": parts[0]})


def test_a_graph_arrives_as_it_was_sent_and_is_read_only(graph) -> None:
    arrived = pickle.loads(pickle.dumps(graph))
    assert arrived == graph
    assert (list(arrived.outputs), list(arrived.types)) == (list(graph.outputs), list(graph.types))
    assert arrived.checks == graph.checks
    with pytest.raises(ValueError, match="read-only"):
        arrived.constants["table"].values[:] = 0
    with pytest.raises(TypeError):
        arrived.inputs["y"] = arrived.inputs["x"]
    node = pickle.loads(pickle.dumps(graph.nodes[-1]))
    assert (node, node.label) == (graph.nodes[-1], graph.nodes[-1].label)


def test_a_graph_is_checked_where_it_arrives(graph) -> None:
    with pytest.raises(UnknownOp, match="no WebNN operator is called 'softmix'"):
        pickle.loads(pickle.dumps(graph).replace(b"softmax", b"softmix"))


@pytest.mark.parametrize("copying", [copy.copy, copy.deepcopy])
def test_a_copy_of_what_cannot_change_is_the_same(copying, graph) -> None:
    assert copying(graph) is graph


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
def test_what_belongs_to_a_context_is_neither_copied_nor_sent(copying) -> None:
    context = ML().create_context(backend="numpy")
    builder = MLGraphBuilder(context)
    x = builder.input("x", [2], "float32")
    relu = builder.relu(x)
    tensor = context.create_host_tensor([2], "float32")
    for mine in (context, builder, x, tensor, builder.build({"y": relu})):
        with pytest.raises(TypeError, match=f"^{type(mine).__name__}: belongs to its context, .* MLGraph.save"):
            copying(mine)


def test_a_bundle_is_opened_again_elsewhere(encoder) -> None:
    with pytest.raises(TypeError, match=r"another process open its own: load_bundle\('.*model.webnn'\)"):
        pickle.dumps(load_bundle(encoder))
    assert pickle.loads(pickle.dumps(load_bundle(encoder).graph)) == load_bundle(encoder).graph


@pytest.mark.parametrize("opening", [load, load_bundle])
def test_an_empty_path_is_not_the_current_folder(opening, encoder, monkeypatch) -> None:
    monkeypatch.chdir(encoder)
    assert opening(".")
    with pytest.raises(MissingFile, match=r"the path is empty; .* or '.' for this folder"):
        opening("")
