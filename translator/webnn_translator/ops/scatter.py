"""Writing by index, also where several updates meet in one element and are added, multiplied or compared."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, bounds, product
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.carried import keep_inside, keep_places_inside
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import expand_to, reshape_to, transposed
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Constant indices that meet are written one after the other, at most so often;
_MOST_ROUNDS: Final = 64
# those of the run are compared with every place, up to so many pairs.
_MOST_PAIRS: Final = 1 << 26
_REDUCTIONS: Final = {
    "add": ("add", "reduceSum"),
    "mul": ("mul", "reduceProduct"),
    "max": ("max", "reduceMax"),
    "min": ("min", "reduceMin"),
}


def _identity(reduction: str, elem: Elem) -> float | int:
    """What changes nothing."""
    if reduction in ("add", "mul"):
        return 0 if reduction == "add" else 1
    low, high = (-math.inf, math.inf) if elem.is_float else elem.integer_range
    return low if reduction == "max" else high


@onnx_op("Scatter", since=9)
@onnx_op("ScatterElements", since=11)
def scatter_elements_before_16(ctx: Context, node: OnnxNode) -> Tensor:
    """Single elements replaced along one axis."""
    return _scatter_elements(ctx, node, "none")


@onnx_op("ScatterElements", since=16)
def scatter_elements(ctx: Context, node: OnnxNode) -> Tensor:
    """The same, or combined with what is there."""
    return _scatter_elements(ctx, node, node.choice("reduction", "none", "none", *_REDUCTIONS))


def _scatter_elements(ctx: Context, node: OnnxNode, reduction: str) -> Tensor:
    data, indices, updates = (node.input(index) for index in range(3))
    axis = ctx.axis(node.integer("axis", 0), data.rank)
    if indices.rank != data.rank or updates.rank != data.rank:
        raise Refused(f"data {data}, indices {indices}, updates {updates}; the model is not valid")
    if 0 in indices.shape:
        return data
    rows = data.shape[axis]
    if isinstance(rows, int):
        indices = keep_inside(ctx, indices, rows)
    smaller = [k for k in range(data.rank) if k != axis and not ctx.same(indices.shape[k], data.shape[k])]
    # Off the axis the indices may cover only the beginning of the data: the rest is put back behind it.
    part = slice_of(ctx, data, {k: (0, indices.shape[k], 1) for k in smaller})
    made = _along_axis(ctx, part, indices, updates, axis, reduction)
    for done, k in enumerate(smaller):
        cuts: dict[int, tuple[Dim, Dim, int]] = {k: (indices.shape[k], data.shape[k] - indices.shape[k], 1)}
        cuts |= {later: (0, indices.shape[later], 1) for later in smaller[done + 1 :]}
        rest = slice_of(ctx, data, cuts)
        made = ctx.tensor(ctx.emit.concat([ctx.full(made), ctx.full(rest)], k), data.elem)
    return made


def _along_axis(ctx: Context, data: Tensor, indices: Tensor, updates: Tensor, axis: int, reduction: str) -> Tensor:
    if reduction == "none":
        operands = [ctx.full(tensor) for tensor in (data, indices, updates)]
        return ctx.computed(data.elem, "scatterElements", *operands, axis=axis)
    known = ctx.array(indices)
    if known is not None and data.is_static:
        sizes = [dim for dim in data.shape if isinstance(dim, int)]
        coordinates: list[Array] = list(np.indices(known.shape))
        coordinates[axis] = np.where(known < 0, known + sizes[axis], known)
        flat = np.ravel_multi_index(tuple(coordinate.reshape(-1) for coordinate in coordinates), tuple(sizes))
        count = math.prod(sizes)
        made = _in_rounds(
            ctx, reshape_to(ctx, data, (count,)), flat, reshape_to(ctx, updates, (known.size,)), reduction
        )
        if made is not None:
            return reshape_to(ctx, made, data.shape)
    order = [*(k for k in range(data.rank) if k != axis), axis]
    rows, places, values = (transposed(ctx, tensor, order) for tensor in (data, indices, updates))
    _check_pairs(ctx, (*rows.shape, places.shape[-1]))
    last = rows.rank - 1
    ints = Formula(ctx, Elem.INT64)
    lead, size, count_of = rows.shape[:-1], rows.shape[-1], places.shape[-1]
    places = _counted(ctx, places, size)
    hit = ints("equal", reshape_to(ctx, places, (*lead, 1, count_of)), positions(size, last, last + 2))
    made = _combined(ctx, rows, hit, reshape_to(ctx, values, (*lead, 1, count_of)), last + 1, reduction)
    return transposed(ctx, made, [order.index(k) for k in range(data.rank)])


def _combined(ctx: Context, data: Tensor, hit: Tensor, values: Tensor, axis: int, reduction: str) -> Tensor:
    """Data combined with all the values that hit it; `axis` lists the values."""
    f = Formula(ctx, data.elem)
    op, over = _REDUCTIONS[reduction]
    shares = f("where", hit, values, ctx.scalar(_identity(reduction, data.elem), data.elem))
    return f(op, data, f.reduce(over, shares, (axis,)))


def _counted(ctx: Context, indices: Tensor, size: Dim) -> Tensor:
    """Indices as int64, those below 0 counted from the end."""
    ints = Formula(ctx, Elem.INT64)
    indices = convert(ctx, indices, Elem.INT64)
    return ints("where", ints("lesser", indices, 0), ints("add", indices, ints.size(size)), indices)


def _check_pairs(ctx: Context, dims: tuple[Dim, ...]) -> None:
    total = math.prod(bounds(dim, ctx.ranges)[0] for dim in dims)
    if total > _MOST_PAIRS:
        raise Refused(f"{total} pairs of places and updates known at run time only; at most {_MOST_PAIRS}")


def _in_rounds(ctx: Context, data: Tensor, indices: Array, updates: Tensor, reduction: str) -> Tensor | None:
    """Rows of the data combined with rows of the updates; None where too many meet in one."""
    # How many of the earlier updates go to the same row.
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    turn = np.empty(len(indices), np.int64)
    turn[order] = np.arange(len(indices)) - np.repeat(starts, np.diff(np.r_[starts, len(indices)]))
    if turn.max(initial=0) >= _MOST_ROUNDS:
        return None
    f = Formula(ctx, data.elem)
    for number in range(int(turn.max(initial=-1)) + 1):
        chosen = np.flatnonzero(turn == number)
        rows = ctx.emit.constant(indices[chosen].astype(np.int64), ctx.carrier(Elem.INT64), "rows")
        share = updates
        if len(chosen) != len(indices):
            picks = ctx.emit.constant(chosen.astype(np.int64), ctx.carrier(Elem.INT64), "picks")
            share = ctx.computed(data.elem, "gather", ctx.full(updates), picks, axis=0)
        there = ctx.computed(data.elem, "gather", ctx.full(data), rows, axis=0)
        made = f(_REDUCTIONS[reduction][0], there, share)
        columns = ctx.emit.reshape(rows, (len(chosen), 1))
        data = ctx.computed(data.elem, "scatterND", ctx.full(data), columns, ctx.full(made))
    return data


@onnx_op("ScatterND", since=11)
def scatter_nd_before_16(ctx: Context, node: OnnxNode) -> Tensor:
    """Slices replaced at index tuples."""
    data, indices, updates = (node.input(index) for index in range(3))
    if 0 in updates.shape:
        # torch writes into no rows where a window is not shifted along an axis.
        return data
    operands = [ctx.full(one) for one in (data, keep_places_inside(ctx, indices, data.shape), updates)]
    return ctx.computed(data.elem, "scatterND", *operands)


@onnx_op("ScatterND", since=16)
def scatter_nd(ctx: Context, node: OnnxNode) -> Tensor:
    """The same, or combined with what is there."""
    reduction = node.choice("reduction", "none", "none", *_REDUCTIONS)
    if reduction == "none":
        return scatter_nd_before_16(ctx, node)
    data, indices, updates = (node.input(index) for index in range(3))
    if 0 in updates.shape:
        return data
    indices = keep_places_inside(ctx, indices, data.shape)
    depth = ctx.size(indices.shape[-1], "the length of an index tuple")
    rows, width = product(list(data.shape[:depth])), product(list(data.shape[depth:]))
    count = product(list(indices.shape[:-1]))
    flat = reshape_to(ctx, data, (rows, width))
    values = reshape_to(ctx, updates, (count, width))
    place = _row_of(ctx, data, reshape_to(ctx, indices, (count, depth)), depth)
    known = ctx.array(place)
    made = None if known is None else _in_rounds(ctx, flat, known.reshape(-1), values, reduction)
    if made is None:
        _check_pairs(ctx, (rows, width, count))
        ints = Formula(ctx, Elem.INT64)
        hit = ints("equal", reshape_to(ctx, place, (1, count, 1)), positions(rows, 0, 3))
        made = _combined(ctx, flat, hit, reshape_to(ctx, values, (1, count, width)), 1, reduction)
    return reshape_to(ctx, made, data.shape)


def _row_of(ctx: Context, data: Tensor, indices: Tensor, depth: int) -> Tensor:
    """Which row an index tuple names, the leading dimensions taken as one."""
    ints = Formula(ctx, Elem.INT64)
    total: Tensor | None = None
    for k in range(depth):
        column = _counted(ctx, slice_of(ctx, indices, {1: (k, 1, 1)}), data.shape[k])
        rest = product(list(data.shape[k + 1 : depth]))
        step = column if rest == 1 else ints("mul", column, ints.size(rest))
        total = step if total is None else ints("add", total, step)
    if total is None:
        raise Refused("its index tuples are empty; the model is not valid")
    return total


@onnx_op("TensorScatter", since=24)
def tensor_scatter(ctx: Context, node: OnnxNode) -> Tensor:
    """A cache with new rows from a position on, which each batch has of its own."""
    cache, update, start = node.input(0), node.input(1), node.optional(2)
    axis = ctx.axis(node.integer("axis", -2), cache.rank)
    mode = node.choice("mode", "linear", "linear", "circular")
    if axis == 0 or update.rank != cache.rank:
        raise Refused(f"axis {axis} of {cache} with {update}; the model is not valid")
    ints = Formula(ctx, Elem.INT64)
    size, count = ints.size(cache.shape[axis]), ints.size(update.shape[axis])
    # For each row of the cache, which row of the update it would be.
    row = positions(cache.shape[axis], axis, cache.rank)
    if start is not None:
        begin = reshape_to(ctx, convert(ctx, start, Elem.INT64), (cache.shape[0], *([1] * (cache.rank - 1))))
        if mode == "circular":
            begin = ints("sub", begin, ints("mul", ints("div", begin, size), size))
        row = ints("sub", row, begin)
        if mode == "circular":
            row = ints("where", ints("lesser", row, 0), ints("add", row, size), row)
    hit = ints("logicalAnd", ints("greaterOrEqual", row, 0), ints("lesser", row, count))
    if update.shape[axis] == 1:
        new = update
    else:
        picks = expand_to(ctx, ints.clamp(row, 0, ints("sub", count, 1)), cache.shape)
        new = ctx.computed(cache.elem, "gatherElements", ctx.full(update), ctx.full(picks), axis=axis)
    return ctx.elementwise("where", hit, new, cache, elem=cache.elem)
