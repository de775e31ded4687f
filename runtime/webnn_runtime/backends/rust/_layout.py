"""Arrays as the native engine takes them: float32, aligned, and adjacent in memory."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.graph import Array

__all__ = ["dense", "heads", "permuted"]


def dense(array: Array) -> Array:
    """`array`, or a copy in C order."""
    return np.require(array, np.float32, ("C", "A"))


def permuted(array: Array) -> Array:
    """`array` if its elements are adjacent in some order of the axes, or a copy in C order."""
    return array if _is_adjacent(array) and array.flags.aligned else dense(array)


def heads(array: Array) -> Array:
    """`array` as [batch, heads, rows, columns] with adjacent columns; one head where it has three dimensions."""
    if array.ndim == 3:
        array = array[:, None]
    columns = array.shape[-1] == 1 or array.strides[-1] == array.itemsize
    return permuted(array) if columns else dense(array)


def _is_adjacent(array: Array) -> bool:
    expected = array.itemsize
    for stride, size in sorted(zip(array.strides, array.shape, strict=True)):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True
