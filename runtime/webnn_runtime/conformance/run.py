"""One case on one backend, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from webnn_runtime.backends.base import Backend, CompileOptions
from webnn_runtime.conformance.cases import Case
from webnn_runtime.conformance.compare import mismatch
from webnn_runtime.format.errors import UnsupportedByBackend, WebnnError

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
    case: Case, backend: Backend, *, all_constant: bool = False, options: CompileOptions | None = None
) -> Outcome:
    """Compile, run and compare; our own errors are verdicts, all others are bugs and go on."""
    try:
        graph = case.graph(all_constant=all_constant)
        results = backend.compile(graph, options).run(case.feeds(graph))
    except UnsupportedByBackend as exc:
        return Outcome(Verdict.UNSUPPORTED, str(exc))
    except WebnnError as exc:
        return Outcome(Verdict.FAILED, f"{type(exc).__name__}: {exc}")
    tolerance = case.tolerance(graph)
    complaints = []
    for name, expected in case.expected().items():
        actual = results[name]
        if actual.shape == expected.shape:
            actual, expected = case.compared(name, actual), case.compared(name, expected)
        found = mismatch(actual, expected, tolerance)
        if found is not None:
            complaints.append(f"output '{name}': {found}")
    return Outcome(Verdict.FAILED, "; ".join(complaints)) if complaints else Outcome(Verdict.PASSED)
