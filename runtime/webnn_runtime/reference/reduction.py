"""Reductions over axes, running sums, and the index of an extreme.

Absent axes mean all of them; an empty list reduces nothing, but the function still applies to each element.
Integers are summed and multiplied exactly in their own type, wrapping.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []

Axes = tuple[int, ...] | None


def _exact(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The type to accumulate in."""
    return np.dtype(np.float64) if dtype.kind == "f" else dtype


def _refuse_none(x: Array, axes: Axes) -> None:
    """Refuse to choose from no elements, where there is a result that it would be.

    Raises:
        ShapeError: there is one.
    """
    reduced = range(x.ndim) if axes is None else axes
    if x.size == 0 and 0 not in (size for axis, size in enumerate(x.shape) if axis not in reduced):
        raise ShapeError("reduces no elements; give it at least one")


def _extreme(find: Any, x: Array, axes: Axes, keep: bool) -> Array:
    _refuse_none(x, axes)
    if x.size:
        return np.asarray(find(x, axis=axes, keepdims=keep))
    # NumPy refuses to reduce an axis of no elements also where there is no result.
    return _sum(x, axes, keep, x.dtype)


def _sum(x: Array, axes: Axes, keep: bool, dtype: np.dtype[Any]) -> Array:
    return np.asarray(np.sum(x, axis=axes, keepdims=keep, dtype=_exact(dtype))).astype(dtype, copy=False)


@kernel("reduceSum")
def reduce_sum(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Sum."""
    return _sum(x, axes, keep_dimensions, x.dtype)


@kernel("reduceL1")
def reduce_l1(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Sum of absolute values."""
    return _sum(np.abs(x), axes, keep_dimensions, x.dtype)


@kernel("reduceSumSquare")
def reduce_sum_square(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Sum of squares."""
    return _sum(np.square(x, dtype=_exact(x.dtype)), axes, keep_dimensions, x.dtype)


@kernel("reduceL2")
def reduce_l2(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Square root of the sum of squares."""
    return np.asarray(np.sqrt(np.sum(np.square(widen(x)), axis=axes, keepdims=keep_dimensions))).astype(x.dtype)


@kernel("reduceLogSum")
def reduce_log_sum(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Natural logarithm of the sum."""
    return np.asarray(np.log(np.sum(x, axis=axes, keepdims=keep_dimensions, dtype=np.float64))).astype(x.dtype)


@kernel("reduceLogSumExp")
def reduce_log_sum_exp(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Natural logarithm of the sum of exponentials, moved by the maximum so that none overflows."""
    values = widen(x)
    top = _extreme(np.max, values, axes, True)
    # An infinite maximum would leave inf - inf.
    shift = np.where(np.isfinite(top), top, 0.0)
    result = np.log(np.sum(np.exp(values - shift), axis=axes, keepdims=True)) + shift
    return np.asarray(result if keep_dimensions else _squeeze(result, axes)).astype(x.dtype)


@kernel("reduceMean")
def reduce_mean(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Sum divided by the number of elements."""
    total = np.asarray(np.sum(x, axis=axes, keepdims=keep_dimensions, dtype=np.float64))
    return (total / (x.size / total.size)).astype(x.dtype) if total.size else total.astype(x.dtype)


@kernel("reduceProduct")
def reduce_product(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Product."""
    return np.asarray(np.prod(x, axis=axes, keepdims=keep_dimensions, dtype=_exact(x.dtype))).astype(x.dtype)


@kernel("reduceMax")
def reduce_max(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Largest element; NaN if there is one."""
    return _extreme(np.max, x, axes, keep_dimensions)


@kernel("reduceMin")
def reduce_min(x: Array, *, axes: Axes, keep_dimensions: bool) -> Array:
    """Smallest element; NaN if there is one."""
    return _extreme(np.min, x, axes, keep_dimensions)


@kernel("argMax")
def arg_max(x: Array, *, axis: int, keep_dimensions: bool, output_data_type: DataType) -> Array:
    """Index of the largest element; the first of equal ones, and the first NaN before all others."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=keep_dimensions)).astype(output_data_type.numpy)


@kernel("argMin")
def arg_min(x: Array, *, axis: int, keep_dimensions: bool, output_data_type: DataType) -> Array:
    """Index of the smallest element; the first of equal ones, and the first NaN before all others."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=keep_dimensions)).astype(output_data_type.numpy)


@kernel("cumulativeSum")
def cumulative_sum(x: Array, *, axis: int, exclusive: bool, reversed: bool) -> Array:
    """Sum of the elements up to each one; `exclusive` leaves the element itself out."""
    values = np.flip(x, axis) if reversed else x
    sums = np.cumsum(values, axis=axis, dtype=_exact(x.dtype))
    if exclusive:
        # Moving by one, not subtracting: infinity minus infinity would be NaN.
        sums = np.roll(sums, 1, axis)
        np.moveaxis(sums, axis, 0)[:1] = 0
    return np.asarray(np.flip(sums, axis) if reversed else sums).astype(x.dtype)


def _squeeze(x: Array, axes: Axes) -> Array:
    return np.squeeze(x, axis=tuple(range(x.ndim)) if axes is None else axes)
