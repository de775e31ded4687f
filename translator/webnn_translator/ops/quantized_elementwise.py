"""QLinear operators: dequantise, compute in float32, quantise again; that is how ONNX Runtime defines them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.activation import softmax_along, softmax_of_rows
from webnn_translator.ops.layout import transposed
from webnn_translator.ops.pool import averaged
from webnn_translator.ops.quantize import dequantised, one_number, quantised
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_BINARY: Final = {"QLinearAdd": "add", "QLinearMul": "mul"}


def _float(ctx: Context, node: OnnxNode, index: int) -> Tensor:
    """The tensor at an input, dequantised by the scale and the zero point that follow it."""
    return dequantised(ctx, node.input(index), one_number(ctx, node.input(index + 1)), _zero(ctx, node, index + 2))


def _back(ctx: Context, node: OnnxNode, y: Tensor, index: int) -> Tensor:
    """A result, quantised by the scale and the zero point at two inputs, in the type of the data."""
    zero = _zero(ctx, node, index + 1)
    return quantised(
        ctx, y, one_number(ctx, node.input(index)), zero, node.input(0).elem if zero is None else zero.elem
    )


def _zero(ctx: Context, node: OnnxNode, index: int) -> Tensor | None:
    zero = node.optional(index)
    return None if zero is None else one_number(ctx, zero)


@onnx_op(*_BINARY, domain="com.microsoft", attributes=())
def binary(ctx: Context, node: OnnxNode) -> Tensor:
    """Sum or product, with broadcasting."""
    made = ctx.elementwise(_BINARY[node.op_type], _float(ctx, node, 0), _float(ctx, node, 3))
    return _back(ctx, node, made, 6)


@onnx_op("QLinearSigmoid", domain="com.microsoft", attributes=())
def sigmoid(ctx: Context, node: OnnxNode) -> Tensor:
    """1 / (1 + exp(-x))."""
    return _back(ctx, node, ctx.elementwise("sigmoid", _float(ctx, node, 0)), 3)


@onnx_op("QLinearLeakyRelu", domain="com.microsoft", attributes=("alpha",))
def leaky_relu(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * x` below 0."""
    made = ctx.elementwise("leakyRelu", _float(ctx, node, 0), alpha=node.number("alpha", 0.01))
    return _back(ctx, node, made, 3)


@onnx_op("QLinearSoftmax", domain="com.microsoft", attributes=("axis", "opset"))
def softmax(ctx: Context, node: OnnxNode) -> Tensor:
    """Along one axis, or of whole rows as Softmax was before opset 13."""
    x = _float(ctx, node, 0)
    if node.integer("opset") < 13:
        made = softmax_of_rows(ctx, "Softmax", x, ctx.axis(node.integer("axis", 1), x.rank))
    else:
        made = softmax_along(ctx, "Softmax", x, ctx.axis(node.integer("axis", -1), x.rank))
    return _back(ctx, node, made, 3)


@onnx_op("QLinearReduceMean", domain="com.microsoft", attributes=("axes", "keepdims"))
def reduce_mean(ctx: Context, node: OnnxNode) -> Tensor:
    """Mean along axes."""
    x = _float(ctx, node, 0)
    axes = ctx.axes(node.integers("axes", tuple(range(x.rank))) or tuple(range(x.rank)), x.rank)
    keeps = node.flag("keepdims", 1)
    return _back(ctx, node, ctx.computed(x.elem, "reduceMean", ctx.full(x), axes=axes, keepDimensions=keeps), 3)


@onnx_op("QLinearGlobalAveragePool", domain="com.microsoft", attributes=("channels_last",))
def global_average_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """Mean over all spatial axes."""
    x = _float(ctx, node, 0)
    axes = tuple(range(1, x.rank - 1)) if node.flag("channels_last", 0) else tuple(range(2, x.rank))
    return _back(ctx, node, ctx.computed(x.elem, "reduceMean", ctx.full(x), axes=axes, keepDimensions=True), 3)


@onnx_op(
    "QLinearAveragePool",
    domain="com.microsoft",
    attributes=("auto_pad", "ceil_mode", "channels_last", "count_include_pad", "kernel_shape", "pads", "strides"),
)
def average_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """Mean of each window."""
    return _back(ctx, node, _maybe_last(ctx, node, _float(ctx, node, 0), lambda x: averaged(ctx, node, x)), 3)


def _maybe_last(ctx: Context, node: OnnxNode, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of data with channels on axis 1, of data that may have them on the last."""
    if not node.flag("channels_last", 0):
        return function(x)
    made = function(transposed(ctx, x, (0, x.rank - 1, *range(1, x.rank - 1))))
    return transposed(ctx, made, (0, *range(2, x.rank), 1))


@onnx_op("QLinearConcat", domain="com.microsoft", attributes=("axis",))
def concat(ctx: Context, node: OnnxNode) -> Tensor:
    """Tensors one after another, each brought to the scale of the result."""
    if len(node.inputs) < 5 or len(node.inputs) % 3 != 2:
        raise Refused(f"it has {len(node.inputs)} inputs; three for each tensor and two for the result are needed")
    scale, zero = one_number(ctx, node.input(0)), one_number(ctx, node.input(1))
    parts = []
    for index in range(2, len(node.inputs), 3):
        x = node.input(index)
        same = all(
            ctx.uniform(node.input(index + k)) is not None
            and ctx.uniform(node.input(index + k)) == ctx.uniform(node.input(k - 1))
            for k in (1, 2)
        )
        # What has the scale of the result already is taken as it is.
        parts.append(
            x if same and x.elem is zero.elem else quantised(ctx, _float(ctx, node, index), scale, zero, zero.elem)
        )
    axis = ctx.axis(node.integer("axis"), parts[0].rank)
    return ctx.tensor(ctx.emit.concat([ctx.full(part) for part in parts], axis), zero.elem)


@onnx_op("QLinearWhere", domain="com.microsoft", attributes=())
def where(ctx: Context, node: OnnxNode) -> Tensor:
    """One of two tensors, brought to the scale of the result."""
    condition, zero = node.input(0), one_number(ctx, node.input(8))
    if condition.elem is not Elem.BOOL:
        raise Refused(f"the condition is {condition}; a bool is needed")
    x, y = _float(ctx, node, 1), _float(ctx, node, 4)
    made = ctx.elementwise("where", condition, x, y, elem=x.elem)
    return quantised(ctx, made, one_number(ctx, node.input(7)), zero, zero.elem)
