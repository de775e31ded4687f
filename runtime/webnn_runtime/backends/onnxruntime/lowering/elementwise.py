"""Arithmetic of two operands, and functions of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.backends.onnxruntime.lowering.integers import divide, divide_unsigned, larger, power, smaller
from webnn_runtime.format.dtypes import DataType

__all__: list[str] = []

_UNARY: Final = {
    "abs": "Abs",
    "neg": "Neg",
    "ceil": "Ceil",
    "cos": "Cos",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "reciprocal": "Reciprocal",
    "roundEven": "Round",
    "sin": "Sin",
    "sqrt": "Sqrt",
    "tan": "Tan",
}


def _unary(onnx_op: str) -> Callable[[Emitter, Tensor], str]:
    return lambda g, x: g.widened(onnx_op, x)


def _arithmetic(onnx_op: str) -> Callable[[Emitter, Tensor, Tensor], str]:
    return lambda g, a, b: g.widened(onnx_op, a, b)


def _extremum(onnx_op: str) -> Callable[[Emitter, Tensor, Tensor], str]:
    def lower(g: Emitter, a: Tensor, b: Tensor) -> str:
        if a.dtype is DataType.INT64:
            return larger(g, a, b) if onnx_op == "Max" else smaller(g, a, b)
        return g.from_ordered(onnx_op, g.node(onnx_op, g.ordered(onnx_op, a), g.ordered(onnx_op, b)), a.dtype)

    return lower


for _name, _onnx in _UNARY.items():
    lowering(_name)(_unary(_onnx))
for _name, _onnx in {"add": "Add", "sub": "Sub", "mul": "Mul"}.items():
    lowering(_name)(_arithmetic(_onnx))
for _name, _onnx in {"max": "Max", "min": "Min"}.items():
    lowering(_name)(_extremum(_onnx))


@lowering("sign")
def _sign(g: Emitter, x: Tensor) -> str:
    if x.dtype is DataType.FLOAT16:
        # The float16 kernel turns NaN into 0.
        return g.cast(g.node("Sign", g.cast(x, DataType.FLOAT32)), x.dtype)
    if x.dtype is DataType.INT64:
        # Its kernel sees the lower half of a number as signed, as those in `integers` do.
        zero = g.scalar(0, x.dtype)
        above, below = (g.cast(g.node(test, x, zero), x.dtype) for test in ("Greater", "Less"))
        return g.node("Sub", above, below)
    return g.widened("Sign", x)


@lowering("div")
def _div(g: Emitter, a: Tensor, b: Tensor) -> str:
    if a.dtype.is_float:
        return g.node("Div", a, b)
    if a.dtype is DataType.UINT64:
        return g.cast(divide_unsigned(g, a, b), a.dtype)
    wide = kernel_type("Div", a.dtype)
    return g.cast(divide(g, g.cast(a, wide), g.cast(b, wide), wide, g.array(b)), a.dtype)


@lowering("pow")
def _pow(g: Emitter, a: Tensor, b: Tensor) -> str:
    if a.dtype.is_float:
        return g.node("Pow", a, b)
    return g.cast(power(g, g.cast(a, DataType.INT64), b), a.dtype)
