"""Quantised tensors. Constant weights stay quantised: they are dequantised in the graph, never here."""

from __future__ import annotations

import math

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.initializers import elem_of
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Known, Quantised, Tensor

__all__ = ["dequantised", "dynamically_quantised", "one_number", "quantised"]


@onnx_op("DequantizeLinear", since=10)
def dequantize_before_13(ctx: Context, node: OnnxNode) -> Tensor:
    """One scale for the whole tensor."""
    return _dequantize(ctx, node, axis=1, block=0)


@onnx_op("DequantizeLinear", since=13)
def dequantize_before_21(ctx: Context, node: OnnxNode) -> Tensor:
    """One scale, or one per index of an axis."""
    return _dequantize(ctx, node, axis=node.integer("axis", 1), block=0)


@onnx_op("DequantizeLinear", since=21)
def dequantize(ctx: Context, node: OnnxNode) -> Tensor:
    """One scale, one per index of an axis, or one per block along it."""
    return _dequantize(ctx, node, axis=node.integer("axis", 1), block=node.integer("block_size", 0))


def _dequantize(ctx: Context, node: OnnxNode, *, axis: int, block: int) -> Tensor:
    x, scale = node.input(0), node.input(1)
    elem = elem_of(node.integer("output_dtype"), "the output") if node.integer("output_dtype", 0) else scale.elem
    if elem is not scale.elem:
        raise Refused(f"the output is {elem.text} and the scale {scale.elem.text}; WebNN gives the type of the scale")
    return dequantised(ctx, x, scale, node.optional(2), axis=axis, block=block)


def dequantised(
    ctx: Context, x: Tensor, scale: Tensor, zero: Tensor | None, *, axis: int = 1, block: int = 0
) -> Tensor:
    """(x - zero) * scale; constant weights stay quantised.

    Args:
        ctx: the translation.
        x: integers.
        scale: one number, one per index of `axis`, or with blocks a tensor of the same rank.
        zero: the same of zero points; None for 0.
        axis: axis of several scales.
        block: elements along it that share one; 0 without blocks.
    """
    factor = _scale(ctx, x, scale, axis, block)
    shift = None if zero is None else _aligned(ctx, x, zero, axis, block)
    if x.elem.is_minifloat:
        return _dequantize_floats(ctx, x, factor, shift)
    values, scales = x.content, ctx.array(factor)
    zeros = None if shift is None else ctx.array(shift)
    if isinstance(values, Known) and values.array.shape == x.shape and scales is not None:
        if shift is None:
            zeros = np.zeros(scales.shape, values.array.dtype)
        if zeros is not None and values.array.size:
            whole = Quantised(values.array, x.elem, scales, zeros, values.name)
            ctx.carrier(x.elem)
            return Tensor(scale.elem, x.shape, whole)
    data = ctx.full(x)
    zero_point = _zero_point(ctx, shift, factor, x.elem, data.dtype)
    return ctx.tensor(ctx.emit.op("dequantizeLinear", data, ctx.full(factor), zero_point), scale.elem)


def one_number(ctx: Context, part: Tensor) -> Tensor:
    """A scale or zero point of a whole tensor, as a scalar.

    Raises:
        Refused: it has several numbers.
    """
    if any(dim != 1 for dim in part.shape):
        raise Refused(f"a scale or zero point is {part}; one number is needed")
    return reshape_to(ctx, part, ())


