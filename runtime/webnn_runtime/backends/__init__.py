"""Ways to run a graph; see `registry` for names and `base` for the contract."""

from __future__ import annotations

from webnn_runtime.backends.base import Backend, CompileOptions, Executable
from webnn_runtime.backends.registry import available_backends, backend_names, compile_graph, get_backend

__all__ = [
    "Backend",
    "CompileOptions",
    "Executable",
    "available_backends",
    "backend_names",
    "compile_graph",
    "get_backend",
]
