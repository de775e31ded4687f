"""Weights of a few bits that share a scale in blocks. All but those of bitsandbytes stay packed in the bundle."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Known, Quantised, Tensor

__all__ = ["gathered_few_bits"]

_BITS = (2, 4, 8)
# What the codes of bitsandbytes stand for: a float of 4 bits, and the quantiles of a normal distribution.
_MAGNITUDES = np.array([0, 1 / 192, 2 / 3, 1, 1 / 3, 1 / 2, 1 / 6, 1 / 4], np.float32)
_QUANTILES = (
    (-1.0, -0.6961928, -0.52507305, -0.3949175, -0.28444138, -0.18477343, -0.09105004, 0.0),
    (0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0),
)
_MEANINGS = (np.concatenate([_MAGNITUDES, -_MAGNITUDES]), np.array(_QUANTILES, np.float32).reshape(-1))


@onnx_op(
    "MatMulNBits",
    domain="com.microsoft",
    attributes=("K", "N", "accuracy_level", "bits", "block_size", "weight_prepacked"),
)
def matmul_nbits(ctx: Context, node: OnnxNode) -> Tensor:
    """Matmul with weights of 2, 4 or 8 bits in blocks along the inner dimension."""
    node.ignore("accuracy_level")  # permits less precision, asks for none
    columns, inner, block = (node.integer(name) for name in ("N", "K", "block_size"))
    bits = _bits(node.integer("bits", 4))
    if node.flag("weight_prepacked", 0):
        raise Refused("prepacked weights are laid out for one processor; quantise with weight_prepacked=0")
    blocks = -(-inner // block)
    x, order = node.input(0), _order_of_groups(ctx, node.optional(4), inner, block)
    packed = _bytes(ctx, node.input(1), "the weights")
    if packed.size * 8 != columns * blocks * block * bits:
        needed = columns * blocks * block * bits // 8
        raise Refused(f"the weights hold {packed.size} bytes; {columns} x {blocks * block} values need {needed}")
    values = _unpacked(packed.reshape(columns, -1), bits)
    if order is not None:
        # Blocks are made of a group each, and the data is put in the same order.
        values = np.concatenate([values[:, order], values[:, inner:]], axis=1)
        places = ctx.value(ctx.known(order, Elem.INT64))
        x = ctx.computed(x.elem, "gather", ctx.full(x), places, axis=x.rank - 1)
    scale = ctx.constant(node.input(2), "the scales").reshape(columns, blocks)
    zero, shift = _zero_points(ctx, node.optional(3), columns, blocks, bits)
    if node.optional(4) is not None and node.optional(3) is not None and shift is None:
        raise Refused("packed zero points beside a group index, which ONNX Runtime passes over; quantise without one")
    kind = Elem.UINT8 if bits == 8 else Elem.UINT4
    elem = node.input(2).elem
    weights = Tensor(elem, (columns, blocks * block), Quantised(values, kind, scale, zero, _name_of(node.input(1))))
    if shift is not None:
        weights = _moved(ctx, weights, scale.astype(elem.numpy) * shift.astype(elem.numpy), block)
    if blocks * block != inner:
        weights = slice_of(ctx, weights, {1: (0, inner, 1)})
    made = matmul_of(ctx, x, transposed(ctx, weights, (1, 0)))
    bias = node.optional(5)
    return made if bias is None else ctx.elementwise("add", made, bias)


@onnx_op(
    "MatMulBnb4",
    domain="com.microsoft",
    attributes=("K", "N", "block_size", "quant_type", "training_mode", "transB"),
)
def matmul_bnb4(ctx: Context, node: OnnxNode) -> Tensor:
    """Matmul with weights of bitsandbytes (FP4, NF4), whose steps are uneven: they are decoded here."""
    node.ignore("training_mode")
    inner, columns, block, kind = (node.integer(name) for name in ("K", "N", "block_size", "quant_type"))
    if kind not in (0, 1):
        raise Refused(f"attribute quant_type is {kind}; 0 (FP4) and 1 (NF4) are known")
    packed = _bytes(ctx, node.input(1), "the weights").reshape(-1)
    scale = ctx.constant(node.input(2), "the scales").reshape(-1)
    count = inner * columns
    if packed.size != (count + 1) // 2 or block < 1 or scale.size != -(-count // block):
        raise Refused(f"{packed.size} bytes and {scale.size} scales of {block} do not make {columns} x {inner} weights")
    # High bits come first.
    codes = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1)[:count]
    elem = node.input(2).elem
    values = _MEANINGS[kind].astype(elem.numpy)[codes] * np.repeat(scale, block)[:count]
    weights = ctx.known(values.reshape(columns, inner), elem)
    return matmul_of(ctx, node.input(0), transposed(ctx, weights, (1, 0)) if node.flag("transB", 1) else weights)


def _order_of_groups(ctx: Context, index: Tensor | None, inner: int, block: int) -> Array | None:
    """Inner places sorted by the group whose scale each has, as of GPTQ's act-order; None where they are sorted."""
    if index is None:
        return None
    groups = ctx.constant(index, "the group index").reshape(-1)[:inner]
    usual = np.arange(inner) // block
    order: Array = np.argsort(groups, kind="stable").astype(np.int64)
    if len(groups) != inner or not np.array_equal(groups[order], usual):
        raise Refused(f"the group index {index} gives groups of other sizes than {block}; quantise without it")
    return None if np.array_equal(groups, usual) else order


