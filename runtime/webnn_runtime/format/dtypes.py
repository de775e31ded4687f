"""The data types of WebNN operands, in their three spellings.

`DataType.value` is the WebNN name (manifest, JSON graph, API), `.text` the short form of the text
graph, `.numpy` the array type in memory. int4 and uint4 are not in the WebNN enumeration; files and
quantised constants need them. In memory they hold one value per int8 or uint8 element, in weights
files two values per byte.
"""

from __future__ import annotations

import math
from enum import Enum
from typing import Any, Final

import numpy as np

__all__ = ["ANY", "FLOATS", "INTEGERS", "WEBNN_TYPES", "DataType", "cast_number", "nearest_float"]

_TEXT: Final = {
    "float32": "f32",
    "float16": "f16",
    "int32": "i32",
    "uint32": "u32",
    "int64": "i64",
    "uint64": "u64",
    "int8": "i8",
    "uint8": "u8",
    "int4": "i4",
    "uint4": "u4",
}


class DataType(Enum):
    """An operand data type; the value is the WebNN spelling."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    INT8 = "int8"
    UINT8 = "uint8"
    INT4 = "int4"
    UINT4 = "uint4"

    # There is one object for each member; Enum's own hashes its name, in Python, at every look into a set of types.
    __hash__ = object.__hash__

    @property
    def text(self) -> str:
        """Spelling in the text graph: `f32`, `i64`, ..."""
        return _TEXT[self.value]

    @property
    def numpy(self) -> np.dtype[Any]:
        """Array type in memory; int4 and uint4 use one int8 or uint8 per value."""
        return _NUMPY[self]

    @property
    def bits(self) -> int:
        """Width of one value in a weights file."""
        return 4 if self in (DataType.INT4, DataType.UINT4) else self.numpy.itemsize * 8

    @property
    def is_float(self) -> bool:
        """float32 or float16."""
        return self in FLOATS

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest value of an integer type.

        Raises:
            ValueError: for a float type.
        """
        if self.is_float:
            raise ValueError(f"{self.value} has no integer bounds")
        signed = not self.value.startswith("u")
        return (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1) if signed else (0, (1 << self.bits) - 1)

    def byte_length(self, elements: int) -> int:
        """Bytes of `elements` packed values in a weights file."""
        return (elements * self.bits + 7) // 8

    @classmethod
    def from_text(cls, text: str) -> DataType:
        """The type of a short spelling.

        Raises:
            KeyError: `text` is not one.
        """
        return _BY_TEXT[text]

    @classmethod
    def from_numpy(cls, dtype: np.dtype[Any]) -> DataType:
        """The type of an array; int8 and uint8 arrays are never taken for 4-bit ones.

        Raises:
            KeyError: WebNN has no such type (float64, bool, int16, ...).
        """
        return _BY_NUMPY[np.dtype(dtype).newbyteorder("=")]


_NUMPY: Final = {
    dtype: np.dtype({"int4": "int8", "uint4": "uint8"}.get(dtype.value, dtype.value)) for dtype in DataType
}
_BY_TEXT: Final = {dtype.text: dtype for dtype in DataType}
_BY_NUMPY: Final = {dtype.numpy: dtype for dtype in DataType if dtype.bits >= 8}

FLOATS: Final = frozenset({DataType.FLOAT32, DataType.FLOAT16})
ANY: Final = frozenset(DataType)
WEBNN_TYPES: Final = ANY - {DataType.INT4, DataType.UINT4}
INTEGERS: Final = ANY - FLOATS


def nearest_float(value: int | float) -> float:
    """The nearest float; an integer beyond all floats is an infinity."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def cast_number(value: int | float, dtype: DataType) -> int | float:
    """A number of an option or a scalar constant as a value of `dtype` (not what `cast` does).

    Floats round to nearest, overflow to infinity and keep NaN. Integers turn NaN into 0, then clamp to
    their range, then round halves to even.
    """
    if dtype.is_float:
        wide = nearest_float(value)
        with np.errstate(over="ignore"):
            return float(dtype.numpy.type(wide))
    low, high = dtype.bounds
    if isinstance(value, int):
        return min(max(value, low), high)
    if math.isnan(value):
        return 0
    if not low <= value <= high:
        return low if value < low else high
    return min(max(round(value), low), high)
