"""All cases of a folder on one backend: who passed, who failed and why, per operator and in total."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from webnn_runtime.backends.base import Backend, CompileOptions
from webnn_runtime.conformance.files import AnyCase, load_cases
from webnn_runtime.conformance.run import Outcome, Verdict, run_case
from webnn_runtime.format.errors import WebnnError

__all__ = ["CasesFailed", "Finding", "Summary", "Tally", "cases_of", "operation_of", "run_suite"]

# What a defect raises. In a suite that is the failure of one case, and the next one is run all the same.
_DEFECTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
# Starting a second thread takes longer than almost any of these graphs.
_OPTIONS: Final = CompileOptions(threads=1)


class CasesFailed(WebnnError):
    """At least one case failed."""


@dataclass(slots=True)
class Tally:
    """How many cases ended how; the three add up to all of them."""

    passed: int = 0
    failed: int = 0
    unsupported: int = 0

    @property
    def cases(self) -> int:
        """All of them."""
        return self.passed + self.failed + self.unsupported

    def count(self, verdict: Verdict) -> None:
        """One case more."""
        setattr(self, verdict.value, getattr(self, verdict.value) + 1)

    def record(self) -> dict[str, int]:
        """As JSON."""
        return {"passed": self.passed, "failed": self.failed, "unsupported": self.unsupported}

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.unsupported} unsupported"


@dataclass(frozen=True, slots=True)
class Finding:
    """A case that did not pass.

    Attributes:
        case: its id, file and place.
        name: what the file calls it.
        operator: where it is counted.
        outcome: the verdict with its reason.
    """

    case: str
    name: str
    operator: str
    outcome: Outcome

    def record(self) -> dict[str, str]:
        """As JSON."""
        return {"case": self.case, "name": self.name, "operator": self.operator, "message": self.outcome.message}

    def __str__(self) -> str:
        return f"{self.case} '{self.name}': {self.outcome.message}"


@dataclass(slots=True)
class Summary:
    """What came of a suite.

    Attributes:
        backend: name of the backend.
        total: every case once.
        operators: the same by operator, in order of their names.
        findings: the cases that did not pass, in order.
    """

    backend: str
    total: Tally = field(default_factory=Tally)
    operators: dict[str, Tally] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def of(self, verdict: Verdict) -> list[Finding]:
        """The cases that ended so."""
        return [finding for finding in self.findings if finding.outcome.verdict is verdict]

    def record(self) -> dict[str, Any]:
        """As JSON: `total`, `operators`, and each failed or unsupported case with its message."""
        return {
            "backend": self.backend,
            "total": self.total.record(),
            "operators": {name: tally.record() for name, tally in self.operators.items()},
            "failures": [finding.record() for finding in self.of(Verdict.FAILED)],
            "unsupported": [finding.record() for finding in self.of(Verdict.UNSUPPORTED)],
        }


def cases_of(folder: Path) -> list[AnyCase]:
    """Every case below a folder.

    Raises:
        FileNotFoundError: there is no such folder, or no case in it.
        FormatError: a file is not a case file.
    """
    if folder.is_file():
        raise FileNotFoundError(f"{folder}: a file, not a folder; pass the folder that it lies in")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: there is no such folder; pass a folder of case files")
    cases = list(load_cases(folder))
    if not cases:
        raise FileNotFoundError(
            f"{folder}: there is no case in it; pass a folder with case files (.json), at any depth"
        )
    return cases


def operation_of(case: AnyCase) -> str:
    """Where a case is counted: under its operator, or under the names of all, each once, joined by "+"."""
    return "+".join(dict.fromkeys(case.operators))


def run_suite(
    cases: Sequence[AnyCase], backend: Backend, *, progress: Callable[[int, int, str], None] | None = None
) -> Summary:
    """Run every case once and count it once.

    Raises:
        FormatError: a case is not what the schema says.
    """
    summary = Summary(backend.name, operators={name: Tally() for name in sorted(map(operation_of, cases))})
    for done, case in enumerate(cases):
        operation = operation_of(case)
        if progress is not None:
            progress(done, len(cases), operation)
        try:
            outcome = run_case(case, backend, options=_OPTIONS)
        except _DEFECTS as exc:
            outcome = Outcome(Verdict.FAILED, f"{type(exc).__name__}: {exc}")
        summary.total.count(outcome.verdict)
        summary.operators[operation].count(outcome.verdict)
        if outcome.verdict is not Verdict.PASSED:
            summary.findings.append(Finding(case.id, case.name, operation, outcome))
    return summary
