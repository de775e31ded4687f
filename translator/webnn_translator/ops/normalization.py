"""Normalisations."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.dims import Dim, product
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.initializers import elem_of
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import expand_to, reshape_to
from webnn_translator.ops.pool import pooled
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import padded
from webnn_translator.ops.windows import Span
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["group_norm", "layer_norm", "rms_norm"]


@onnx_op("LayerNormalization", since=1, attributes=("axis", "epsilon", "stash_type"))
@onnx_op("LayerNormalization", since=17)
def layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Over all axes from `axis` to the last; ONNX Runtime's optimiser writes it into older operator sets too."""
    x = node.input(0)
    # The precision inside, which WebNN leaves to the implementation; mean and deviation are given out in it.
    stash = elem_of(node.integer("stash_type", 1), "stash_type")
    if not stash.is_float:
        raise Refused(f"stash_type is {stash.text}, which is no float type; the model is not valid")
    axis = ctx.axis(node.integer("axis", -1), x.rank)
    epsilon = node.number("epsilon", 1e-5)
    results: list[Tensor | None] = [layer_norm(ctx, x, node.input(1), node.optional(2), axis, epsilon)]
    if node.wants(1) or node.wants(2):
        axes = tuple(range(axis, x.rank))
        x = convert(ctx, x, stash)
        mean = ctx.computed(x.elem, "reduceMean", ctx.full(x), axes=axes, keepDimensions=True)
        centred = ctx.elementwise("sub", x, mean)
        square = ctx.elementwise("mul", centred, centred)
        variance = ctx.computed(x.elem, "reduceMean", ctx.full(square), axes=axes, keepDimensions=True)
        padded = ctx.elementwise("add", variance, ctx.scalar(epsilon, x.elem))
        results += [mean, ctx.elementwise("reciprocal", ctx.elementwise("sqrt", padded))]
    return results


def layer_norm(ctx: Context, x: Tensor, scale: Tensor | None, bias: Tensor | None, axis: int, epsilon: float) -> Tensor:
    """WebNN's layerNormalization over axis..rank-1; scale and bias are stretched to those dimensions."""
    axes, wide = tuple(range(axis, x.rank)), _wide_enough(ctx, x, epsilon)
    parts = [None if part is None else convert(ctx, part, wide.elem) for part in (scale, bias)]
    operands = [None if part is None else ctx.full(expand_to(ctx, part, x.shape[axis:])) for part in parts]
    if any(operand is not None and operand.rank != len(axes) for operand in operands):
        raise Refused("scale or bias has more dimensions than are normalised")
    made = ctx.computed(wide.elem, "layerNormalization", ctx.full(wide), *operands, axes=axes, epsilon=epsilon)
    return convert(ctx, made, x.elem)


def _wide_enough(ctx: Context, x: Tensor, epsilon: float) -> Tensor:
    """X itself, or in float32 where epsilon is 0 in float16, as the 1e-12 of BERT: equal elements would become NaN."""
    is_lost = x.elem is Elem.FLOAT16 and epsilon > 0 and np.float16(epsilon) == 0
    return convert(ctx, x, Elem.FLOAT) if is_lost else x


def rms_norm(ctx: Context, x: Tensor, scale: Tensor, axis: int, epsilon: float) -> Tensor:
    """`x / sqrt(mean(x^2) + epsilon) * scale`, float16 by way of float32: the square of 256 is infinite there."""
    wide = convert(ctx, x, Elem.FLOAT) if x.elem is Elem.FLOAT16 else x
    square = ctx.elementwise("mul", wide, wide)
    axes = tuple(range(axis, x.rank))
    mean = ctx.computed(wide.elem, "reduceMean", ctx.full(square), axes=axes, keepDimensions=True)
    root = ctx.elementwise("sqrt", ctx.elementwise("add", mean, ctx.scalar(epsilon, wide.elem)))
    return ctx.elementwise("mul", convert(ctx, ctx.elementwise("div", wide, root), x.elem), scale)


@onnx_op("MeanVarianceNormalization", since=9)
def mean_variance_normalization(ctx: Context, node: OnnxNode) -> Tensor:
    """(x - mean) / (deviation + 1e-9), in float32: 1e-9 is 0 in float16.

    ONNX's definition has the mean of the squares less the square of the mean, which leaves nothing of a small
    deviation, and may be negative.
    """
    x = node.input(0)
    axes = ctx.axes(node.integers("axes") if node.has("axes") else (0, 2, 3), x.rank)
    wide = convert(ctx, x, Elem.FLOAT)
    mean = ctx.computed(wide.elem, "reduceMean", ctx.full(wide), axes=axes, keepDimensions=True)
    centred = ctx.elementwise("sub", wide, mean)
    square = ctx.full(ctx.elementwise("mul", centred, centred))
    deviation = ctx.elementwise("sqrt", ctx.computed(wide.elem, "reduceMean", square, axes=axes, keepDimensions=True))
    made = ctx.elementwise("div", centred, ctx.elementwise("add", deviation, ctx.scalar(1e-9, wide.elem)))
    return convert(ctx, made, x.elem)


