"""Gather and scatter. Indices that are positions in order become slices and reshapes."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim, SymbolicDim, is_at_least
from webnn_translator._errors import Refused
from webnn_translator.carried import keep_inside, keep_places_inside, known_rows, limit_to
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import expand_to, reshape_to, transposed
from webnn_translator.ops.quantized_blocks import gathered_few_bits
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Columns, Quantised, Tensor

# Elements of a OneHot that are listed one by one.
_FEW: Final = 64


@onnx_op("Gather")
def gather(ctx: Context, node: OnnxNode) -> Tensor:
    """Slices of the data at the indices, along one axis."""
    data, indices = node.input(0), node.input(1)
    axis = ctx.axis(node.integer("axis", 0), data.rank)
    items, picks = ctx.items(data), ctx.items(indices)
    if items is not None and picks is not None and not any(isinstance(pick, SymbolicDim) for pick in picks.flat):
        size = items.shape[axis]
        if any(not -size <= pick < size for pick in picks.flat):
            raise Refused(f"an index is out of range for {data}; the model is not valid")
        found = np.take(items, picks.astype(np.int64), axis)
        whole = np.empty(np.shape(found), object)
        whole[...] = found
        return ctx.symbols(whole, data.elem)
    grid = ctx.affine(indices)
    if grid is not None and isinstance(indices.content, Affine):
        run = _as_run(ctx, data, axis, grid, indices)
        if run is not None:
            return run
    rows = data.shape[axis]
    if 0 in indices.shape or (0 in data.shape and rows != 0):
        return ctx.nothing(data.elem, (*data.shape[:axis], *indices.shape, *data.shape[axis + 1 :]))
    if isinstance(rows, int):
        indices = keep_inside(ctx, indices, rows)
    elif picks is not None and picks.size and all(isinstance(pick, int) for pick in picks.flat):
        # ONNX has no result where a position does not exist; WebNN takes the last one.
        least = max(pick + 1 if pick >= 0 else -pick for pick in picks.flat)
        ctx.demand(rows, least, f"a Gather reads element {least - 1} of {rows}")
    elif isinstance(indices.content, Affine):
        data = known_rows(ctx, data, axis, indices.content, indices.shape)
    if isinstance(data.content, Quantised):
        quantised = _gather_quantised(ctx, data, data.content, indices, axis)
        if quantised is not None:
            return quantised
    return ctx.tensor(_gather(ctx, ctx.full(data), indices, axis), data.elem)


def _gather(ctx: Context, data: Value, indices: Tensor, axis: int) -> Value:
    picks = ctx.full(indices)
    return ctx.emit.op("gather", data, picks, axis=axis)


def _gather_quantised(ctx: Context, data: Tensor, whole: Quantised, indices: Tensor, axis: int) -> Tensor | None:
    """Gather the quantised rows and their scales, then dequantise only those."""
    size = data.shape[axis]
    if whole.scale.shape[axis] not in (1, size):
        return None
    if whole.kind.is_packed and axis == 0:
        few = gathered_few_bits(ctx, whole, indices)
        if few is not None:
            return few
    # WebNN gathers nothing of 4 bits: where they could not stay packed, each takes a byte.
    rows = ctx.emit.constant(whole.values, ctx.wire(whole.kind), whole.name)
    picked = _gather(ctx, rows, indices, axis)
    parts: list[Value] = []
    for array, elem, suffix in (
        (whole.scale, data.elem, "scale"),
        (whole.zero_point, whole.kind, "zero_point"),
    ):
        uniform = array.size > 0 and (array == array.reshape(-1)[0]).all()
        if whole.scale.shape[axis] == 1:
            shape = (*array.shape[:axis], *([1] * indices.rank), *array.shape[axis + 1 :])
            parts.append(ctx.emit.constant(array.reshape(shape), ctx.wire(elem), f"{whole.name}_{suffix}"))
        elif uniform:
            dims = (*array.shape[:axis], *indices.shape, *array.shape[axis + 1 :])
            scalar = ctx.emit.constant(array.reshape(-1)[0], ctx.wire(elem))
            parts.append(ctx.emit.expand(scalar, dims))
        else:
            table = ctx.emit.constant(array, ctx.wire(elem), f"{whole.name}_{suffix}")
            parts.append(_gather(ctx, table, indices, axis))
    return ctx.tensor(ctx.emit.op("dequantizeLinear", picked, *parts), data.elem)


def _as_run(ctx: Context, data: Tensor, axis: int, grid: Affine, indices: Tensor) -> Tensor | None:
    """Indices o, o+1, ..., in row-major order, the same for all of some axes: a slice of the axis, reshaped."""
    length: Dim = 1
    kept: list[Dim] = [1] * indices.rank
    for place, (dim, stride) in reversed(list(enumerate(zip(indices.shape, grid.strides, strict=True)))):
        if dim == 1 or stride == 0:
            continue
        if not ctx.same(stride, length):
            return None
        length = length * dim
        kept[place] = dim
    if length == 1 or is_at_least(grid.offset, 0, ctx.ranges) is not True:
        return None
    limit = data.shape[axis]
    # Of what the ranges leave open, the slice leaves it to the run that all positions exist; a gather would take the
    # last one instead. ONNX has no result beyond the data either.
    if isinstance(limit, int) and is_at_least(limit - grid.offset, length, ctx.ranges) is not True:
        limit_to(ctx, grid.offset + length, limit, f"a table of {limit} rows is read at that many positions")
    cut = slice_of(ctx, data, {axis: (grid.offset, length, 1)})
    before, after = data.shape[:axis], data.shape[axis + 1 :]
    return expand_to(ctx, reshape_to(ctx, cut, (*before, *kept, *after)), (*before, *indices.shape, *after))


@onnx_op("GatherElements", since=11)
def gather_elements(ctx: Context, node: OnnxNode) -> Tensor:
    """Single elements along one axis."""
    data, indices = node.input(0), node.input(1)
    axis = ctx.axis(node.integer("axis", 0), data.rank)
    rows = data.shape[axis]
    given = indices
    if isinstance(rows, int):
        indices = keep_inside(ctx, indices, rows)
    grid = ctx.affine(data)
    if grid is not None and grid.strides[axis] == 0 and indices is given:
        # Wherever it is read: the zeros that transformers' encoders keep as types of tokens, read at the positions.
        return Tensor(data.elem, indices.shape, grid)
    values, picks = ctx.full(data), ctx.full(indices)
    # ONNX lets the other axes of the indices be smaller; WebNN wants them equal.
    sizes = [values.shape[k] if k == axis else picks.shape[k] for k in range(data.rank)]
    if any(not ctx.same(a, b) for a, b in zip(sizes, values.shape, strict=True)):
        values = ctx.emit.slice(values, [0] * data.rank, sizes, [1] * data.rank)
    return ctx.computed(data.elem, "gatherElements", values, picks, axis=axis)


@onnx_op("GatherND", domain="com.microsoft", attributes=())
@onnx_op("GatherND", since=11)
def gather_nd_before_12(ctx: Context, node: OnnxNode) -> Tensor:
    """Each index tuple names a slice of the data."""
    return _gather_nd(ctx, node.input(0), node.input(1))


@onnx_op("GatherND", since=12)
def gather_nd(ctx: Context, node: OnnxNode) -> Tensor:
    """The same with leading batch dimensions."""
    data, indices, shared = node.input(0), node.input(1), node.integer("batch_dims", 0)
    if shared == 0:
        return _gather_nd(ctx, data, indices)
    if not 0 <= shared < min(data.rank, indices.rank):
        raise Refused(f"batch_dims is {shared} for {data} and {indices}; the model is not valid")
    # The place in each batch dimension becomes a column of the indices.
    places = convert(ctx, indices, Elem.INT64)
    columns = [positions(indices.shape[axis], axis, indices.rank) for axis in range(shared)]
    wide = [ctx.full(expand_to(ctx, column, (*indices.shape[:-1], 1))) for column in columns]
    whole = ctx.emit.concat([*wide, ctx.full(places)], indices.rank - 1)
    return ctx.computed(data.elem, "gatherND", ctx.full(data), whole)


def _gather_nd(ctx: Context, data: Tensor, indices: Tensor) -> Tensor:
    places = indices.content
    if isinstance(places, Affine) and indices.shape[-1] == 1:
        places = Columns((places,))
    if isinstance(places, Columns):
        moved = _as_grid(ctx, data, places, indices.shape[:-1])
        if moved is not None:
            return moved
    for axis, part in enumerate(places.parts if isinstance(places, Columns) else ()):
        data = known_rows(ctx, data, axis, Affine(part.offset, part.strides[:-1]), indices.shape[:-1])
    indices = keep_places_inside(ctx, indices, data.shape)
    return ctx.computed(data.elem, "gatherND", ctx.full(data), ctx.full(indices))


def _as_grid(ctx: Context, data: Tensor, columns: Columns, shape: tuple[Dim, ...]) -> Tensor | None:
    """Column k counts along one axis of its own, from the start of dimension k: the data itself, axes rearranged."""
    axes: list[int] = []
    cuts: dict[int, tuple[Dim, Dim, int]] = {}
    for k, part in enumerate(columns.parts):
        strides = zip(part.strides[:-1], shape, strict=True)
        varying = [axis for axis, (stride, dim) in enumerate(strides) if stride != 0 and dim != 1]
        if part.offset != 0 or len(varying) > 1:
            return None
        if not varying:
            # A dimension of size 1 is read at its only position, along no axis.
            if data.shape[k] != 1:
                return None
            continue
        axis = varying[0]
        if part.strides[axis] != 1 or axis in axes:
            return None
        if not ctx.same(shape[axis], data.shape[k]):
            # Sizes with names of their own, as batches that an exporter did not take for one: positions that the
            # data lacks fail at the run, as in ONNX.
            cuts[k] = (0, shape[axis], 1)
            if isinstance(rows := data.shape[k], int):
                limit_to(ctx, shape[axis], rows, f"{rows} rows are read at {shape[axis]} positions")
        axes.append(axis)
    data = slice_of(ctx, data, cuts) if cuts else data
    taken = [data.shape[k] for k, part in enumerate(columns.parts)]
    kept = [dim for dim in taken if dim != 1]
    if len(kept) != len(axes):
        return None
    rest = data.shape[len(columns.parts) :]
    core = reshape_to(ctx, data, (*kept, *rest))
    order = sorted(range(len(axes)), key=lambda position: axes[position])
    core = transposed(ctx, core, (*order, *range(len(axes), len(axes) + len(rest))))
    spread = [shape[axis] if axis in axes else 1 for axis in range(len(shape))]
    return expand_to(ctx, reshape_to(ctx, core, (*spread, *rest)), (*shape, *rest))


@onnx_op("OneHot", since=9)
def one_hot(ctx: Context, node: OnnxNode) -> Tensor:
    """One of two values, by whether the position is the index."""
    indices, depth, values = (node.input(index) for index in range(3))
    count = int(ctx.constant(depth, "depth").reshape(())[()]) if depth.elem.is_float else ctx.dims(depth, "depth")[0]
    axis = node.integer("axis", -1)
    axis = ctx.axis(axis, indices.rank + 1)
    known, pair = ctx.array(indices), ctx.items(values)
    if known is not None and pair is not None and isinstance(count, int) and known.size * count <= _FEW:
        # How often torch's older exporter repeats each axis: a dimension stays one.
        whole = np.expand_dims(np.where(known < 0, known + count, known), axis)
        hits = whole == np.arange(count).reshape(-1, *(1,) * (indices.rank - axis))
        return ctx.symbols(np.where(hits, pair[1], pair[0]), values.elem)
    off, on = (reshape_to(ctx, slice_of(ctx, values, {0: (k, 1, 1)}), ()) for k in range(2))
    if indices.elem is not Elem.INT64:
        indices = convert(ctx, indices, Elem.INT64)
    size = Formula(ctx, Elem.INT64).size(count)
    # Negative indices count from the end.
    negative = ctx.elementwise("lesser", indices, ctx.scalar(0, Elem.INT64), elem=Elem.BOOL)
    indices = ctx.elementwise("where", negative, ctx.elementwise("add", indices, size), indices, elem=Elem.INT64)
    wide = reshape_to(ctx, indices, (*indices.shape[:axis], 1, *indices.shape[axis:]))
    trailing = indices.rank - axis
    places = Tensor(Elem.INT64, (count,) + (1,) * trailing, Affine(0, (1,) + (0,) * trailing))
    hit = ctx.elementwise("equal", wide, places, elem=Elem.BOOL)
    return ctx.elementwise("where", hit, on, off, elem=values.elem)


@onnx_op("ReverseSequence", since=10)
def reverse_sequence(ctx: Context, node: OnnxNode) -> Tensor:
    """The first elements of each row in reverse order; how many, each row says for itself."""
    x, lengths = node.input(0), node.input(1)
    time, batch = node.integer("time_axis", 0), node.integer("batch_axis", 1)
    if x.rank < 2 or {time, batch} != {0, 1} or lengths.rank != 1:
        raise Refused(f"time axis {time} and batch axis {batch} of {x} with {lengths}; the model is not valid")
    ints = Formula(ctx, Elem.INT64)
    place = positions(x.shape[time], time, x.rank)
    shape = [lengths.shape[0] if axis == batch else 1 for axis in range(x.rank)]
    length = reshape_to(ctx, convert(ctx, lengths, Elem.INT64), shape)
    mirrored = ints("sub", ints("sub", length, 1), place)
    source = expand_to(ctx, ints("where", ints("lesser", place, length), mirrored, place), x.shape)
    return ctx.computed(x.elem, "gatherElements", ctx.full(x), ctx.full(source), axis=time)
