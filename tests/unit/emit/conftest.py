"""Emitted modules in Node, against a WebNN that only records what it is asked for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from webnn_runtime.format.graph import Graph
from webnn_runtime.format.ops import OPS, OpSpec

PLAY: Final = Path(__file__).with_name("play.mjs")
Play = Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]


def _signature(spec: OpSpec) -> dict[str, Any]:
    required = [row.name for row in spec.operands if not row.optional]
    required += [option.name for option in spec.options if option.positional]
    members = [row.name for row in spec.operands if row.optional]
    members += [option.name for option in spec.options if not option.positional]
    many = len(spec.results) > 1 or spec.results[0].variadic
    return {"required": len(required), "members": [*members, "label"], "many": many}


# What the browser of the tests has, from the operator table.
TABLE: Final = {name: _signature(spec) for name, spec in OPS.items()}


@pytest.fixture(scope="session")
def play(node: str, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Plans -> what came of each; a plan's `text` is the module."""

    def run(plans: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp("modules")
        written = []
        for place, plan in enumerate(plans):
            module = folder / f"{place}.mjs"
            module.write_text(plan["text"], encoding="utf-8")
            rest = {key: value for key, value in plan.items() if key != "text"}
            written.append({"table": TABLE, **rest, "module": str(module)})
        (folder / "plan.json").write_text(json.dumps(written), encoding="utf-8")
        command = [node, str(PLAY), str(folder / "plan.json")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        answers: list[dict[str, Any]] = json.loads(done.stdout)
        return answers

    return run


@pytest.fixture(scope="session")
def types_of() -> Callable[..., list[list[dict[str, Any]]]]:
    """What each node of a graph gives, as the recording builder has to be told."""

    def types(graph: Graph) -> list[list[dict[str, Any]]]:
        kinds = ([graph.types[value] for value in node.outputs] for node in graph.nodes)
        return [[{"dataType": kind.dtype.value, "shape": kind.static_shape} for kind in row] for row in kinds]

    return types
