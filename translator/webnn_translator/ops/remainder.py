"""Mod, exactly: also of floats, whose quotient may be too large for any float to hold its last digit."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, is_at_least
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Undecided, map_items
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# A remainder of 24 bits shifted by so many still fits int64; the exponents of two float32 differ by up to 276.
_SHIFT: Final = 39
_STEPS: Final = 8
# Halves of the exponents that a remainder is scaled by.
_LOWEST, _HIGHEST = -90, 60


@onnx_op("Mod", since=10)
def mod(ctx: Context, node: OnnxNode) -> Tensor:
    """The remainder with the sign of b, or that of a with fmod=1."""
    a, b = node.input(0), node.input(1)
    if a.elem is not b.elem or a.elem is Elem.BOOL:
        raise Refused(f"operands are {a} and {b}; the model is not valid")
    is_fmod = node.flag("fmod", 0)
    if a.elem.is_float:
        f = Formula(ctx, Elem.FLOAT)
        # Exact in float32 for every narrower type too.
        made = _of_floats(f, *(convert(ctx, side, Elem.FLOAT) for side in (a, b)), is_fmod=is_fmod)
        return convert(ctx, made, a.elem)
    left, right = ctx.items(a), ctx.items(b)
    if left is not None and right is not None:
        try:
            return ctx.symbols(map_items(lambda x, y: _of_dims(ctx, x, y, is_fmod=is_fmod), left, right), a.elem)
        except Undecided:
            pass  # the graph computes it from the values of the dimensions
    f = Formula(ctx, a.elem)
    rest = f("sub", a, f("mul", f("div", a, b), b))
    made = rest if is_fmod or a.elem.integer_range[0] == 0 else _with_sign_of(f, rest, b)
    # Closer to 0 than b is, so that no type is left; its factors do not show that.
    ctx.emit.declare(ctx.value(made), *a.elem.integer_range)
    return made


def _of_dims(ctx: Context, a: Dim, b: Dim, *, is_fmod: bool) -> Dim:
    if isinstance(a, int) and isinstance(b, int) and b != 0:
        return (abs(a) % abs(b)) * (1 if a >= 0 else -1) if is_fmod else a % b
    # Without fmod it is that of a floor division, whatever the sign of a.
    if is_at_least(b, 1, ctx.ranges) and (not is_fmod or is_at_least(a, 0, ctx.ranges)):
        return a - a // b * b
    raise Undecided(f"the sign of {a} modulo {b} is not known")


def _with_sign_of(f: Formula, rest: Tensor, b: Tensor) -> Tensor:
    off = f("logicalAnd", f("notEqual", rest, 0), f("logicalXor", f("lesser", rest, 0), f("lesser", b, 0)))
    return f("where", off, f("add", rest, b), rest)


def _of_floats(f: Formula, a: Tensor, b: Tensor, *, is_fmod: bool) -> Tensor:
    step = f.ctx.uniform(b)
    if step is not None and abs(step) >= 1 and math.frexp(step)[0] in (0.5, -0.5):
        # By a power of two from 1 on the quotient, its whole part and the product are all exact.
        quotient = f("div", a, b)
        whole = f("where", f("lesser", quotient, 0), f("ceil", quotient), f("floor", quotient))
        rest = f("sub", a, f("mul", whole, b))
    else:
        rest = _long_division(f, a, b)
    if is_fmod:
        return rest
    zero = f("where", f("lesser", b, 0), -0.0, f.ctx.scalar(0.0, Elem.FLOAT))
    return f("where", f("equal", rest, 0), zero, _with_sign_of(f, rest, b))


def _long_division(f: Formula, a: Tensor, b: Tensor) -> Tensor:
    """The remainder of two numbers m * 2^e with integers m of 24 bits: of m * 2^(difference of e), in steps."""
    ctx, ints = f.ctx, Formula(f.ctx, Elem.INT64)
    x, y = f("abs", a), f("abs", b)
    valid = f("logicalAnd", f("lesser", x, math.inf), f("greater", y, 0))
    divides = f("logicalAnd", f("logicalAnd", valid, f("lesser", y, math.inf)), f("greaterOrEqual", x, y))
    one = ctx.scalar(1.0, Elem.FLOAT)
    (top, high), (bottom, low) = (_split(f, ints, f("where", divides, side, one)) for side in (x, y))
    left = ints("sub", high, low)
    rest = _modulo(ints, top, bottom)
    powers = ctx.emit.constant(np.left_shift(1, np.arange(_SHIFT + 1)), ctx.carrier(Elem.INT64), "powers")
    for _ in range(_STEPS):
        now = ints("min", left, _SHIFT)
        power = ctx.computed(Elem.INT64, "gather", powers, ctx.full(ints("max", now, 0)), axis=0)
        rest = _modulo(ints, ints("mul", rest, power), bottom)
        left = ints("sub", left, now)
    half = ints("div", low, 2)
    table = np.ldexp(np.float32(1), np.arange(_LOWEST, _HIGHEST + 1)).astype(np.float32)
    scales = ctx.emit.constant(table, ctx.carrier(Elem.FLOAT), "scales")
    made = convert(ctx, rest, Elem.FLOAT)
    # In two steps: the whole power may be too small for float32 where the result is not.
    for part in (half, ints("sub", low, half)):
        place = ctx.full(ints("sub", part, _LOWEST))
        made = f("mul", made, ctx.computed(Elem.FLOAT, "gather", scales, place, axis=0))
    signed = f("where", f("lesser", a, 0), f("neg", made), made)
    nothing = f("mul", f("sub", x, x), math.nan)
    return f("where", divides, signed, f("where", valid, a, nothing))


def _modulo(ints: Formula, a: Tensor, b: Tensor) -> Tensor:
    return ints("sub", a, ints("mul", ints("div", a, b), b))


def _split(f: Formula, ints: Formula, v: Tensor) -> tuple[Tensor, Tensor]:
    """A finite number above 0 as an integer from 2^23 to 2^24, and the exponent of 2 that it is multiplied with."""
    exponent: Tensor = f.ctx.scalar(-23, Elem.INT64)
    for _ in range(2):
        small = f("lesser", v, 1)
        v = f("where", small, f("mul", v, 2.0**75), v)
        exponent = ints("where", small, ints("sub", exponent, 75), exponent)
    for step in (64, 32, 16, 8, 4, 2, 1):
        large = f("greaterOrEqual", v, 2.0**step)
        v = f("where", large, f("mul", v, 2.0**-step), v)
        exponent = ints("where", large, ints("add", exponent, step), exponent)
    return convert(f.ctx, f("mul", v, 2.0**23), Elem.INT64), exponent
