"""Pooling. WebNN has two spatial axes; further ones are pooled one after the other, which gives the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, dim_max, product
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, Term, positions
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.slicing import padded, slice_of
from webnn_translator.ops.windows import Span, demand_windows, rounded_up, settled, spans_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["averaged", "largest_of_windows", "pooled"]

# The indices of a MaxPool take two nodes for each element of its window.
_MOST_PLACES: Final = 256


@onnx_op("MaxPool")
def max_pool(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """The largest element of each window, and its place in the whole tensor."""
    x = node.input(0)
    by_column = node.flag("storage_order", 0)
    largest = largest_of_windows(ctx, node, x)
    return [largest, _max_indices(ctx, x, _spans(node, x), by_column=by_column) if node.wants(1) else None]


def _max_indices(ctx: Context, x: Tensor, spans: Sequence[Span], *, by_column: bool) -> Tensor:
    """The place of the first largest element, in row-major order, or with the spatial axes in the other order."""
    total = int(np.prod([span.kernel for span in spans]))
    if total > _MOST_PLACES:
        raise Refused(f"the indices of a window of {total} elements; at most {_MOST_PLACES}")
    sizes = x.shape[2:]
    counts = [span.count(size) for span, size in zip(spans, sizes, strict=True)]
    f, ints = Formula(ctx, x.elem), Formula(ctx, Elem.INT64)
    lowest = -np.inf if x.elem.is_float else x.elem.integer_range[0]
    # What rounding up adds is padding too, and a rest that no window reaches is not.
    pads: dict[int, tuple[Dim, Dim]] = {
        2 + k: (span.begin, dim_max((count - 1) * span.stride + span.reach - span.begin - size, 0, ctx.ranges))
        for k, (span, size, count) in enumerate(zip(spans, sizes, counts, strict=True))
    }
    data = padded(ctx, x, pads, lowest)
    best: Tensor | None = None
    where: Tensor | None = None
    weights = _weights(sizes, by_column=by_column)
    for place in np.ndindex(*(span.kernel for span in spans)):
        offsets = [k * span.dilation for k, span in zip(place, spans, strict=True)]
        cuts = {
            2 + k: (offset, count, span.stride)
            for k, (offset, count, span) in enumerate(zip(offsets, counts, spans, strict=True))
        }
        value = slice_of(ctx, data, dict(cuts))
        steps = [offset - span.begin for offset, span in zip(offsets, spans, strict=True)]
        at = ints.sum(0, *(_times(ints, weight, step) for weight, step in zip(weights, steps, strict=True)))
        if best is None or where is None:
            best, where = value, at
            continue
        better = f("greater", value, best)
        where = ints("where", better, at, where)
        best = f("where", better, value, best)
    assert where is not None
    base = _channel_offset(ctx, x, product(list(sizes)))
    for k, (weight, span) in enumerate(zip(weights, spans, strict=True)):
        steps_of = positions(counts[k], k + 2, x.rank)
        base = ints("add", base, ints("mul", steps_of, _times(ints, weight, span.stride)))
    return ctx.tensor(ctx.full(ints("add", where, base)), Elem.INT64)


def _times(ints: Formula, size: Dim, number: int) -> Term:
    return size * number if isinstance(size, int) else ints("mul", ints.size(size), number)


def _weights(sizes: Sequence[Dim], *, by_column: bool) -> list[Dim]:
    """What a step along each spatial axis adds to a flat index."""
    order = range(len(sizes)) if by_column else range(len(sizes) - 1, -1, -1)
    weights: list[Dim] = [0] * len(sizes)
    step: Dim = 1
    for axis in order:
        weights[axis] = step
        step = step * sizes[axis]
    return weights


def _channel_offset(ctx: Context, x: Tensor, area: Dim) -> Tensor:
    """Flat index of the first element of each channel."""
    ints = Formula(ctx, Elem.INT64)
    channel = ints("mul", positions(x.shape[1], 1, x.rank), ints.size(area))
    if x.shape[0] == 1:
        return channel
    row = ints("mul", ints("mul", positions(x.shape[0], 0, x.rank), ints.size(x.shape[1])), ints.size(area))
    return ints("add", row, channel)


@onnx_op("AveragePool", since=7)
def average_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """The mean of each window, over the elements that exist, or over those and the padding."""
    return averaged(ctx, node, node.input(0))


def averaged(ctx: Context, node: OnnxNode, x: Tensor) -> Tensor:
    """AveragePool with the attributes of a node that may be of another kind."""
    x, spans, is_padded = _settled(ctx, node, x)
    if is_padded:
        if node.flag("count_include_pad", 0):
            # Some axes have their padding as data already, the others get theirs.
            x = padded(ctx, x, {2 + k: (span.begin, span.end) for k, span in enumerate(spans)})
            return pooled(ctx, "averagePool2d", x, [replace(span, begin=0, end=0) for span in spans])
        total = pooled(ctx, "averagePool2d", x, spans)
        # Divided by the share of each window that is no padding.
        ones = ctx.known(np.ones((), x.elem.numpy), x.elem, (1, 1, *node.input(0).shape[2:]))
        share = pooled(ctx, "averagePool2d", _settled(ctx, node, ones)[0], spans)
        return ctx.elementwise("div", total, share)
    if node.flag("count_include_pad", 0):
        given = spans_of(node, x.shape[2:], node.integers("kernel_shape"))
        # Padding counts: zeros become data. What rounding up adds behind them does not count.
        x = padded(ctx, x, {2 + k: (span.begin, span.end) for k, span in enumerate(given)})
        spans = [replace(span, begin=0, end=max(0, span.end - old.end)) for span, old in zip(spans, given, strict=True)]
    return pooled(ctx, "averagePool2d", x, spans)


def largest_of_windows(ctx: Context, node: OnnxNode, x: Tensor) -> Tensor:
    """MaxPool with the attributes of a node that may be of another kind."""
    lowest = -np.inf if x.elem.is_float else x.elem.integer_range[0]
    x, spans, _ = _settled(ctx, node, x, lowest)
    return pooled(ctx, "maxPool2d", x, spans)


@onnx_op("LpPool", since=2)
def lp_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """The p-norm of each window; padding adds nothing."""
    x, p = node.input(0), node.integer("p", 2)
    x, spans, _ = _settled(ctx, node, x)
    if p == 2:
        return pooled(ctx, "l2Pool2d", x, spans)
    f = Formula(ctx, x.elem)
    x = padded(ctx, _powered(f, x, p), {2 + k: (span.begin, span.end) for k, span in enumerate(spans)})
    bare = [replace(span, begin=0, end=0) for span in spans]
    mean = pooled(ctx, "averagePool2d", x, bare)
    total = f("mul", mean, int(np.prod([span.kernel for span in spans])))
    return total if p == 1 else f("pow", total, 1 / p)


def _powered(f: Formula, x: Tensor, p: int) -> Tensor:
    if p < 1:
        raise Refused(f"p is {p}; 1 or more is valid")
    size = f("abs", x)
    return size if p == 1 else f("pow", size, p)


def _spans(node: OnnxNode, x: Tensor) -> Sequence[Span]:
    """Windows over an image whose padding does not depend on it."""
    return _rounded(node, x, spans_of(node, _spatial(x), node.integers("kernel_shape")))


def _settled(ctx: Context, node: OnnxNode, x: Tensor, value: float = 0) -> tuple[Tensor, Sequence[Span], bool]:
    """Windows over an image, which holds the padding where that depends on it, and whether it does."""
    _spatial(x)
    image, spans, is_padded = settled(ctx, node, x, node.integers("kernel_shape"), value)
    if is_padded:
        node.ignore("ceil_mode")  # automatic padding leaves nothing to round up
        return image, spans, True
    rounded = _rounded(node, x, spans)
    demand_windows(ctx, x.shape[2:], rounded)
    return image, rounded, False


def _spatial(x: Tensor) -> tuple[Dim, ...]:
    if x.rank < 3:
        raise Refused(f"the input is {x}; it has no spatial axes")
    return x.shape[2:]


def _rounded(node: OnnxNode, x: Tensor, spans: Sequence[Span]) -> Sequence[Span]:
    if not node.flag("ceil_mode", 0):
        return spans
    return [rounded_up(span, size) for span, size in zip(spans, x.shape[2:], strict=True)]


def pooled(ctx: Context, op: str, x: Tensor, spans: Sequence[Span]) -> Tensor:
    """WebNN's pooling over the spatial axes of [batch, channels, ...], the last two at once."""
    axis = x.rank - 2
    if len(spans) == 1:
        image = reshape_to(ctx, x, (*x.shape[:2], 1, x.shape[2]))
        made = _pooled(ctx, op, image, Span(1), spans[0])
        return reshape_to(ctx, made, (*x.shape[:2], made.shape[3]))
    image = reshape_to(ctx, x, (x.shape[0], product(list(x.shape[1:axis])), *x.shape[axis:]))
    made = _pooled(ctx, op, image, spans[-2], spans[-1])
    shape: list[Dim] = [*x.shape[:axis], *made.shape[2:]]
    for k in range(len(spans) - 3, -1, -1):
        axis = k + 2
        image = reshape_to(ctx, made, (shape[0], product(shape[1:axis]), shape[axis], product(shape[axis + 1 :])))
        made = _pooled(ctx, op, image, spans[k], Span(1))
        shape[axis] = made.shape[2]
    return reshape_to(ctx, made, shape)


