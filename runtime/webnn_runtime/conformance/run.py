"""One case on one backend, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from webnn_runtime.backends.base import Backend, CompileOptions
from webnn_runtime.conformance.cases import Case
from webnn_runtime.conformance.compare import mismatch
from webnn_runtime.conformance.files import AnyCase
from webnn_runtime.conformance.tolerance import Tolerance
from webnn_runtime.conformance.validation import ValidationCase
from webnn_runtime.format.errors import FormatError, UnsupportedByBackend, WebnnError
from webnn_runtime.format.graph import Array

__all__ = ["Outcome", "Verdict", "run_case"]


class Verdict(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict and, unless the case passed, the reason."""

    verdict: Verdict
    message: str = ""


def run_case(
    case: AnyCase, backend: Backend, *, all_constant: bool = False, options: CompileOptions | None = None
) -> Outcome:
    """Compile, run and compare; our own errors are verdicts, all others are bugs and go on.

    Raises:
        FormatError: the case is not what the schema says.
    """
    try:
        complaint = _complaint(case, backend, all_constant, options)
    except UnsupportedByBackend as exc:
        return Outcome(Verdict.UNSUPPORTED, str(exc))
    except FormatError as exc:
        raise FormatError(f"not a case file: tests[{case.index}]: {exc.reason}", path=f"{case.source}.json") from exc
    except WebnnError as exc:
        return Outcome(Verdict.FAILED, f"{type(exc).__name__}: {exc}")
    return Outcome(Verdict.PASSED) if complaint is None else Outcome(Verdict.FAILED, complaint)


def _complaint(case: AnyCase, backend: Backend, all_constant: bool, options: CompileOptions | None) -> str | None:
    if isinstance(case, ValidationCase):
        return case.complaint(backend)
    graph = case.graph(all_constant=all_constant)
    results = backend.compile(graph, options).run(case.feeds(graph))
    return _differences(case, case.tolerance(graph), results)


def _differences(case: Case, tolerance: Tolerance, results: Mapping[str, Array]) -> str | None:
    complaints = []
    for name, expected in case.expected().items():
        actual = results[name]
        if actual.shape == expected.shape:
            actual, expected = case.compared(name, actual), case.compared(name, expected)
        found = mismatch(actual, expected, tolerance)
        if found is not None:
            complaints.append(f"output '{name}': {found}")
    return "; ".join(complaints) or None
