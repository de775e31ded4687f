"""The native backend: a graph as one plan of fused steps in Rust, over padded batches or over texts without padding."""

from __future__ import annotations

from webnn_runtime.backends.rust._backend import BACKEND, UNSUPPORTED, RustBackend, RustExecutable

__all__ = ["BACKEND", "UNSUPPORTED", "RustBackend", "RustExecutable"]
