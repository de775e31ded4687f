"""Expected failures of our own operator cases become strict xfails."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    expected = runpy.run_path(str(HERE / "expected_failures.py"))["EXPECTED_FAILURES"]
    for item in items:
        params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        if item.path.parent == HERE and "backend" in params and "case" in params:
            reason = expected.get((params["backend"], params["case"].id))
            # The rust backend folds constants with the reference kernels, which miss none of these.
            folded = params["backend"] == "rust" and params.get("all_constant")
            if reason is not None and not folded:
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
