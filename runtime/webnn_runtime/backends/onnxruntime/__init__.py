"""Runs a graph with ONNX Runtime: the whole graph is one ONNX model, one session, kept.

Neither `onnx` nor, before a graph is compiled, `onnxruntime` is imported.
"""

from __future__ import annotations

from webnn_runtime.backends.onnxruntime.backend import BACKEND, OnnxRuntimeBackend

__all__ = ["BACKEND", "OnnxRuntimeBackend"]