def _bits(bits: int) -> int:
    if bits not in _BITS:
        raise Refused(f"weights of {bits} bits are not supported; 2, 4 and 8 are")
    return bits


def _bytes(ctx: Context, x: Tensor, what: str) -> Array:
    array = ctx.constant(x, what)
    if array.dtype != np.uint8:
        raise Refused(f"{what} are {x}; bytes are needed")
    return array


def _name_of(x: Tensor) -> str:
    return x.content.name if isinstance(x.content, Known) else ""


def _unpacked(packed: Array, bits: int) -> Array:
    """[..., bytes] as [..., values]; low bits come first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values: Array = (packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)
    return values.reshape(*packed.shape[:-1], -1)


def _zero_points(
    ctx: Context, given: Tensor | None, columns: int, blocks: int, bits: int
) -> tuple[Array, Array | None]:
    """Zero points per block: integers, and where they are floats those apart."""
    if given is None:
        return np.full((columns, blocks), 1 << (bits - 1), np.uint8), None
    array = ctx.constant(given, "the zero points")
    if array.dtype == np.uint8:
        return _unpacked(array.reshape(columns, -1), bits)[:, :blocks], None
    if not given.elem.is_float:
        raise Refused(f"the zero points are {given}; packed bytes or floats are needed")
    return np.zeros((columns, blocks), np.uint8), array.reshape(columns, blocks)


def _moved(ctx: Context, weights: Tensor, distance: Array, block: int) -> Tensor:
    """Weights less a distance per block: float zero points times their scales."""
    columns, whole = weights.shape
    apart = reshape_to(ctx, weights, (columns, distance.shape[1], block))
    made = ctx.elementwise("sub", apart, ctx.known(distance[..., None], weights.elem))
    return reshape_to(ctx, made, (columns, whole))


@onnx_op(
    "GatherBlockQuantized", domain="com.microsoft", attributes=("bits", "block_size", "gather_axis", "quantize_axis")
)
def gather_block_quantized(ctx: Context, node: OnnxNode) -> Tensor:
    """Rows of a table of 2, 4 or 8 bits: packed rows are gathered, and only those dequantised."""
    data, indices, scales, zeros = node.input(0), node.input(1), node.input(2), node.optional(3)
    block = node.integer("block_size", 128)
    if ctx.axis(node.integer("gather_axis", 0), data.rank) != 0 or data.rank != 2:
        raise Refused(f"rows of {data} are gathered along another axis than 0; tables are supported")
    if ctx.axis(node.integer("quantize_axis", 1), data.rank) != 1:
        raise Refused("blocks go along the gathered axis; those along rows are supported")
    bits = _bits(node.integer("bits", 4)) if data.elem is Elem.UINT8 else 4
    node.ignore("bits")
    packed, width, shift = _table(ctx, data, bits)
    rows = len(packed)
    factor = ctx.constant(scales, "the scales")
    if factor.ndim != 2 or factor.shape[0] != rows or factor.shape[1] != -(-width // block) or width % block:
        raise Refused(f"scales {scales} do not fit {rows} x {width} values in blocks of {block}")
    middle = _table_zeros(ctx, data, zeros, bits, factor.shape) + shift
    made = _dequantised_rows(ctx, packed, bits, scales, middle, indices)
    return _zero_outside(ctx, made, indices, rows)


def gathered_few_bits(ctx: Context, table: Quantised, indices: Tensor) -> Tensor | None:
    """Rows of a table of 4 bits, which WebNN cannot gather as it is; None where its rows do not fill whole bytes."""
    values, scale = table.values, table.scale
    if values.ndim != 2 or values.shape[1] % 2 or scale.shape[0] not in (1, len(values)):
        return None
    shift = 0 if table.kind.integer_range[0] == 0 else 8
    middle = table.zero_point.astype(np.int16) + shift
    return _dequantised_rows(ctx, _in_bytes(values, shift), 4, ctx.known(scale), middle, indices)


def _dequantised_rows(ctx: Context, packed: Array, bits: int, scales: Tensor, middle: Array, indices: Tensor) -> Tensor:
    """[..., width] of packed rows, with [rows, blocks] scales and zero points, or [1, blocks] for all rows."""
    values = _unpacked_rows(ctx, _rows(ctx, ctx.known(packed, Elem.UINT8), indices), bits, scales.elem)
    *lead, width = values.shape
    blocks = middle.shape[1]
    apart = reshape_to(ctx, values, (*lead, blocks, width // blocks))

    def per_block(part: Tensor) -> Tensor:
        if part.shape[0] == 1:
            return reshape_to(ctx, part, (*[1] * len(lead), blocks, 1))
        return reshape_to(ctx, _rows(ctx, part, indices), (*lead, blocks, 1))

    points = convert(ctx, per_block(ctx.known(middle.astype(np.uint8))), scales.elem)
    made = ctx.elementwise("mul", ctx.elementwise("sub", apart, points), per_block(scales))
    return reshape_to(ctx, made, (*lead, width))


def _table(ctx: Context, data: Tensor, bits: int) -> tuple[Array, int, int]:
    """Packed rows [rows, bytes], how many values a row has, and what was added to make them unsigned."""
    array = ctx.constant(data, "the table")
    if data.elem is Elem.UINT8:
        return array, array.shape[1] * 8 // bits, 0
    if data.elem not in (Elem.INT4, Elem.UINT4) or array.shape[1] % 2:
        raise Refused(f"the table is {data}; int4, uint4 or bytes and an even number of columns are needed")
    shift = 8 if data.elem is Elem.INT4 else 0
    return _in_bytes(array, shift), array.shape[1], shift


def _in_bytes(rows: Array, shift: int) -> Array:
    """Two values of 4 bits in a byte, the first in the low half, after `shift` has made them unsigned."""
    values = (rows.astype(np.int16) + shift).astype(np.uint8)
    packed: Array = values[:, ::2] | values[:, 1::2] << 4
    return packed


def _table_zeros(ctx: Context, data: Tensor, zeros: Tensor | None, bits: int, shape: tuple[int, ...]) -> Array:
    if zeros is None:
        return np.full(shape, 1 << (bits - 1) if data.elem is Elem.UINT8 else 0, np.int16)
    array = ctx.constant(zeros, "the zero points")
    if data.elem is Elem.UINT8:
        array = _unpacked(array.reshape(shape[0], -1), bits)[:, : shape[1]]
    return array.reshape(shape).astype(np.int16)


def _rows(ctx: Context, table: Tensor, indices: Tensor) -> Tensor:
    return ctx.computed(table.elem, "gather", ctx.full(table), ctx.full(indices), axis=0)


def _unpacked_rows(ctx: Context, packed: Tensor, bits: int, elem: Elem) -> Tensor:
    """Bytes as numbers of `bits` bits, low ones first; divisions by powers of two are exact."""
    rest = convert(ctx, packed, elem)
    columns: list[Tensor] = []
    for _ in range(8 // bits - 1):
        whole = ctx.elementwise("floor", ctx.elementwise("mul", rest, ctx.scalar(0.5**bits, elem)))
        columns.append(ctx.elementwise("sub", rest, ctx.elementwise("mul", whole, ctx.scalar(2**bits, elem))))
        rest = whole
    columns.append(rest)
    shape: tuple[Dim, ...] = (*rest.shape, 1)
    parts = [ctx.full(reshape_to(ctx, column, shape)) for column in columns]
    woven = ctx.tensor(ctx.emit.concat(parts, rest.rank), elem)
    return reshape_to(ctx, woven, (*rest.shape[:-1], rest.shape[-1] * len(columns)))


def _zero_outside(ctx: Context, made: Tensor, indices: Tensor, rows: int) -> Tensor:
    """Rows of indices that the table does not have are zeros, unlike those of Gather."""
    known = ctx.array(indices)
    if known is not None and known.size and known.min() >= -rows and known.max() < rows:
        return made
    low = ctx.elementwise("greaterOrEqual", indices, ctx.scalar(-rows, indices.elem), elem=Elem.BOOL)
    high = ctx.elementwise("lesser", indices, ctx.scalar(rows, indices.elem), elem=Elem.BOOL)
    inside = ctx.elementwise("logicalAnd", low, high, elem=Elem.BOOL)
    inside = reshape_to(ctx, inside, (*indices.shape, 1))
    return ctx.elementwise("where", inside, made, ctx.scalar(0, made.elem), elem=made.elem)
