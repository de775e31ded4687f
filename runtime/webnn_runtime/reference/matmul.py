"""Matrix products: float64 sums through BLAS, rounded once, a block of rows at a time."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import cast_number, widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []

# Elements of one float64 block of rows, operand or result: 32 MiB.
_BLOCK: Final = 1 << 22


@kernel("matmul")
def matmul(a: Array, b: Array) -> Array:
    """Product of the last two dimensions [M, K] and [K, N]; the others broadcast."""
    rows, inner, columns = a.shape[-2], a.shape[-1], b.shape[-1]
    if b.ndim == 2:
        # One matrix for all: the leading dimensions of a are more rows; -1 would not tell how many of nothing.
        result = np.empty((*a.shape[:-1], columns), a.dtype)
        rows = math.prod(a.shape[:-1])
        _product(a.reshape(rows, inner), b, result.reshape(rows, columns))
        return result
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    result = np.empty((*batch, rows, columns), a.dtype)
    left = np.broadcast_to(a, (*batch, rows, inner))
    right = np.broadcast_to(b, (*batch, inner, columns))
    for index in np.ndindex(batch):
        _product(left[index], right[index], result[index])
    return result


def _product(a: Array, b: Array, result: Array) -> None:
    wide = widen(b)
    step = max(1, _BLOCK // max(*b.shape, 1))
    for start in range(0, len(a), step):
        result[start : start + step] = widen(a[start : start + step]) @ wide


@kernel("gemm")
def gemm(
    a: Array,
    b: Array,
    c: Array | None,
    *,
    alpha: float,
    beta: float,
    a_transpose: bool,
    b_transpose: bool,
) -> Array:
    """alpha * A * B + beta * C, where A and B may be transposed and C is stretched to [M, N]."""
    left = widen(a.T if a_transpose else a)
    right = widen(b.T if b_transpose else b)
    result = float(cast_number(alpha, a.dtype)) * (left @ right)
    if c is not None:
        result += float(cast_number(beta, a.dtype)) * widen(c)
    return result.astype(a.dtype)
