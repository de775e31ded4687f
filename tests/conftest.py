"""What every test may use: Hypothesis profiles and optional libraries."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from webnn_runtime.backends import Backend, get_backend

if TYPE_CHECKING:
    from collections.abc import Callable

# `fast` is for every run; `slow` is for a night: HYPOTHESIS_PROFILE=slow make test.
settings.register_profile("fast", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("slow", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session")
def optional() -> Callable[[str], Any]:
    """Import an optional library, or skip; under CI=true a missing one is a failure, never a skip."""

    def load(name: str) -> Any:
        if os.environ.get("CI") == "true":
            return importlib.import_module(name)
        return pytest.importorskip(name)

    return load


# Backends that every operator case runs on, each with the library it needs.
BACKENDS = {"numpy": "numpy"}


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest, optional: Callable[[str], Any]) -> Backend:
    """Each backend in turn; one without its library is skipped as `optional` says."""
    optional(BACKENDS[request.param])
    return get_backend(request.param)
