"""Every operator case as a module: what the module asks of the builder is the graph again, call by call."""

from __future__ import annotations

import base64
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest

from webnn_runtime import ML, MLGraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.ops import OPS
from webnn_translator.emit import ModuleSource, emit_module

CASES: Final[dict[str, Any]] = {
    f"{case.id}{', constant' if constant else ''}": case.graph(all_constant=constant)
    for case in runpy.run_path(str(Path(__file__).parents[2] / "ops" / "test_cases.py"))["CASES"]
    # Values as literals are tested where they are of every type.
    for constant in ((False, True) if case.op == "identity" else (False,))
}


@pytest.fixture(scope="module")
def replayed(play: Callable[..., Any], types_of: Callable[[Graph], Any]) -> dict[str, Graph]:
    """Case -> the graph that its module builds with our own W3C-shaped builder."""
    plans = [{"text": emit_module(ModuleSource(graph)), "types": types_of(graph)} for graph in CASES.values()]
    answers = play(plans)
    assert {key: answer["error"] for key, answer in zip(CASES, answers, strict=True) if "error" in answer} == {}
    return {key: replay(answer["record"]) for key, answer in zip(CASES, answers, strict=True)}


def replay(record: Mapping[str, Any]) -> Graph:
    context = ML().create_context(backend="numpy")
    builder = MLGraphBuilder(context)
    operands: dict[int, Any] = {}
    for item in record["inputs"]:
        operands[item["id"]] = builder.input(item["name"], {"dataType": item["dataType"], "shape": item["shape"]})
    for item in record["constants"]:
        data = np.frombuffer(base64.b64decode(item["data"]), np.uint8)
        descriptor = {"dataType": item["dataType"], "shape": item["shape"]}
        operands[item["id"]] = builder.constant(descriptor, data)

    def value(raw: Any) -> Any:
        if isinstance(raw, list):
            return [value(item) for item in raw]
        if isinstance(raw, dict):
            ((kind, inner),) = raw.items()
            return operands[inner] if kind == "operand" else int(inner) if kind == "bigint" else float(inner)
        return raw

    for call in record["calls"]:
        assert call["more"] == 1, "each call ends with its dictionary"
        options = {name: value(item) for name, item in call["read"].items()}
        made = getattr(builder, call["op"])(*map(value, call["args"]), options)
        made = made if isinstance(made, list) else [made]
        operands.update(zip(call["made"], made, strict=True))
    return builder.build({name: operands[place] for name, place in record["outputs"]})._graph


@pytest.mark.parametrize("op", OPS)
def test_a_module_asks_for_the_graph_it_was_made_of(replayed: dict[str, Graph], op: str) -> None:
    own = [key for key in CASES if key.partition(":")[0] == op]
    assert own
    for key in own:
        assert shape_of(replayed[key]) == shape_of(CASES[key]), key


def shape_of(graph: Graph) -> Any:
    """A graph but for the names of its values and its labels."""
    order = [*graph.inputs, *(value for node in graph.nodes for value in node.outputs)]
    numbers: dict[str | None, Any] = {name: place for place, name in enumerate(order)}
    numbers |= {name: (item.type, item.values.tobytes()) for name, item in graph.constants.items()}
    numbers[None] = None
    return (
        dict(graph.inputs),
        [(node.op, [numbers[value] for value in node.inputs], exact(node.options)) for node in graph.nodes],
        {name: numbers[value] for name, value in graph.outputs.items()},
    )


def exact(options: Mapping[str, Any]) -> dict[str, str]:
    """As text: 0.0 equals -0.0, and NaN not itself."""
    return {name: repr(value) for name, value in options.items()}


def test_every_type_is_among_the_literals() -> None:
    kinds = {item.type.dtype for graph in CASES.values() for item in graph.constants.values()}
    assert kinds >= {dtype for dtype in DataType if dtype.bits >= 8}
