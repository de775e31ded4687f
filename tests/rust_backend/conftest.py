"""Graphs with the patterns that the native backend recognises, and the backend on each instruction set."""

from __future__ import annotations

import pytest

from webnn_runtime.backends.base import CompileOptions


@pytest.fixture(scope="session")
def rust(optional):
    optional("webnn_kernels")
    from webnn_runtime.backends.rust import BACKEND

    return BACKEND


@pytest.fixture(params=["scalar", "avx2", "avx512"])
def on_isa(request, rust, optional):
    """Options that force one instruction set."""
    if request.param not in optional("webnn_kernels").available_isas():
        pytest.skip(f"this CPU has no {request.param}")
    return CompileOptions(threads=2, session_options={"isa": request.param})
