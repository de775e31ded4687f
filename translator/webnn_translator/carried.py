"""Values carried by a wider type than their own: kept in their range, or refused."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim, SymbolicDim, bounds, dim_max, is_at_least, names_of, substitute, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.elements import Elem
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Columns, Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webnn_translator.context import Context

__all__ = ["bring_back", "keep_inside", "keep_places_inside", "known_rows", "limit_to", "representable", "within_type"]


def bring_back(ctx: Context, tensor: Tensor) -> Tensor:
    """Integers that a wider type carries, with the bits that their own type lacks dropped.

    `div` truncates, so that the remainder of x lies in (-span, span), and that of one moved to be positive
    in [0, span); nothing here can leave int32.
    """
    low, high = tensor.elem.integer_range
    span = high - low + 1
    x = ctx.value(tensor)
    number = x.dtype

    def remainder(value: Value) -> Value:
        whole = ctx.emit.op("div", value, ctx.emit.constant(span, number))
        return ctx.emit.op("sub", value, ctx.emit.op("mul", whole, ctx.emit.constant(span, number)))

    moved = ctx.emit.op("add", remainder(x), ctx.emit.constant(span - low, number))
    found = ctx.emit.op("add", remainder(moved), ctx.emit.constant(low, number))
    narrow = ctx.emit.cast(found, ctx.wire(tensor.elem))
    ctx.emit.declare(narrow, low, high)
    return ctx.tensor(narrow, tensor.elem, tensor.shape)


def within_type(ctx: Context, tensor: Tensor) -> Tensor:
    """A result that a wider integer type carries, proved to be in its own range or brought back into it.

    Raises:
        Refused: it may have left the carrier as well, or how the type overflows is not known.
    """
    elem = tensor.elem
    if elem.is_float or elem.wire.bits == elem.bits or not isinstance(tensor.content, Value):
        return tensor
    known = ctx.emit.interval(tensor.content)
    if known is not None and known.within(*elem.integer_range, ctx.ranges):
        return tensor
    if known is None or not elem.may_wrap:
        raise Refused(f"its {elem.text} result may leave the range of {elem.wire.value}, which carries it")
    return bring_back(ctx, tensor)


def keep_inside(ctx: Context, indices: Tensor, rows: int) -> Tensor:
    """Indices whose dimensions are bound so that they stay inside a table.

    WebNN clamps an index where ONNX has an error, so that a longer sequence would be silently wrong. What ranges of
    single names cannot say, a cache and a text that share a table of positions, is left to the run: reading the
    largest index from a list of all rows fails where there is no such row.
    """
    high = _highest(ctx, indices)
    if not isinstance(high, SymbolicDim) or bounds(high, ctx.ranges)[1] < rows:
        return indices
    if limit_to(ctx, high + 1, rows, f"a table of {rows} rows is read at up to {high}"):
        return indices
    number = ctx.full(indices)
    every = ctx.emit.constant(np.arange(rows, dtype=number.dtype.numpy), number.dtype, f"positions_{rows}")
    last = ctx.emit.reshape(ctx.emit.slice(every, (high,), (1,), (1,)), (1,) * indices.rank)
    return ctx.tensor(ctx.emit.op("min", number, last), indices.elem)


def keep_places_inside(ctx: Context, indices: Tensor, shape: Sequence[Dim]) -> Tensor:
    """The same for index tuples, which lie along the last axis: one number for each of the first sizes of `shape`."""
    content = indices.content
    if not isinstance(content, Columns):
        rows = shape[0] if indices.shape[-1] == 1 else None
        return keep_inside(ctx, indices, rows) if isinstance(rows, int) else indices
    grids = [Affine(part.offset, part.strides[:-1]) for part in content.parts]
    parts = [Tensor(indices.elem, indices.shape[:-1], grid) for grid in grids]
    kept = [
        keep_inside(ctx, part, rows) if isinstance(rows, int) else part
        for part, rows in zip(parts, shape, strict=False)
    ]
    if all(one is other for one, other in zip(parts, kept, strict=True)):
        return indices
    columns = [ctx.emit.reshape(ctx.full(part), (*part.shape, 1)) for part in kept]
    return ctx.tensor(ctx.emit.concat(columns, indices.rank - 1), indices.elem)


def known_rows(ctx: Context, data: Tensor, axis: int, grid: Affine, shape: Sequence[Dim]) -> Tensor:
    """Data along whose free axis a grid of indices is read, up to the last one: where it lacks that, the run fails."""
    rows, extremes = data.shape[axis], grid.extremes(shape, ctx.ranges)
    if isinstance(rows, int) or extremes is None or is_at_least(extremes[0], 0, ctx.ranges) is not True:
        return data
    read = extremes[1] + 1
    if is_at_least(rows, read, ctx.ranges):
        return data
    starts, sizes = [0] * data.rank, [read if k == axis else dim for k, dim in enumerate(data.shape)]
    return ctx.tensor(ctx.emit.slice(ctx.full(data), starts, sizes, [1] * data.rank), data.elem)


def _highest(ctx: Context, indices: Tensor) -> Dim | None:
    """What no index is larger than, where that is known and computed."""
    content = indices.content
    if isinstance(content, Value):
        known = ctx.emit.interval(content)
        return None if known is None else known.high
    if isinstance(content, Affine):
        extremes = content.extremes(indices.shape, ctx.ranges)
        return None if extremes is None else extremes[1]
    items = ctx.items(indices)
    return None if items is None or not items.size else reduce(lambda a, b: dim_max(a, b, ctx.ranges), items.flat)


def limit_to(ctx: Context, size: Dim, most: int, why: str) -> bool:
    """Narrow each name to what keeps `size`, which grows with it, at `most`; whether that says it all."""
    names = sorted(names_of(size))
    for name in names:
        # The others as small as they can be.
        alone = substitute(size, {one: ctx.ranges[one].min_size for one in names if one != name})
        slope = alone - substitute(alone, {name: symbol(name) - 1})
        start = substitute(alone, {name: 0})
        if isinstance(slope, int) and slope > 0 and isinstance(start, int):
            ctx.narrow(name, (most - start) // slope, why)
    return bounds(size, ctx.ranges)[1] <= most


def representable(array: Array, dtype: DataType, elem: Elem) -> Array:
    """Values for a narrower float type, which has to have their magnitude.

    Raises:
        Refused: a value would become infinite, or all of them 0.
    """
    if elem is not Elem.DOUBLE:
        return array
    with np.errstate(over="ignore", under="ignore"):
        narrow = array.astype(dtype.numpy)
    finite = np.isfinite(array)
    if not np.isfinite(narrow[finite]).all():
        largest = float(np.abs(array[finite]).max())
        raise Refused(f"a {elem.text} constant holds {largest:g}, which {dtype.value} cannot hold")
    if array.any() and not narrow.any():
        raise Refused(f"a {elem.text} constant holds {float(array[array != 0][0]):g}, which is 0 in {dtype.value}")
    return narrow
