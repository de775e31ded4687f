"""Rounding one input after the other, each time passing the error on to the inputs that are not rounded yet.

A product does not care for its weights but for its results. With H the second moments of what it reads, rounding the
weights of input k by e changes the results least if the weights of the inputs that follow take over a part of it:
that part is a row of the Cholesky factor of the inverse of H. (Known as optimal brain surgery, and for large
language models as GPTQ.)
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.graph import Array
from webnn_translator.quantize.rounding import Grid, Packed

__all__ = ["Doubles", "compensated"]

Doubles = npt.NDArray[np.float64]
# Inputs whose errors are passed on within a block at once, and to all that follow at its end.
_BLOCK: Final = 64


def compensated(weight: Array, axis: int, packed: Packed, grid: Grid, moments: Doubles, damping: float) -> Packed:
    """The same scales with other integers, such that the products change less.

    Args:
        weight: float matrix.
        axis: the one that the product sums over.
        packed: its scales and zero points, by channel or by block.
        grid: integers to use.
        moments: [K, K], sums of x x^T of what the product reads.
        damping: part of the mean diagonal that is added to it; more trusts the samples less.
    """
    columns = np.moveaxis(weight, axis, 0).astype(np.float64)
    inner = len(columns)
    scale, zero = (_by_input(array, axis, inner) for array in (packed.scale, packed.zero_point))
    diagonal = np.diag(moments)
    damped = moments + np.eye(inner) * (damping * float(diagonal.mean()) + 1e-30)
    # What is read with the largest values is rounded first, while there are many left to make up for it.
    order = np.argsort(-diagonal, kind="stable")
    factor = np.linalg.cholesky(np.linalg.inv(damped[np.ix_(order, order)])).T
    left = columns[order]
    values = np.empty_like(left)
    for start in range(0, inner, _BLOCK):
        stop = min(start + _BLOCK, inner)
        errors = np.empty((stop - start, left.shape[1]))
        for row in range(start, stop):
            step, offset = scale[order[row]], zero[order[row]]
            values[row] = np.clip(np.rint(left[row] / step) + offset, grid.low, grid.high)
            error = (left[row] - (values[row] - offset) * step) / factor[row, row]
            left[row + 1 : stop] -= factor[row, row + 1 : stop, None] * error
            errors[row - start] = error
        left[stop:] -= factor[start:stop, stop:].T @ errors
    back = np.empty_like(values)
    back[order] = values
    whole = np.ascontiguousarray(np.moveaxis(back, 0, axis)).astype(grid.dtype.numpy)
    return Packed(packed.dtype, whole, packed.scale, packed.zero_point)


def _by_input(array: Array, axis: int, inner: int) -> Doubles:
    """Scales or zero points as [K, N], or with a 1 where they are alike."""
    moved = np.moveaxis(array, axis, 0).astype(np.float64)
    return np.repeat(moved, inner // len(moved), axis=0)
