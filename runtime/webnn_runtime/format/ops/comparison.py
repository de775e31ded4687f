"""Comparison, logic and selection; truth is uint8, where any value but 0 is true."""

from __future__ import annotations

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.limits import ANY, FLOATS, FLOATS_INT32, UINT8, operand, result
from webnn_runtime.format.ops.spec import OpSpec

__all__ = ["SPECS"]


def _truth_of_two(context: Inference, a: TensorType, b: TensorType) -> TensorType:
    return TensorType(DataType.UINT8, context.broadcast(a.shape, b.shape))


def _truth_of_one(_: Inference, a: TensorType) -> TensorType:
    return TensorType(DataType.UINT8, a.shape)


def _where(context: Inference, condition: TensorType, yes: TensorType, no: TensorType) -> TensorType:
    return yes.with_shape(context.broadcast(condition.shape, yes.shape, no.shape))


def _compare_row(name: str, doc: str) -> OpSpec:
    operands = (operand("a", ANY, FLOATS_INT32), operand("b", "a", FLOATS_INT32))
    return OpSpec(name, operands, (), (result(UINT8, UINT8),), _truth_of_two, doc, "comparison")


def _logic_row(name: str, doc: str) -> OpSpec:
    operands = (operand("a", UINT8, UINT8), operand("b", "a", UINT8))
    return OpSpec(name, operands, (), (result(UINT8, UINT8),), _truth_of_two, doc, "comparison")


def _test_row(name: str, doc: str) -> OpSpec:
    # The specification's limit table says "any type" for these two; its steps accept floats only.
    operands = (operand("a", FLOATS, FLOATS),)
    return OpSpec(name, operands, (), (result(UINT8, UINT8),), _truth_of_one, doc, "comparison")


SPECS = (
    _compare_row("equal", "Whether a == b; false for NaN."),
    _compare_row("greater", "Whether a > b; false for NaN."),
    _compare_row("greaterOrEqual", "Whether a >= b; false for NaN."),
    _compare_row("lesser", "Whether a < b; false for NaN."),
    _compare_row("lesserOrEqual", "Whether a <= b; false for NaN."),
    _compare_row("notEqual", "Whether a != b; true for NaN."),
    _logic_row("logicalAnd", "Whether both are true."),
    _logic_row("logicalOr", "Whether one or both are true."),
    _logic_row("logicalXor", "Whether exactly one is true."),
    OpSpec(
        "logicalNot",
        (operand("a", UINT8, UINT8),),
        (),
        (result(UINT8, UINT8),),
        _truth_of_one,
        "Whether a is 0.",
        "comparison",
    ),
    _test_row("isInfinite", "Whether a is an infinity."),
    _test_row("isNaN", "Whether a is NaN."),
    OpSpec(
        "where",
        (
            operand("condition", UINT8, UINT8),
            operand("trueValue", ANY, FLOATS_INT32),
            operand("falseValue", "trueValue", FLOATS_INT32),
        ),
        (),
        (result("trueValue", FLOATS_INT32),),
        _where,
        "trueValue where condition is true, else falseValue; the three broadcast to one another.",
        "comparison",
    ),
)
