"""Pad in all its modes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from webnn_runtime.format.dims import Dim, SymbolicDim, bounds, dim_max, is_at_least, names_of
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.slicing import padded, slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_MODES = {"constant": "constant", "reflect": "reflection", "edge": "edge"}


@onnx_op("Pad", since=2)
def pad_before_11(ctx: Context, node: OnnxNode) -> Tensor:
    """Pads and value are attributes."""
    x = node.input(0)
    value = ctx.scalar(node.number("value", 0.0), x.elem)
    return _pad(ctx, node, x, node.integers("pads"), tuple(range(x.rank)), value, ("constant", "reflect", "edge"))


@onnx_op("Pad", since=11)
def pad(ctx: Context, node: OnnxNode) -> Tensor:
    """Pads and value are inputs; since version 18 there are axes."""
    return _pad_by_input(ctx, node, ("constant", "reflect", "edge"))


@onnx_op("Pad", since=19)
def pad_since_19(ctx: Context, node: OnnxNode) -> Tensor:
    """The same, also by going around."""
    return _pad_by_input(ctx, node, ("constant", "reflect", "edge", "wrap"))


def _pad_by_input(ctx: Context, node: OnnxNode, modes: tuple[str, ...]) -> Tensor:
    x, given, axes_input = node.input(0), node.optional(2), node.optional(3)
    axes = tuple(range(x.rank)) if axes_input is None else ctx.axes(ctx.ints(axes_input, "axes"), x.rank)
    value = ctx.scalar(0, x.elem) if given is None else given
    if value.elem is not x.elem or any(dim != 1 for dim in value.shape):
        raise Refused(f"the padding value is {value} for {x}; the model is not valid")
    return _pad(ctx, node, x, ctx.dims(node.input(1), "pads"), axes, value, modes)


def _pad(
    ctx: Context,
    node: OnnxNode,
    x: Tensor,
    pads: Sequence[Dim],
    axes: Sequence[int],
    value: Tensor,
    modes: tuple[str, ...],
) -> Tensor:
    mode = node.choice("mode", "constant", *modes)
    if len(pads) != 2 * len(axes):
        raise Refused(f"{len(pads)} pads for {len(axes)} axes; the model is not valid")
    amounts: dict[int, tuple[Dim, Dim]] = {}
    cuts: dict[int, tuple[Dim, Dim, int]] = {}
    # Where a side is cut and the other filled, or the sign depends on a dimension: fill first, then cut.
    trims: dict[int, tuple[Dim, Dim, int]] = {}
    for index, axis in enumerate(axes):
        begin, end = pads[index], pads[index + len(axes)]
        unsure = [
            amount
            for amount in (begin, end)
            if isinstance(amount, SymbolicDim) and is_at_least(amount, 0, ctx.ranges) is not True
        ]
        if unsure and mode != "constant":
            raise Refused(f"whether the padding {unsure[0]} is negative is not known", sorted(names_of(unsure[0])))
        filled, cut = [dim_max(amount, 0, ctx.ranges) for amount in (begin, end)], dim_max(-begin, 0, ctx.ranges)
        if unsure or (mode == "constant" and filled != [0, 0] and filled != [begin, end]):
            left = x.shape[axis] + begin + end
            if not (is_at_least(left, 1, ctx.ranges) or ctx.demand(left, 1, f"a Pad leaves {left} elements")):
                raise Refused(f"the padding leaves {left} elements; WebNN has no empty tensors", sorted(names_of(left)))
            amounts[axis], trims[axis] = (filled[0], filled[1]), (cut, left, 1)
            continue
        cut_begin, cut_end = (-amount if isinstance(amount, int) and amount < 0 else 0 for amount in (begin, end))
        if cut_begin or cut_end:
            if mode != "constant" and (begin, end) != (-cut_begin, -cut_end):
                raise Refused(f"mode {mode} cuts one side of an axis and fills the other; their order is not defined")
            left = x.shape[axis] - cut_begin - cut_end
            if not (is_at_least(left, 1, ctx.ranges) or ctx.demand(left, 1, f"a Pad leaves {left} elements")):
                raise Refused(f"the padding leaves {left} elements; WebNN has no empty tensors", sorted(names_of(left)))
            cuts[axis] = (cut_begin, left, 1)
        amounts[axis] = (0 if cut_begin else begin, 0 if cut_end else end)
    x = slice_of(ctx, x, cuts)
    amounts = {axis: pair for axis, pair in amounts.items() if pair != (0, 0)}
    if not amounts:
        return slice_of(ctx, x, trims)
    if mode == "constant":
        return slice_of(ctx, _constant(ctx, x, amounts, value), trims)
    for axis in sorted(amounts):
        x = _mirrored(ctx, x, axis, amounts[axis], mode)
    return x


def _constant(ctx: Context, x: Tensor, amounts: Mapping[int, tuple[Dim, Dim]], value: Tensor) -> Tensor:
    number = ctx.uniform(value)
    if number is not None:
        item = number.item()
        # WebNN has no truth values: they are carried as 0 and 1.
        return padded(ctx, x, dict(amounts), int(item) if isinstance(item, bool) else item)
    # The value is known at run time only: it is chosen wherever a padded mask is 0.
    mask = padded(ctx, ctx.known(np.asarray(True), Elem.BOOL, x.shape), dict(amounts))
    return ctx.elementwise("where", mask, padded(ctx, x, dict(amounts)), value, elem=x.elem)


def _mirrored(ctx: Context, x: Tensor, axis: int, amounts: tuple[Dim, Dim], mode: str) -> Tensor:
    """One axis continued by its own elements."""
    begin, end = amounts
    size = x.shape[axis]
    # A reflection does not repeat the outermost element, so it holds one element less.
    needed = max(bounds(amount, ctx.ranges)[1] for amount in amounts) + (1 if mode == "reflect" else 0)
    # A free dimension gets a larger minimum: frames shorter than their padding are nobody's signal.
    fits = bounds(size, ctx.ranges)[0] >= needed or (
        mode != "edge" and ctx.demand(size, needed, f"a Pad in mode {mode} takes its elements")
    )
    if mode == "edge" or (mode == "reflect" and fits):
        begins, ends = ([amounts[side] if k == axis else 0 for k in range(x.rank)] for side in (0, 1))
        made = ctx.emit.op(
            "pad", ctx.full(x), beginningPadding=tuple(begins), endingPadding=tuple(ends), mode=_MODES[mode], value=0
        )
        return ctx.tensor(made, x.elem)
    if mode == "wrap" and fits:
        parts = [slice_of(ctx, x, {axis: (size - begin, begin, 1)})] if begin != 0 else []
        parts += [x, *([slice_of(ctx, x, {axis: (0, end, 1)})] if end != 0 else [])]
        return ctx.tensor(ctx.emit.concat([ctx.full(part) for part in parts], axis), x.elem)
    length = ctx.size(size, f"a dimension that padding in mode {mode} may go through more than once")
    before, after = (ctx.size(amount, "the padding") for amount in amounts)
    places = np.arange(-before, length + after)
    if mode == "wrap":
        places %= length
    elif length == 1:
        places[:] = 0
    else:
        places = np.abs((places + length - 1) % (2 * length - 2) - (length - 1))
    picks = ctx.emit.constant(places, ctx.carrier(Elem.INT64), "places")
    return ctx.computed(x.elem, "gather", ctx.full(x), picks, axis=axis)
