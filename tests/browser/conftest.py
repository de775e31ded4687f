"""Where the browser is: WEBNN_BROWSER, or the one that `make browser-test` unpacks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def browser() -> Path:
    """An executable with WebNN; without one the tests are skipped by name, and fail under CI=true."""
    found = Path(os.environ.get("WEBNN_BROWSER") or ROOT / ".cache" / "browser" / "chromium")
    if not found.is_file():
        missing = f"no browser: {found} does not exist; `make browser-test` fetches it where npm is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found