def _dequantize_floats(ctx: Context, x: Tensor, factor: Tensor, shift: Tensor | None) -> Tensor:
    """(x - shift) * factor: floats of 8 bits and fewer are carried as the numbers that they stand for."""
    x = convert(ctx, x, factor.elem)
    shape, blocks = x.shape, list(factor.shape)
    for axis, (dim, count) in enumerate(zip(shape, factor.shape, strict=True)):
        if count != 1 and not ctx.same(dim, count):
            # Blocks: an axis of its own for the elements of one.
            x = reshape_to(ctx, x, (*shape[:axis], count, dim // count, *shape[axis + 1 :]))
            blocks.insert(axis + 1, 1)
            break
    if shift is not None:
        x = ctx.elementwise("sub", x, reshape_to(ctx, convert(ctx, shift, factor.elem), blocks))
    return reshape_to(ctx, ctx.elementwise("mul", x, reshape_to(ctx, factor, blocks)), shape)


def _zero_point(ctx: Context, shift: Tensor | None, factor: Tensor, elem: Elem, carrier: DataType) -> Value:
    """In the type of the data: 4 bits are packed as constants, and take a byte where they are computed."""
    if shift is not None:
        if elem.is_packed and carrier is elem.wire:
            shift = convert(ctx, shift, Elem.from_numpy(carrier.numpy))
        return ctx.full(shift)
    if elem.is_packed and carrier is not elem.wire and factor.is_static:
        # WebNN has no expand of 4 bits.
        return ctx.full(ctx.known(np.zeros([int(str(dim)) for dim in factor.shape], elem.numpy), elem))
    return ctx.emit.expand(ctx.emit.constant(0, carrier), factor.shape)


def _scale(ctx: Context, x: Tensor, scale: Tensor, axis: int, block: int) -> Tensor:
    numbers = ctx.array(scale)
    if numbers is not None and not np.isfinite(numbers.astype(np.float64)).all():
        # 0 / inf is 0, inf / inf is none, and 0 * inf is none either.
        raise Refused(
            "a scale is infinite or no number, and so is what it stands for; scales come from the calibration, where a"
            " mask of -inf makes them so: leave its tensors unquantised, or export the model with a finite mask"
        )
    return _aligned(ctx, x, scale, axis, block)


def _aligned(ctx: Context, x: Tensor, part: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point with the rank of x, as WebNN broadcasts it."""
    if block:
        where = ctx.axis(axis, x.rank)
        if part.rank == x.rank and ctx.same(part.shape[where] * block, x.shape[where]):
            return part
        return _finer(ctx, x, part, where, block)
    if part.rank == 0 or (part.rank == 1 and part.shape == (1,)):
        return reshape_to(ctx, part, [1] * x.rank)
    if part.rank != 1:
        raise Refused(f"a scale or zero point is {part}; rank 0 or 1 is needed without blocks")
    dims: list[Dim] = [1] * x.rank
    dims[ctx.axis(axis, x.rank)] = part.shape[0]
    return reshape_to(ctx, part, dims)


def _finer(ctx: Context, x: Tensor, part: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point whose last block is not full, in smaller blocks, which are: WebNN has no others."""
    size, known = x.shape[axis], ctx.array(part)
    count = part.shape[axis] if part.rank == x.rank else None
    if known is None or not isinstance(size, int) or count != -(-size // block):
        raise Refused(f"blocks of {block} along dimension {axis} of {x} do not fit {part}")
    step = math.gcd(block, size)
    return ctx.known(np.take(known, np.arange(0, size, step) // block, axis), part.elem)


@onnx_op("DequantizeLinear", domain="com.microsoft", attributes=("axis",))
def dequantize_microsoft(ctx: Context, node: OnnxNode) -> Tensor:
    """The form of opset 13, with more types."""
    return _dequantize(ctx, node, axis=node.integer("axis", 1), block=0)


@onnx_op("QuantizeLinear", domain="com.microsoft", attributes=("axis",))
def quantize_microsoft(ctx: Context, node: OnnxNode) -> Tensor:
    """The form of opset 13, with more types."""
    return _quantize(ctx, node, axis=node.integer("axis", 1), block=0)


@onnx_op("QuantizeLinear", since=10)
def quantize_before_13(ctx: Context, node: OnnxNode) -> Tensor:
    """One scale for the whole tensor."""
    return _quantize(ctx, node, axis=1, block=0)


@onnx_op("QuantizeLinear", since=13)
def quantize_before_21(ctx: Context, node: OnnxNode) -> Tensor:
    """One scale, or one per index of an axis."""
    return _quantize(ctx, node, axis=node.integer("axis", 1), block=0)


@onnx_op("QuantizeLinear", since=21)
def quantize(ctx: Context, node: OnnxNode) -> Tensor:
    """One scale, one per index of an axis, or one per block along it."""
    return _quantize(ctx, node, axis=node.integer("axis", 1), block=node.integer("block_size", 0))


def _quantize(ctx: Context, node: OnnxNode, *, axis: int, block: int) -> Tensor:
    x, scale, zero = node.input(0), node.input(1), node.optional(2)
    node.flag("saturate", 1)  # for 8-bit floats, which are refused
    wanted = node.integer("output_dtype", 0)
    elem = zero.elem if zero is not None else (elem_of(wanted, "the output") if wanted else Elem.UINT8)
    if elem.is_float:
        raise Refused(f"data is quantised to {elem.text}, which WebNN cannot compute")
    if x.elem is not scale.elem:
        x = convert(ctx, x, scale.elem)
    return quantised(ctx, x, scale, zero, elem, axis=axis, block=block)


def quantised(
    ctx: Context, x: Tensor, scale: Tensor, zero: Tensor | None, elem: Elem, *, axis: int = 1, block: int = 0
) -> Tensor:
    """`x / scale` rounded to even, moved to the zero point and kept in the range of `elem`; see `dequantised`."""
    factor = _scale(ctx, x, scale, axis, block)
    shift = None if zero is None else _aligned(ctx, x, zero, axis, block)
    operands = (ctx.full(x), ctx.full(factor), _zero_point(ctx, shift, factor, elem, ctx.wire(elem)))
    made = ctx.emit.op("quantizeLinear", *operands)
    if elem.wire.bits != elem.bits:
        # A wider type carries it, and saturates later than ONNX does.
        low, high = elem.integer_range
        made = ctx.emit.op("clamp", made, minValue=low, maxValue=high)
    return ctx.tensor(made, elem)


@onnx_op("DynamicQuantizeLinear", since=11)
def dynamic_quantize(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """uint8 with a scale and a zero point taken from the range of the data, which always includes 0."""
    return list(dynamically_quantised(ctx, node.input(0)))


def dynamically_quantised(ctx: Context, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 values, their scale and their zero point, by the range of the data."""
    zero, steps = ctx.scalar(0, x.elem), ctx.scalar(255, x.elem)
    axes = tuple(range(x.rank))
    top = ctx.elementwise("max", ctx.computed(x.elem, "reduceMax", ctx.full(x), axes=axes, keepDimensions=False), zero)
    low = ctx.elementwise("min", ctx.computed(x.elem, "reduceMin", ctx.full(x), axes=axes, keepDimensions=False), zero)
    spread = ctx.elementwise("div", ctx.elementwise("sub", top, low), steps)
    # All zeros: any scale will do, and 1 is what ONNX Runtime takes.
    is_flat = ctx.elementwise("equal", spread, zero, elem=Elem.BOOL)
    scale = ctx.elementwise("where", is_flat, ctx.scalar(1, x.elem), spread, elem=x.elem)
    shift = ctx.elementwise("roundEven", ctx.elementwise("neg", ctx.elementwise("div", low, scale)))
    point = ctx.elementwise("clamp", shift, minValue=0.0, maxValue=255.0)
    zero_point = ctx.tensor(ctx.emit.cast(ctx.full(point), DataType.UINT8), Elem.UINT8)
    ones = [1] * x.rank
    parts = [ctx.full(reshape_to(ctx, part, ones)) for part in (scale, zero_point)]
    return ctx.tensor(ctx.emit.op("quantizeLinear", ctx.full(x), *parts), Elem.UINT8), scale, zero_point
