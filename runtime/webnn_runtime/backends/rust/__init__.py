"""The native backend: matrix products and attention in Rust, the other operators on the reference kernels."""

from __future__ import annotations

from webnn_runtime.backends.rust._backend import BACKEND, UNSUPPORTED, RustBackend, RustExecutable

__all__ = ["BACKEND", "UNSUPPORTED", "RustBackend", "RustExecutable"]