@onnx_op("RMSNormalization", since=23)
def rms_normalization(ctx: Context, node: OnnxNode) -> Tensor:
    """Over all axes from `axis` to the last, without a mean."""
    x = node.input(0)
    node.ignore("stash_type")
    axis = ctx.axis(node.integer("axis", -1), x.rank)
    return rms_norm(ctx, x, node.input(1), axis, node.number("epsilon", 1e-5))


@onnx_op("SimplifiedLayerNormalization", attributes=("axis", "epsilon", "stash_type"))
def simplified_layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """ONNX Runtime's earlier name of RMSNormalization."""
    if node.wants(1):
        raise Refused("the output inv_std_var is not supported")
    return [rms_normalization(ctx, node)]


@onnx_op("SkipLayerNormalization", domain="com.microsoft", attributes=("epsilon",))
def skip_layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """LayerNormalization of input + skip + bias over the last axis."""
    gamma, beta, bias = node.input(2), node.optional(3), node.optional(4)
    total = _skipped(ctx, node, bias)
    made = layer_norm(ctx, total, gamma, beta, total.rank - 1, node.number("epsilon", 1e-12))
    return [made, None, None, total]


@onnx_op("SkipSimplifiedLayerNormalization", domain="com.microsoft", attributes=("epsilon",))
def skip_simplified_layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """RMSNormalization of input + skip + bias over the last axis."""
    total = _skipped(ctx, node, node.optional(3))
    made = rms_norm(ctx, total, node.input(2), total.rank - 1, node.number("epsilon", 1e-12))
    return [made, None, None, total]


def _skipped(ctx: Context, node: OnnxNode, bias: Tensor | None) -> Tensor:
    if node.wants(1) or node.wants(2):
        raise Refused("the outputs mean and inv_std_var are not supported")
    total = ctx.elementwise("add", node.input(0), node.input(1))
    return total if bias is None else ctx.elementwise("add", total, bias)


@onnx_op("BatchNormalization", since=7)
def batch_normalization_before_14(ctx: Context, node: OnnxNode) -> Tensor:
    """Inference: per channel, by stored mean and variance."""
    is_spatial = node.flag("spatial", 1)
    if any(node.wants(index) for index in range(1, len(node.outputs))) or not is_spatial:
        raise Refused("training outputs and spatial=0 are not supported")
    return _batch_normalization(ctx, node)


@onnx_op("BatchNormalization", since=14)
def batch_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """The same; with `training_mode` by the data's own mean and variance, which also move the stored ones."""
    if not node.flag("training_mode", 0):
        return [_batch_normalization(ctx, node)]
    x, scale, bias, *stored = (node.input(index) for index in range(5))
    axis = 1 if x.rank > 1 else 0
    axes = tuple(k for k in range(x.rank) if k != axis)
    f = Formula(ctx, x.elem)
    wide = f.reduce("reduceMean", x, axes, keep=True)
    centred = f("sub", x, wide)
    variance = f.reduce("reduceMean", f("mul", centred, centred), axes)
    mean = reshape_to(ctx, wide, variance.shape)
    operands = [ctx.full(tensor) for tensor in (x, mean, variance, scale, bias)]
    epsilon, momentum = node.number("epsilon", 1e-5), node.number("momentum", 0.9)
    made = ctx.computed(x.elem, "batchNormalization", *operands, axis=axis, epsilon=epsilon)
    moved: list[Tensor | None] = []
    for old, new in zip(stored, (mean, variance), strict=True):
        # Kept in a type of their own since version 14.
        g = Formula(ctx, old.elem)
        moved.append(g("add", g("mul", old, momentum), g("mul", convert(ctx, new, old.elem), 1 - momentum)))
    return [made, *moved]


def _batch_normalization(ctx: Context, node: OnnxNode) -> Tensor:
    node.ignore("momentum")  # of training
    x, scale, bias, mean, variance = (node.input(index) for index in range(5))
    epsilon = node.number("epsilon", 1e-5)
    wide = _wide_enough(ctx, x, epsilon)
    operands = [ctx.full(convert(ctx, tensor, wide.elem)) for tensor in (wide, mean, variance, scale, bias)]
    axis = 1 if x.rank > 1 else 0
    return convert(ctx, ctx.computed(wide.elem, "batchNormalization", *operands, axis=axis, epsilon=epsilon), x.elem)


