"""Products and convolutions of 8-bit integers: exact sums, of which only the scaling rounds.

WebNN multiplies floats only. float32 holds integers exactly up to 2^24, so a product is cut into slices of the
inner dimension that are short enough for that, and their sums are added as int32.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.dims import Dim, SymbolicDim, bounds, names_of
from webnn_runtime.format.dtypes import DataType
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.naming import names_within
from webnn_translator.node import OnnxNode
from webnn_translator.ops.attention_fused import self_attention
from webnn_translator.ops.conv import convolved, kernel_of
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.quantize import dynamically_quantised, one_number
from webnn_translator.ops.shape import convert
from webnn_translator.ops.windows import demand_windows, settled
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_EXACT: Final = 1 << 24
# Centred values are at most 16 digits of 16, and a rest below 16.
_DIGIT: Final = 16
# The largest distance of an 8-bit value from a zero point.
_LARGEST: Final = 255


@onnx_op("MatMulInteger", since=10)
def matmul_integer(ctx: Context, node: OnnxNode) -> Tensor:
    """Exact int32 sums."""
    return _product(ctx, node.input(0), node.optional(2), node.input(1), node.optional(3))


@onnx_op("MatMulIntegerToFloat", domain="com.microsoft", attributes=())
def matmul_integer_to_float(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact product, scaled, plus a bias."""
    total = _product(ctx, node.input(0), node.optional(4), node.input(1), node.optional(5))
    return _scaled(ctx, total, [one_number(ctx, node.input(2)), node.input(3)], node.optional(6))


@onnx_op("DynamicQuantizeMatMul", domain="com.microsoft", attributes=())
def dynamic_quantize_matmul(ctx: Context, node: OnnxNode) -> Tensor:
    """DynamicQuantizeLinear of the left operand, and the product of that."""
    parts = values, scale, zero = dynamically_quantised(ctx, node.input(0))
    # The check finds them again by these names.
    names = names_within(node.outputs[0])
    ctx.emit.origins |= {ctx.full(part).name: name for part, name in zip(parts, names, strict=True)}
    total = _product(ctx, values, zero, node.input(1), node.optional(3))
    return _scaled(ctx, total, [scale, node.input(2)], node.optional(4))


