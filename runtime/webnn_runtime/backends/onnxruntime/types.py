"""WebNN types as ONNX knows them, and which types onnxruntime's CPU kernels take.

`KERNEL_TYPES` is what onnxruntime 1.18, the oldest supported version, has; newer versions have more, and a cast
too many there costs little. float16 is in none of the sets and yet native everywhere: onnxruntime itself
runs a float16 node in float32 and rounds once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType

__all__ = ["BOOL", "DOUBLE", "ELEM_TYPES", "INT64", "KERNEL_TYPES", "WIDER", "passed_as"]

F16, F32, I8, I32, I64, U8, U32, U64 = (
    DataType.FLOAT16,
    DataType.FLOAT32,
    DataType.INT8,
    DataType.INT32,
    DataType.INT64,
    DataType.UINT8,
    DataType.UINT32,
    DataType.UINT64,
)

# TensorProto.DataType
ELEM_TYPES: Final[Mapping[DataType, int]] = {
    F32: 1,
    U8: 2,
    I8: 3,
    I32: 6,
    I64: 7,
    F16: 10,
    U32: 12,
    U64: 13,
    DataType.UINT4: 21,
    DataType.INT4: 22,
}
BOOL: Final = 9
DOUBLE: Final = 11
INT64: Final = ELEM_TYPES[I64]

# Where a narrower type has no kernel. Casting back keeps the low bits, so sums and products wrap as they should;
# uint64 travels as the int64 of the same bits, which order and division must not do (see `Emitter.ordered`).
WIDER: Final[Mapping[DataType, DataType]] = {
    I8: I32,
    U8: I32,
    I32: I64,
    U32: I64,
    U64: I64,
    DataType.INT4: I32,
    DataType.UINT4: I32,
}

_FLOAT: Final = frozenset({F32, F16})
_WIDE: Final = _FLOAT | {I32, I64}

KERNEL_TYPES: Final[Mapping[str, frozenset[DataType]]] = {
    "Abs": _WIDE | {I8, U8, U32, U64},
    "Add": _WIDE,
    "ArgMax": _WIDE | {I8, U8},
    "ArgMin": _WIDE | {I8, U8},
    "Clip": _WIDE | {I8, U8, U32, U64},
    "CumSum": _WIDE,
    "Div": _WIDE,
    "Equal": _WIDE,
    "Greater": _WIDE,
    "GreaterOrEqual": _WIDE,
    "Less": _WIDE,
    "LessOrEqual": _WIDE,
    "Max": _WIDE | {U32, U64},
    "MaxPool": _FLOAT | {I8, U8},
    "Min": _WIDE | {U32, U64},
    "Mul": _WIDE,
    "Neg": _WIDE | {I8},
    "PRelu": _FLOAT,
    "Pad": _WIDE | {I8, U8, U32, U64},
    "ReduceMax": _WIDE | {I8, U8},
    "ReduceMin": _WIDE | {I8, U8},
    "ReduceProd": _WIDE,
    "ReduceSum": _WIDE,
    "ReduceSumSquare": _WIDE,
    "Resize": _FLOAT | {I32, I8, U8},
    "Sign": _WIDE | {I8, U8, U32, U64},
    "Sub": _WIDE,
    "Tile": _WIDE | {I8, U8, U32, U64},
    "Trilu": _FLOAT | {I64},
    "Where": _WIDE | {U8},
}


def passed_as(kind: TensorType) -> TensorType:
    """The type in which a value enters and leaves a session: NumPy holds 4-bit values one to a byte."""
    bytes_ = {DataType.INT4: DataType.INT8, DataType.UINT4: DataType.UINT8}
    return TensorType(bytes_.get(kind.dtype, kind.dtype), kind.shape)