@onnx_op("InstanceNormalization", since=6)
def instance_normalization(ctx: Context, node: OnnxNode) -> Tensor:
    """Over all spatial axes of each channel."""
    x, scale, bias = (node.input(index) for index in range(3))
    if x.rank < 3:
        raise Refused(f"the input is {x}; it has no spatial axes")
    epsilon = node.number("epsilon", 1e-5)
    if x.rank == 4:
        wide = _wide_enough(ctx, x, epsilon)
        operands = [ctx.full(convert(ctx, tensor, wide.elem)) for tensor in (wide, scale, bias)]
        made = ctx.computed(wide.elem, "instanceNormalization", *operands, epsilon=epsilon, layout="nchw")
        return convert(ctx, made, x.elem)
    return _per_channel(ctx, layer_norm(ctx, x, None, None, 2, epsilon), scale, bias)


def _per_channel(ctx: Context, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    shape: list[Dim] = [x.shape[1], *([1] * (x.rank - 2))]
    scaled = ctx.elementwise("mul", x, reshape_to(ctx, scale, shape))
    return ctx.elementwise("add", scaled, reshape_to(ctx, bias, shape))


@onnx_op("GroupNormalization", since=18)
def group_normalization_before_21(ctx: Context, node: OnnxNode) -> Tensor:
    """Scale and bias per group."""
    x, groups = node.input(0), node.integer("num_groups")
    grouped = _grouped(ctx, x, groups, node.number("epsilon", 1e-5))
    parts = [reshape_to(ctx, node.input(index), (groups, 1)) for index in (1, 2)]
    return reshape_to(ctx, ctx.elementwise("add", ctx.elementwise("mul", grouped, parts[0]), parts[1]), x.shape)


@onnx_op("GroupNormalization", since=21)
def group_normalization(ctx: Context, node: OnnxNode) -> Tensor:
    """Scale and bias per channel."""
    node.ignore("stash_type")
    groups, epsilon = node.integer("num_groups"), node.number("epsilon", 1e-5)
    return group_norm(ctx, node.input(0), node.input(1), node.input(2), groups, epsilon)


def group_norm(ctx: Context, x: Tensor, scale: Tensor, bias: Tensor, groups: int, epsilon: float) -> Tensor:
    """[batch, channels, ...] normalised by groups of channels; scale and bias are per channel."""
    return _per_channel(ctx, reshape_to(ctx, _grouped(ctx, x, groups, epsilon), x.shape), scale, bias)


def _grouped(ctx: Context, x: Tensor, groups: int, epsilon: float) -> Tensor:
    each = x.shape[1] // groups
    if not ctx.same(each * groups, x.shape[1]):
        raise Refused(f"{x.shape[1]} channels are not divided by {groups} groups")
    rows = reshape_to(ctx, x, (x.shape[0], groups, each * product(list(x.shape[2:]))))
    return layer_norm(ctx, rows, None, None, 2, epsilon)


@onnx_op("LpNormalization")
def lp_normalization(ctx: Context, node: OnnxNode) -> Tensor:
    """`x` divided by its norm along an axis, and 0 where the norm is 0."""
    x, p = node.input(0), node.integer("p", 2)
    axis = ctx.axis(node.integer("axis", -1), x.rank)
    if p not in (1, 2):
        raise Refused(f"p is {p}; 1 or 2 are valid")
    norm = ctx.computed(x.elem, f"reduceL{p}", ctx.full(x), axes=(axis,), keepDimensions=True)
    zero = ctx.scalar(0, x.elem)
    is_zero = ctx.elementwise("equal", norm, zero)
    safe = ctx.elementwise("where", is_zero, ctx.scalar(1, x.elem), norm, elem=x.elem)
    return ctx.elementwise("div", x, safe)


@onnx_op("LRN")
def lrn(ctx: Context, node: OnnxNode) -> Tensor:
    """`x` divided by a power of what neighbouring channels hold in the mean of squares."""
    x, size = node.input(0), node.integer("size")
    alpha, beta, bias = node.number("alpha", 1e-4), node.number("beta", 0.75), node.number("bias", 1.0)
    if x.rank < 2 or size < 1:
        raise Refused(f"the input is {x} and the size {size}; the model is not valid")
    # Squares leave the range of float16 at 256.
    elem, x = x.elem, convert(ctx, x, Elem.FLOAT) if x.elem is Elem.FLOAT16 else x
    f = Formula(ctx, x.elem)
    square = reshape_to(ctx, f("mul", x, x), (x.shape[0], 1, x.shape[1], product(list(x.shape[2:]))))
    # Channels beyond the first and the last count as 0, so the mean is over `size` everywhere.
    square = padded(ctx, square, {2: ((size - 1) // 2, size // 2)})
    mean = reshape_to(ctx, pooled(ctx, "averagePool2d", square, (Span(size), Span(1))), x.shape)
    return convert(ctx, f("div", x, f("pow", f("add", f("mul", mean, alpha), bias), beta)), elem)
