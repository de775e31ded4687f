"""Parts of tensors: slices, splits, and padding, which is the opposite."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import (
    Dim,
    SymbolicDim,
    bounds,
    ceil_div,
    dim_max,
    dim_min,
    is_at_least,
    is_equal,
    names_of,
    symbol,
)
from webnn_translator._errors import Refused
from webnn_translator.carried import limit_to
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine, Items
from webnn_translator.tensor import Quantised, Tensor

__all__ = ["padded", "slice_of"]


@onnx_op("Split", since=2)
def split_before_13(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Sizes are an attribute; without them the parts are equal."""
    return _split(ctx, node, node.integers("split") if node.has("split") else None)


@onnx_op("Split", since=13)
def split_before_18(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Sizes are an input; without them the parts are equal."""
    sizes = node.optional(1)
    return _split(ctx, node, None if sizes is None else ctx.dims(sizes, "the sizes"))


@onnx_op("Split", since=18)
def split(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Without sizes `num_outputs` parts, the last one smaller where they do not divide."""
    sizes = node.optional(1)
    if sizes is not None:
        return _split(ctx, node, ctx.dims(sizes, "the sizes"))
    x = node.input(0)
    parts = node.integer("num_outputs")
    dim = x.shape[ctx.axis(node.integer("axis", 0), x.rank)]
    each = ceil_div(dim, parts)
    last = dim - each * (parts - 1)
    why = f"a Split into {parts} parts of {each} would leave nothing for the last one"
    if bounds(last, ctx.ranges)[0] < 1 and isinstance(dim, SymbolicDim):
        ctx.demand(last, 1, why)
    return _split(ctx, node, [each] * (parts - 1) + [last])


def _split(ctx: Context, node: OnnxNode, sizes: Sequence[Dim] | None) -> list[Tensor | None]:
    x = node.input(0)
    axis = ctx.axis(node.integer("axis", 0), x.rank)
    whole = x.shape[axis]
    if sizes is None:
        each = whole // len(node.outputs)
        if isinstance(each, SymbolicDim):
            ctx.demand(each, 1, f"a Split into {len(node.outputs)} parts would leave nothing for them")
        sizes = [each] * len(node.outputs)
    if len(sizes) != len(node.outputs):
        raise Refused(f"{len(sizes)} sizes for {len(node.outputs)} outputs; the model is not valid")
    is_computed = ctx.items(x) is None and not isinstance(x.content, Affine) and 0 not in (*sizes, *x.shape)
    adds_up = is_equal(sum(sizes[1:], sizes[0]), whole, ctx.ranges)
    if adds_up is False or not (adds_up or is_computed):
        names = sorted(frozenset().union(*(names_of(dim) for dim in (*sizes, whole))))
        raise Refused(f"sizes [{', '.join(map(str, sizes))}] do not add up to {whole}", names)
    if is_computed:
        # Where only the run can tell whether they add up, the node is refused there.
        parts = ctx.emit.op_many("split", ctx.full(x), splits=tuple(sizes), axis=axis)
        return [ctx.tensor(part, x.elem) for part in parts]
    starts = list(accumulate(sizes, initial=0))
    return [slice_of(ctx, x, {axis: (start, size, 1)}) for start, size in zip(starts, sizes, strict=False)]


def slice_of(ctx: Context, x: Tensor, cuts: dict[int, tuple[Dim, Dim, int]]) -> Tensor:
    """Per axis (start, number of elements, step): a positive or negative step through existing elements."""
    cuts = {axis: cut for axis, cut in cuts.items() if cut[:2] != (0, x.shape[axis]) or cut[2] != 1}
    if not cuts:
        return x
    shape = tuple(cuts[axis][1] if axis in cuts else dim for axis, dim in enumerate(x.shape))
    if isinstance(x.content, Affine):
        offset, strides = x.content.offset, list(x.content.strides)
        for axis, (start, _, step) in cuts.items():
            offset = offset + start * strides[axis]
            strides[axis] = strides[axis] * step
        return Tensor(x.elem, shape, Affine(offset, tuple(strides)))
    items = ctx.items(x)
    if items is not None and all(isinstance(dim, int) for cut in cuts.values() for dim in cut):
        return ctx.symbols(_picked(items, cuts), x.elem)
    grid = ctx.affine(x) if x.elem in (Elem.INT32, Elem.INT64) else None
    if grid is not None and any(isinstance(dim, SymbolicDim) for dim in shape):
        # A table of positions, cut to a dynamic length: still positions.
        offset, strides = grid.offset, list(grid.strides)
        for axis, (start, _, step) in cuts.items():
            offset = offset + start * strides[axis]
            strides[axis] = strides[axis] * step
        return Tensor(x.elem, shape, Affine(offset, tuple(strides)))
    if any(dim == 0 for dim in shape):
        # Only a Concat or a Shape can make use of it: WebNN has no empty tensors.
        return ctx.nothing(x.elem, shape)
    if isinstance(x.content, Quantised):
        return ctx.tensor(_sliced(ctx, ctx.dequantised(x.content), cuts), x.elem)
    return ctx.tensor(_sliced(ctx, ctx.full(x), cuts), x.elem)


def _picked(items: Items, cuts: dict[int, tuple[Dim, Dim, int]]) -> Items:
    for axis, (start, count, step) in cuts.items():
        indices = [int(str(start)) + step * k for k in range(int(str(count)))]
        items = np.take(items, indices, axis)
    return items


def _sliced(ctx: Context, value: Value, cuts: dict[int, tuple[Dim, Dim, int]]) -> Value:
    turned = [axis for axis, cut in cuts.items() if cut[2] < 0]
    if turned:
        # Backwards is forwards through the reversed tensor.
        value = ctx.emit.op("reverse", value, axes=tuple(turned))
    starts: list[Dim] = [0] * value.rank
    sizes: list[Dim] = list(value.shape)
    strides = [1] * value.rank
    for axis, (start, count, step) in cuts.items():
        starts[axis] = value.shape[axis] - 1 - start if step < 0 else start
        strides[axis] = abs(step)
        sizes[axis] = (count - 1) * abs(step) + 1
    return ctx.emit.slice(value, starts, sizes, strides)


@onnx_op("Slice")
def slice_before_10(ctx: Context, node: OnnxNode) -> Tensor:
    """Starts, ends and axes are attributes; there are no steps."""
    starts, ends = node.integers("starts"), node.integers("ends")
    axes = node.integers("axes", tuple(range(len(starts))))
    return _slice(ctx, node.input(0), starts, ends, axes, (1,) * len(starts))


@onnx_op("Slice", since=10)
def slice_(ctx: Context, node: OnnxNode) -> Tensor:
    """Starts, ends, axes and steps are inputs."""
    axes_input, steps_input = node.optional(3), node.optional(4)
    ctx.decided({"starts": node.input(1), "ends": node.input(2), "axes": axes_input, "steps": steps_input})
    starts, ends = ctx.dims(node.input(1), "starts"), ctx.dims(node.input(2), "ends")
    axes = tuple(range(len(starts))) if axes_input is None else ctx.ints(axes_input, "axes")
    steps = (1,) * len(starts) if steps_input is None else ctx.ints(steps_input, "steps")
    return _slice(ctx, node.input(0), starts, ends, axes, steps)


def _slice(
    ctx: Context, x: Tensor, starts: Sequence[Dim], ends: Sequence[Dim], axes: Sequence[int], steps: Sequence[int]
) -> Tensor:
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Refused("starts, ends, axes and steps differ in length; the model is not valid")
    cuts: dict[int, tuple[Dim, Dim, int]] = {}
    for start, end, axis, step in zip(starts, ends, ctx.axes(axes, x.rank), steps, strict=True):
        if step == 0:
            raise Refused("a step is 0; the model is not valid")
        dim = x.shape[axis]
        if isinstance(dim, int) and isinstance(start, int) and isinstance(end, int):
            # Going backwards, ONNX begins at the first element where a start is before it, and Python takes nothing.
            begin = max(start, -dim) if step < 0 else start
            picked = range(*slice(begin, _end(end, step), step).indices(dim))
            cuts[axis] = (picked.start, len(picked), step) if len(picked) else (0, 0, 1)
        else:
            cuts[axis] = _dynamic_cut(ctx, x, dim, start, end, step)
    return slice_of(ctx, x, cuts)


def _end(end: int, step: int) -> int | None:
    # The smallest integers mean "past the first element" when going backwards; Python spells that None.
    return None if step < 0 and end <= -(2**31) else end


def _dynamic_cut(ctx: Context, x: Tensor, dim: Dim, start: Dim, end: Dim, step: int) -> tuple[Dim, Dim, int]:
    first = _clamped(ctx, start, dim, x, is_start=True)
    if step < 0:
        if isinstance(start, int) and start in (-1, 2**31 - 1, 2**63 - 1) and isinstance(end, int) and end < -(2**30):
            return dim - 1, ceil_div(dim, -step), step
        raise Refused("a negative step over a dynamic dimension, other than over all of it", sorted(names_of(dim)))
    last = _clamped(ctx, end, dim, x)
    length = last - first
    if is_at_least(length, 0, ctx.ranges) is not True:
        length = dim_max(length, 0, ctx.ranges)
    return first, ceil_div(length, step), step


def _clamped(ctx: Context, position: Dim, dim: Dim, x: Tensor, *, is_start: bool = False) -> Dim:
    """A start or end: negative ones count from the end, and both are clamped to 0..dim."""
    if isinstance(position, int):
        if position >= 0:
            if position >= 2**31 - 1:
                return dim
        else:
            if position <= -(2**31) + 1:
                return 0
            position = dim_max(dim + position, 0, ctx.ranges)
    elif is_at_least(position, 0, ctx.ranges) is not True:
        is_from_end = is_at_least(-position, 1, ctx.ranges) is True
        if is_from_end:
            position = dim + position
        if not (
            is_at_least(position, 0, ctx.ranges)
            or ctx.demand(position, 0, f"a Slice reaches to {position}, which counts from the end where it is negative")
        ):
            if is_from_end:
                return dim_max(position, 0, ctx.ranges)
            names = sorted(names_of(position))
            if is_start and x.elem.is_float and _is_rest(position):
                # A text and its cache take what they need from the end of a table: the run refuses too large a sum.
                limit_to(ctx, -position, 0, f"a Slice starts at {position}, and counts from the end below 0")
                return position
            raise Refused(f"whether {position} is negative depends on {', '.join(names)}", names)
    if is_at_least(dim, position, ctx.ranges):
        return position
    if isinstance(dim, int) and isinstance(position, SymbolicDim) and ctx.array(x) is not None:
        # A constant table cut to a dynamic length: more than the table holds is an error further on.
        name = min(names_of(position))
        if position == symbol(name):
            ctx.narrow(name, dim, f"a constant table of {dim} is cut to it")
            return position
    return dim_min(position, dim, ctx.ranges)


def _is_rest(position: Dim) -> bool:
    """Whether it is a number less sizes, each of them."""
    return isinstance(position, SymbolicDim) and all(count < 0 for sizes, count in position.terms if sizes)


def padded(ctx: Context, x: Tensor, amounts: dict[int, tuple[Dim, Dim]], value: float = 0) -> Tensor:
    """More elements of one value before and after those of some axes."""
    if all(amount == 0 for pair in amounts.values() for amount in pair):
        return x
    begins, ends = (tuple(amounts.get(axis, (0, 0))[side] for axis in range(x.rank)) for side in (0, 1))
    made = ctx.emit.op("pad", ctx.full(x), beginningPadding=begins, endingPadding=ends, mode="constant", value=value)
    return ctx.tensor(made, x.elem)
