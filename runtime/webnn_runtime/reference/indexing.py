"""Reading and writing by index.

Indices from -n to -1 count from the end. Others out of range are clamped to the nearest element, so that no
index can read or write outside.
"""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Array
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []


def _positions(indices: Array, size: int) -> Array:
    if size == 0 and indices.size:
        raise ShapeError("reads from an axis of no elements; give it at least one, or no indices")
    wide = indices.astype(np.int64)
    return np.clip(np.where(wide < 0, wide + size, wide), 0, size - 1)


def _coordinates(indices: Array, shape: tuple[int, ...]) -> tuple[Array, ...]:
    """The last dimension of `indices` as one array of positions for each leading dimension of `shape`."""
    return tuple(_positions(indices[..., axis], shape[axis]) for axis in range(indices.shape[-1]))


@kernel("gather")
def gather(x: Array, indices: Array, *, axis: int) -> Array:
    """Whole slices of x along `axis`, in the order and shape of the indices."""
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if 0 in shape:
        return np.empty(shape, x.dtype)
    return np.asarray(np.take(x, _positions(indices, x.shape[axis]), axis=axis))


@kernel("gatherElements")
def gather_elements(x: Array, indices: Array, *, axis: int) -> Array:
    """For each index, the element at its own place but with `axis` replaced by the index."""
    return np.take_along_axis(x, _positions(indices, x.shape[axis]), axis=axis)


@kernel("gatherND")
def gather_nd(x: Array, indices: Array) -> Array:
    """Slices of x at coordinates of its leading dimensions, held in the last dimension of the indices."""
    shape = (*indices.shape[:-1], *x.shape[indices.shape[-1] :])
    return np.empty(shape, x.dtype) if 0 in shape else np.asarray(x[_coordinates(indices, x.shape)])


@kernel("scatterElements")
def scatter_elements(x: Array, indices: Array, updates: Array, *, axis: int) -> Array:
    """A copy of x in which each update replaces the element gatherElements would read."""
    result: Array = x.copy()
    np.put_along_axis(result, _positions(indices, x.shape[axis]), updates, axis=axis)
    return result


@kernel("scatterND")
def scatter_nd(x: Array, indices: Array, updates: Array) -> Array:
    """A copy of x in which each update replaces the slice gatherND would read."""
    result: Array = x.copy()
    if updates.size:
        result[_coordinates(indices, x.shape)] = updates
    return result
