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
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Known, Quantised, Tensor

# float32 holds integers exactly up to here.
_EXACT = 1 << 24


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
    x, scale, zero = node.input(0), node.input(1), node.optional(2)
    elem = elem_of(node.integer("output_dtype"), "the output") if node.integer("output_dtype", 0) else scale.elem
    if elem is not scale.elem:
        raise Refused(f"the output is {elem.text} and the scale {scale.elem.text}; WebNN gives the type of the scale")
    factor = _aligned(ctx, x, scale, axis, block)
    shift = None if zero is None else _aligned(ctx, x, zero, axis, block)
    values, scales = x.content, ctx.array(factor)
    zeros = None if shift is None else ctx.array(shift)
    if isinstance(values, Known) and values.array.shape == x.shape and scales is not None:
        if shift is None:
            zeros = np.zeros(scales.shape, values.array.dtype)
        if zeros is not None and values.array.size:
            whole = Quantised(values.array, x.elem, scales, zeros, values.name)
            ctx.carrier(x.elem)
            return Tensor(scale.elem, x.shape, whole)
    return ctx.tensor(
        ctx.emit.op("dequantizeLinear", ctx.full(x), ctx.full(factor), _zero_point(ctx, shift, factor, x.elem)),
        scale.elem,
    )


def _zero_point(ctx: Context, shift: Tensor | None, factor: Tensor, elem: Elem) -> Value:
    if shift is not None:
        return ctx.full(shift)
    return ctx.emit.expand(ctx.emit.constant(0, ctx.carrier(elem)), factor.shape)


