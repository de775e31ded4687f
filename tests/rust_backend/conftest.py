"""The native backend, on each instruction set, and with a kernel hidden."""

from __future__ import annotations

import pytest

from webnn_runtime.backends.base import CompileOptions


@pytest.fixture(scope="session")
def rust(optional):
    optional("webnn_kernels")
    from webnn_runtime.backends.rust import BACKEND

    return BACKEND


@pytest.fixture
def write(rust):
    """Writes a bundle's file of packed weights."""
    from webnn_runtime.backends.rust.packed_writing import write_packed

    return write_packed


@pytest.fixture
def on_isa(isa):
    """Options that force one instruction set."""
    return CompileOptions(threads=2, session_options={"isa": isa})


@pytest.fixture
def without(monkeypatch, optional):
    """Hides the native kernel of an operator, which the backend then runs on the reference."""
    kernels = optional("webnn_kernels")
    real = kernels.PlanBuilder

    def hide(hidden):
        class Builder:
            def __init__(self, *arguments):
                self._builder = real(*arguments)

            def __getattr__(self, name):
                return getattr(self._builder, name)

            def step(self, kind, *arguments):
                if kind == hidden:
                    raise NotImplementedError(f"{kind}: hidden by a test")
                return self._builder.step(kind, *arguments)

        monkeypatch.setattr(kernels, "PlanBuilder", Builder)

    return hide
