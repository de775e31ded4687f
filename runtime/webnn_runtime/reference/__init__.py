"""The NumPy kernels that define what every operator computes: plain, exact types, one rounding."""

from __future__ import annotations

from webnn_runtime.reference import (
    activation,
    comparison,
    conv,
    elementwise,
    indexing,
    layout,
    matmul,
    normalization,
    pool,
    quantize,
    recurrent,
    reduction,
)
from webnn_runtime.reference._registry import KERNELS, evaluate, kernel

__all__ = [
    "KERNELS",
    "activation",
    "comparison",
    "conv",
    "elementwise",
    "evaluate",
    "indexing",
    "kernel",
    "layout",
    "matmul",
    "normalization",
    "pool",
    "quantize",
    "recurrent",
    "reduction",
]