def _pooled(ctx: Context, op: str, image: Tensor, high: Span, wide: Span) -> Tensor:
    made = ctx.emit.op(
        op,
        ctx.full(image),
        windowDimensions=(high.kernel, wide.kernel),
        padding=(high.begin, high.end, wide.begin, wide.end),
        strides=(high.stride, wide.stride),
        dilations=(high.dilation, wide.dilation),
        layout="nchw",
        outputShapeRounding="floor",
    )
    return ctx.tensor(made, image.elem)


_GLOBAL: Final = {"GlobalAveragePool": "reduceMean", "GlobalMaxPool": "reduceMax"}


@onnx_op(*_GLOBAL)
def global_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """One window over all spatial axes."""
    x = node.input(0)
    axes = tuple(range(2, x.rank))
    return ctx.computed(x.elem, _GLOBAL[node.op_type], ctx.full(x), axes=axes, keepDimensions=True)


@onnx_op("GlobalLpPool", since=2)
def global_lp_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """The p-norm over all spatial axes."""
    x, p = node.input(0), node.integer("p", 2)
    axes = tuple(range(2, x.rank))
    f = Formula(ctx, x.elem)
    if p in (1, 2):
        return f.reduce(f"reduceL{p}", x, axes, keep=True)
    return f("pow", f.reduce("reduceSum", _powered(f, x, p), axes, keep=True), 1 / p)


