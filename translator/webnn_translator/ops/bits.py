"""Bits of integers, by arithmetic that never leaves the range of the type: WebNN has no bit operators."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn_runtime.format.dims import bounds
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Bits are laid out along an axis of their own; so many at most.
_MOST_BITS: Final = 1 << 26


def _width(elem: Elem) -> int:
    low, high = elem.integer_range
    return (high - low).bit_length()


def _work(elem: Elem) -> Elem:
    """The type to compute in: 8-bit and 16-bit values fit int32, which every backend knows."""
    return Elem.INT32 if _width(elem) <= 16 else elem


def _is_signed(elem: Elem) -> bool:
    return elem.integer_range[0] < 0


def _integers(node: OnnxNode, count: int) -> list[Tensor]:
    operands = [node.input(index) for index in range(count)]
    for operand in operands:
        if not operand.elem.is_integer or operand.elem is not operands[0].elem:
            raise Refused(f"operands are {', '.join(map(str, operands))}; the model is not valid")
    return operands


@onnx_op("BitwiseNot", since=18)
def bitwise_not(ctx: Context, node: OnnxNode) -> Tensor:
    """All bits flipped: the smallest plus the largest value of the type, minus x."""
    (x,) = _integers(node, 1)
    low, high = x.elem.integer_range
    f = Formula(ctx, _work(x.elem))
    return convert(ctx, f("sub", low + high, convert(ctx, x, f.elem)), x.elem)


@onnx_op("BitwiseAnd", "BitwiseOr", "BitwiseXor", since=18)
def bitwise(ctx: Context, node: OnnxNode) -> Tensor:
    """Bits of both sides along an axis of their own, combined there and summed up again."""
    sides = _integers(node, 2)
    elem = sides[0].elem
    shape, _ = ctx.broadcast(sides[0].shape, sides[1].shape)
    if math.prod(bounds(dim, ctx.ranges)[0] for dim in shape) * _width(elem) > _MOST_BITS:
        raise Refused(f"the bits of {len(shape)} dimensions of {elem.text} are more than {_MOST_BITS} at once")
    f = Formula(ctx, _work(elem))
    op = f"logical{node.op_type.removeprefix('Bitwise')}"
    signed = _is_signed(elem)
    # 2 to the power of 0, 1, ...; the sign of a signed type is kept apart.
    powers = ctx.known(np.array([1 << k for k in range(_width(elem) - signed)], f.elem.numpy), f.elem)
    signs: list[Tensor] = []
    bits: list[Tensor] = []
    for side in sides:
        x = reshape_to(ctx, convert(ctx, side, f.elem), (*side.shape, 1))
        sign = f("lesser", x, 0)
        # Of a negative x, -1 - x has all bits flipped, and is not negative.
        quotient = f("div", f("where", sign, f("sub", -1, x), x) if signed else x, powers)
        bit = f("notEqual", f("sub", quotient, f("mul", f("div", quotient, 2), 2)), 0)
        bits.append(f("logicalXor", bit, sign) if signed else bit)
        signs.append(sign)
    made = f(op, *bits)
    if not signed:
        total = f.reduce("reduceSum", f("where", made, powers, 0), (made.rank - 1,))
        return convert(ctx, total, elem)
    sign = f(op, *signs)
    total = f.reduce("reduceSum", f("where", f("logicalXor", made, sign), powers, 0), (made.rank - 1,))
    sign = reshape_to(ctx, sign, sign.shape[:-1])
    return convert(ctx, f("where", sign, f("sub", -1, total), total), elem)


@onnx_op("BitShift", since=11)
def bit_shift(ctx: Context, node: OnnxNode) -> Tensor:
    """`x` moved by n bits. Beyond the width nothing is left, or the sign; version 28 says so, others leave it open."""
    x, n = _integers(node, 2)
    elem, width = x.elem, _width(x.elem)
    f = Formula(ctx, _work(elem))
    x, n = convert(ctx, x, f.elem), convert(ctx, n, f.elem)
    beyond = f("greaterOrEqual", n, width)
    if _is_signed(elem):
        beyond = f("logicalOr", beyond, f("lesser", n, 0))
    shift = f("where", beyond, 0, n)
    if node.choice("direction", "", "LEFT", "RIGHT") == "LEFT":
        made = f("where", f("equal", n, 0), x, _left(f, x, shift, width, signed=_is_signed(elem)))
        return convert(ctx, f("where", beyond, 0, made), elem)
    if not _is_signed(elem):
        return convert(ctx, f("where", beyond, 0, f("div", x, _power(f, shift, range(width)))), elem)
    negative = f("lesser", x, 0)
    # No bit but the sign is left after width - 1 steps, and that power is above the type.
    beyond = f("logicalOr", beyond, f("equal", n, width - 1))
    size = f("where", negative, f("sub", -1, x), x)
    made = f("where", beyond, 0, f("div", size, _power(f, shift, [*range(width - 1), 0])))
    return convert(ctx, f("where", negative, f("sub", -1, made), made), elem)


def _left(f: Formula, x: Tensor, shift: Tensor, width: int, *, signed: bool) -> Tensor:
    """`x * 2^shift` without what leaves the type; for a shift above 0."""
    if not signed:
        limit = _power(f, shift, [0, *range(width - 1, 0, -1)])
        low = f("sub", x, f("mul", f("div", x, limit), limit))
        return f("mul", low, _power(f, shift, range(width)))
    limit = _power(f, shift, [0, *range(width - 2, -1, -1)])
    high = _floor_div(f, x, limit)
    low = f("mul", f("sub", x, f("mul", high, limit)), _power(f, shift, [*range(width - 1), 0]))
    is_odd = f("notEqual", f("sub", high, f("mul", _floor_div(f, high, 2), 2)), 0)
    return f("where", is_odd, f("add", low, -(1 << (width - 1))), low)


def _floor_div(f: Formula, x: Tensor, y: Tensor | int) -> Tensor:
    negative = f("lesser", x, 0)
    quotient = f("div", f("where", negative, f("sub", -1, x), x), y)
    return f("where", negative, f("sub", -1, quotient), quotient)


def _power(f: Formula, shift: Tensor, exponents: range | list[int]) -> Tensor:
    """2 to the power of exponents[shift]."""
    ctx = f.ctx
    table = ctx.emit.constant(np.array([1 << k for k in exponents], f.elem.numpy), ctx.carrier(f.elem), "powers")
    return ctx.computed(f.elem, "gather", table, ctx.full(convert(ctx, shift, Elem.INT64)), axis=0)


@onnx_op("BitCast", since=26)
def bit_cast(ctx: Context, node: OnnxNode) -> Tensor:
    """The same bits as another type: between integers of one width, where values keep or change their sign."""
    x, target = node.input(0), Elem(node.integer("to"))
    if target is x.elem:
        return x
    if x.elem is Elem.BOOL and target is Elem.UINT8:
        return convert(ctx, x, target)
    if not (x.elem.is_integer and target.is_integer) or _width(x.elem) != _width(target):
        raise Refused(
            f"the bits of {x.elem.text} as {target.text}: WebNN cannot take a number apart (NaN has many forms)"
        )
    width = _width(x.elem)
    # The bits above the sign as a number of both types, and what the highest bit adds to it.
    half = 1 << (width - 1)
    if _is_signed(x.elem):
        wide = Formula(ctx, Elem.INT64 if width <= 32 else x.elem)
        number = convert(ctx, x, wide.elem)
        high = wide("lesser", number, 0)
        rest = wide("where", high, wide("add", wide("add", number, half - 1), 1), number)
    else:
        wide = Formula(ctx, Elem.INT64 if width <= 32 else x.elem)
        number = convert(ctx, x, wide.elem)
        high = wide("greaterOrEqual", number, half)
        rest = wide("where", high, wide("sub", number, half), number)
    low, _ = target.integer_range
    into = Formula(ctx, target if width > 32 else Elem.INT64)
    rest = convert(ctx, rest, into.elem)
    return convert(ctx, into("where", high, into("add", rest, low or half), rest), target)
