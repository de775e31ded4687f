"""The published operator cases of the folder WEBNN_CONFORMANCE_DIR, on every backend, with declared types."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

from webnn_runtime.backends import Backend, CompileOptions
from webnn_runtime.conformance import AnyCase, Verdict, load_cases, run_case

# Starting a second thread takes longer than any of these graphs.
ONE_THREAD = CompileOptions(threads=1)
FOLDER = os.environ.get("WEBNN_CONFORMANCE_DIR")
CASES = list(load_cases(Path(FOLDER))) if FOLDER else []
ABSENT = pytest.param(
    None,
    id="WEBNN_CONFORMANCE_DIR is not set",
    marks=pytest.mark.skip(reason="no published case was run: WEBNN_CONFORMANCE_DIR names no folder of case files"),
)
with_cases = pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in CASES] or [ABSENT])


@with_cases
@pytest.mark.parametrize("all_constant", [False, True], ids=["as declared", "all constant"])
def test_a_published_case_gives_the_expected_outputs(backend: Backend, case: AnyCase, all_constant: bool) -> None:
    outcome = run_case(case, backend, all_constant=all_constant, options=ONE_THREAD)
    stated = outcome.verdict is Verdict.UNSUPPORTED and any(
        reason in outcome.message for reason in backend.unsupported.values()
    )
    assert outcome.verdict is Verdict.PASSED or stated, f"{case.id} '{case.name}': {outcome.message}"


@pytest.mark.parametrize("folder", [pytest.param(FOLDER, id="folder") if FOLDER else ABSENT])
def test_the_folder_holds_cases(folder: str) -> None:
    assert CASES, f"there is no case file below '{folder}'"


def test_an_expected_failure_names_a_case_that_exists() -> None:
    expected = runpy.run_path(str(Path(__file__).with_name("expected_failures.py")))["EXPECTED_FAILURES"]
    known = {case.id for case in CASES}
    assert FOLDER is None or {case_id for _, case_id in expected} <= known
