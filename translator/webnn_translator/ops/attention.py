"""Attention as ONNX Runtime's optimiser fuses it, written out again: backends find the pattern themselves."""

from __future__ import annotations

import math

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.normalization import layer_norm
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Tensor

__all__: list[str] = []


@onnx_op("EmbedLayerNormalization", domain="com.microsoft", attributes=("epsilon", "mask_index_type"))
def embed_layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Word, position and segment embeddings, added and normalised."""
    ids, segments = node.input(0), node.optional(1)
    words, positions, kinds = node.input(2), node.input(3), node.optional(4)
    gamma, beta, mask, places = node.input(5), node.input(6), node.optional(7), node.optional(8)
    total = _rows(ctx, words, ids)
    if places is not None:
        total = ctx.elementwise("add", total, _rows(ctx, positions, places))
    else:
        length = ids.shape[1]
        limit = ctx.size(positions.shape[0], "the number of positions")
        for name in ctx.ranges:
            if str(length) == name:
                ctx.narrow(name, limit, f"a table of {limit} positions")
        total = ctx.elementwise("add", total, slice_of(ctx, positions, {0: (0, length, 1)}))
    if segments is not None and kinds is not None:
        total = ctx.elementwise("add", total, _rows(ctx, kinds, segments))
    made = layer_norm(ctx, total, gamma, beta, total.rank - 1, node.number("epsilon", 1e-12))
    index_type = node.integer("mask_index_type", 1 if mask is not None else 0)
    return [made, _mask_index(ctx, ids, mask, index_type) if node.wants(1) else None, total if node.wants(2) else None]


def _rows(ctx: Context, table: Tensor, ids: Tensor) -> Tensor:
    return ctx.computed(table.elem, "gather", ctx.full(table), ctx.full(ids), axis=0)


def _mask_index(ctx: Context, ids: Tensor, mask: Tensor | None, index_type: int) -> Tensor:
    if mask is None or index_type == 0:
        return ctx.known(np.asarray(0, np.int32), Elem.INT32, (ids.shape[0],))
    if index_type != 1:
        raise Refused(f"mask_index_type {index_type} is not supported")
    ones = ctx.elementwise("equal", mask, ctx.scalar(1, mask.elem), elem=Elem.BOOL)
    counted = ctx.tensor(ctx.emit.cast(ctx.full(ones), ctx.carrier(Elem.INT32)), Elem.INT32)
    return ctx.computed(Elem.INT32, "reduceSum", ctx.full(counted), axes=(1,), keepDimensions=False)


_ATTENTION = (
    "num_heads",
    "unidirectional",
    "qkv_hidden_sizes",
    "scale",
    "mask_filter_value",
    "do_rotary",
    "past_present_share_buffer",
    "rotary_embedding_dim",
)


@onnx_op("Attention", domain="com.microsoft", attributes=_ATTENTION)
def attention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Self-attention with one weight for query, key and value."""
    x, weights, bias, mask = node.input(0), node.input(1), node.optional(2), node.optional(3)
    heads = node.integer("num_heads")
    node.ignore("rotary_embedding_dim")
    if node.integer("do_rotary", 0) or node.integer("past_present_share_buffer", 0):
        raise Refused("do_rotary and past_present_share_buffer are not supported")
    if node.optional(4) is not None or node.wants(1):
        raise Refused("past and present states are not supported")
    width = ctx.size(weights.shape[1], "the width of the weights")
    sizes = node.integers("qkv_hidden_sizes", (width // 3,) * 3)
    joined = matmul_of(ctx, x, weights)
    if bias is not None:
        joined = ctx.elementwise("add", joined, bias)
    starts = (0, sizes[0], sizes[0] + sizes[1])
    parts = [
        _heads(ctx, slice_of(ctx, joined, {2: (start, size, 1)}), heads)
        for start, size in zip(starts, sizes, strict=True)
    ]
    low = node.number("mask_filter_value", -10000.0)
    biases = [] if mask is None else [_mask_bias(ctx, mask, x, low)]
    if node.integer("unidirectional", 0):
        biases.append(_causal(ctx, x.shape[1], x.elem, low))
    extra = node.optional(5)
    if extra is not None:
        biases.append(extra)
    return [_attend(ctx, parts, biases, node)]


@onnx_op(
    "MultiHeadAttention",
    domain="com.microsoft",
    attributes=("num_heads", "scale", "mask_filter_value", "unidirectional"),
)
def multi_head_attention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Attention of separate query, key and value, without a cache."""
    inputs = [node.input(0), node.optional(1), node.optional(2)]
    heads = node.integer("num_heads")
    if any(part is None or part.rank != 3 for part in inputs):
        raise Refused("packed or cached query, key and value are not supported")
    if any(node.optional(index) is not None for index in range(6, 10)) or node.wants(1):
        raise Refused("past and present states are not supported")
    bias, padding = node.optional(3), node.optional(4)
    parts: list[Tensor] = []
    start: Dim = 0
    for part in inputs:
        assert part is not None
        if bias is not None:
            part = ctx.elementwise("add", part, slice_of(ctx, bias, {0: (start, part.shape[2], 1)}))
            start = start + part.shape[2]
        parts.append(_heads(ctx, part, heads))
    low = node.number("mask_filter_value", -10000.0)
    biases = [] if padding is None else [_mask_bias(ctx, padding, node.input(1), low)]
    if node.integer("unidirectional", 0):
        if not ctx.same(parts[0].shape[2], parts[1].shape[2]):
            raise Refused("unidirectional attention needs as many keys as queries")
        biases.append(_causal(ctx, parts[0].shape[2], parts[0].elem, low))
    extra = node.optional(5)
    if extra is not None:
        biases.append(extra)
    return [_attend(ctx, parts, biases, node)]


def _heads(ctx: Context, x: Tensor, heads: int) -> Tensor:
    """[batch, length, width] as [batch, heads, length, width / heads]."""
    width = ctx.size(x.shape[2], "the width of the data")
    if width % heads:
        raise Refused(f"{heads} heads do not divide {width}; the model is not valid")
    split = reshape_to(ctx, x, (x.shape[0], x.shape[1], heads, width // heads))
    return transposed(ctx, split, (0, 2, 1, 3))


def _mask_bias(ctx: Context, mask: Tensor, keys: Tensor, low: float) -> Tensor:
    """0 where a key may be seen, `low` elsewhere."""
    batch, length = keys.shape[0], keys.shape[1]
    wide = convert(ctx, mask, Elem.INT64)
    if mask.rank == 1 and ctx.same(mask.shape[0], batch):
        places = Tensor(Elem.INT64, (length,), Affine(0, (1,)))
        seen = ctx.elementwise("lesser", places, reshape_to(ctx, wide, (batch, 1)), elem=Elem.BOOL)
        shape: tuple[Dim, ...] = (batch, 1, 1, length)
    elif mask.rank in (2, 3) and ctx.same(mask.shape[0], batch) and ctx.same(mask.shape[-1], length):
        seen = ctx.elementwise("greater", wide, ctx.scalar(0, Elem.INT64), elem=Elem.BOOL)
        shape = (batch, 1, 1, length) if mask.rank == 2 else (batch, 1, mask.shape[1], length)
    else:
        raise Refused(f"a mask {mask} is not supported")
    chosen = ctx.elementwise("where", seen, ctx.scalar(0, keys.elem), ctx.scalar(low, keys.elem), elem=keys.elem)
    return reshape_to(ctx, chosen, shape)


def _causal(ctx: Context, length: Dim, elem: Elem, low: float) -> Tensor:
    rows = Tensor(Elem.INT64, (length, 1), Affine(0, (1, 0)))
    columns = Tensor(Elem.INT64, (1, length), Affine(0, (0, 1)))
    later = ctx.elementwise("greater", columns, rows, elem=Elem.BOOL)
    return ctx.elementwise("where", later, ctx.scalar(low, elem), ctx.scalar(0, elem), elem=elem)


def _attend(ctx: Context, parts: list[Tensor], biases: list[Tensor], node: OnnxNode) -> Tensor:
    """softmax(query @ key^T * scale + biases) @ value, heads joined again."""
    query, key, value = parts
    size = ctx.size(query.shape[3], "the width of a head")
    # 0 stands for the usual scale, in ONNX Runtime as well.
    scale = node.number("scale", 0.0) or 1 / math.sqrt(size)
    scores = matmul_of(ctx, query, transposed(ctx, key, (0, 1, 3, 2)))
    scores = ctx.elementwise("mul", scores, ctx.scalar(scale, query.elem))
    for bias in biases:
        scores = ctx.elementwise("add", scores, bias)
    weights = ctx.computed(query.elem, "softmax", ctx.full(scores), axis=3)
    joined = transposed(ctx, matmul_of(ctx, weights, value), (0, 2, 1, 3))
    heads, width = value.shape[1], value.shape[3]
    return reshape_to(ctx, joined, (joined.shape[0], joined.shape[1], heads * width))
