"""The NumPy kernels that define what every operator computes: plain, exact types, one rounding."""

from __future__ import annotations

from webnn_runtime.reference._registry import KERNELS, evaluate, kernel

__all__ = ["KERNELS", "evaluate", "kernel"]
