"""Convolutions. WebNN has two spatial axes; further ones are taken apart into channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.slicing import padded, slice_of
from webnn_translator.ops.windows import Span, demand_windows, settled, spans_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["convolution", "convolved", "kernel_of"]

# Each element of a third axis of the filter is a slice of the data.
_MOST_SLICES: Final = 256


@onnx_op("Conv")
def conv(ctx: Context, node: OnnxNode) -> Tensor:
    """Any number of spatial axes from one on."""
    return convolution(ctx, node, node.input(0), node.input(1), node.optional(2))


def convolution(ctx: Context, node: OnnxNode, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Conv with the attributes of a node that may be of another kind."""
    x, spans, _ = settled(ctx, node, x, kernel_of(ctx, node, x, weights))
    demand_windows(ctx, x.shape[2:], spans)
    return convolved(ctx, x, weights, bias, spans, node.integer("group", 1))


def convolved(
    ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None, spans: Sequence[Span], groups: int
) -> Tensor:
    """Conv of [batch, channels, ...] and [filters, channels / groups, ...], one span per spatial axis."""
    if len(spans) > 2:
        return _conv_deep(ctx, x, weights, bias, spans, groups)
    image, filters, (high, wide) = _as_images(ctx, x, weights, spans)
    made = ctx.emit.op(
        "conv2d",
        ctx.full(image),
        ctx.full(filters),
        None if bias is None else ctx.full(bias),
        padding=(high.begin, high.end, wide.begin, wide.end),
        strides=(high.stride, wide.stride),
        dilations=(high.dilation, wide.dilation),
        groups=groups,
        inputLayout="nchw",
        filterLayout="oihw",
    )
    return _from_image(ctx, ctx.tensor(made, x.elem), x.rank)


def _conv_deep(
    ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None, spans: Sequence[Span], groups: int
) -> Tensor:
    """The first spatial axis of the data becomes a batch, and that of the filter becomes channels."""
    first, rest = spans[0], spans[1:]
    data = padded(ctx, x, {2: (first.begin, first.end)})
    count = first.count(x.shape[2])
    slices = _slices(ctx, data, first, count)
    # [batch, channels, depth, ...] -> [batch * depth, channels * kernel, ...]: channels stay together for groups.
    stacked = _stacked(ctx, slices)
    inner = convolved(ctx, stacked, _merged(ctx, weights, 1), bias, rest, groups)
    whole = reshape_to(ctx, inner, (x.shape[0], count, *inner.shape[1:]))
    return transposed(ctx, whole, (0, 2, 1, *range(3, whole.rank)))


def _slices(ctx: Context, data: Tensor, span: Span, count: Dim) -> list[Tensor]:
    if span.kernel > _MOST_SLICES:
        raise Refused(f"a third spatial axis of the filter has {span.kernel} elements; at most {_MOST_SLICES}")
    return [slice_of(ctx, data, {2: (k * span.dilation, count, span.stride)}) for k in range(span.kernel)]


def _stacked(ctx: Context, slices: Sequence[Tensor]) -> Tensor:
    """[batch, channels, depth, ...], as many as the filter is deep -> [batch * depth, channels * slices, ...]."""
    parts = []
    for part in slices:
        turned = transposed(ctx, part, (0, 2, 1, *range(3, part.rank)))
        parts.append(reshape_to(ctx, turned, (*turned.shape[:3], 1, *turned.shape[3:])))
    whole = ctx.tensor(ctx.emit.concat([ctx.full(part) for part in parts], 3), slices[0].elem)
    batch, depth, channels, kernel, *rest = whole.shape
    return reshape_to(ctx, whole, (batch * depth, channels * kernel, *rest))


def _merged(ctx: Context, x: Tensor, axis: int) -> Tensor:
    """An axis and the next one as one."""
    shape = x.shape
    return reshape_to(ctx, x, (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :]))


