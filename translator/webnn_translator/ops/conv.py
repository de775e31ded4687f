"""Convolutions."""

from __future__ import annotations

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.windows import Window, as_image, from_image, window_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["convolution", "convolved", "kernel_of"]


@onnx_op("Conv")
def conv(ctx: Context, node: OnnxNode) -> Tensor:
    """One or two spatial axes."""
    x, weights, bias = node.input(0), node.input(1), node.optional(2)
    return convolution(ctx, node, x, weights, bias)


def convolution(ctx: Context, node: OnnxNode, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Conv with the attributes of a node that may be of another kind."""
    image, filters = as_image(ctx, x), as_image(ctx, weights)
    window = window_of(node, image, kernel_of(ctx, node, weights), x.rank - 2)
    return from_image(ctx, convolved(ctx, image, filters, bias, window, node.integer("group", 1)), x.rank)


def convolved(ctx: Context, image: Tensor, filters: Tensor, bias: Tensor | None, window: Window, groups: int) -> Tensor:
    """One conv2d of images [batch, channels, height, width]."""
    made = ctx.emit.op(
        "conv2d",
        ctx.full(image),
        ctx.full(filters),
        None if bias is None else ctx.full(bias),
        padding=window.padding,
        strides=window.strides,
        dilations=window.dilations,
        groups=groups,
        inputLayout="nchw",
        filterLayout="oihw",
    )
    return ctx.tensor(made, image.elem)


@onnx_op("ConvTranspose")
def conv_transpose(ctx: Context, node: OnnxNode) -> Tensor:
    """One or two spatial axes; the size of the result follows from the padding, not the other way round."""
    x, weights, bias = node.input(0), node.input(1), node.optional(2)
    if node.has("output_shape"):
        raise Refused("output_shape is not supported; give pads and output_padding")
    if node.text("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Refused("automatic padding is not supported for a transposed convolution; give pads")
    image, filters = as_image(ctx, x), as_image(ctx, weights)
    spatial = x.rank - 2
    window = window_of(node, image, kernel_of(ctx, node, weights), spatial)
    extra = (0,) * (2 - spatial) + node.integers("output_padding", (0,) * spatial)
    if any(pad >= step for pad, step in zip(extra, window.strides, strict=True)):
        raise Refused(f"output_padding {list(extra)} is not below the strides {list(window.strides)}")
    made = ctx.emit.op(
        "convTranspose2d",
        ctx.full(image),
        ctx.full(filters),
        None if bias is None else ctx.full(bias),
        padding=window.padding,
        strides=window.strides,
        dilations=window.dilations,
        outputPadding=extra,
        groups=node.integer("group", 1),
        inputLayout="nchw",
        filterLayout="iohw",
    )
    return from_image(ctx, ctx.tensor(made, x.elem), x.rank)


def kernel_of(ctx: Context, node: OnnxNode, weights: Tensor) -> tuple[int, ...]:
    """Spatial sizes of a filter."""
    sizes = tuple(ctx.size(dim, "a dimension of the filter") for dim in weights.shape[2:])
    if node.integers("kernel_shape", sizes) != sizes:
        raise Refused(f"kernel_shape differs from the weights' {list(sizes)}; the model is not valid")
    return sizes
