"""Small files that ask for enormous work: each is refused, or answered, before anybody waits."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import TranslateError, UnsupportedOp
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32
VALUE = helper.make_empty_tensor_value_info


def test_rounds_that_only_hand_values_on_are_counted(build) -> None:
    body = helper.make_graph([N("Identity", ["x"], ["next"])], "body", [*map(VALUE, ("i", "go", "s"))], [])
    body.output.extend(map(VALUE, ("go", "next")))
    nodes = [N("Loop", ["count", "go", "x"], ["y"], body=body)]
    model = build(nodes, {"x": (F, (2,))}, constants={"count": np.int64(2**31 - 1), "go": np.bool_(True)})
    with pytest.raises(UnsupportedOp, match="round by round"):
        translate(model)


def test_functions_that_double_with_every_level_are_refused(build, monkeypatch) -> None:
    monkeypatch.setattr(importlib.import_module("webnn_translator.lowering"), "_MAX_WRITTEN_OUT", 2000)
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]

    def twice(inner: str) -> list[Any]:
        return [N(inner, ["a"], ["b"], domain="own"), N(inner, ["b"], ["c"], domain="own")]

    functions = [helper.make_function("own", f"F{i}", ["a"], ["c"], twice(f"F{i + 1}"), imports) for i in range(30)]
    functions.append(helper.make_function("own", "F30", ["a"], ["c"], [N("Neg", ["a"], ["c"])], imports))
    nodes = [N("F0", ["x"], ["y"], domain="own")]
    model = build(nodes, {"x": (F, (2,))}, domains=[("own", 1)], functions=functions)
    with pytest.raises(TranslateError, match="grow with every level"):
        translate(model)


def test_branches_in_branches_keep_their_names_short(build) -> None:
    graph = helper.make_graph([N("Neg", ["x"], ["o"])], "inner", [], [VALUE("o")])
    for _ in range(26):
        other = helper.make_graph([N("Relu", ["x"], ["o"])], "other", [], [VALUE("o")])
        chosen = N("If", ["flag"], ["o"], then_branch=graph, else_branch=other)
        graph = helper.make_graph([chosen], "level", [], [VALUE("o")])
    model = build(list(graph.node), {"x": (F, (2,)), "flag": (np.bool_, ())}, ["o"])
    made = translate(model).graph
    # Linear in the number of levels: 2**26 was the other way.
    assert max(map(len, made.types)) < 26 * 300


def test_sizes_multiplied_by_themselves_again_and_again_are_refused(build) -> None:
    nodes = []
    for level in range(20):
        nodes += [
            N("Unsqueeze", [f"f{level}", "first"], [f"row{level}"]),
            N("Unsqueeze", [f"f{level}", "second"], [f"column{level}"]),
            N("Add", [f"row{level}", f"column{level}"], [f"table{level}"]),
            N("Reshape", [f"table{level}", "flat"], [f"f{level + 1}"]),
        ]
    constants = {"first": np.int64([0]), "second": np.int64([1]), "flat": np.int64([-1])}
    with pytest.raises(UnsupportedOp, match="at most 64"):
        translate(build(nodes, {"f0": (F, ("n",))}, ["f20"], constants=constants))
