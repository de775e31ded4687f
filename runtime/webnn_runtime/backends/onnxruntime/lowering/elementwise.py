"""Arithmetic of two operands, and functions of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array

__all__: list[str] = []

_UNARY: Final = {
    "abs": "Abs",
    "neg": "Neg",
    "sign": "Sign",
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
        return g.from_ordered(onnx_op, g.node(onnx_op, g.ordered(onnx_op, a), g.ordered(onnx_op, b)), a.dtype)

    return lower


for _name, _onnx in _UNARY.items():
    lowering(_name)(_unary(_onnx))
for _name, _onnx in {"add": "Add", "sub": "Sub", "mul": "Mul"}.items():
    lowering(_name)(_arithmetic(_onnx))
for _name, _onnx in {"max": "Max", "min": "Min"}.items():
    lowering(_name)(_extremum(_onnx))


@lowering("div")
def _div(g: Emitter, a: Tensor, b: Tensor) -> str:
    if a.dtype.is_float:
        return g.node("Div", a, b)
    if a.dtype is DataType.UINT64:
        return g.cast(_unsigned_div(g, a, b), a.dtype)
    wide = kernel_type("Div", a.dtype)
    return g.cast(_safe_div(g, g.cast(a, wide), g.cast(b, wide), wide, g.array(b)), a.dtype)


def _safe_div(g: Emitter, a: str, b: str, dtype: DataType, known: Array | None) -> str:
    """Truncating division; x / 0 is 0, and the lowest integer / -1 wraps.

    Both raise SIGFPE in onnxruntime's kernel, which ends the process.
    """
    if known is not None and not np.isin(known, (0, -1)).any():
        return g.node("Div", a, b)
    zero, one, minus_one = (g.scalar(value, dtype) for value in (0, 1, -1))
    by_zero, by_minus_one = g.node("Equal", b, zero), g.node("Equal", b, minus_one)
    quotient = g.node("Div", a, g.node("Where", g.node("Or", by_zero, by_minus_one), one, b))
    quotient = g.node("Where", by_minus_one, g.node("Neg", a), quotient)
    return g.node("Where", by_zero, zero, quotient)


def _unsigned_div(g: Emitter, a: Tensor, b: Tensor) -> str:
    """uint64 division out of int64 operations: halve, divide, double, correct by one (Hacker's Delight, 9-3)."""
    kind = DataType.INT64
    zero, one, two, lowest = (g.scalar(value, kind) for value in (0, 1, 2, -(2**63)))
    n, d = g.cast(a, kind), g.cast(b, kind)

    def below(x: str, y: str) -> str:
        return g.node("Less", g.node("Add", x, lowest), g.node("Add", y, lowest))

    by_zero, is_large = g.node("Equal", d, zero), g.node("Less", d, zero)
    safe = g.node("Where", g.node("Or", by_zero, is_large), one, d)
    # n >> 1 without the sign: clear the top bit after an arithmetic halving that rounds down.
    half = g.node("Div", g.node("Sub", n, g.node("Mod", n, two)), two)
    half = g.node("Where", g.node("Less", n, zero), g.node("Sub", half, lowest), half)
    quotient = g.node("Mul", g.node("Div", half, safe), two)
    rest = g.node("Sub", n, g.node("Mul", quotient, safe))
    quotient = g.node("Where", below(rest, safe), quotient, g.node("Add", quotient, one))
    # A divisor with the top bit set goes once into what is not below it.
    quotient = g.node("Where", is_large, g.node("Where", below(n, d), zero, one), quotient)
    return g.node("Where", by_zero, zero, quotient)


@lowering("pow")
def _pow(g: Emitter, a: Tensor, b: Tensor) -> str:
    if a.dtype.is_float:
        return g.node("Pow", a, b)
    return g.cast(_integer_pow(g, g.cast(a, DataType.INT64), b), a.dtype)


def _integer_pow(g: Emitter, base: str, exponent: Tensor) -> str:
    """Repeated squaring in int64: exact, wraps as products do; a negative exponent gives the truncated inverse.

    onnxruntime's own kernel goes through float64 and saturates.
    """
    kind = DataType.INT64
    zero, one, two = (g.scalar(value, kind) for value in (0, 1, 2))
    signed = exponent.dtype in (DataType.INT8, DataType.INT32, DataType.INT64)
    known = g.array(exponent)
    bits = exponent.dtype.bits - signed
    if known is not None:
        bits = max(1, int(known.max()).bit_length())
    power = g.cast(exponent, kind)
    result, square, rest = one, base, power
    for bit in range(bits):
        odd = g.node("Equal", g.node("Mod", rest, two), one)
        result = g.node("Mul", result, g.node("Where", odd, square, one))
        if bit + 1 < bits:
            square = g.node("Mul", square, square)
            rest = g.node("Div", g.node("Sub", rest, g.node("Mod", rest, two)), two)
    if not signed or (known is not None and not (known < 0).any()):
        return result
    # 1 / base**n: base itself for 1, alternating for -1, 0 for all others.
    is_unit = g.node("Equal", g.node("Abs", base), one)
    alternating = g.node("Where", g.node("Equal", g.node("Mod", power, two), one), base, one)
    inverse = g.node("Where", is_unit, alternating, zero)
    return g.node("Where", g.node("Less", power, zero), inverse, result)
