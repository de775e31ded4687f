"""Exact integer arithmetic, where onnxruntime's kernels fail.

Measured with onnxruntime 1.31: Div raises SIGFPE for a zero divisor and for the lowest integer by -1, which ends
the process; Pow and the sums and products of the Reduce family go through float64 and saturate; Max, Min, Clip, Sign,
ReduceMax and ReduceMin of int64 compare the lower halves as signed numbers, so that 2**31 counts as less than 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor
from webnn_runtime.backends.onnxruntime.types import DOUBLE
from webnn_runtime.format.dims import Dim, ceil_div, product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array

__all__ = [
    "divide",
    "divide_unsigned",
    "larger",
    "power",
    "reduce_extreme",
    "reduce_product",
    "reduce_sum",
    "smaller",
]

_I64: Final = DataType.INT64


def larger(g: Emitter, a: Tensor | str, b: Tensor | str) -> str:
    """The larger of two int64."""
    return g.node("Where", g.node("Greater", a, b), a, b)


def smaller(g: Emitter, a: Tensor | str, b: Tensor | str) -> str:
    """The smaller of two int64."""
    return g.node("Where", g.node("Less", a, b), a, b)


def _halves(g: Emitter, x: str) -> tuple[str, str]:
    """High and low 32 bits of an int64 as int64; the low half is never negative."""
    base = g.scalar(2**32, _I64)
    low = g.node("Mod", x, base)
    return g.node("Div", g.node("Sub", x, low), base), low


def reduce_sum(g: Emitter, x: str, axes: Sequence[int], *, keep: bool) -> str:
    """Wrapping sum of int64: each half sums up exactly in the kernel's float64."""
    high, low = _halves(g, x)
    along = g.ints(sorted(axes))
    total = g.node("Mul", g.node("ReduceSum", high, along, keepdims=keep), g.scalar(2**32, _I64))
    return g.node("Add", total, g.node("ReduceSum", low, along, keepdims=keep))


def reduce_extreme(g: Emitter, onnx_op: str, x: str, axes: Sequence[int], *, keep: bool) -> str:
    """ReduceMax or ReduceMin of int64: of the high halves, then of the low ones beside the best high half."""
    high, low = (g.cast(half, DOUBLE) for half in _halves(g, x))
    along = g.ints(sorted(axes))
    best = g.node(onnx_op, high, along, keepdims=True)
    worst = g.constant(np.array(-1.0 if onnx_op == "ReduceMax" else 2.0**32))
    rest = g.node("Where", g.node("Equal", high, best), low, worst)
    found = [g.cast(g.node(onnx_op, half, along, keepdims=keep), _I64) for half in (high, rest)]
    return g.node("Add", g.node("Mul", found[0], g.scalar(2**32, _I64)), found[1])


def reduce_product(g: Emitter, x: str, shape: Sequence[Dim], axes: Sequence[int], *, keep: bool) -> str:
    """Wrapping product of int64: multiply one half with the other until one is left."""
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    count, lead, last = product([shape[axis] for axis in axes]), [shape[axis] for axis in kept], g.ints([len(kept)])
    x = g.reshape(g.transpose(x, [*kept, *sorted(axes)]), [*lead, count])

    def part(start: Dim, end: Dim) -> str:
        return g.node("Slice", x, g.dims([start]), g.dims([end]), last)

    def with_ones(value: str, number: Dim) -> str:
        return g.node("Concat", value, g.filled([*lead, number], 1, _I64), axis=len(kept))

    if not isinstance(count, int):
        # The product of none is 1.
        x, count = with_ones(x, 1), count + 1
    # No memory holds more, and sizes without a maximum give products that int64 does not hold.
    most = min(g.largest(count), 2**40)
    for step in range((most - 1).bit_length()):
        whole, half = ceil_div(count, 1 << step), ceil_div(count, 2 << step)
        rest = 2 * half - whole
        second = part(half, whole)
        x = g.node("Mul", part(0, half), second if rest == 0 else with_ones(second, rest))
    return g.reshape(x, [1 if axis in axes else shape[axis] for axis in range(len(shape)) if keep or axis not in axes])


def divide(g: Emitter, a: str, b: str, dtype: DataType, known: Array | None) -> str:
    """Truncating division; x / 0 is 0, and the lowest integer / -1 wraps."""
    if known is not None and not np.isin(known, (0, -1)).any():
        return g.node("Div", a, b)
    zero, one, minus_one = (g.scalar(value, dtype) for value in (0, 1, -1))
    by_zero, by_minus_one = g.node("Equal", b, zero), g.node("Equal", b, minus_one)
    quotient = g.node("Div", a, g.node("Where", g.node("Or", by_zero, by_minus_one), one, b))
    quotient = g.node("Where", by_minus_one, g.node("Neg", a), quotient)
    return g.node("Where", by_zero, zero, quotient)


def divide_unsigned(g: Emitter, a: Tensor, b: Tensor) -> str:
    """uint64 division out of int64 operations: halve, divide, double, correct by one (Hacker's Delight, 9-3)."""
    kind = _I64
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


def power(g: Emitter, base: str, exponent: Tensor) -> str:
    """Repeated squaring in int64: exact, wraps as products do; a negative exponent gives the truncated inverse."""
    kind = _I64
    zero, one, two = (g.scalar(value, kind) for value in (0, 1, 2))
    signed = exponent.dtype in (DataType.INT8, DataType.INT32, _I64)
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
