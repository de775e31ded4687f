"""Every operator case on every backend: `cases/<family>.py` holds them as data."""

from __future__ import annotations

import runpy
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.backends import Backend, CompileOptions
from webnn_runtime.conformance import Tolerance, mismatch, tolerance_of
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dtypes import FLOATS, DataType
from webnn_runtime.format.errors import UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph
from webnn_runtime.format.ops import OPS
from webnn_runtime.reference import KERNELS, evaluate

# Starting a second thread takes longer than any of these graphs.
ONE_THREAD = CompileOptions(threads=1)
# The reference is held to what it promises: float64 in between and one rounding.
ONE_ROUNDING = Tolerance(ulp=1)


@dataclass(frozen=True)
class Case:
    family: str
    op: str
    name: str
    operands: tuple[Array | None, ...]
    options: dict[str, Any]
    expected: tuple[Array, ...] | None
    tolerance: Tolerance | None

    @property
    def id(self) -> str:
        return f"{self.op}: {self.name}"

    def graph(self, *, all_constant: bool = False) -> Graph:
        builder = GraphBuilder()
        values: list[Value | None] = []
        for place, array in enumerate(self.operands):
            if array is None:
                values.append(None)
            elif all_constant:
                values.append(builder.constant(array, name=f"operand{place}"))
            else:
                values.append(builder.input(f"operand{place}", DataType.from_numpy(array.dtype), array.shape))
        results = builder.op_many(self.op, *values, **self.options)
        return builder.build({f"result{place}": value for place, value in enumerate(results)})

    def feeds(self) -> dict[str, Array]:
        return {f"operand{place}": array for place, array in enumerate(self.operands) if array is not None}

    def defined(self) -> tuple[Array, ...]:
        """What the reference computes."""
        node, feeds = self.graph().nodes[0], self.feeds()
        return evaluate(node, [None if value is None else feeds[value] for value in node.inputs], {})


def read(path: Path) -> list[Case]:
    found = []
    for op, name, operands, options, expected, *own in runpy.run_path(str(path))["CASES"]:
        arrays = tuple(None if array is None else np.asarray(array) for array in operands)
        results = None
        if not isinstance(expected, str):
            results = tuple(np.asarray(array) for array in (expected if isinstance(expected, list) else [expected]))
        found.append(Case(path.stem, op, name, arrays, options, results, own[0] if own else None))
    return found


CASES = [case for path in sorted((Path(__file__).parent / "cases").glob("*.py")) for case in read(path)]
each_case = pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES])


def run(graph: Graph, feeds: dict[str, Array], backend: Backend) -> list[Array] | str:
    """Results in order, or the reason of a gap."""
    try:
        return list(backend.compile(graph, ONE_THREAD).run(feeds).values())
    except UnsupportedByBackend as exc:
        return exc.reason


@each_case
@pytest.mark.parametrize("all_constant", [False, True], ids=["inputs", "constants"])
def test_a_case_gives_the_expected_results(backend: Backend, case: Case, all_constant: bool) -> None:
    graph = case.graph(all_constant=all_constant)
    results = run(graph, {} if all_constant else case.feeds(), backend)
    if isinstance(results, str):
        assert any(reason in results for reason in backend.unsupported.values()), results
        return
    expected = case.expected or case.defined()
    tolerance = ONE_ROUNDING if backend.name == "numpy" else case.tolerance or tolerance_of(graph)
    assert len(results) == len(expected)
    assert [mismatch(*pair, tolerance) for pair in zip(results, expected, strict=True)] == [None] * len(results)


@each_case
def test_the_table_infers_what_the_reference_computes(case: Case) -> None:
    inferred = [(kind.dtype.numpy, kind.static_shape) for kind in case.graph().output_types.values()]
    assert inferred == [(result.dtype, result.shape) for result in case.defined()]


@pytest.mark.parametrize("op", OPS)
def test_every_operator_has_a_definition_and_cases_for_each_class_of_types(op: str) -> None:
    assert op in KERNELS
    cases = [case for case in CASES if case.op == op]
    assert {case.family for case in cases} == {OPS[op].family}
    assert any(case.expected is not None for case in cases)
    allowed = OPS[op].operands[0].allowed
    covered = {DataType.from_numpy(case.operands[0].dtype) for case in cases if case.operands[0] is not None}
    assert allowed is not None
    assert allowed & FLOATS <= covered
    assert covered - FLOATS or not allowed - FLOATS


def test_case_names_are_unique() -> None:
    assert [name for name, count in Counter(case.id for case in CASES).items() if count > 1] == []


def test_an_expected_failure_names_a_case_that_exists() -> None:
    expected = runpy.run_path(str(Path(__file__).with_name("expected_failures.py")))["EXPECTED_FAILURES"]
    assert {case_id for _, case_id in expected} <= {case.id for case in CASES}
