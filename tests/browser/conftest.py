"""Where the browser is: WEBNN_BROWSER, or the one that `make browser-test` unpacks; and what it fetches besides."""

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


@pytest.fixture(scope="session")
def fetched() -> Path:
    """The folder with `webnn.idl` and `typescript/`; without it the tests are skipped, and fail under CI=true."""
    found = ROOT / ".cache" / "specification"
    if not (found / "fetched").is_file():
        missing = f"nothing fetched: {found} is not complete; `make browser-test` fills it where npm is installed"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return found
