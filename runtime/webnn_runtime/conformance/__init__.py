"""Published test cases for WebNN operators: read, run on any backend, compare under published tolerances."""

from __future__ import annotations

from webnn_runtime.conformance.cases import Case, load_cases
from webnn_runtime.conformance.compare import mismatch, ulp_distance
from webnn_runtime.conformance.run import Outcome, Verdict, run_case
from webnn_runtime.conformance.tolerance import BUDGETS, Tolerance, tolerance_of

__all__ = [
    "BUDGETS",
    "Case",
    "Outcome",
    "Tolerance",
    "Verdict",
    "load_cases",
    "mismatch",
    "run_case",
    "tolerance_of",
    "ulp_distance",
]
