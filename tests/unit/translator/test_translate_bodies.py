"""Operators that ONNX defines by others, and branches: written into the graph."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_translator._errors import UnsupportedOp
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32
X = np.asarray([[-1, 2, 3], [4, -5, 6]], F)
INPUT = {"x": (F, (2, 3))}


def branch(name, nodes, output, constants=()):
    return helper.make_graph(
        nodes, name, [], [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], list(constants)
    )


def branches():
    five = helper.make_tensor("k", TensorProto.FLOAT, [], [5.0])
    then = branch("then", [N("Add", ["x", "k"], ["t"])], "t", [five])
    other = branch("else", [N("Relu", ["x"], ["a"]), N("Neg", ["a"], ["t2"])], "t2")
    return {"then_branch": then, "else_branch": other}


@pytest.mark.parametrize("condition", [True, False])
def test_a_known_condition_takes_its_branch(condition, build, agree) -> None:
    nodes = [N("If", ["c"], ["y"], **branches())]
    found = agree(build(nodes, INPUT, constants={"c": np.asarray(condition)}), {"x": X})
    assert [node.op for node in found.graph.nodes] == (["add"] if condition else ["relu", "neg"])


def test_a_condition_of_the_shape_is_decided_by_it(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["n"]),
        N("Equal", ["n", "one"], ["c"]),
        N("If", ["c"], ["y"], **branches()),
    ]
    model = build(nodes, {"x": (F, ("batch", 3))}, constants={"one": np.asarray(1)})
    assert [node.op for node in agree(model, {"x": X}).graph.nodes] == ["relu", "neg"]


def test_a_condition_of_the_run_selects_between_both_branches(build, agree) -> None:
    model = build([N("If", ["c"], ["y"], **branches())], INPUT | {"c": (np.bool_, ())})
    agree(model, {"x": X, "c": np.asarray(True)}, {"x": X, "c": np.asarray(False)})


def test_branches_of_different_shapes_are_refused_when_only_the_run_decides(build) -> None:
    parts = branches() | {"else_branch": branch("else", [N("ReduceSum", ["x"], ["t"], keepdims=0)], "t")}
    model = build([N("If", ["c"], ["y"], name="choice", **parts)], INPUT | {"c": (np.bool_, ())})
    with pytest.raises(UnsupportedOp, match=r"node 'choice' \(If\): its condition is known at run time only"):
        translate(model)


def test_what_is_refused_inside_is_refused_of_the_caller(build) -> None:
    parts = branches() | {"then_branch": branch("then", [N("RandomNormalLike", ["x"], ["t"])], "t")}
    model = build([N("If", ["c"], ["y"], name="choice", **parts)], INPUT, constants={"c": np.asarray(True)})
    with pytest.raises(UnsupportedOp, match=r"node 'choice' \(If\): inside it, RandomNormalLike: it draws random"):
        translate(model)


def test_an_operator_is_expanded_by_its_definition(build, agree) -> None:
    # Two calls: what is inside them stays apart.
    nodes = [
        N("MeanVarianceNormalization", ["x"], ["a"], axes=[1]),
        N("MeanVarianceNormalization", ["x"], ["b"], axes=[0]),
        N("Sub", ["a", "b"], ["y"]),
    ]
    agree(build(nodes, INPUT), {"x": X})


def test_attention_of_newer_opsets_is_expanded(build, agree) -> None:
    rng = np.random.default_rng(0)
    shape = (2, 4, "n", 8)
    inputs = dict.fromkeys("qkv", (F, shape))
    feed = {name: rng.standard_normal((2, 4, 5, 8)).astype(F) for name in "qkv"}
    model = build([N("Attention", ["q", "k", "v"], ["y"], is_causal=1)], inputs, opset=23)
    agree(model, feed)
