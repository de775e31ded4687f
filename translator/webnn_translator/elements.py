"""ONNX element types, and the WebNN type that carries each of them.

A type that WebNN lacks is carried by one that holds all of its values, and `mapping` says what that means;
double is the exception, its values are rounded. Types below a byte have two carriers: constants stay packed
as int4 or uint4, and data at run time takes a byte per value, as WebNN has no 4-bit inputs.
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
    BFLOAT16 = 16
    FLOAT8E4M3FN = 17
    FLOAT8E4M3FNUZ = 18
    FLOAT8E5M2 = 19
    FLOAT8E5M2FNUZ = 20
    # Numbers: older releases of onnx lack the names of what follows.
    UINT4 = 21
    INT4 = 22
    FLOAT4E2M1 = 23
    FLOAT8E8M0 = 24
    UINT2 = 25
    INT2 = 26

    @property
    def text(self) -> str:
        """Name as in ONNX, lower case."""
        return self.name.lower()

    @property
    def numpy(self) -> np.dtype[Any]:
        """Array type; what NumPy lacks uses the next wider one, with the values of the narrow type."""
        return _NUMPY[self]

    @property
    def carrier(self) -> DataType:
        """The WebNN type of constants with these values."""
        return _CARRIERS[self]

    @property
    def wire(self) -> DataType:
        """The WebNN type of inputs, outputs and everything computed."""
        return _WIRES.get(self, _CARRIERS[self])

    @property
    def mapping(self) -> str:
        """What it means that `wire` is another type; empty where it is the same one."""
        return _MAPPINGS.get(self, "")

    @property
    def bits(self) -> int:
        """Width of one value in an ONNX file."""
        return _BITS.get(self, self.numpy.itemsize * 8)

    @property
    def is_float(self) -> bool:
        """Any floating-point type, of 4 to 64 bits."""
        return self.numpy.kind == "f"

    @property
    def is_minifloat(self) -> bool:
        """A float of 8 bits or fewer: a storage format, which nothing is computed in."""
        return self.is_float and self.bits <= 8

    @property
    def is_packed(self) -> bool:
        """Whether several values share a byte."""
        return self.bits < 8

    @property
    def may_wrap(self) -> bool:
        """Whether its carrier is wider, so that results have to be brought back into its range."""
        return self in (Elem.INT16, Elem.UINT16)

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
        bits = self.bits
        return (0, (1 << bits) - 1) if self.name.startswith("U") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)

    @classmethod
    def from_numpy(cls, dtype: np.dtype[Any]) -> Elem:
        """The type of an array; byte arrays are never taken for packed values, nor float32 for narrower ones.

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
    Elem.BFLOAT16: np.dtype(np.float32),
    Elem.FLOAT8E4M3FN: np.dtype(np.float32),
    Elem.FLOAT8E4M3FNUZ: np.dtype(np.float32),
    Elem.FLOAT8E5M2: np.dtype(np.float32),
    Elem.FLOAT8E5M2FNUZ: np.dtype(np.float32),
    Elem.FLOAT8E8M0: np.dtype(np.float32),
    Elem.FLOAT4E2M1: np.dtype(np.float32),
    Elem.UINT4: np.dtype(np.uint8),
    Elem.INT4: np.dtype(np.int8),
    Elem.UINT2: np.dtype(np.uint8),
    Elem.INT2: np.dtype(np.int8),
}
_BITS: Final = {
    Elem.BFLOAT16: 16,
    Elem.FLOAT8E4M3FN: 8,
    Elem.FLOAT8E4M3FNUZ: 8,
    Elem.FLOAT8E5M2: 8,
    Elem.FLOAT8E5M2FNUZ: 8,
    Elem.FLOAT8E8M0: 8,
    Elem.FLOAT4E2M1: 4,
    Elem.UINT4: 4,
    Elem.INT4: 4,
    Elem.UINT2: 2,
    Elem.INT2: 2,
}
_BY_NUMPY: Final = {dtype: elem for elem, dtype in _NUMPY.items() if elem not in _BITS}
_CARRIERS: Final = {
    Elem.FLOAT: DataType.FLOAT32,
    Elem.FLOAT16: DataType.FLOAT16,
    Elem.DOUBLE: DataType.FLOAT32,
    Elem.BFLOAT16: DataType.FLOAT32,
    Elem.FLOAT8E4M3FN: DataType.FLOAT32,
    Elem.FLOAT8E4M3FNUZ: DataType.FLOAT32,
    Elem.FLOAT8E5M2: DataType.FLOAT32,
    Elem.FLOAT8E5M2FNUZ: DataType.FLOAT32,
    Elem.FLOAT8E8M0: DataType.FLOAT32,
    Elem.FLOAT4E2M1: DataType.FLOAT32,
    Elem.INT32: DataType.INT32,
    Elem.UINT32: DataType.UINT32,
    Elem.INT64: DataType.INT64,
    Elem.UINT64: DataType.UINT64,
    Elem.INT16: DataType.INT32,
    Elem.UINT16: DataType.INT32,
    Elem.INT8: DataType.INT8,
    Elem.UINT8: DataType.UINT8,
    Elem.BOOL: DataType.UINT8,
    Elem.INT4: DataType.INT4,
    Elem.UINT4: DataType.UINT4,
    Elem.INT2: DataType.INT4,
    Elem.UINT2: DataType.UINT4,
}
_WIRES: Final = {
    Elem.INT4: DataType.INT8,
    Elem.UINT4: DataType.UINT8,
    Elem.INT2: DataType.INT8,
    Elem.UINT2: DataType.UINT8,
}
_EXACTLY: Final = "every value is held exactly"
_MAPPINGS: Final = {
    Elem.DOUBLE: "computed as float32: values are rounded, and results have the precision of float32",
    Elem.BFLOAT16: "computed as float32: values are held exactly, and results are not rounded to bfloat16",
    Elem.INT16: "computed as int32, and brought back to 16 bits wherever a result could leave them",
    Elem.UINT16: "computed as int32, and brought back to 16 bits wherever a result could leave them",
    Elem.BOOL: "carried as uint8, holding 0 or 1",
    **{
        elem: f"carried as {_WIRES.get(elem, _CARRIERS[elem]).value}: {_EXACTLY}"
        for elem, bits in _BITS.items()
        if bits <= 8
    },
}
