"""Element by element: arithmetic of two operands, and functions of one."""

from __future__ import annotations

from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.limits import ANY, FLOATS, FLOATS_INT32, SIGNED, operand, result
from webnn_runtime.format.ops.spec import OpSpec

__all__ = ["SPECS"]


def _binary(context: Inference, a: TensorType, b: TensorType) -> TensorType:
    return a.with_shape(context.broadcast(a.shape, b.shape))


def _same(_: Inference, x: TensorType) -> TensorType:
    return x


def _binary_row(name: str, doc: str) -> OpSpec:
    return OpSpec(
        name,
        (operand("a", ANY, FLOATS_INT32), operand("b", "a", FLOATS_INT32)),
        (),
        (result("a", FLOATS_INT32),),
        _binary,
        doc,
        "elementwise",
    )


def _signed_row(name: str, doc: str) -> OpSpec:
    return OpSpec(
        name, (operand("input", SIGNED, FLOATS_INT32),), (), (result("input", FLOATS_INT32),), _same, doc, "elementwise"
    )


def _float_row(name: str, doc: str) -> OpSpec:
    return OpSpec(name, (operand("input", FLOATS, FLOATS),), (), (result("input", FLOATS),), _same, doc, "elementwise")


SPECS = (
    _binary_row("add", "a + b; integers wrap."),
    _binary_row("sub", "a - b; integers wrap."),
    _binary_row("mul", "a * b; integers wrap."),
    _binary_row("div", "a / b; integers truncate toward zero."),
    _binary_row("max", "The larger of a and b."),
    _binary_row("min", "The smaller of a and b."),
    _binary_row("pow", "a to the power of b."),
    _signed_row("abs", "Absolute value; the lowest integer wraps."),
    _signed_row("neg", "-x; the lowest integer wraps."),
    _signed_row("sign", "-1, 0 or 1; NaN stays NaN."),
    _float_row("ceil", "Rounded up."),
    _float_row("cos", "Cosine of radians."),
    _float_row("erf", "Gauss error function."),
    _float_row("exp", "e to the power of x."),
    _float_row("floor", "Rounded down."),
    _float_row("log", "Natural logarithm."),
    _float_row("reciprocal", "1 / x."),
    _float_row("roundEven", "Rounded to the nearest integer, halves to even."),
    _float_row("sin", "Sine of radians."),
    _float_row("sqrt", "Square root."),
    _float_row("tan", "Tangent of radians."),
)
