"""Whole suites: every case is counted once, also one that meets a defect."""

from __future__ import annotations

from typing import Any

import pytest

from webnn_runtime.backends import Backend, CompileOptions, get_backend
from webnn_runtime.conformance import Case, Tally, ValidationCase, operation_of, run_suite
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import UnsupportedByBackend

ONE = {"data": [1], "descriptor": {"shape": [1], "dataType": "float32"}}


def case(*operators: str, expected: float = 1) -> Case:
    names = [f"t{place}" for place in range(len(operators))]
    nodes = [
        {"name": op, "arguments": [{"input": before}], "outputs": name}
        for op, before, name in zip(operators, ["x", *names], names, strict=False)
    ]
    graph = {"inputs": {"x": ONE}, "operators": nodes, "expectedOutputs": {names[-1]: {**ONE, "data": [expected]}}}
    return Case("file", len(operators), " ".join(operators), {"graph": graph})


class Gappy(Backend):
    """Numpy with a gap and a defect."""

    name = "numpy"
    unsupported = {("elu", DataType.FLOAT32): "no elu"}  # noqa: RUF012

    def require(self) -> None:
        pass

    def compile(self, graph: Any, options: CompileOptions | None = None) -> Any:
        if any(node.op == "elu" for node in graph.nodes):
            raise UnsupportedByBackend("no elu", backend=self.name)
        if any(node.op == "gelu" for node in graph.nodes):
            raise ZeroDivisionError("a defect")
        return get_backend("numpy").compile(graph, options)


def test_every_case_is_counted_once_under_its_operator_or_all_of_them() -> None:
    refused = {"operator": "relu", "arguments": [], "inputs": {}}
    cases = [
        case("relu"),
        case("relu", expected=2),
        case("relu", "identity", "relu"),
        case("elu"),
        case("gelu"),
        case("nonsense"),
        ValidationCase("file", 0, "refused", refused),
    ]
    steps: list[tuple[int, int, str]] = []
    summary = run_suite(cases, Gappy(), progress=lambda *step: steps.append(step))
    assert summary.operators == {
        "elu": Tally(unsupported=1),
        "gelu": Tally(failed=1),
        "nonsense": Tally(failed=1),
        "relu": Tally(passed=2, failed=1),
        "relu+identity": Tally(passed=1),
    }
    assert summary.total == Tally(passed=3, failed=3, unsupported=1)
    assert summary.total.cases == len(cases)
    messages = {found.operator: found.outcome.message for found in summary.findings}
    assert messages["gelu"] == "ZeroDivisionError: a defect"
    assert messages["nonsense"].startswith("UnknownOp: no WebNN operator is called 'nonsense'")
    assert steps[:2] == [(0, 7, "relu"), (1, 7, "relu")]


@pytest.mark.parametrize(("operators", "name"), [(["a"], "a"), (["a", "b", "a"], "a+b")])
def test_where_a_case_is_counted(operators: list[str], name: str) -> None:
    assert operation_of(case(*operators)) == name
