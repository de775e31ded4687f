"""Reading images between their pixels, at places computed at run time: gathered neighbours, weighed and summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product as combinations

from webnn_runtime.format.dims import Dim, is_at_least, is_equal, product
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.conv import convolved, kernel_of
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import held_to, reshape_to, transposed
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.ops.windows import Span, spans_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class _Tap:
    """One neighbour along one axis.

    Attributes:
        place: index as a float that is an integer, within the axis.
        weight: its share; None for all of it.
        inside: whether there is such an element; None where there always is.
    """

    place: Tensor
    weight: Tensor | None = None
    inside: Tensor | None = None


def _table(ctx: Context, x: Tensor) -> Tensor:
    """[batch, channels, ...] as one row of channels per pixel."""
    turned = transposed(ctx, x, (0, *range(2, x.rank), 1))
    return reshape_to(ctx, turned, (product(list(turned.shape[:-1])), turned.shape[-1]))


def _corners(
    ctx: Context, table: Tensor, base: Tensor, sizes: Sequence[Dim], taps: Sequence[Sequence[_Tap]]
) -> list[Tensor]:
    """For every choice of one tap per axis the weighed pixels, [..., channels]."""
    ints, f = Formula(ctx, Elem.INT64), Formula(ctx, table.elem)
    found = []
    for choice in combinations(*taps):
        index = base
        for axis, tap in enumerate(choice):
            step = convert(ctx, tap.place, Elem.INT64)
            rest = product(list(sizes[axis + 1 :]))
            index = ints("add", index, step if rest == 1 else ints("mul", step, ints.size(rest)))
        value = ctx.computed(table.elem, "gather", ctx.full(table), ctx.full(index), axis=0)
        insides = [tap.inside for tap in choice if tap.inside is not None]
        if insides:
            inside = _last(ctx, reduce(lambda a, b: f("logicalAnd", a, b), insides))
            value = f("where", inside, value, ctx.scalar(0, table.elem))
        for tap in choice:
            if tap.weight is not None:
                value = f("mul", value, _last(ctx, tap.weight))
        found.append(value)
    return found


def _last(ctx: Context, x: Tensor) -> Tensor:
    """A factor for all channels: an axis of size 1 behind."""
    return reshape_to(ctx, x, (*x.shape, 1))


def _between(f: Formula, at: Tensor, size: Tensor) -> list[_Tap]:
    """Two neighbours of a position, weighed linearly; beyond the data there is nothing."""
    low = f("floor", at)
    share = f("sub", at, low)
    return [
        _held(f, low, size, f("sub", 1, share)),
        _held(f, f("add", low, 1), size, share),
    ]


def _held(f: Formula, place: Tensor, size: Tensor, weight: Tensor | None) -> _Tap:
    top = f("sub", size, 1)
    inside = f("logicalAnd", f("greaterOrEqual", place, 0), f("lesserOrEqual", place, top))
    return _Tap(f.clamp(place, 0, top), weight, inside)


@onnx_op("GridSample", domain="com.microsoft", attributes=("mode", "padding_mode", "align_corners"))
@onnx_op("GridSample", since=16)
def grid_sample(ctx: Context, node: OnnxNode) -> Tensor:
    """The image at the places of a grid, whose coordinates go from -1 to 1 and begin with the last axis."""
    x, grid = node.input(0), node.input(1)
    mode = node.choice("mode", "linear", "linear", "bilinear", "nearest", "cubic", "bicubic").removeprefix("bi")
    padding = node.choice("padding_mode", "zeros", "zeros", "border", "reflection")
    is_aligned = node.flag("align_corners", 0)
    spatial = x.rank - 2
    ranks_fit = spatial >= 1 and grid.rank == x.rank and grid.shape[-1] == spatial
    if not ranks_fit or is_equal(grid.shape[0], x.shape[0], ctx.ranges) is False:
        raise Refused(f"the input is {x} and the grid {grid}; the model is not valid")
    # As many grids as images, which the run decides where the two batches have names of their own.
    grid = held_to(ctx, grid, (x.shape[0], *grid.shape[1:]))
    if spatial > 3 or (mode == "cubic" and spatial > 2):
        raise Refused(f"mode {mode} over {spatial} axes; up to 3 are supported, and 2 for a cubic")
    f = Formula(ctx, Elem.FLOAT)
    places = convert(ctx, grid, Elem.FLOAT)
    taps = []
    for axis in range(spatial):
        part = slice_of(ctx, places, {grid.rank - 1: (spatial - 1 - axis, 1, 1)})
        at = reshape_to(ctx, part, grid.shape[:-1])
        taps.append(_grid_taps(f, at, x.shape[2 + axis], mode, padding, is_aligned=is_aligned))
    source = x if mode == "nearest" else convert(ctx, x, Elem.FLOAT)
    sizes = x.shape[2:]
    ints = Formula(ctx, Elem.INT64)
    base = ints("mul", positions(x.shape[0], 0, grid.rank - 1), ints.size(product(list(sizes))))
    total = f.sum(*_corners(ctx, _table(ctx, source), base, sizes, taps))
    return convert(ctx, transposed(ctx, total, (0, total.rank - 1, *range(1, total.rank - 1))), x.elem)


def _grid_taps(f: Formula, at: Tensor, dim: Dim, mode: str, padding: str, *, is_aligned: bool) -> list[_Tap]:
    size = f.size(dim)
    top = f("sub", size, 1)
    if is_aligned:
        at = f("mul", f("mul", f("add", at, 1), 0.5), top)
        low, high = f.ctx.scalar(0, Elem.FLOAT), top
    else:
        at = f("mul", f("sub", f("mul", f("add", at, 1), size), 1), 0.5)
        low, high = f.ctx.scalar(-0.5, Elem.FLOAT), f("sub", size, 0.5)
    if mode == "nearest":
        at = f("roundEven", at)
    # A cubic moves its neighbours only, as PyTorch and ONNX Runtime do.
    if padding != "zeros" and mode != "cubic":
        beyond = f("logicalOr", f("lesser", at, low), f("greater", at, high))
        moved = f.clamp(at, 0, top) if padding == "border" else _reflected(f, at, low, high)
        at = f("where", beyond, moved, at)

    def tap(place: Tensor, weight: Tensor | None) -> _Tap:
        if padding == "zeros":
            return _held(f, place, size, weight)
        if padding == "reflection":
            place = _reflected(f, place, low, high)
        return _Tap(f.clamp(place, 0, top), weight)

    if mode == "nearest":
        return [tap(at, None)]
    first = f("floor", at)
    share = f("sub", at, first)
    if mode == "linear":
        return [tap(first, f("sub", 1, share)), tap(f("add", first, 1), share)]
    return [
        tap(f("add", first, offset), _cubic(f, f("abs", f("sub", share, offset)), is_near=offset in (0, 1)))
        for offset in (-1, 0, 1, 2)
    ]


def _cubic(f: Formula, distance: Tensor, *, is_near: bool) -> Tensor:
    """Keys' curve with a = -0.75, within and beyond a distance of 1."""
    a = -0.75
    return f.polynomial(distance, (a + 2, -(a + 3), 0.0, 1.0) if is_near else (a, -5 * a, 8 * a, -4 * a))


