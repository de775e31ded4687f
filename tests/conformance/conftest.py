"""Expected failures of the published cases become strict xfails; a run without the cases says so at its end."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

HERE = Path(__file__).parent
VARIABLE = "WEBNN_CONFORMANCE_DIR"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    expected = runpy.run_path(str(HERE / "expected_failures.py"))["EXPECTED_FAILURES"]
    for item in items:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if HERE in item.path.parents and params.get("case") is not None and "backend" in params:
            reason = expected.get((params["backend"], params["case"].id))
            # The rust backend folds constants with the reference kernels, which miss none of these.
            folded = params["backend"] == "rust" and params.get("all_constant")
            if reason is not None and not folded:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    if not os.environ.get(VARIABLE):
        terminalreporter.section("conformance: NO PUBLISHED CASES WERE RUN", yellow=True)
        terminalreporter.line(f"{VARIABLE} is not set; let it name a folder of case files to run them on every backend")
