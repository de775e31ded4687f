"""Names of a module's inputs and outputs: their own, those of the source, and several for one value."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node, TensorType
from webnn_translator.emit import ModuleSource, emit_module

Play = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]
GIVEN: Final[dict[str, Any]] = {"types": [[{"dataType": "float32", "shape": [3]}]]}


def base(data: bytes) -> str:
    return base64.b64encode(data).decode()


def small() -> Graph:
    """y = x + x."""
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (3,))
    return builder.build({"y": builder.op("add", x, x)})


def test_a_value_with_two_names_is_given_to_the_browser_under_one(play: Play) -> None:
    kind = TensorType(DataType.FLOAT32, (1,))
    node = Node("abs", ("x",), {}, ("y",))
    graph = Graph.create(
        "g", dims={}, inputs={"x": kind}, constants={}, nodes=(node,), outputs={"a": "y", "b": "y", "c": "x", "d": "y"}
    )
    (answer,) = play(
        [{"text": emit_module(ModuleSource(graph)), "types": [[{"dataType": "float32", "shape": [1]}]] * 4}]
    )
    assert "error" not in answer
    made = {operand for call in answer["record"]["calls"] for operand in call["made"]}
    given = [operand for _, operand in answer["record"]["outputs"]]
    assert len(set(given)) == 4
    assert set(given) <= made


def test_inputs_are_known_by_their_original_names_too(play: Play) -> None:
    item = {**GIVEN, "feeds": {"x:0": ["float32", [1, 2, 3]]}, "answers": {"y": base(bytes(12))}}
    (answer,) = play([{"text": emit_module(ModuleSource(small(), {"x": "x:0"})), **item}])
    assert answer["record"]["written"] == {"x": base(np.float32([1, 2, 3]).tobytes())}


def test_an_output_has_its_original_name_beside_its_own() -> None:
    kind = TensorType(DataType.FLOAT32, (1,))
    nodes = (Node("abs", ("x",), {}, ("present_0_key",)), Node("neg", ("x",), {}, ("y",)))
    graph = Graph.create(
        "g",
        dims={},
        inputs={"x": kind},
        constants={},
        nodes=nodes,
        outputs={"present_0_key": "present_0_key", "y": "present_0_key", "z": "y"},
    )
    text = emit_module(ModuleSource(graph, {"present_0_key": "present.0.key", "y": "Y:0"}))
    assert '{ "name": "present_0_key", "original": "present.0.key", "dataType"' in text
    assert '{ "name": "y", "dataType"' in text, "another value is called so"


def test_an_input_that_is_given_under_both_names_is_refused(play: Play) -> None:
    feeds = {"x:0": ["float32", [1, 2, 3]], "x": ["float32", [4, 5, 6]]}
    (answer,) = play([{"text": emit_module(ModuleSource(small(), {"x": "x:0"})), **GIVEN, "feeds": feeds}])
    assert answer["error"] == "TypeError: input 'x' is given twice, once under its original name"


def test_an_original_name_that_is_the_name_of_another_input_means_that_one(play: Play) -> None:
    builder = GraphBuilder()
    a, b = (builder.input(name, DataType.FLOAT32, (1,)) for name in ("a", "b"))
    source = ModuleSource(builder.build({"y": builder.op("sub", a, b)}), {"a": "b", "b": "a"})
    feeds = {"a": ["numbers", [1]], "b": ["numbers", [2]]}
    kinds = [[{"dataType": "float32", "shape": [1]}]]
    (answer,) = play([{"text": emit_module(source), "types": kinds, "feeds": feeds, "answers": {"y": base(bytes(4))}}])
    assert answer["record"]["written"] == {
        name: base(np.float32([value]).tobytes()) for name, value in zip("ab", (1, 2), strict=True)
    }
