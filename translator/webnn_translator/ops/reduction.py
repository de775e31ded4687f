"""Reductions; axes are an attribute in earlier versions and an input in later ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, dim_max, dim_min, is_at_least
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine, Items
from webnn_translator.tensor import Known, Tensor

_OPS: Final = {
    "ReduceL1": "reduceL1",
    "ReduceL2": "reduceL2",
    "ReduceLogSum": "reduceLogSum",
    "ReduceLogSumExp": "reduceLogSumExp",
    "ReduceMax": "reduceMax",
    "ReduceMean": "reduceMean",
    "ReduceMin": "reduceMin",
    "ReduceProd": "reduceProduct",
    "ReduceSum": "reduceSum",
    "ReduceSumSquare": "reduceSumSquare",
}
# What ONNX has where WebNN has no result, or the mean's NaN.
_OF_SOMETHING: Final = {
    "ReduceLogSumExp": "an infinity, and WebNN has none",
    "ReduceMax": "the least value of the type, and WebNN has none",
    "ReduceMean": "not defined",
    "ReduceMin": "the greatest value of the type, and WebNN has none",
}
# Where a reduction over nothing is the value itself by any reading of noop_with_empty_axes.
_IDENTITIES: Final = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp")
_EXTREMES: Final = ("ReduceMax", "ReduceMin")
_LATER: Final = tuple(op for op in _OPS if op != "ReduceSum")


@onnx_op(*_OPS)
def reduction_with_attribute(ctx: Context, node: OnnxNode) -> Tensor:
    """Axes are an attribute; none means all."""
    axes = node.integers("axes") if node.has("axes") else None
    return _reduce(ctx, node, axes)


@onnx_op(*_LATER, since=18)
@onnx_op("ReduceSum", since=13)
def reduction(ctx: Context, node: OnnxNode) -> Tensor:
    """Axes are an input; none means all, or nothing with noop_with_empty_axes."""
    given = node.optional(1)
    axes = None if given is None else ctx.ints(given, "axes")
    is_noop = node.flag("noop_with_empty_axes", 0)
    if not axes and is_noop:
        node.ignore("keepdims")
        if node.op_type not in _IDENTITIES:
            raise Refused("noop_with_empty_axes is read in two ways for this operator")
        return node.input(0)
    return _reduce(ctx, node, axes or None)


def _reduce(ctx: Context, node: OnnxNode, axes: Sequence[int] | None) -> Tensor:
    x = node.input(0)
    keep = node.flag("keepdims", 1)
    over = tuple(range(x.rank)) if axes is None else tuple(sorted(ctx.axes(axes, x.rank)))
    items = ctx.items(x)
    if items is not None and node.op_type in _EXACT and items.ndim == 0:
        return x
    if items is not None and node.op_type in _EXACT and items.size:
        return ctx.symbols(_reduced(ctx, items, over, keep, _EXACT[node.op_type]), x.elem)
    grid = ctx.affine(x) if node.op_type in _EXTREMES else None
    if grid is not None and not isinstance(x.content, Known) and all(grid.strides[axis] == 0 for axis in over):
        # As many copies of a size as there are rows, of which the largest is taken to count to it.
        for axis in over:
            ctx.demand(x.shape[axis], 1, f"{node.op_type} of no elements is {_OF_SOMETHING[node.op_type]}")
        return _of_copies(ctx, x, grid, over, keep=keep)
    kept = [dim for axis, dim in enumerate(x.shape) if axis not in over]
    if node.op_type in _OF_SOMETHING and all(is_at_least(dim, 1, ctx.ranges) for dim in kept):
        for axis in over:
            ctx.demand(x.shape[axis], 1, f"{node.op_type} of no elements is {_OF_SOMETHING[node.op_type]}")
    return ctx.computed(x.elem, _OPS[node.op_type], ctx.full(x), axes=over, keepDimensions=keep)


_Step = Callable[[Context, Dim, Dim], Dim]
_EXACT: Final[dict[str, _Step]] = {
    "ReduceSum": lambda _, a, b: a + b,
    "ReduceProd": lambda _, a, b: a * b,
    "ReduceMax": lambda ctx, a, b: dim_max(a, b, ctx.ranges),
    "ReduceMin": lambda ctx, a, b: dim_min(a, b, ctx.ranges),
}


def _of_copies(ctx: Context, x: Tensor, grid: Affine, over: Sequence[int], *, keep: bool) -> Tensor:
    """One of elements that are the same along the axes `over`."""
    axes = [axis for axis in range(x.rank) if keep or axis not in over]
    if not axes:
        return ctx.symbols(np.asarray(grid.offset, object), x.elem)
    shape = tuple(1 if axis in over else x.shape[axis] for axis in axes)
    return Tensor(x.elem, shape, Affine(grid.offset, tuple(grid.strides[axis] for axis in axes)))


def _reduced(ctx: Context, items: Items, axes: Sequence[int], keep: bool, step: _Step) -> Items:
    for axis in reversed(axes):
        columns = np.moveaxis(items, axis, 0)
        flat = columns.reshape(len(columns), -1)
        result = np.empty(flat.shape[1], object)
        for index in range(result.size):
            result[index] = reduce(lambda a, b: step(ctx, a, b), flat[:, index])
        rest: Items = result.reshape(columns.shape[1:])
        items = np.expand_dims(rest, axis) if keep else rest
    return items


@onnx_op("ArgMax", "ArgMin")
def arg_extreme_before_12(ctx: Context, node: OnnxNode) -> Tensor:
    """Index of the first largest or smallest element."""
    return _arg_extreme(ctx, node, last=False)


@onnx_op("ArgMax", "ArgMin", since=12)
def arg_extreme(ctx: Context, node: OnnxNode) -> Tensor:
    """The first one, or the last with select_last_index."""
    return _arg_extreme(ctx, node, last=node.flag("select_last_index", 0))


def _arg_extreme(ctx: Context, node: OnnxNode, *, last: bool) -> Tensor:
    x = node.input(0)
    axis = ctx.axis(node.integer("axis", 0), x.rank)
    options = {"axis": axis, "keepDimensions": node.flag("keepdims", 1), "outputDataType": "int64"}
    op = "argMax" if node.op_type == "ArgMax" else "argMin"
    if not last:
        return ctx.computed(Elem.INT64, op, ctx.full(x), **options)
    # The last one is the first one from behind.
    behind = ctx.computed(Elem.INT64, op, ctx.emit.op("reverse", ctx.full(x), axes=(axis,)), **options)
    top = ctx.tensor(ctx.dim_value(x.shape[axis] - 1), Elem.INT64)
    return ctx.elementwise("sub", top, behind)
