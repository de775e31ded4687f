"""Two arrays under a tolerance: declared type and shape first, then each element."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.conformance.tolerance import Tolerance
from webnn_runtime.format.graph import Array

__all__ = ["mismatch", "ulp_distance"]

_BITS: Final = {4: np.int32, 2: np.int16}


def ulp_distance(actual: Array, expected: Array) -> npt.NDArray[np.float64]:
    """Steps between two arrays of one type: representable values for floats, differences for integers.

    Both zeros are one value, counting goes through zero where signs differ, and NaN is at distance 0 from
    NaN and infinitely far from all else. The result is float64; exact below 2^53.
    """
    if actual.dtype.kind != "f":
        # Differences of 64-bit integers need more than 64 bits; equal ones, the usual case, do not.
        exact = actual.astype(object) - expected.astype(object) if actual.dtype.itemsize == 8 else None
        wide = actual.astype(np.float64) - expected if exact is None else exact.astype(np.float64)
        return np.asarray(np.abs(wide), np.float64)
    distance: npt.NDArray[np.float64] = np.abs(_rank(actual) - _rank(expected)).astype(np.float64)
    missing, wanted = np.isnan(actual), np.isnan(expected)
    distance[missing & wanted] = 0.0
    distance[missing ^ wanted] = np.inf
    return distance


def _rank(array: Array) -> npt.NDArray[np.int64]:
    """Position of each float among all floats of its type, zero being 0."""
    kind = _BITS[array.dtype.itemsize]
    bits = np.ascontiguousarray(array).reshape(array.shape).view(kind).astype(np.int64)
    return np.where(bits < 0, -(bits & np.iinfo(kind).max), bits)


def mismatch(actual: Array, expected: Array, tolerance: Tolerance) -> str | None:
    """What is wrong with `actual`, or None when it is close enough. Nothing is converted first."""
    if actual.dtype != expected.dtype:
        return f"type {actual.dtype}, expected {expected.dtype}"
    if actual.shape != expected.shape:
        return f"shape {list(actual.shape)}, expected {list(expected.shape)}"
    actual, expected = actual.reshape(-1), expected.reshape(-1)
    distance = ulp_distance(actual, expected)
    off = distance > tolerance.ulp
    if tolerance.absolute:
        with np.errstate(invalid="ignore"):
            difference = np.abs(actual.astype(np.float64) - expected.astype(np.float64))
        off &= ~(difference <= tolerance.absolute)
    if not off.any():
        return None
    first = int(np.argmax(off))
    return (
        f"{int(off.sum())} of {off.size} elements are off, element {first} is {actual[first]!s}, "
        f"expected {expected[first]!s}: {distance[first]:g} ULP where {tolerance} is allowed"
    )