@onnx_op("QLinearMatMul", since=10)
def qlinear_matmul(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact integer product, scaled, rounded to even, moved to the zero point and kept in range."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (node.input(index) for index in range(8))
    for part in (a_scale, a_zero, y_scale, y_zero):
        if any(dim != 1 for dim in part.shape):
            raise Refused("scales and zero points per row are not supported")
    if a.rank < 2 or b.rank < 2:
        raise Refused(f"operands are {a} and {b}; vectors are not supported")
    total = _product(ctx, a, a_zero, b, b_zero)
    return _requantised(ctx, total, [a_scale, b_scale], y_scale, y_zero)


@onnx_op("QGemm", domain="com.microsoft", attributes=("alpha", "transA", "transB"))
def qgemm(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * (a @ b + c)`, c in the units of the product; quantised where an output scale is given."""
    a, b = (transposed(ctx, node.input(i), (1, 0)) if node.integer(f, 0) else node.input(i) for i, f in _QGEMM)
    total = _product(ctx, a, one_number(ctx, node.input(2)), b, node.input(5))
    c = node.optional(6)
    if c is not None:
        if c.elem is not Elem.INT32:
            raise Refused(f"the bias is {c}; int32 in the units of the product is needed; the model is not valid")
        total = ctx.elementwise("add", total, c)
    scales = [ctx.scalar(node.number("alpha", 1.0), Elem.FLOAT), one_number(ctx, node.input(1)), node.input(4)]
    y_scale, y_zero = node.optional(7), node.optional(8)
    if y_scale is None or y_zero is None:
        return _scaled(ctx, total, scales, None)
    return _requantised(ctx, total, scales, y_scale, y_zero)


_QGEMM: Final = ((0, "transA"), (3, "transB"))


@onnx_op(
    "QAttention",
    domain="com.microsoft",
    attributes=("num_heads", "unidirectional", "scale", "mask_filter_value", "do_rotary", "past_present_share_buffer"),
)
def qattention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Self-attention whose projection is an exact product of integers."""
    if node.flag("do_rotary", 0) or node.flag("past_present_share_buffer", 0):
        raise Refused("do_rotary and past_present_share_buffer are not supported")
    x, weights = node.input(0), node.input(1)
    zero = node.optional(6)
    total = _product(ctx, x, None if zero is None else one_number(ctx, zero), weights, node.optional(7))
    joined = _scaled(ctx, total, [one_number(ctx, node.input(3)), node.input(4)], node.input(2))
    width = ctx.size(weights.shape[1], "the width of the weights")
    return self_attention(
        ctx, node, joined, (width // 3,) * 3, mask=node.optional(5), past=node.optional(8), extra=None
    )


@onnx_op("ConvInteger", since=10)
def conv_integer(ctx: Context, node: OnnxNode) -> Tensor:
    """Exact int32 sums; padding counts as the zero point."""
    return _convolution(ctx, node, node.input(0), node.optional(2), node.input(1), node.optional(3), None)


@onnx_op("QLinearConv", since=10)
def qlinear_conv(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact sums and an int32 bias, scaled and quantised."""
    return _qlinear_conv(ctx, node, channels_last=False)


@onnx_op(
    "QLinearConv",
    domain="com.microsoft",
    attributes=("auto_pad", "channels_last", "dilations", "group", "kernel_shape", "pads", "strides"),
)
def qlinear_conv_microsoft(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact sums of a convolution, scaled and quantised; channels perhaps on the last axis."""
    return _qlinear_conv(ctx, node, channels_last=node.flag("channels_last", 0))


def _qlinear_conv(ctx: Context, node: OnnxNode, *, channels_last: bool) -> Tensor:
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = (node.input(index) for index in range(8))
    if channels_last:
        x = transposed(ctx, x, (0, x.rank - 1, *range(1, x.rank - 1)))
    total = _convolution(ctx, node, x, one_number(ctx, x_zero), w, w_zero, node.optional(8))
    made = _requantised(ctx, total, [one_number(ctx, x_scale), _per_channel(ctx, w_scale, x.rank - 2)], y_scale, y_zero)
    return transposed(ctx, made, (0, *range(2, x.rank), 1)) if channels_last else made


def _per_channel(ctx: Context, part: Tensor, spatial: int) -> Tensor:
    """One number, or one per channel in front of the spatial axes."""
    return one_number(ctx, part) if part.shape in ((), (1,)) else reshape_to(ctx, part, (*part.shape, *([1] * spatial)))


def _scaled(ctx: Context, total: Tensor, scales: list[Tensor], bias: Tensor | None) -> Tensor:
    """Sums as floats; the scales are multiplied with one another first, as ONNX Runtime does."""
    made = ctx.elementwise("mul", convert(ctx, total, Elem.FLOAT), _factor(ctx, scales))
    return made if bias is None else ctx.elementwise("add", made, bias)


def _factor(ctx: Context, scales: list[Tensor]) -> Tensor:
    factor = convert(ctx, scales[0], Elem.FLOAT)
    for scale in scales[1:]:
        factor = ctx.elementwise("mul", factor, convert(ctx, scale, Elem.FLOAT))
    return factor


def _requantised(ctx: Context, total: Tensor, scales: list[Tensor], y_scale: Tensor, y_zero: Tensor) -> Tensor:
    factor = ctx.elementwise("div", _factor(ctx, scales), convert(ctx, one_number(ctx, y_scale), Elem.FLOAT))
    rounded = ctx.elementwise("roundEven", ctx.elementwise("mul", convert(ctx, total, Elem.FLOAT), factor))
    zero = one_number(ctx, y_zero)
    low, high = zero.elem.integer_range
    moved = ctx.elementwise("add", rounded, convert(ctx, zero, Elem.FLOAT))
    kept = ctx.elementwise("clamp", moved, minValue=float(low), maxValue=float(high))
    return ctx.tensor(ctx.emit.cast(ctx.full(kept), ctx.carrier(zero.elem)), zero.elem)


def _product(ctx: Context, a: Tensor, a_zero: Tensor | None, b: Tensor, b_zero: Tensor | None) -> Tensor:
    left = _centred(ctx, a, a_zero, rows=True)
    right = _centred(ctx, b, b_zero, rows=False)
    inner = a.shape[-1]
    if isinstance(inner, SymbolicDim):
        return _product_of_any_length(ctx, left, right, inner)
    total: Tensor | None = None
    for start, count in _slices_of_product(ctx, inner, b, b_zero):
        rows = _cut(ctx, left, -1, start, count)
        columns = _cut(ctx, right, -2 if b.rank > 1 else -1, start, count)
        whole = convert(ctx, matmul_of(ctx, rows, columns), Elem.INT32)
        total = whole if total is None else ctx.elementwise("add", total, whole)
    if total is None:
        raise Refused("the inner dimension is 0; WebNN has no empty tensors")
    return total


def _product_of_any_length(ctx: Context, left: Tensor, right: Tensor, inner: SymbolicDim) -> Tensor:
    """The product where the inner dimension is named: as one, or of the left operand's high and low digits apart."""
    most = bounds(inner, ctx.ranges)[1]
    if most * _LARGEST * _LARGEST <= _EXACT:
        return convert(ctx, matmul_of(ctx, left, right), Elem.INT32)
    if most * _DIGIT * _LARGEST > _EXACT:
        reach = _EXACT // (_DIGIT * _LARGEST)
        raise Refused(
            f"the inner dimension is {inner}, and sums are exact up to {reach}; pass --max-dim", sorted(names_of(inner))
        )
    digit = ctx.scalar(_DIGIT, Elem.FLOAT)
    high = ctx.elementwise("floor", ctx.elementwise("div", left, digit))
    low = ctx.elementwise("sub", left, ctx.elementwise("mul", high, digit))
    upper, lower = (convert(ctx, matmul_of(ctx, part, right), Elem.INT32) for part in (high, low))
    return ctx.elementwise("add", ctx.elementwise("mul", upper, ctx.scalar(_DIGIT, Elem.INT32)), lower)


def _slices_of_product(ctx: Context, inner: int, b: Tensor, zero: Tensor | None) -> list[tuple[int, int]]:
    weights = ctx.array(b)
    shift = np.zeros((), np.int64) if zero is None else ctx.array(zero)
    if weights is None or shift is None or b.rank != 2:
        return list(_even(inner, _EXACT // (_LARGEST * _LARGEST)))
    sizes = np.abs(weights.astype(np.int64) - shift.astype(np.int64)) * _LARGEST
    return list(_greedy(sizes))


def _even(inner: int, step: int) -> Iterator[tuple[int, int]]:
    for start in range(0, inner, step):
        yield start, min(step, inner - start)


def _greedy(sizes: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Runs of rows whose sums per column stay exact; known weights are far from the worst case.

    In any order of summation no partial sum exceeds the sum of the sizes.
    """
    start, held = 0, np.zeros(sizes.shape[1:], np.int64)
    for row in range(len(sizes)):
        held = held + sizes[row]
        if row > start and held.max(initial=0) > _EXACT:
            yield start, row - start
            start, held = row, sizes[row]
    if len(sizes):
        yield start, len(sizes) - start


def _centred(ctx: Context, x: Tensor, zero: Tensor | None, *, rows: bool) -> Tensor:
    wide = ctx.tensor(ctx.emit.cast(ctx.full(x), DataType.FLOAT32), Elem.FLOAT)
    if zero is None:
        return wide
    shift = convert(ctx, zero, Elem.FLOAT)
    if zero.rank == 1 and zero.shape != (1,) and rows:
        shift = reshape_to(ctx, shift, (*zero.shape, 1))
    elif zero.rank == 1 and zero.shape == (1,):
        shift = reshape_to(ctx, shift, ())
    return ctx.elementwise("sub", wide, shift)


def _cut(ctx: Context, x: Tensor, axis: int, start: int, count: int) -> Tensor:
    where = ctx.axis(axis, x.rank)
    starts: list[Dim] = [0] * x.rank
    sizes = list(x.shape)
    starts[where], sizes[where] = start, count
    return ctx.tensor(ctx.emit.slice(ctx.full(x), starts, sizes, [1] * x.rank), x.elem)


def _convolution(
    ctx: Context,
    node: OnnxNode,
    x: Tensor,
    x_zero: Tensor | None,
    w: Tensor,
    w_zero: Tensor | None,
    bias: Tensor | None,
) -> Tensor:
    """int32 sums of [batch, channels, spatial...] and [filters, channels / groups, spatial...], plus a bias."""
    groups = node.integer("group", 1)
    spread = None if w_zero is None else _spread_over_filters(ctx, w_zero, w.rank)
    data = _centred(ctx, x, None if x_zero is None else one_number(ctx, x_zero), rows=False)
    # The zero point is 0 by now, and so is padding.
    data, spans, _ = settled(ctx, node, data, kernel_of(ctx, node, x, w))
    demand_windows(ctx, data.shape[2:], spans)
    filters = _centred(ctx, w, spread, rows=False)
    channels = ctx.size(w.shape[1], "the number of channels of a filter")
    batch, _, *sizes = data.shape
    apart = reshape_to(ctx, data, (batch, groups, channels, *sizes))
    total: Tensor | None = None
    for start, count in _slices_of_filters(ctx, w, spread, channels):
        part = reshape_to(ctx, _cut(ctx, apart, 2, start, count), (batch, groups * count, *sizes))
        made = convolved(ctx, part, _cut(ctx, filters, 1, start, count), None, spans, groups)
        whole = convert(ctx, made, Elem.INT32)
        total = whole if total is None else ctx.elementwise("add", total, whole)
    if total is None:
        raise Refused("the filters have no channels; the model is not valid")
    return total if bias is None else ctx.elementwise("add", total, _per_channel(ctx, bias, x.rank - 2))


def _spread_over_filters(ctx: Context, zero: Tensor, rank: int) -> Tensor:
    return (
        one_number(ctx, zero) if zero.shape in ((), (1,)) else reshape_to(ctx, zero, (*zero.shape, *([1] * (rank - 1))))
    )


def _slices_of_filters(ctx: Context, w: Tensor, zero: Tensor | None, channels: int) -> list[tuple[int, int]]:
    weights = ctx.array(w)
    shift = np.zeros((), np.int64) if zero is None else ctx.array(zero)
    if weights is None or shift is None:
        window = int(np.prod([ctx.size(dim, "a dimension of the filter") for dim in w.shape[2:]]))
        step = _EXACT // (_LARGEST * _LARGEST * window)
        if step < 1:
            raise Refused(f"windows of {window} elements have sums that float32 does not hold exactly")
        return list(_even(channels, step))
    sizes: Any = np.abs(weights.astype(np.int64) - shift.astype(np.int64)) * _LARGEST
    sizes = sizes.reshape(*weights.shape[:2], -1).sum(2).T
    if sizes.max(initial=0) > _EXACT:
        raise Refused("the sums of a window's products are more than float32 holds exactly")
    return list(_greedy(sizes))
