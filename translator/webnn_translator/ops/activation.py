"""Activations: WebNN's own, and those made of several operators."""

from __future__ import annotations

import math
from typing import Final

from webnn_runtime.format.dims import product
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import reshape_to
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["gelu_tanh", "softmax_along", "softmax_of_rows"]

_PLAIN: Final = {
    "Relu": "relu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
    "HardSwish": "hardSwish",
}


@onnx_op("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
@onnx_op("HardSwish", since=14)
def plain(ctx: Context, node: OnnxNode) -> Tensor:
    """Activations without parameters that WebNN has."""
    return ctx.elementwise(_PLAIN[node.op_type], node.input(0))


@onnx_op("Elu", since=6)
def elu(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * (exp(x) - 1)` below 0."""
    return ctx.elementwise("elu", node.input(0), alpha=node.number("alpha", 1.0))


@onnx_op("LeakyRelu", since=6)
def leaky_relu(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * x` below 0."""
    return ctx.elementwise("leakyRelu", node.input(0), alpha=node.number("alpha", 0.01))


@onnx_op("HardSigmoid", since=6)
def hard_sigmoid(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * x + beta`, between 0 and 1."""
    alpha, beta = node.number("alpha", 0.2), node.number("beta", 0.5)
    return ctx.elementwise("hardSigmoid", node.input(0), alpha=alpha, beta=beta)


@onnx_op("PRelu", since=7)
def prelu(ctx: Context, node: OnnxNode) -> Tensor:
    """`slope * x` below 0."""
    return ctx.elementwise("prelu", node.input(0), node.input(1))


@onnx_op("Selu", since=6)
def selu(ctx: Context, node: OnnxNode) -> Tensor:
    """`gamma * elu(x)`."""
    x = node.input(0)
    alpha = node.number("alpha", 1.67326319217681884765625)
    gamma = node.number("gamma", 1.05070102214813232421875)
    return ctx.elementwise("mul", ctx.elementwise("elu", x, alpha=alpha), ctx.scalar(gamma, x.elem))


@onnx_op("Celu", since=12)
def celu(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * elu(x / alpha)`; below an alpha of 0 by the formula, whose two halves then overlap."""
    x, alpha = node.input(0), node.number("alpha", 1.0)
    f = Formula(ctx, x.elem)
    ratio = f("div", x, alpha)
    if alpha > 0:
        return f("mul", ctx.elementwise("elu", ratio, alpha=1.0), alpha)
    return f("add", f("max", x, 0.0), f("min", f("mul", f("sub", f("exp", ratio), 1.0), alpha), 0.0))


@onnx_op("ThresholdedRelu", since=10)
def thresholded_relu(ctx: Context, node: OnnxNode) -> Tensor:
    """X above alpha, else 0."""
    x = node.input(0)
    above = ctx.elementwise("greater", x, ctx.scalar(node.number("alpha", 1.0), x.elem), elem=Elem.BOOL)
    return ctx.elementwise("where", above, x, ctx.scalar(0, x.elem), elem=x.elem)


@onnx_op("Shrink", since=9)
def shrink(ctx: Context, node: OnnxNode) -> Tensor:
    """`x` moved toward 0 by bias outside of -lambd..lambd, else 0."""
    x, bias, limit = node.input(0), node.number("bias", 0.0), node.number("lambd", 0.5)
    low = ctx.elementwise("lesser", x, ctx.scalar(-limit, x.elem), elem=Elem.BOOL)
    high = ctx.elementwise("greater", x, ctx.scalar(limit, x.elem), elem=Elem.BOOL)
    shift = ctx.scalar(bias, x.elem)
    inner = ctx.elementwise("where", high, ctx.elementwise("sub", x, shift), ctx.scalar(0, x.elem), elem=x.elem)
    return ctx.elementwise("where", low, ctx.elementwise("add", x, shift), inner, elem=x.elem)


@onnx_op("Mish", since=18)
def mish(ctx: Context, node: OnnxNode) -> Tensor:
    """`x * tanh(softplus(x))`."""
    x = node.input(0)
    return ctx.elementwise("mul", x, ctx.elementwise("tanh", ctx.elementwise("softplus", x)))


@onnx_op("Swish", since=24)
def swish(ctx: Context, node: OnnxNode) -> Tensor:
    """`x * sigmoid(alpha * x)`."""
    return _swish(ctx, node.input(0), node.number("alpha", 1.0))


@onnx_op("QuickGelu", domain="com.microsoft", attributes=("alpha",))
def quick_gelu(ctx: Context, node: OnnxNode) -> Tensor:
    """X * sigmoid(1.702 * x)."""
    return _swish(ctx, node.input(0), node.number("alpha", 1.702))


def _swish(ctx: Context, x: Tensor, alpha: float) -> Tensor:
    inner = x if alpha == 1.0 else ctx.elementwise("mul", x, ctx.scalar(alpha, x.elem))
    return ctx.elementwise("mul", x, ctx.elementwise("sigmoid", inner))


@onnx_op("Gelu", since=20)
def gelu(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact form, or the approximation by tanh."""
    if node.choice("approximate", "none", "none", "tanh") == "tanh":
        return gelu_tanh(ctx, node.input(0))
    return ctx.elementwise("gelu", node.input(0))


@onnx_op("Gelu", domain="com.microsoft", attributes=())
def gelu_microsoft(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact form."""
    return ctx.elementwise("gelu", node.input(0))


@onnx_op("BiasGelu", domain="com.microsoft", attributes=())
def bias_gelu(ctx: Context, node: OnnxNode) -> Tensor:
    """gelu(x + bias)."""
    return ctx.elementwise("gelu", ctx.elementwise("add", node.input(0), node.input(1)))


@onnx_op("FastGelu", domain="com.microsoft", attributes=())
def fast_gelu(ctx: Context, node: OnnxNode) -> Tensor:
    """The approximation by tanh, of x plus an optional bias."""
    x, bias = node.input(0), node.optional(1)
    return gelu_tanh(ctx, x if bias is None else ctx.elementwise("add", x, bias))


def gelu_tanh(ctx: Context, x: Tensor) -> Tensor:
    """0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))."""
    cube = ctx.elementwise("mul", ctx.elementwise("mul", x, x), x)
    inner = ctx.elementwise("add", x, ctx.elementwise("mul", cube, ctx.scalar(0.044715, x.elem)))
    scaled = ctx.elementwise("mul", inner, ctx.scalar(math.sqrt(2 / math.pi), x.elem))
    factor = ctx.elementwise("add", ctx.elementwise("tanh", scaled), ctx.scalar(1, x.elem))
    return ctx.elementwise("mul", ctx.elementwise("mul", x, ctx.scalar(0.5, x.elem)), factor)


@onnx_op("Softmax", "LogSoftmax")
def softmax_before_13(ctx: Context, node: OnnxNode) -> Tensor:
    """The tensor is taken as a matrix, cut at the axis (1 by default), and each row is normalised as a whole."""
    x = node.input(0)
    return softmax_of_rows(ctx, node.op_type, x, ctx.axis(node.integer("axis", 1), x.rank))


def softmax_of_rows(ctx: Context, op_type: str, x: Tensor, axis: int) -> Tensor:
    """Softmax or LogSoftmax of the matrix whose columns begin at the axis."""
    if axis == x.rank - 1:
        return softmax_along(ctx, op_type, x, axis)
    rows, rest = x.shape[:axis], x.shape[axis:]
    flat = reshape_to(ctx, x, (product(list(rows)), product(list(rest))))
    return reshape_to(ctx, softmax_along(ctx, op_type, flat, 1), x.shape)


@onnx_op("Softmax", "LogSoftmax", since=13)
def softmax(ctx: Context, node: OnnxNode) -> Tensor:
    """Along one axis, the last by default."""
    x = node.input(0)
    return softmax_along(ctx, node.op_type, x, ctx.axis(node.integer("axis", -1), x.rank))


def softmax_along(ctx: Context, op_type: str, x: Tensor, axis: int) -> Tensor:
    """Softmax or LogSoftmax along one axis."""
    if op_type == "Softmax":
        return ctx.computed(x.elem, "softmax", ctx.full(x), axis=axis)
    # x - max - log(sum(exp(x - max))): the logarithm of a softmax would lose small probabilities.
    top = ctx.computed(x.elem, "reduceMax", ctx.full(x), axes=(axis,), keepDimensions=True)
    shifted = ctx.elementwise("sub", x, top)
    total = ctx.computed(x.elem, "reduceLogSumExp", ctx.full(shifted), axes=(axis,), keepDimensions=True)
    return ctx.elementwise("sub", shifted, total)


@onnx_op("Hardmax")
def hardmax_before_13(ctx: Context, node: OnnxNode) -> Tensor:
    """The tensor is taken as a matrix, cut at the axis (1 by default); one 1 in each row."""
    x = node.input(0)
    axis = ctx.axis(node.integer("axis", 1), x.rank)
    flat = reshape_to(ctx, x, (product(list(x.shape[:axis])), product(list(x.shape[axis:]))))
    return reshape_to(ctx, _hardmax(ctx, flat, 1), x.shape)


@onnx_op("Hardmax", since=13)
def hardmax(ctx: Context, node: OnnxNode) -> Tensor:
    """1 at the first largest element along an axis, else 0."""
    x = node.input(0)
    return _hardmax(ctx, x, ctx.axis(node.integer("axis", -1), x.rank))


def _hardmax(ctx: Context, x: Tensor, axis: int) -> Tensor:
    best = ctx.emit.op("argMax", ctx.full(x), axis=axis, keepDimensions=True, outputDataType="int64")
    f = Formula(ctx, x.elem)
    hit = f("equal", ctx.tensor(best, Elem.INT64), positions(x.shape[axis], axis, x.rank))
    return f("where", hit, 1, ctx.scalar(0, x.elem))