@onnx_op("MaxUnpool", since=9)
def max_unpool(ctx: Context, node: OnnxNode) -> Tensor:
    """Elements put back where the indices of a MaxPool say, with zeros around them."""
    x, indices, wanted = node.input(0), node.input(1), node.optional(2)
    spans = spans_of(node, x.shape[2:], node.integers("kernel_shape"))
    shape: list[Dim] = list(x.shape[:2])
    for dim, span in zip(x.shape[2:], spans, strict=True):
        shape.append((dim - 1) * span.stride + (span.kernel - span.begin - span.end))
    if wanted is not None:
        sizes = ctx.dims(wanted, "output_shape")
        if len(sizes) != len(shape) or any(not ctx.same(a, b) for a, b in zip(sizes, shape, strict=True)):
            raise Refused(
                f"output_shape [{', '.join(map(str, sizes))}] is not the [{', '.join(map(str, shape))}] of its window;"
                " ONNX and ONNX Runtime count the indices in different shapes then"
            )
    ground = ctx.emit.expand(ctx.value(ctx.scalar(0, x.elem)), (product(shape),))
    flat = [ctx.full(reshape_to(ctx, part, (product(list(part.shape)),))) for part in (indices, x)]
    return reshape_to(ctx, ctx.computed(x.elem, "scatterElements", ground, *flat, axis=0), shape)
