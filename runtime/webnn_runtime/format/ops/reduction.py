"""Reductions over axes, indices of extremes, and running sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Axes, Axis, Bool, DType
from webnn_runtime.format.ops.limits import (
    ANY,
    FLOATS,
    FLOATS_INT32,
    FLOATS_WIDE,
    INT32,
    VECTOR_UP,
    VECTOR_UP_REQUIRED,
    operand,
    result,
)
from webnn_runtime.format.ops.spec import Operands, OpSpec, Option, Options

__all__ = ["SPECS"]

_KEEP: Final = Option("keepDimensions", Bool(), False)
_ARG_TYPES: Final = frozenset({DataType.INT32, DataType.INT64})


def _reduced(shape: tuple[Dim, ...], axes: Sequence[int], keep: bool) -> tuple[Dim, ...]:
    if keep:
        return tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))
    return tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


def _reduce(_: Inference, x: TensorType, *, axes: tuple[int, ...], keep_dimensions: bool) -> TensorType:
    return x.with_shape(_reduced(x.shape, axes, keep_dimensions))


def _arg(
    context: Inference, x: TensorType, *, axis: int, keep_dimensions: bool, output_data_type: DataType
) -> TensorType:
    # Every valid dimension fits int32, so outputDataType needs no check; an empty one has no extreme.
    context.at_least(x.shape[axis], 1, f"dimension {axis} of the input")
    return TensorType(output_data_type, _reduced(x.shape, (axis,), keep_dimensions))


def _same(_: Inference, x: TensorType, **_options: object) -> TensorType:
    return x


def _all_axes(types: Operands, _: Options) -> tuple[int, ...]:
    first = types[0]
    return tuple(range(first.rank)) if first is not None else ()


def _reduce_row(name: str, allowed: frozenset[DataType], required: frozenset[DataType], doc: str) -> OpSpec:
    return OpSpec(
        name,
        (operand("input", allowed, required),),
        (Option("axes", Axes(), default_for=_all_axes, default_text="all axes"), _KEEP),
        (result("input", required),),
        _reduce,
        doc,
        "reduction",
    )


def _arg_row(name: str, doc: str) -> OpSpec:
    return OpSpec(
        name,
        (operand("input", ANY, FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        (
            Option("axis", Axis(), positional=1),
            _KEEP,
            Option("outputDataType", DType(_ARG_TYPES), DataType.INT32),
        ),
        (result(_ARG_TYPES, INT32),),
        _arg,
        doc,
        "reduction",
    )


SPECS = (
    _arg_row("argMax", "Index of the largest value along axis; the first of equal ones."),
    _arg_row("argMin", "Index of the smallest value along axis; the first of equal ones."),
    OpSpec(
        "cumulativeSum",
        (operand("input", FLOATS_WIDE, FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        (
            Option("axis", Axis(), positional=1),
            Option("exclusive", Bool(), False),
            Option("reversed", Bool(), False),
        ),
        (result("input", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        _same,
        "Running sum along axis, without the element itself when exclusive, from the end when reversed.",
        "reduction",
    ),
    _reduce_row("reduceL1", FLOATS_WIDE, FLOATS_INT32, "Sum of absolute values over axes (all)."),
    _reduce_row("reduceL2", FLOATS, FLOATS, "Square root of the sum of squares over axes (all)."),
    _reduce_row("reduceLogSum", FLOATS, FLOATS, "Logarithm of the sum over axes (all)."),
    _reduce_row("reduceLogSumExp", FLOATS, FLOATS, "Logarithm of the sum of exp(x) over axes (all)."),
    _reduce_row("reduceMax", ANY, FLOATS_INT32, "Largest value over axes (all)."),
    _reduce_row("reduceMean", FLOATS, FLOATS, "Mean over axes (all)."),
    _reduce_row("reduceMin", ANY, FLOATS_INT32, "Smallest value over axes (all)."),
    _reduce_row("reduceProduct", FLOATS_WIDE, FLOATS, "Product over axes (all)."),
    _reduce_row("reduceSum", FLOATS_WIDE, FLOATS_INT32, "Sum over axes (all)."),
    _reduce_row("reduceSumSquare", FLOATS_WIDE, FLOATS_INT32, "Sum of squares over axes (all)."),
)
