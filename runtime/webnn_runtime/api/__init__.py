"""The W3C-shaped surface: what a browser offers, in Python."""

from __future__ import annotations

from webnn_runtime.api.asynchronous import AsyncMLContext
from webnn_runtime.api.builder import MLGraphBuilder, MLOperand
from webnn_runtime.api.context import MLContext, MLContextLostInfo
from webnn_runtime.api.errors import (
    InvalidStateError,
    MLTypeError,
    NotSupportedError,
    OperationError,
    UnknownError,
)
from webnn_runtime.api.graph import MLGraph
from webnn_runtime.api.ml import ML
from webnn_runtime.api.tensor import MLTensor

__all__ = [
    "ML",
    "AsyncMLContext",
    "InvalidStateError",
    "MLContext",
    "MLContextLostInfo",
    "MLGraph",
    "MLGraphBuilder",
    "MLOperand",
    "MLTensor",
    "MLTypeError",
    "NotSupportedError",
    "OperationError",
    "UnknownError",
]