def _aligned(ctx: Context, x: Tensor, part: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point with the rank of x, as WebNN broadcasts it."""
    if block:
        where = ctx.axis(axis, x.rank)
        dim = part.shape[where] if part.rank == x.rank else None
        if dim is None or not ctx.same(dim * block, x.shape[where]):
            raise Refused(f"blocks of {block} do not divide dimension {where} of {x}")
        return part
    if part.rank == 0 or (part.rank == 1 and part.shape == (1,)):
        return reshape_to(ctx, part, [1] * x.rank)
    if part.rank != 1:
        raise Refused(f"a scale or zero point is {part}; rank 0 or 1 is needed without blocks")
    dims: list[Dim] = [1] * x.rank
    dims[ctx.axis(axis, x.rank)] = part.shape[0]
    return reshape_to(ctx, part, dims)


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
    node.ignore("saturate")  # for 8-bit floats, which are refused
    wanted = node.integer("output_dtype", 0)
    elem = zero.elem if zero is not None else (elem_of(wanted, "the output") if wanted else Elem.UINT8)
    if x.elem is not scale.elem:
        x = convert(ctx, x, scale.elem)
    factor = _aligned(ctx, x, scale, axis, block)
    shift = None if zero is None else _aligned(ctx, x, zero, axis, block)
    operands = (ctx.full(x), ctx.full(factor), _zero_point(ctx, shift, factor, elem))
    return ctx.tensor(ctx.emit.op("quantizeLinear", *operands), elem)


@onnx_op("DynamicQuantizeLinear", since=11)
def dynamic_quantize(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """uint8 with a scale and a zero point taken from the range of the data, which always includes 0."""
    x = node.input(0)
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
    return [ctx.tensor(ctx.emit.op("quantizeLinear", ctx.full(x), *parts), Elem.UINT8), scale, zero_point]


@onnx_op("MatMulInteger", since=10)
def matmul_integer(ctx: Context, node: OnnxNode) -> Tensor:
    """Exact int32 sums, through float products of slices short enough that none of them rounds."""
    return _integer_product(ctx, node.input(0), node.optional(2), node.input(1), node.optional(3))


@onnx_op("QLinearMatMul", since=10)
def qlinear_matmul(ctx: Context, node: OnnxNode) -> Tensor:
    """The exact integer product, scaled, rounded to even, moved to the zero point and kept in range."""
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (node.input(index) for index in range(8))
    for part in (a_scale, a_zero, y_scale, y_zero):
        if any(dim != 1 for dim in part.shape):
            raise Refused("scales and zero points per row are not supported")
    if a.rank < 2 or b.rank < 2:
        raise Refused(f"operands are {a} and {b}; vectors are not supported")
    total = convert(ctx, _integer_product(ctx, a, a_zero, b, b_zero), Elem.FLOAT)
    scales = [convert(ctx, part, Elem.FLOAT) for part in (a_scale, b_scale, y_scale)]
    factor = ctx.elementwise("div", ctx.elementwise("mul", scales[0], scales[1]), scales[2])
    rounded = ctx.elementwise("roundEven", ctx.elementwise("mul", total, factor))
    low, high = y_zero.elem.integer_range
    moved = ctx.elementwise("add", rounded, convert(ctx, y_zero, Elem.FLOAT))
    kept = ctx.elementwise("clamp", moved, minValue=float(low), maxValue=float(high))
    return ctx.tensor(ctx.emit.cast(ctx.full(kept), ctx.carrier(y_zero.elem)), y_zero.elem)


def _integer_product(ctx: Context, a: Tensor, a_zero: Tensor | None, b: Tensor, b_zero: Tensor | None) -> Tensor:
    left = _centred(ctx, a, a_zero, rows=True)
    right = _centred(ctx, b, b_zero, rows=False)
    inner = ctx.size(a.shape[-1], "the inner dimension")
    total: Tensor | None = None
    for start, count in _exact_slices(ctx, inner, b, b_zero):
        rows = _cut(ctx, left, -1, start, count)
        columns = _cut(ctx, right, -2 if b.rank > 1 else -1, start, count)
        whole = convert(ctx, matmul_of(ctx, rows, columns), Elem.INT32)
        total = whole if total is None else ctx.elementwise("add", total, whole)
    if total is None:
        raise Refused("the inner dimension is 0; WebNN has no empty tensors")
    return total


def _exact_slices(ctx: Context, inner: int, b: Tensor, zero: Tensor | None) -> list[tuple[int, int]]:
    """Start and length of runs of the inner dimension whose sums of products float32 holds exactly."""
    weights = ctx.array(b)
    shift = np.zeros((), np.int64) if zero is None else ctx.array(zero)
    if weights is None or shift is None or b.rank != 2:
        step = _EXACT // (255 * 255)
        return [(start, min(step, inner - start)) for start in range(0, inner, step)]
    # Known weights are far from the worst case: in any order of summation no partial sum exceeds
    # 255 times the sum of their sizes.
    sizes = np.abs(weights.astype(np.int64) - shift.astype(np.int64)) * 255
    found: list[tuple[int, int]] = []
    start, held = 0, np.zeros(sizes.shape[1], np.int64)
    for row in range(inner):
        held = held + sizes[row]
        if row > start and held.max(initial=0) > _EXACT:
            found.append((start, row - start))
            start, held = row, sizes[row]
    return [*found, (start, inner - start)] if inner else []


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


@onnx_op(
    "MatMulNBits",
    domain="com.microsoft",
    attributes=("K", "N", "accuracy_level", "bits", "block_size", "weight_prepacked"),
)
def matmul_nbits(ctx: Context, node: OnnxNode) -> Tensor:
    """Matmul with 4-bit weights in blocks; they stay 4-bit constants."""
    node.ignore("accuracy_level")  # permits less precision, asks for none
    a, scales_input = node.input(0), node.input(2)
    columns, inner, bits, block = (node.integer(name) for name in ("N", "K", "bits", "block_size"))
    if bits != 4 or inner % block or node.optional(4) is not None or node.integer("weight_prepacked", 0):
        raise Refused("supported are 4 bits, whole blocks, no group index and no prepacked weights")
    blocks = inner // block
    packed = ctx.constant(node.input(1), "the weights").reshape(-1)
    if packed.dtype != np.uint8 or packed.size != math.ceil(columns * inner / 2):
        raise Refused(f"the weights hold {packed.size} bytes; {columns} x {inner} values need {columns * inner // 2}")
    values = np.stack([packed & 15, packed >> 4], -1).reshape(columns, inner)
    scale = ctx.constant(scales_input, "the scales").reshape(columns, blocks)
    zero_input = node.optional(3)
    if zero_input is None:
        zero = np.full((columns, blocks), 8, np.uint8)
    else:
        zeros = ctx.constant(zero_input, "the zero points")
        if zeros.dtype != np.uint8:
            raise Refused("zero points are not packed 4-bit integers")
        rows = zeros.reshape(columns, -1)
        zero = np.stack([rows & 15, rows >> 4], -1).reshape(columns, -1)[:, :blocks]
    name = node.input(1).content.name if isinstance(node.input(1).content, Known) else ""  # type: ignore[union-attr]  # just checked
    weights = Tensor(scales_input.elem, (columns, inner), Quantised(values, Elem.UINT4, scale, zero, name))
    made = matmul_of(ctx, a, transposed(ctx, weights, (1, 0)))
    bias = node.optional(5)
    return made if bias is None else ctx.elementwise("add", made, bias)