@onnx_op("ConvTranspose")
def conv_transpose(ctx: Context, node: OnnxNode) -> Tensor:
    """Any number of spatial axes; padding is given, or follows from the size that the result shall have."""
    x, weights, bias = node.input(0), node.input(1), node.optional(2)
    spatial = x.rank - 2
    kernel = kernel_of(ctx, node, x, weights)
    mode = node.choice("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    extra = node.integers("output_padding", (0,) * spatial)
    strides = node.integers("strides", (1,) * spatial)
    if not node.has("output_shape") and mode in ("NOTSET", "VALID"):
        spans = spans_of(node, x.shape[2:], kernel)
    else:
        node.ignore("pads")
        dilations = node.integers("dilations", (1,) * spatial)
        spans = tuple(Span(*column) for column in zip(kernel, strides, dilations, strict=True))
        spans, extra = _fitted(ctx, node, x, spans, extra, mode)
    if len(extra) != spatial or any(pad >= span.stride for pad, span in zip(extra, spans, strict=True)):
        raise Refused(f"output_padding {list(extra)} is not below the strides {list(strides)}")
    return _conv_transpose(ctx, x, weights, bias, spans, extra, node.integer("group", 1))


def _fitted(
    ctx: Context, node: OnnxNode, x: Tensor, spans: Sequence[Span], extra: Sequence[int], mode: str
) -> tuple[tuple[Span, ...], tuple[int, ...]]:
    """Padding for a wanted size, which is `output_shape` or else that of the data times the strides."""
    wanted = node.integers("output_shape", ())
    if wanted and len(wanted) != len(spans):
        wanted = wanted[len(wanted) - len(spans) :]
    fitted, extras = [], []
    for axis, (span, more) in enumerate(zip(spans, extra, strict=True)):
        if wanted:
            size = ctx.size(x.shape[2 + axis], "a spatial dimension with output_shape")
            total = span.stride * (size - 1) + more + span.reach - wanted[axis]
        else:
            total = more + span.reach - span.stride
            if total < 0:
                # ONNX counts zeros behind it in, ONNX Runtime leaves them out.
                raise Refused(f"auto_pad {mode} with a stride above the filter's {span.reach} is read in two ways")
        # What is short is made up for behind.
        extras.append(more + max(0, -total))
        total = max(0, total)
        begin = total // 2 if mode == "SAME_UPPER" else total - total // 2
        fitted.append(replace(span, begin=begin, end=total - begin))
    return tuple(fitted), tuple(extras)


def _conv_transpose(
    ctx: Context,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    spans: Sequence[Span],
    extra: Sequence[int],
    groups: int,
) -> Tensor:
    if len(spans) > 2:
        return _conv_transpose_deep(ctx, x, weights, bias, spans, extra, groups)
    image, filters, (high, wide) = _as_images(ctx, x, weights, spans)
    made = ctx.emit.op(
        "convTranspose2d",
        ctx.full(image),
        ctx.full(filters),
        None if bias is None else ctx.full(bias),
        padding=(high.begin, high.end, wide.begin, wide.end),
        strides=(high.stride, wide.stride),
        dilations=(high.dilation, wide.dilation),
        outputPadding=(0,) * (2 - len(extra)) + tuple(extra),
        groups=groups,
        inputLayout="nchw",
        filterLayout="iohw",
    )
    return _from_image(ctx, ctx.tensor(made, x.elem), x.rank)


def _conv_transpose_deep(
    ctx: Context,
    x: Tensor,
    weights: Tensor,
    bias: Tensor | None,
    spans: Sequence[Span],
    extra: Sequence[int],
    groups: int,
) -> Tensor:
    """Along the first spatial axis a plain convolution of data that zeros are put between, with the filter turned."""
    first = spans[0]
    size = x.shape[2]
    wide = reshape_to(ctx, x, (*x.shape[:3], 1, *x.shape[3:]))
    spread = _merged(ctx, padded(ctx, wide, {3: (0, first.stride - 1)}), 2)
    spread = slice_of(ctx, spread, {2: (0, (size - 1) * first.stride + 1, 1)})
    begin, end = first.reach - 1 - first.begin, first.reach - 1 - first.end + extra[0]
    data = padded(ctx, spread, {2: (max(0, begin), max(0, end))})
    count = (size - 1) * first.stride + (first.reach + extra[0] - first.begin - first.end)
    # More padding than the filter reaches cuts the data itself.
    cut = max(0, -begin)
    slices = [
        slice_of(ctx, data, {2: (cut + (first.kernel - 1 - k) * first.dilation, count, 1)}) for k in range(first.kernel)
    ]
    if first.kernel > _MOST_SLICES:
        raise Refused(f"a third spatial axis of the filter has {first.kernel} elements; at most {_MOST_SLICES}")
    # [in, out, kernel, ...] -> [in * kernel, out, ...]
    filters = _merged(ctx, transposed(ctx, weights, (0, 2, 1, *range(3, weights.rank))), 0)
    inner = _conv_transpose(ctx, _stacked(ctx, slices), filters, bias, spans[1:], extra[1:], groups)
    whole = reshape_to(ctx, inner, (x.shape[0], count, *inner.shape[1:]))
    return transposed(ctx, whole, (0, 2, 1, *range(3, whole.rank)))


def _as_images(
    ctx: Context, x: Tensor, weights: Tensor, spans: Sequence[Span]
) -> tuple[Tensor, Tensor, tuple[Span, Span]]:
    """[batch, channels, width] as [batch, channels, 1, width]."""
    if len(spans) == 2:
        return x, weights, (spans[0], spans[1])
    images = [reshape_to(ctx, part, (*part.shape[:2], 1, part.shape[2])) for part in (x, weights)]
    return images[0], images[1], (Span(1), spans[0])


def _from_image(ctx: Context, y: Tensor, rank: int) -> Tensor:
    return y if rank == 4 else reshape_to(ctx, y, (y.shape[0], y.shape[1], y.shape[3]))


def kernel_of(ctx: Context, node: OnnxNode, x: Tensor, weights: Tensor) -> tuple[int, ...]:
    """Spatial sizes of the filter.

    Raises:
        Refused: they are not known, or `kernel_shape` differs.
    """
    if x.rank < 3 or weights.rank != x.rank:
        raise Refused(f"the input is {x} and the filter {weights}; the model is not valid")
    sizes = tuple(ctx.size(dim, "a dimension of the filter") for dim in weights.shape[2:])
    if node.integers("kernel_shape", sizes) != sizes:
        raise Refused(f"kernel_shape differs from the weights' {list(sizes)}; the model is not valid")
    return sizes
