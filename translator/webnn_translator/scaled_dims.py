"""Dimensions in floating point: scaled, rounded and cast back, as exporters write the sizes of a Resize.

A float tensor of dimension expressions is `items / denominator`, the denominator a power of two, so that each step is
exact in float32 as long as the numerators stay below 2**24. `needs` collects those numerators; only where the numbers
become integers again, and with them a shape, are they demanded, and the dimension bounded accordingly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, DynamicDim, bounds, ceil_div, names_of, substitute, symbol
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.symbolic import Items, map_items
from webnn_translator.tensor import Symbols, Tensor

__all__ = ["combined", "joined_dims", "over_one_denominator", "reshaped_dims", "rounded", "scaled_floor", "whole"]

# float32 holds all integers up to here, and their halves, quarters, ... with as many digits.
_EXACT: Final = 1 << 24
# A bound below this would be a mistake of ours more likely than of the model.
_LEAST: Final = 1 << 12
_WHY: Final = "the model computes with it in float32, which is exact"
# A factor such as 0.6 is tried at every size up to here, as a quotient of whole numbers up to so large.
_TRIED: Final = 1 << 18
_MOST_PARTS: Final = 1000


def combined(ctx: Context, op: str, a: Tensor, b: Tensor) -> Tensor | None:
    """Sum, difference, product or part of scaled dimensions and constants; None where it is none, or is not exact."""
    if op == "div":
        parts = _read(ctx, b)
        if parts is None or not isinstance(a.content, Symbols) or not _are_powers_of_two(parts):
            return None
        # Dividing by 2 is halving, in floating point too.
        op, b = "mul", ctx.known(1 / ctx.constant(b, "the divisor"), b.elem)
    if op not in ("add", "sub", "mul") or not a.elem.is_float:
        return None
    if not (isinstance(a.content, Symbols) or isinstance(b.content, Symbols)):
        return None
    left, right = _read(ctx, a), _read(ctx, b)
    if left is None or right is None:
        return None
    if op == "mul":
        items, denominator = (
            map_items(lambda x, y: x * y, left.items, right.items),
            left.denominator * right.denominator,
        )
    else:
        denominator = max(left.denominator, right.denominator)
        x, y = (map_items(lambda item, k=denominator // one.denominator: item * k, one.items) for one in (left, right))
        items = map_items((lambda p, q: p + q) if op == "add" else (lambda p, q: p - q), x, y)
    if denominator > _EXACT:
        return None
    needs = (*left.needs, *right.needs, *items.flat)
    return Tensor(a.elem, tuple(items.shape), Symbols(items, denominator, needs))


def joined_dims(ctx: Context, parts: Sequence[Tensor], axis: int) -> Tensor | None:
    """Scaled dimensions and constants, one after another; None where nothing is a scaled dimension."""
    if not any(isinstance(part.content, Symbols) and part.elem.is_float for part in parts):
        return None
    read = [_read(ctx, part) for part in parts]
    known = [one for one in read if one is not None]
    if len(known) != len(parts):
        return None
    denominator = max(one.denominator for one in known)
    scaled = [map_items(lambda item, k=denominator // one.denominator: item * k, one.items) for one in known]
    items = np.concatenate(scaled, axis)
    return Tensor(parts[0].elem, tuple(items.shape), Symbols(items, denominator, sum((one.needs for one in known), ())))


def reshaped_dims(x: Tensor, shape: Sequence[Dim]) -> Tensor | None:
    """Scaled dimensions in another static shape; None where they are none."""
    static = [dim for dim in shape if isinstance(dim, int)]
    content = x.content
    if not isinstance(content, Symbols) or len(static) != len(shape) or math.prod(static) != content.items.size:
        return None
    return Tensor(x.elem, tuple(shape), replace(content, items=content.items.reshape(static)))


def rounded(op: str, x: Tensor) -> Tensor | None:
    """floor, ceil or roundEven of scaled dimensions; None where it is none."""
    content = x.content
    if not isinstance(content, Symbols) or not x.elem.is_float:
        return None
    if content.denominator == 1:
        return x if op in ("floor", "ceil", "roundEven") else None
    if op == "floor":
        items = map_items(lambda item: item // content.denominator, content.items)
    elif op == "ceil":
        items = map_items(lambda item: ceil_div(item, content.denominator), content.items)
    else:
        return None
    return Tensor(x.elem, x.shape, Symbols(items, 1, content.needs))


def whole(ctx: Context, x: Tensor, elem: Elem) -> Tensor:
    """Scaled dimensions as integers: cut off toward zero.

    Raises:
        Refused: float32 would round them, or their sign is not known.
    """
    content = x.content
    assert isinstance(content, Symbols)
    for need in (*content.needs, *content.items.flat):
        _demand(ctx, need)
    items = content.items
    if content.denominator != 1:
        if any(bounds(item, ctx.ranges)[0] < 0 for item in items.flat):
            raise Refused("a dimension that is scaled may become negative; its value is needed", _names(items))
        items = map_items(lambda item: item // content.denominator, items)
    return ctx.symbols(items, elem)


def over_one_denominator(ctx: Context, tensors: Sequence[Tensor]) -> tuple[list[Dim], int] | None:
    """Numerators of single numbers that are dimensions or constants, and their denominator; None where one is neither.

    Raises:
        Refused: float32 would round one of them.
    """
    read = [_read(ctx, tensor) for tensor in tensors]
    known = [one for one in read if one is not None and one.items.size == 1]
    if len(known) != len(tensors):
        return None
    denominator = max(one.denominator for one in known)
    numbers = [one.items.item() * (denominator // one.denominator) for one in known]
    for need in (*(need for one in known for need in one.needs), *numbers):
        _demand(ctx, need)
    return numbers, denominator


def scaled_floor(ctx: Context, dim: Dim, factor: float) -> Dim:
    """`floor(dim * factor)` of a named dimension and a factor in float32, as a quotient of whole numbers.

    Raises:
        Refused: ONNX, which multiplies exactly, and runtimes, which do it in float32, differ at a size.
    """
    ratio = Fraction(factor).limit_denominator(_MOST_PARTS)
    sizes = np.arange(1, _TRIED + 1)
    wanted = sizes * ratio.numerator // ratio.denominator
    # A float64 holds these products exactly.
    readings = [np.floor(sizes * factor), np.floor(sizes.astype(np.float32) * np.float32(factor))]
    differs = np.flatnonzero((readings[0] != wanted) | (readings[1] != wanted))
    if differs.size:
        raise Refused(
            f"{dim} is scaled by {factor:.6g}, which float32 rounds to another whole size at {sizes[differs[0]]};"
            " its value is needed",
            sorted(names_of(dim)),
        )
    why = f"its product with {factor:.6g} is known"
    if bounds(dim, ctx.ranges)[1] > _TRIED and not ctx.demand(-dim, -_TRIED, why):
        raise Refused(f"{dim} is scaled by {factor:.6g}; its value is needed", sorted(names_of(dim)))
    return dim * ratio.numerator // ratio.denominator


def _are_powers_of_two(constant: Symbols) -> bool:
    """Whether all of them are 1, 2, 4, ... or 1/2, 1/4, ...; of dimensions nothing is known."""
    wholes = [item for item in constant.items.flat if isinstance(item, int) and item > 0]
    ratios = [Fraction(item, constant.denominator) for item in wholes]
    sizes = [one.numerator * one.denominator for one in ratios]
    return len(wholes) == constant.items.size and all(size & (size - 1) == 0 for size in sizes)


def _read(ctx: Context, x: Tensor) -> Symbols | None:
    if isinstance(x.content, Symbols):
        return x.content
    array = ctx.array(x)
    if array is None or array.size > 16 or not np.isfinite(array).all():
        return None
    fractions = [Fraction(float(number)) for number in array.flat]
    denominator = max((one.denominator for one in fractions), default=1)
    items = np.empty(array.shape, object)
    items.reshape(-1)[:] = [int(one * denominator) for one in fractions]
    return Symbols(items, denominator)


def _demand(ctx: Context, need: Dim) -> None:
    """Bound the dimension so that a numerator stays exact."""
    low, high = bounds(need, ctx.ranges)
    if low >= -_EXACT and high <= _EXACT:
        return
    if high <= _EXACT:
        need, low, high = -need, -high, -low
    names = sorted(names_of(need))
    if len(names) == 1:
        slope = need - substitute(need, {names[0]: symbol(names[0]) - 1})
        start = substitute(need, {names[0]: 0})
        if isinstance(slope, int) and isinstance(start, int) and slope > 0 and (_EXACT - start) // slope >= _LEAST:
            ctx.narrow(names[0], (_EXACT - start) // slope, _WHY)
            return
        # A quotient of quotients, as a height after several steps of 2.
        at_least = bounds(need, {names[0]: DynamicDim(names[0], _LEAST, 0)})[1]
        if low >= -_EXACT and at_least <= _EXACT and ctx.demand(-need, -_EXACT, _WHY):
            return
    if not names:
        raise Refused("numbers that are counted in float32 would be rounded; the value of the dimension is needed")
    raise Refused(f"{need} is computed in float32, which may round it; the value of the dimension is needed", names)


def _names(items: Items) -> list[str]:
    return sorted(frozenset().union(*(names_of(item) for item in items.flat)))
