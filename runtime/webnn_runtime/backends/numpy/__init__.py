"""The reference backend: every node on its reference kernel, in order. It defines what is right."""

from __future__ import annotations

from webnn_runtime.backends.numpy._backend import BACKEND, UNSUPPORTED, NumpyBackend

__all__ = ["BACKEND", "UNSUPPORTED", "NumpyBackend"]
