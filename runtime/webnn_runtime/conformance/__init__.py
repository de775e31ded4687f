"""Test cases for WebNN operators: read, run on any backend, compare under published tolerances."""

from __future__ import annotations

from webnn_runtime.conformance.cases import Case
from webnn_runtime.conformance.compare import mismatch, ulp_distance
from webnn_runtime.conformance.files import AnyCase, load_cases
from webnn_runtime.conformance.run import Outcome, Verdict, run_case
from webnn_runtime.conformance.suite import CasesFailed, Finding, Summary, Tally, cases_of, operation_of, run_suite
from webnn_runtime.conformance.tolerance import BUDGETS, Tolerance, tolerance_of
from webnn_runtime.conformance.validation import ValidationCase

__all__ = [
    "BUDGETS",
    "AnyCase",
    "Case",
    "CasesFailed",
    "Finding",
    "Outcome",
    "Summary",
    "Tally",
    "Tolerance",
    "ValidationCase",
    "Verdict",
    "cases_of",
    "load_cases",
    "mismatch",
    "operation_of",
    "run_case",
    "run_suite",
    "tolerance_of",
    "ulp_distance",
]
