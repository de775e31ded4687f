"""Type classes of the specification's tensor limits, and short constructors for rows.

Source: the tensor limit tables of the Web Neural Network API draft of 2026-06-27.
"""

from __future__ import annotations

from typing import Final

from webnn_runtime.format.dtypes import FLOATS as _FLOATS
from webnn_runtime.format.dtypes import WEBNN_TYPES, DataType
from webnn_runtime.format.ops.spec import Operand, Ranks

__all__ = [
    "ANY",
    "ANY_RANK",
    "CUBE",
    "FLOATS",
    "FLOATS_8BIT",
    "FLOATS_BYTES",
    "FLOATS_INT32",
    "FLOATS_WIDE",
    "IMAGE",
    "INDICES",
    "INT4S",
    "INT32",
    "MATRIX",
    "MATRIX_UP",
    "MATRIX_UP_REQUIRED",
    "MAX_TENSORS",
    "QUANTIZED",
    "SCALAR_UP",
    "SIGNED",
    "UINT8",
    "VECTOR",
    "VECTOR_UP",
    "VECTOR_UP_REQUIRED",
    "operand",
    "result",
]

ANY: Final = WEBNN_TYPES
FLOATS: Final = _FLOATS
FLOATS_INT32: Final = FLOATS | {DataType.INT32}
FLOATS_BYTES: Final = FLOATS_INT32 | {DataType.INT8, DataType.UINT8}
SIGNED: Final = FLOATS | {DataType.INT64, DataType.INT32, DataType.INT8}
FLOATS_WIDE: Final = FLOATS | {DataType.INT32, DataType.UINT32, DataType.INT64, DataType.UINT64}
QUANTIZED: Final = frozenset({DataType.UINT8, DataType.INT8, DataType.UINT32, DataType.INT32})
FLOATS_8BIT: Final = FLOATS | {DataType.INT8, DataType.UINT8}
INDICES: Final = frozenset({DataType.INT32, DataType.UINT32, DataType.INT64})
INT32: Final = frozenset({DataType.INT32})
UINT8: Final = frozenset({DataType.UINT8})
INT4S: Final = frozenset({DataType.INT4, DataType.UINT4})
ANY_RANK: Final = Ranks()
SCALAR_UP: Final = Ranks(0, 5)
VECTOR_UP: Final = Ranks(1)
VECTOR_UP_REQUIRED: Final = Ranks(1, 5)
MATRIX_UP: Final = Ranks(2)
MATRIX_UP_REQUIRED: Final = Ranks(2, 5)
VECTOR: Final = Ranks(1, 1)
MATRIX: Final = Ranks(2, 2)
CUBE: Final = Ranks(3, 3)
IMAGE: Final = Ranks(4, 4)

# Most operands of concat, and results of split.
MAX_TENSORS: Final = 8192


def operand(
    name: str,
    allowed: frozenset[DataType] | str,
    required: frozenset[DataType],
    ranks: Ranks = ANY_RANK,
    required_ranks: Ranks = SCALAR_UP,
    *,
    optional: bool = False,
    variadic: bool = False,
    extra: frozenset[DataType] = frozenset(),
) -> Operand:
    """An operand; `allowed` is a set of types, or the name of the operand whose type it shares."""
    same_as = allowed if isinstance(allowed, str) else None
    types = None if isinstance(allowed, str) else allowed
    return Operand(name, types, required, ranks, required_ranks, same_as, optional, variadic, extra)


def result(
    allowed: frozenset[DataType] | str,
    required: frozenset[DataType],
    ranks: Ranks = ANY_RANK,
    required_ranks: Ranks = SCALAR_UP,
    *,
    name: str = "output",
    optional: bool = False,
    variadic: bool = False,
    extra: frozenset[DataType] = frozenset(),
) -> Operand:
    """A result; `allowed` is a set of types, or the name of the operand whose type it has."""
    return operand(name, allowed, required, ranks, required_ranks, optional=optional, variadic=variadic, extra=extra)
