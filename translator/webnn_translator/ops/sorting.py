"""TopK by counting, and operators whose result is as long as their data say: for constants only."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, bounds, is_at_least, names_of, product
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import expand_to, joined, reshape_to, transposed
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Every pair of a row is compared, about so many at once, and at most so many in all;
_PAIRS_AT_ONCE: Final = 1 << 24
_MOST_PAIRS: Final = 1 << 28
# in longer rows the largest is searched again and again, at most so often.
_MOST_ROUNDS: Final = 32


@onnx_op("TopK", since=7)
def top_k_before_10(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """K is an attribute; the largest, sorted."""
    return _top_k(ctx, node, node.integer("k"), largest=True)


@onnx_op("TopK", since=10)
def top_k_before_11(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """K is an input."""
    return _top_k(ctx, node, ctx.dims(node.input(1), "k")[0], largest=True)


@onnx_op("TopK", since=11)
def top_k(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """The largest or the smallest; where any order is allowed they are sorted too."""
    node.ignore("sorted")
    return _top_k(ctx, node, ctx.dims(node.input(1), "k")[0], largest=node.flag("largest", 1))


def _top_k(ctx: Context, node: OnnxNode, k: Dim, *, largest: bool) -> list[Tensor | None]:
    """Values and indices; of equal elements the first comes first, and NaN counts as the largest."""
    x = node.input(0)
    axis = ctx.axis(node.integer("axis", -1), x.rank)
    size = x.shape[axis]
    if is_at_least(size, k, ctx.ranges) is False:
        raise Refused(f"k is {k} of {size} elements; the model is not valid")
    if is_at_least(k, 1, ctx.ranges) is not True:
        raise Refused(f"k is {k}; WebNN has no empty tensors")
    is_open = is_at_least(size, k, ctx.ranges) is None and not ctx.demand(size - k, 0, f"TopK takes {k} elements")
    order = [*(a for a in range(x.rank) if a != axis), axis]
    rows = transposed(ctx, x, order)
    if rows.elem in (Elem.BOOL,):
        raise Refused(f"the input is {x}; the model is not valid")
    picks = _by_rank(ctx, rows, k, largest) if _is_countable(ctx, rows) else _by_rounds(ctx, rows, k, largest)
    if is_open:
        # Sizes that decide it together are held against one another at the run, where the first k places are cut out.
        first = ctx.emit.op("slice", ctx.full(positions(size, 0, 1)), starts=(0,), sizes=(k,))
        picks = ctx.computed(Elem.INT64, "gather", ctx.full(picks), first, axis=x.rank - 1)
    back = [order.index(a) for a in range(x.rank)]
    values = ctx.computed(x.elem, "gatherElements", ctx.full(rows), ctx.full(picks), axis=x.rank - 1)
    return [transposed(ctx, values, back), transposed(ctx, picks, back)]


def _is_countable(ctx: Context, rows: Tensor) -> bool:
    return bounds(rows.shape[-1], ctx.ranges)[1] <= _longest(ctx, rows)


def _longest(ctx: Context, rows: Tensor) -> int:
    """Elements of a row of which all pairs can be compared, with as few rows as there may be."""
    others = math.prod(bounds(dim, ctx.ranges)[0] for dim in rows.shape[:-1])
    return math.isqrt(_MOST_PAIRS // max(others, 1))


def _by_rank(ctx: Context, rows: Tensor, k: Dim, largest: bool) -> Tensor:
    """The rank of an element is the number of those that come before it; element i of the result has rank i."""
    ints = Formula(ctx, Elem.INT32)
    rank, size = rows.rank, rows.shape[-1]
    lead = rows.shape[:-1]
    high = bounds(size, ctx.ranges)[1]
    others = math.prod(bounds(dim, ctx.ranges)[0] for dim in lead)
    step = max(1, _PAIRS_AT_ONCE // (others * high))
    if isinstance(size, int) and step < size:
        parts = [_counts(ctx, rows, start, min(step, size - start), largest=largest) for start in range(0, size, step)]
        places = ctx.tensor(ctx.emit.concat([ctx.full(part) for part in parts], rank - 1), Elem.INT32)
    else:
        places = _counts(ctx, rows, 0, size, largest=largest)
    # [..., k, size]: where rank i is.
    hit = ints("equal", reshape_to(ctx, places, (*lead, 1, size)), positions(k, rank - 1, rank + 1, Elem.INT32))
    return _arg_max(ctx, convert(ctx, hit, Elem.INT32), rank)


def _counts(ctx: Context, rows: Tensor, start: int, count: Dim, *, largest: bool) -> Tensor:
    """How many elements of its row come before each of some elements."""
    f = Formula(ctx, rows.elem)
    rank, size, lead = rows.rank, rows.shape[-1], rows.shape[:-1]
    some = slice_of(ctx, rows, {rank - 1: (start, count, 1)})
    one, other = reshape_to(ctx, some, (*lead, count, 1)), reshape_to(ctx, rows, (*lead, 1, size))
    before = f("greater" if largest else "lesser", other, one)
    same = f("equal", other, one)
    if rows.elem.is_float:
        nan_one, nan_other = f("isNaN", one), f("isNaN", other)
        alone = (nan_other, nan_one) if largest else (nan_one, nan_other)
        before = f("logicalOr", before, f("logicalAnd", alone[0], f("logicalNot", alone[1])))
        same = f("logicalOr", same, f("logicalAnd", nan_one, nan_other))
    ints = Formula(ctx, Elem.INT64)
    mine = ints("add", positions(count, rank - 1, rank + 1), start)
    earlier = ints("lesser", positions(size, rank, rank + 1), mine)
    counts = f("logicalOr", before, f("logicalAnd", same, earlier))
    return ints.reduce("reduceSum", convert(ctx, counts, Elem.INT32), (rank,))


def _by_rounds(ctx: Context, rows: Tensor, k: Dim, largest: bool) -> Tensor:
    """The extreme of what is left, as often as wanted."""
    if not isinstance(k, int) or k > _MOST_ROUNDS:
        names = sorted(names_of(rows.shape[-1]) | names_of(k))
        advice = ", to which --max-dim limits them" if names else ""
        raise Refused(
            f"the {k} first of {rows.shape[-1]} elements: all pairs are compared of up to {_longest(ctx, rows)}"
            f" elements{advice}, or up to {_MOST_ROUNDS} are searched one by one",
            names,
        )
    f, ints = Formula(ctx, rows.elem), Formula(ctx, Elem.INT32)
    last = rows.rank - 1
    low, high = (-np.inf, np.inf) if rows.elem.is_float else rows.elem.integer_range
    is_nan = f("isNaN", rows) if rows.elem.is_float else None
    number = rows if is_nan is None else f("where", is_nan, ctx.scalar(low if largest else high, rows.elem), rows)
    places = positions(rows.shape[-1], last, rows.rank)
    left: Tensor | None = None
    found = []
    for _ in range(k):
        among = number if left is None else f("where", left, number, ctx.scalar(low if largest else high, rows.elem))
        best = f.reduce("reduceMax" if largest else "reduceMin", among, (last,), keep=True)
        # Several marks, as what is left may be the lowest number there is.
        score = convert(ctx, f("equal", number, best), Elem.INT32)
        if is_nan is not None:
            score = ints("where", is_nan, *((2, score) if largest else (0, score)))
            score = score if largest else ints("add", score, 1)
        if left is not None:
            score = ints("where", left, ints("add", score, 1), 0)
        index = _arg_max(ctx, score, last, keep=True)
        found.append(index)
        rest = f("notEqual", places, index)
        left = rest if left is None else f("logicalAnd", left, rest)
    return ctx.tensor(ctx.emit.concat([ctx.full(index) for index in found], last), Elem.INT64)


def _arg_max(ctx: Context, x: Tensor, axis: int, *, keep: bool = False) -> Tensor:
    made = ctx.emit.op("argMax", ctx.full(x), axis=axis, keepDimensions=keep, outputDataType="int64")
    return ctx.tensor(made, Elem.INT64)


@onnx_op("NonZero", since=9)
def non_zero(ctx: Context, node: OnnxNode) -> Tensor:
    """Indices of the elements that are not 0, one row per axis."""
    x = node.input(0)
    value = ctx.uniform(x)
    if x.rank == 1 and value is not None and value != 0:
        # How torch's older exporter counts 0, 1, 2, ... where it assigns to a slice.
        return positions(x.shape[0], 1, 2)
    if x.rank > 1 and value is not None and value != 0:
        # Every place there is: how torch's older exporter repeats rows as often as a free size says.
        every = [expand_to(ctx, positions(dim, axis, x.rank), x.shape) for axis, dim in enumerate(x.shape)]
        return joined(ctx, [reshape_to(ctx, places, (1, product(x.shape))) for places in every], 0)
    array = _known(ctx, x)
    return ctx.known(np.stack(np.nonzero(array)).astype(np.int64) if array.ndim else np.zeros((0, 1), np.int64))


@onnx_op("Compress", since=9)
def compress(ctx: Context, node: OnnxNode) -> Tensor:
    """The elements, or the slices along an axis, whose condition is true."""
    x, condition = node.input(0), ctx.constant(node.input(1), "the condition")
    axis = 0
    if node.has("axis"):
        axis = ctx.axis(node.integer("axis"), x.rank)
    else:
        total: Dim = 1
        for dim in x.shape:
            total = total * dim
        x = reshape_to(ctx, x, (total,))
    places = np.flatnonzero(condition)
    if places.size == 0:
        raise Refused("the condition is false everywhere; WebNN has no empty tensors")
    if is_at_least(x.shape[axis], int(places[-1]) + 1, ctx.ranges) is not True:
        raise Refused(f"the condition is true at {places[-1]}, beyond dimension {x.shape[axis]}")
    picks = ctx.emit.constant(places.astype(np.int64), ctx.carrier(Elem.INT64), "places")
    return ctx.computed(x.elem, "gather", ctx.full(x), picks, axis=axis)


@onnx_op("Unique", since=11)
def unique(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Distinct elements or slices, where each is first, which one each element is, and how often it occurs."""
    array = _known(ctx, node.input(0))
    axis = ctx.axis(node.integer("axis"), array.ndim) if node.has("axis") else None
    made, first, inverse, counts = np.unique(array, True, True, True, axis=axis)
    inverse = inverse.reshape(-1)
    if not node.flag("sorted", 1):
        order = np.argsort(first)
        made, first, counts = np.take(made, order, axis or 0), first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    found = [part.astype(np.int64) for part in (first, inverse, counts)]
    return [ctx.known(made, node.input(0).elem), *(ctx.known(part) for part in found)]


def _known(ctx: Context, x: Tensor) -> Array:
    array = ctx.array(x)
    if array is None:
        raise Refused("the size of its result depends on data at run time; WebNN needs to know shapes before")
    return array
