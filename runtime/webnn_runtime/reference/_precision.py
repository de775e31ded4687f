"""How the kernels keep their promise: float64 in between, one rounding at the end, exact integers.

NumPy computes float32 +, -, *, / and square roots correctly rounded, and float16 ones through float32,
which is wide enough to round the same; only everything beyond those needs what is here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.graph import Array

__all__ = ["Float64", "by_blocks", "by_rows", "cast_number", "saturate", "through_float64", "widen"]

Float64 = npt.NDArray[np.float64]

# Elements of one float64 block: 512 KiB, so that a chain of operations stays in the second-level cache.
_BLOCK: Final = 1 << 16


def widen(array: Array) -> Float64:
    """The same values as float64; exact for both float types and for integers below 2^53."""
    return array.astype(np.float64)


def through_float64(function: np.ufunc, *operands: Array) -> Array:
    """One NumPy function in float64, rounded to the type of the first operand; operands broadcast.

    NumPy converts a buffer at a time, so no float64 copy of an operand exists.
    """
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    result = np.empty(shape, operands[0].dtype)
    function(*operands, out=result, dtype=np.float64, casting="same_kind")
    return result


def by_blocks(function: Callable[[Float64], Float64], array: Array) -> Array:
    """A formula of one operand, element by element in float64, rounded once to the operand's type."""
    result = np.empty(array.shape, array.dtype)
    source, target = array.reshape(-1), result.reshape(-1)
    for start in range(0, source.size, _BLOCK):
        target[start : start + _BLOCK] = function(widen(source[start : start + _BLOCK]))
    return result


def by_rows(function: Callable[[Float64], Float64], array: Array, axis: int) -> Array:
    """A formula over [rows, n], n being dimension `axis`, in float64 and rounded once; the shape stays."""
    moved = np.moveaxis(array, axis, -1)
    result = np.empty(moved.shape, array.dtype)
    length = moved.shape[-1]
    source, target = moved.reshape(-1, length) if length else moved.reshape(0, 0), result.reshape(-1, max(length, 1))
    step = max(1, _BLOCK // max(length, 1))
    for start in range(0, len(source), step):
        target[start : start + step] = function(widen(source[start : start + step]))
    return np.ascontiguousarray(np.moveaxis(result, -1, axis))


def cast_number(value: float, dtype: np.dtype[Any]) -> Any:
    """An option number as a scalar of an operand's type.

    Floats are rounded to nearest, overflowing to infinity. For integers NaN becomes 0, the number is
    clamped into the range and then rounded half to even; integers stay exact on the way.
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(value, np.float64).astype(dtype)[()]
    limits = np.iinfo(dtype)
    if math.isnan(value):
        return dtype.type(0)
    return dtype.type(round(min(max(value, int(limits.min)), int(limits.max))))


def saturate(values: Float64, dtype: np.dtype[Any]) -> Array:
    """Integer-valued floats as integers: clamped into the range, NaN as 0.

    C leaves out-of-range conversions undefined; the upper bound of a 64-bit type is not a float64, so the
    comparison is made before the conversion and not by clipping.
    """
    limits = np.iinfo(dtype)
    below, above = values <= float(limits.min), values >= float(limits.max)
    inside = np.where(below | above | np.isnan(values), 0.0, values).astype(dtype)
    return np.where(above, dtype.type(limits.max), np.where(below, dtype.type(limits.min), inside))
