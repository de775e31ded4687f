"""ONNX element types, and the WebNN type that carries each of them.

bool travels as uint8 holding 0 or 1. Types without a carrier may still occur in constants, where a Cast
leaves them behind before anything reaches the graph.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

import numpy as np
import onnx

from webnn_runtime.format.dtypes import DataType

__all__ = ["Elem"]


class Elem(IntEnum):
    """An ONNX element type; the value is that of `TensorProto.DataType`."""

    FLOAT = onnx.TensorProto.FLOAT
    UINT8 = onnx.TensorProto.UINT8
    INT8 = onnx.TensorProto.INT8
    UINT16 = onnx.TensorProto.UINT16
    INT16 = onnx.TensorProto.INT16
    INT32 = onnx.TensorProto.INT32
    INT64 = onnx.TensorProto.INT64
    BOOL = onnx.TensorProto.BOOL
    FLOAT16 = onnx.TensorProto.FLOAT16
    DOUBLE = onnx.TensorProto.DOUBLE
    UINT32 = onnx.TensorProto.UINT32
    UINT64 = onnx.TensorProto.UINT64
    UINT4 = onnx.TensorProto.UINT4
    INT4 = onnx.TensorProto.INT4

    @property
    def text(self) -> str:
        """Name as in ONNX, lower case."""
        return self.name.lower()

    @property
    def numpy(self) -> np.dtype[Any]:
        """Array type; 4-bit types use one byte per value."""
        return _NUMPY[self]

    @property
    def carrier(self) -> DataType | None:
        """The WebNN type that holds these values, if there is one."""
        return _CARRIERS.get(self)

    @property
    def is_float(self) -> bool:
        """float16, float or double."""
        return self in (Elem.FLOAT, Elem.FLOAT16, Elem.DOUBLE)

    @property
    def is_integer(self) -> bool:
        """Any integer type; bool is none."""
        return not self.is_float and self is not Elem.BOOL

    @property
    def integer_range(self) -> tuple[int, int]:
        """Smallest and largest value of an integer type; 0 and 1 for bool.

        Raises:
            ValueError: for a float type.
        """
        if self.is_float:
            raise ValueError(f"{self.text} has no integer range")
        if self is Elem.BOOL:
            return 0, 1
        bits = 4 if self in (Elem.INT4, Elem.UINT4) else self.numpy.itemsize * 8
        return (0, (1 << bits) - 1) if self.name.startswith("U") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    @classmethod
    def from_numpy(cls, dtype: np.dtype[Any]) -> Elem:
        """The type of an array; byte arrays are never taken for 4-bit values.

        Raises:
            KeyError: not an ONNX type that is handled.
        """
        return _BY_NUMPY[np.dtype(dtype)]


_NUMPY: Final[dict[Elem, np.dtype[Any]]] = {
    Elem.FLOAT: np.dtype(np.float32),
    Elem.UINT8: np.dtype(np.uint8),
    Elem.INT8: np.dtype(np.int8),
    Elem.UINT16: np.dtype(np.uint16),
    Elem.INT16: np.dtype(np.int16),
    Elem.INT32: np.dtype(np.int32),
    Elem.INT64: np.dtype(np.int64),
    Elem.BOOL: np.dtype(np.bool_),
    Elem.FLOAT16: np.dtype(np.float16),
    Elem.DOUBLE: np.dtype(np.float64),
    Elem.UINT32: np.dtype(np.uint32),
    Elem.UINT64: np.dtype(np.uint64),
    Elem.UINT4: np.dtype(np.uint8),
    Elem.INT4: np.dtype(np.int8),
}
_BY_NUMPY: Final = {dtype: elem for elem, dtype in _NUMPY.items() if elem not in (Elem.UINT4, Elem.INT4)}
_CARRIERS: Final = {
    Elem.FLOAT: DataType.FLOAT32,
    Elem.FLOAT16: DataType.FLOAT16,
    Elem.INT32: DataType.INT32,
    Elem.UINT32: DataType.UINT32,
    Elem.INT64: DataType.INT64,
    Elem.UINT64: DataType.UINT64,
    Elem.INT8: DataType.INT8,
    Elem.UINT8: DataType.UINT8,
    Elem.BOOL: DataType.UINT8,
    Elem.INT4: DataType.INT4,
    Elem.UINT4: DataType.UINT4,
}
