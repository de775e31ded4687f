"""Operators that ONNX Runtime's optimiser makes out of several neighbours, taken apart again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.activation import gelu_tanh, softmax_along
from webnn_translator.ops.conv import convolution
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import gemm, matmul_of
from webnn_translator.ops.normalization import group_norm
from webnn_translator.ops.pool import largest_of_windows
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_CONV: Final = ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
_FACTORS: Final = ("alpha", "transA", "transB")
_BATCHES: Final = ("transBatchA", "transBatchB")
_ACTIVATION: Final = ("activation", "activation_alpha", "activation_beta", "activation_gamma")
_PLAIN: Final = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign"}


def _activated(ctx: Context, x: Tensor, name: str, parameters: Sequence[float]) -> Tensor:
    """An activation by its ONNX name; its parameters in ONNX Runtime's order, ONNX's defaults behind them."""
    if name in _PLAIN:
        return ctx.elementwise(_PLAIN[name], x)
    if name == "LeakyRelu":
        return ctx.elementwise("leakyRelu", x, alpha=parameters[0] if parameters else 0.01)
    if name == "HardSigmoid":
        alpha, beta = [*parameters[:2], 0.2, 0.5][:2] if len(parameters) != 1 else (parameters[0], 0.5)
        return ctx.elementwise("hardSigmoid", x, alpha=alpha, beta=beta)
    if name == "Clip" and len(parameters) == 2:
        return ctx.elementwise("clamp", x, minValue=parameters[0], maxValue=parameters[1])
    raise Refused(f"the activation '{name}' with {len(parameters)} parameters is not supported")


def _parameters(node: OnnxNode) -> list[float]:
    """What is given of activation_alpha, activation_beta and activation_gamma."""
    return [node.number(name) for name in _ACTIVATION[1:] if node.has(name)]


@onnx_op("FusedMatMul", "TransposeMatMul", domain="com.microsoft", attributes=(*_FACTORS, *_BATCHES))
def fused_matmul(ctx: Context, node: OnnxNode) -> Tensor:
    """Matmul of operands whose axes are moved first, and a factor."""
    return _fused_matmul(ctx, node)


@onnx_op(
    "FusedMatMulActivation",
    domain="com.microsoft",
    attributes=(*_FACTORS, *_BATCHES, *_ACTIVATION, "activation_axis"),
)
def fused_matmul_activation(ctx: Context, node: OnnxNode) -> Tensor:
    """The same with an activation behind it."""
    made, name = _fused_matmul(ctx, node), node.text("activation")
    if name == "Softmax":
        return softmax_along(ctx, name, made, ctx.axis(node.integer("activation_axis", -1), made.rank))
    node.ignore("activation_axis")
    return _activated(ctx, made, name, _parameters(node))


def _fused_matmul(ctx: Context, node: OnnxNode) -> Tensor:
    operands = []
    for index, side in enumerate("AB"):
        x = node.input(index)
        order = list(range(x.rank))
        if node.integer(f"transBatch{side}", 0):
            if x.rank < 3:
                raise Refused(f"transBatch{side} is set for {x}, which has no batches; the model is not valid")
            # The first axis, that of rows, comes behind the batches.
            order = [*order[1:-1], order[0], order[-1]]
        if node.integer(f"trans{side}", 0) and x.rank > 1:
            order = [*order[:-2], order[-1], order[-2]]
        operands.append(transposed(ctx, x, order))
    made = matmul_of(ctx, *operands)
    alpha = node.number("alpha", 1.0)
    return made if alpha == 1.0 else ctx.elementwise("mul", made, ctx.scalar(alpha, made.elem))


@onnx_op("FusedGemm", domain="com.microsoft", attributes=(*_FACTORS, "beta", *_ACTIVATION))
def fused_gemm(ctx: Context, node: OnnxNode) -> Tensor:
    """Gemm with an activation behind it."""
    return _activated(ctx, gemm(ctx, node), node.text("activation"), _parameters(node))


@onnx_op("GemmFastGelu", domain="com.microsoft", attributes=())
def gemm_fast_gelu(ctx: Context, node: OnnxNode) -> Tensor:
    """The approximation of gelu by tanh, of a product and an optional bias."""
    made, bias = matmul_of(ctx, node.input(0), node.input(1)), node.optional(2)
    return gelu_tanh(ctx, made if bias is None else ctx.elementwise("add", made, bias))


@onnx_op("FusedConv", domain="com.microsoft", attributes=(*_CONV, "activation", "activation_params"))
def fused_conv(ctx: Context, node: OnnxNode) -> Tensor:
    """Conv, plus another tensor, with an activation behind it."""
    return _fused_conv(ctx, node, node.input(0), node.optional(3))


@onnx_op("NhwcFusedConv", domain="com.microsoft", attributes=(*_CONV, "activation", "activation_params"))
def nhwc_fused_conv(ctx: Context, node: OnnxNode) -> Tensor:
    """The same with channels on the last axis of data and result."""
    extra = node.optional(3)
    other = None if extra is None else _channels_first(ctx, extra)
    return _channels_last(ctx, node.input(0), lambda x: _fused_conv(ctx, node, x, other))


@onnx_op("NhwcConv", domain="com.microsoft", attributes=_CONV)
def nhwc_conv(ctx: Context, node: OnnxNode) -> Tensor:
    """Conv with channels on the last axis of data, weights and result, as the optimiser writes it for GPUs."""
    weights = _channels_first(ctx, node.input(1))
    return _channels_last(ctx, node.input(0), lambda x: convolution(ctx, node, x, weights, node.optional(2)))


def _fused_conv(ctx: Context, node: OnnxNode, x: Tensor, extra: Tensor | None) -> Tensor:
    made = convolution(ctx, node, x, node.input(1), node.optional(2))
    if extra is not None:
        made = ctx.elementwise("add", made, extra)
    parameters = node.numbers("activation_params", ())
    name = node.text("activation", "")
    return _activated(ctx, made, name, parameters) if name else made


def _channels_first(ctx: Context, x: Tensor) -> Tensor:
    return transposed(ctx, x, (0, x.rank - 1, *range(1, x.rank - 1)))


def _channels_last(ctx: Context, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return transposed(ctx, function(_channels_first(ctx, x)), (0, *range(2, x.rank), 1))


@onnx_op("BiasAdd", domain="com.microsoft", attributes=())
def bias_add(ctx: Context, node: OnnxNode) -> Tensor:
    """`x + bias + skip`."""
    return ctx.elementwise("add", ctx.elementwise("add", node.input(0), node.input(1)), node.input(2))


@onnx_op("BiasSplitGelu", domain="com.microsoft", attributes=())
def bias_split_gelu(ctx: Context, node: OnnxNode) -> Tensor:
    """The left half of x + bias, times gelu of the right half."""
    total = ctx.elementwise("add", node.input(0), node.input(1))
    axis = total.rank - 1
    half = ctx.size(total.shape[axis], "the width of the data") // 2
    left, right = (slice_of(ctx, total, {axis: (start, half, 1)}) for start in (0, half))
    return ctx.elementwise("mul", left, ctx.elementwise("gelu", right))


@onnx_op("GroupNorm", domain="com.microsoft", attributes=("activation", "channels_last", "epsilon", "groups"))
def group_norm_microsoft(ctx: Context, node: OnnxNode) -> Tensor:
    """GroupNormalization with channels on the last axis, perhaps with SiLU behind it."""
    return _group_norm(ctx, node, node.input(0))


@onnx_op("SkipGroupNorm", domain="com.microsoft", attributes=("activation", "channels_last", "epsilon", "groups"))
def skip_group_norm(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """The same of x + skip + bias, which is the second result."""
    x, skip, bias = node.input(0), node.input(3), node.optional(4)
    is_last = node.flag("channels_last", 1)
    if skip.rank == 2:
        batch, channels = skip.shape
        shape: tuple[Dim, ...] = (batch, 1, 1, channels) if is_last else (batch, channels, 1, 1)
        skip = reshape_to(ctx, skip, shape)
    total = ctx.elementwise("add", x, skip)
    if bias is not None:
        bias = bias if is_last else reshape_to(ctx, bias, (*bias.shape, 1, 1))
        total = ctx.elementwise("add", total, bias)
    return [_group_norm(ctx, node, total), total]


def _group_norm(ctx: Context, node: OnnxNode, x: Tensor) -> Tensor:
    gamma, beta, epsilon = node.input(1), node.input(2), node.number("epsilon", 1e-5)
    groups, is_last = node.integer("groups"), node.flag("channels_last", 1)

    def normalised(data: Tensor) -> Tensor:
        return group_norm(ctx, data, gamma, beta, groups, epsilon)

    made = _channels_last(ctx, x, normalised) if is_last else normalised(x)
    return ctx.elementwise("mul", made, ctx.elementwise("sigmoid", made)) if node.integer("activation") == 1 else made


@onnx_op(
    "NhwcMaxPool",
    domain="com.microsoft",
    attributes=("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides"),
)
def nhwc_max_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """MaxPool with channels on the last axis."""
    return _channels_last(ctx, node.input(0), lambda x: largest_of_windows(ctx, node, x))
