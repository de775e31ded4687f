"""The NumPy kernels that define what every operator computes: plain, exact types, one rounding."""

from __future__ import annotations

from webnn_runtime.reference import (
    activation,
    comparison,
    elementwise,
    indexing,
    layout,
    matmul,
    normalization,
    quantize,
    reduction,
)
from webnn_runtime.reference._registry import KERNELS, evaluate, kernel

__all__ = [
    "KERNELS",
    "activation",
    "comparison",
    "elementwise",
    "evaluate",
    "indexing",
    "kernel",
    "layout",
    "matmul",
    "normalization",
    "quantize",
    "reduction",
]