def _reflected(f: Formula, at: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """To and fro between two borders; 0 where they are the same."""
    span = f("mul", f("sub", high, low), 2)
    safe = f("max", span, 1)
    way = f("sub", at, low)
    way = f("sub", way, f("mul", f("floor", f("div", way, safe)), safe))
    return f("add", low, f("min", way, f("sub", span, way)))


@onnx_op("RoiAlign", since=10)
def roi_align_before_16(ctx: Context, node: OnnxNode) -> Tensor:
    """Regions begin at the corner of a pixel, and have at least the size of one."""
    return _roi_align(ctx, node, "output_half_pixel")


@onnx_op("RoiAlign", since=16)
def roi_align(ctx: Context, node: OnnxNode) -> Tensor:
    """Regions are measured from the centres of pixels, unless the earlier way is asked for."""
    allowed = ("half_pixel", "output_half_pixel")
    return _roi_align(ctx, node, node.choice("coordinate_transformation_mode", "half_pixel", *allowed))


def _roi_align(ctx: Context, node: OnnxNode, coordinates: str) -> Tensor:
    """[regions, channels, height, width]: mean or largest of several samples per element."""
    x, regions, batches = (node.input(index) for index in range(3))
    mode = node.choice("mode", "avg", "avg", "max")
    wanted = [node.integer("output_height", 1), node.integer("output_width", 1)]
    samples = node.integer("sampling_ratio", 0)
    scale = node.number("spatial_scale", 1.0)
    if samples < 1:
        raise Refused(
            "sampling_ratio is 0: the number of samples would depend on the regions, which run-time data give"
        )
    f, ints = Formula(ctx, Elem.FLOAT), Formula(ctx, Elem.INT64)
    is_centred = coordinates == "half_pixel"
    count = regions.shape[0]
    scaled = f("mul", convert(ctx, regions, Elem.FLOAT), scale)
    if is_centred:
        scaled = f("sub", scaled, 0.5)
    taps = []
    for axis in (0, 1):
        # [regions, 4] holds x1, y1, x2, y2; the first spatial axis is y.
        begin, end = (
            reshape_to(ctx, slice_of(ctx, scaled, {1: (column, 1, 1)}), (count, 1, 1))
            for column in (1 - axis, 3 - axis)
        )
        length = f("sub", end, begin)
        if not is_centred:
            length = f("max", length, 1)
        step = f("div", length, wanted[axis])
        places = positions(wanted[axis] * samples, 1 + axis, 3)
        # Sample s of element p lies at p + (s + 0.5) / samples elements.
        at = f("add", begin, f("mul", f("div", f("add", convert(ctx, places, Elem.FLOAT), 0.5), samples), step))
        taps.append(_roi_taps(f, at, f.size(x.shape[2 + axis])))
    area = ints.size(product(list(x.shape[2:])))
    base = ints("mul", reshape_to(ctx, convert(ctx, batches, Elem.INT64), (count, 1, 1)), area)
    corners = _corners(ctx, _table(ctx, convert(ctx, x, Elem.FLOAT)), base, x.shape[2:], taps)
    whole = f.sum(*corners) if mode == "avg" else reduce(lambda a, b: f("max", a, b), corners)
    apart = reshape_to(ctx, whole, (count, wanted[0], samples, wanted[1], samples, x.shape[1]))
    made = f.reduce("reduceMean" if mode == "avg" else "reduceMax", apart, (2, 4))
    return convert(ctx, transposed(ctx, made, (0, 3, 1, 2)), x.elem)


def _roi_taps(f: Formula, at: Tensor, size: Tensor) -> list[_Tap]:
    """Two neighbours; up to a pixel beyond the data the outermost one counts, and further away nothing."""
    top = f("sub", size, 1)
    inside = f("logicalAnd", f("greaterOrEqual", at, -1), f("lesserOrEqual", at, size))
    at = f.clamp(at, 0, top)
    low = f("floor", at)
    share = f("sub", at, low)
    return [
        _Tap(low, f("sub", 1, share), inside),
        _Tap(f("min", f("add", low, 1), top), share, inside),
    ]


@onnx_op("DeformConv", since=19)
def deform_conv(ctx: Context, node: OnnxNode) -> Tensor:
    """A convolution each of whose elements reads the image at a place of its own, moved by an offset."""
    x, weights, offset, bias, mask = node.input(0), node.input(1), node.input(2), node.optional(3), node.optional(4)
    if x.rank != 4:
        raise Refused(f"the input is {x}; two spatial axes are supported")
    kernel = kernel_of(ctx, node, x, weights)
    spans = spans_of(node, x.shape[2:], kernel)
    groups, shares = node.integer("group", 1), node.integer("offset_group", 1)
    channels = ctx.size(x.shape[1], "the number of channels")
    if channels % shares or offset.rank != 4:
        raise Refused(f"{channels} channels, {shares} offset groups and offsets {offset}; the model is not valid")
    batch, sizes = x.shape[0], offset.shape[2:]
    for axis in (0, 1):
        if not ctx.same(spans[axis].count(x.shape[2 + axis]), sizes[axis]):
            raise Refused(f"offsets {offset} do not fit the windows over {x}; the model is not valid")
    f, ints = Formula(ctx, Elem.FLOAT), Formula(ctx, Elem.INT64)
    # One image per batch and offset group: [images, kernel height, kernel width, height, width].
    images = batch * shares
    moves = reshape_to(ctx, convert(ctx, offset, Elem.FLOAT), (images, *kernel, 2, *sizes))
    taps = []
    for axis in (0, 1):
        move = reshape_to(ctx, slice_of(ctx, moves, {3: (axis, 1, 1)}), (images, *kernel, *sizes))
        taps.append(
            _between(f, f("add", move, _unmoved(ctx, f, spans[axis], axis, sizes[axis])), f.size(x.shape[2 + axis]))
        )
    pixels = reshape_to(ctx, convert(ctx, x, Elem.FLOAT), (images, channels // shares, *x.shape[2:]))
    base = ints("mul", positions(images, 0, 5), ints.size(product(list(x.shape[2:]))))
    read = f.sum(*_corners(ctx, _table(ctx, pixels), base, x.shape[2:], taps))
    if mask is not None:
        read = f("mul", read, reshape_to(ctx, convert(ctx, mask, Elem.FLOAT), (images, *kernel, *sizes, 1)))
    # Every element of the window becomes a channel of a convolution of single pixels.
    columns = reshape_to(
        ctx, transposed(ctx, read, (0, 5, 1, 2, 3, 4)), (batch, channels * kernel[0] * kernel[1], *sizes)
    )
    filters = reshape_to(ctx, weights, (weights.shape[0], weights.shape[1] * kernel[0] * kernel[1], 1, 1))
    return convolved(ctx, convert(ctx, columns, x.elem), filters, bias, (Span(1), Span(1)), groups)


def _unmoved(ctx: Context, f: Formula, span: Span, axis: int, size: Dim) -> Tensor:
    """Where each element of each window lies without its offset."""
    within = f("mul", convert(ctx, positions(span.kernel, 1 + axis, 5), Elem.FLOAT), span.dilation)
    windows = f("mul", convert(ctx, positions(size, 3 + axis, 5), Elem.FLOAT), span.stride)
    if is_at_least(1 << 24, size, ctx.ranges) is not True:
        raise Refused(f"positions up to {size} are more than float32 counts")
    return f("sub", f("add", within, windows), span.begin)
