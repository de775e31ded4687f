"""Pow in all its types."""

from __future__ import annotations

from functools import reduce
from typing import Final

import numpy as np

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.elementwise import arithmetic
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Beyond it every base but -1, 0 and 1 leaves 64 bits.
_HIGHEST: Final = 63


@onnx_op("Pow", since=7)
def pow_(ctx: Context, node: OnnxNode) -> Tensor:
    """`a` to the power of `b`, in the type of `a`."""
    a, b = node.input(0), node.input(1)
    exponent = ctx.uniform(b)
    if exponent is not None and float(exponent) in (1.0, 2.0, 3.0) and b.rank <= a.rank:
        factors = [a] * int(exponent)
        if all(dim == 1 for dim in b.shape):
            return reduce(lambda x, y: arithmetic(ctx, "mul", x, y), factors)
    if a.elem.is_float:
        return ctx.elementwise("pow", a, b if b.elem is a.elem else convert(ctx, b, a.elem))
    if a.elem not in (Elem.INT32, Elem.INT64):
        raise Refused(f"a power of {a.elem.text}; the model is not valid")
    if b.elem.is_float:
        known = ctx.array(b)
        if known is None or not (np.isfinite(known) & (known == np.rint(known))).all():
            raise Refused(f"{a.elem.text} to a power that may be a fraction: how it is rounded is not defined")
        b = ctx.known(known.astype(np.int64))
    return _of_integers(ctx, a, convert(ctx, b, Elem.INT64))


def _of_integers(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    """By the binary digits of the exponent; one below 0 gives 0, but for 1 and -1."""
    f, ints = Formula(ctx, a.elem), Formula(ctx, Elem.INT64)
    half = ints("div", b, 2)
    odd = ints("sub", b, ints("mul", half, 2))
    # Large exponents matter for -1 only, and there only whether they are odd.
    left = ints("where", ints("greater", b, _HIGHEST), ints("add", odd, _HIGHEST - 1), ints("max", b, 0))
    total: Tensor = ctx.scalar(1, a.elem)
    base = a
    for step in range(_HIGHEST.bit_length()):
        rest = ints("div", left, 2)
        total = f("where", ints("notEqual", left, ints("mul", rest, 2)), f("mul", total, base), total)
        left = rest
        if step + 1 < _HIGHEST.bit_length():
            base = f("mul", base, base)
    alternating = f("where", ints("notEqual", odd, 0), a, ctx.scalar(1, a.elem))
    of_unit = f("where", f("equal", f("abs", a), 1), alternating, ctx.scalar(0, a.elem))
    return f("where", ints("lesser", b, 0), of_unit, total)
