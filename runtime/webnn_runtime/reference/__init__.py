"""The NumPy kernels that define what every operator computes: plain, exact types, one rounding.

`KERNELS` holds all of them; `evaluate` loads a family of operators when it comes to the first node of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from webnn_runtime.reference._registry import evaluate, kernel, load_kernels

if TYPE_CHECKING:
    from webnn_runtime.reference._registry import KERNELS

__all__ = ["KERNELS", "evaluate", "kernel"]


def __getattr__(name: str) -> object:
    if name == "KERNELS":
        return load_kernels()
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
