"""com.microsoft attention with as many heads of keys as of queries: self-attention with its projection, and of three.

A masked key gets the finite bias `mask_filter_value`, as ONNX Runtime has it: a row whose keys are all masked
spreads its weight over them.
"""

from __future__ import annotations

from typing import Final

from webnn_runtime.format.dims import Dim, SymbolicDim, is_equal
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.attention import (
    appended,
    attend,
    chosen,
    join_heads,
    lowest,
    positions,
    split_heads,
    usual_scale,
)
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["self_attention"]

_LOW: Final = -10000.0


@onnx_op(
    "Attention",
    domain="com.microsoft",
    attributes=(
        "num_heads",
        "unidirectional",
        "qkv_hidden_sizes",
        "scale",
        "mask_filter_value",
        "do_rotary",
        "past_present_share_buffer",
        "rotary_embedding_dim",
    ),
)
def attention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Self-attention with one weight for query, key and value; a cache holds keys and values."""
    node.ignore("rotary_embedding_dim")
    if node.flag("do_rotary", 0):
        # Its positions are those of a table inside ONNX Runtime, which no input states.
        raise Refused("do_rotary is not supported; RotaryEmbedding beside it is")
    _refuse_shared_buffer(node, 6)
    x, weights, bias = node.input(0), node.input(1), node.optional(2)
    width = ctx.size(weights.shape[1], "the width of the weights")
    sizes = node.integers("qkv_hidden_sizes", (width // 3,) * 3)
    joined = matmul_of(ctx, x, weights)
    if bias is not None:
        joined = ctx.elementwise("add", joined, bias)
    return self_attention(
        ctx, node, joined, sizes, mask=node.optional(3), past=node.optional(4), extra=node.optional(5)
    )


def self_attention(
    ctx: Context,
    node: OnnxNode,
    joined: Tensor,
    sizes: tuple[int, ...],
    *,
    mask: Tensor | None,
    past: Tensor | None,
    extra: Tensor | None,
) -> list[Tensor | None]:
    """Output and present state, from query, key and value beside one another in [batch, length, sum of sizes]."""
    if len(sizes) != 3 or not ctx.same(sum(sizes), joined.shape[2]):
        raise Refused(f"query, key and value of {list(sizes)} are not the {joined.shape[2]} columns of the weights")
    heads = node.integer("num_heads")
    starts = (0, sizes[0], sizes[0] + sizes[1])
    query, key, value = (
        split_heads(ctx, slice_of(ctx, joined, {2: (start, size, 1)}), heads)
        for start, size in zip(starts, sizes, strict=True)
    )
    if past is not None:
        if past.rank != 5 or past.shape[0] != 2:
            raise Refused(f"the past state is {past}; [2, batch, heads, length, width] is needed")
        key, value = (appended(ctx, _half(ctx, past, index), part) for index, part in enumerate((key, value)))
    present = _stacked(ctx, key, value) if node.wants(1) else None
    made = attend(
        ctx,
        query,
        key,
        value,
        scale=_scale(ctx, node, query),
        biases=_biases(ctx, node, query, key, 0 if past is None else past.shape[3], mask, extra),
    )
    return [join_heads(ctx, made), present]


def _half(ctx: Context, past: Tensor, index: int) -> Tensor | None:
    if past.shape[3] == 0:
        return None
    return reshape_to(ctx, slice_of(ctx, past, {0: (index, 1, 1)}), past.shape[1:])


def _stacked(ctx: Context, key: Tensor, value: Tensor) -> Tensor:
    if any(not ctx.same(a, b) for a, b in zip(key.shape, value.shape, strict=True)):
        raise Refused("keys and values of different widths have no common state; the model is not valid")
    parts = [ctx.full(reshape_to(ctx, part, (1, *part.shape))) for part in (key, value)]
    return ctx.tensor(ctx.emit.concat(parts, 0), key.elem)


@onnx_op(
    "DecoderMaskedSelfAttention",
    domain="com.microsoft",
    attributes=("num_heads", "scale", "mask_filter_value", "do_rotary", "past_present_share_buffer"),
)
def decoder_masked_self_attention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Attention of one new token on a cache; without the buffers of ONNX Runtime's own beam search."""
    if node.flag("do_rotary", 0):
        raise Refused("do_rotary is not supported")
    _refuse_shared_buffer(node, 6, 7, 8)
    x, weights = node.input(0), node.input(1)
    width = ctx.size(weights.shape[1], "the width of the weights")
    joined = ctx.elementwise("add", matmul_of(ctx, x, weights), node.input(2))
    return self_attention(
        ctx, node, joined, (width // 3,) * 3, mask=node.optional(3), past=node.optional(4), extra=node.optional(5)
    )


@onnx_op(
    "MultiHeadAttention",
    domain="com.microsoft",
    attributes=("num_heads", "scale", "mask_filter_value", "unidirectional"),
)
def multi_head_attention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Attention of query, key and value: apart, packed, or keys and values of a whole cache."""
    _refuse_shared_buffer(node, 8, 9)
    query, key, value = _three(ctx, node)
    past_key, past_value = node.optional(6), node.optional(7)
    if (past_key is None) != (past_value is None):
        raise Refused("a past key and a past value belong together; the model is not valid")
    key, value = appended(ctx, past_key, key), appended(ctx, past_value, value)
    before = 0 if past_key is None else past_key.shape[2]
    if node.wants(3):
        raise Refused("the output of the scores is not supported; export without it")
    biases = _biases(ctx, node, query, key, before, node.optional(4), node.optional(5))
    made = attend(ctx, query, key, value, scale=_scale(ctx, node, query), biases=biases)
    return [join_heads(ctx, made), key if node.wants(1) else None, value if node.wants(2) else None]


def _three(ctx: Context, node: OnnxNode) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value with heads on axis 1 and their biases added."""
    first, second, third = node.input(0), node.optional(1), node.optional(2)
    bias, heads = node.optional(3), node.integer("num_heads")
    if first.rank == 5 and second is None and third is None:
        parts = [_unpacked(ctx, first, index) for index in range(3)]
    elif second is not None and second.rank == 5 and third is None:
        parts = [first, _unpacked(ctx, second, 0), _unpacked(ctx, second, 1)]
    elif second is not None and third is not None:
        parts = [first, second, third]
    else:
        raise Refused("query, key and value are neither three tensors nor packed; the model is not valid")
    found: list[Tensor] = []
    start: Dim = 0
    for part in parts:
        if part.rank == 4 and found:
            # Keys and values of cross-attention come from a cache: projected, biased and split already.
            found.append(part)
            start = start + part.shape[1] * part.shape[3]
            continue
        if part.rank != 3:
            raise Refused(f"query, key or value is {part}; rank 3 is needed")
        if bias is not None:
            part = ctx.elementwise("add", part, slice_of(ctx, bias, {0: (start, part.shape[2], 1)}))
            start = start + part.shape[2]
        found.append(split_heads(ctx, part, heads))
    return found[0], found[1], found[2]


def _unpacked(ctx: Context, packed: Tensor, index: int) -> Tensor:
    """One of the tensors in [batch, length, heads, tensors, width], as [batch, length, heads * width]."""
    batch, length, heads, _, width = packed.shape
    return reshape_to(ctx, slice_of(ctx, packed, {3: (index, 1, 1)}), (batch, length, heads * width))


def _refuse_shared_buffer(node: OnnxNode, *indices: int) -> None:
    if node.flag("past_present_share_buffer", 0) or any(node.optional(index) is not None for index in indices):
        raise Refused("a cache whose buffer is shared, and its beams, are not supported; use growing past states")


def _scale(ctx: Context, node: OnnxNode, query: Tensor) -> float:
    # 0 stands for the usual scale, in ONNX Runtime as well.
    return node.number("scale", 0.0) or usual_scale(ctx, query)


def _biases(
    ctx: Context,
    node: OnnxNode,
    query: Tensor,
    key: Tensor,
    past: Dim,
    mask: Tensor | None,
    extra: Tensor | None,
) -> list[Tensor]:
    low = node.number("mask_filter_value", _LOW)
    # One sum of all masks: the scores get a bias and a mask, which is what backends look for.
    masks = [] if mask is None else [_padding(ctx, mask, key, query.elem, low)]
    rows, columns = query.shape[2], key.shape[2]
    if node.flag("unidirectional", 0):
        if not ctx.same(past + rows, columns):
            # ONNX Runtime lets the last query see all keys then, and the others only as many as came before them.
            raise Refused(f"unidirectional attention needs as many new keys as queries, {rows}")
        own = positions(rows, 2, 0, past)
        earlier = ctx.elementwise("lesserOrEqual", positions(columns, 2, 1), own, elem=Elem.BOOL)
        # Later keys are out of reach, whatever a mask's own value says of others.
        hidden = chosen(ctx, earlier, query.elem, lowest(query.elem))
        masks = [hidden if not masks else ctx.elementwise("add", masks[0], hidden)]
    return [*([] if extra is None else [extra]), *masks]


def _padding(ctx: Context, mask: Tensor, key: Tensor, elem: Elem, low: float) -> Tensor:
    """The bias of a mask: lengths, ends and starts, keys, or pairs of queries and keys."""
    batch, columns = key.shape[0], key.shape[2]
    wide = convert(ctx, mask, Elem.INT64)
    if mask.rank == 1:
        places = positions(columns, 2, 1)
        if ctx.same(mask.shape[0], batch * 2):
            ends, starts = (
                reshape_to(ctx, slice_of(ctx, wide, {0: (start, batch, 1)}), (batch, 1)) for start in (0, batch)
            )
            before_end = ctx.elementwise("lesser", places, ends, elem=Elem.BOOL)
            from_start = ctx.elementwise("greaterOrEqual", places, starts, elem=Elem.BOOL)
            seen = ctx.elementwise("logicalAnd", before_end, from_start, elem=Elem.BOOL)
        elif _is_batch(ctx, mask.shape[0], batch):
            seen = ctx.elementwise("lesser", places, reshape_to(ctx, wide, (batch, 1)), elem=Elem.BOOL)
        else:
            raise Refused(f"a mask {mask} for a batch of {batch} is not supported; 1-D masks have 1 or 2 numbers a row")
        shape: tuple[Dim, ...] = (batch, 1, 1, columns)
    elif mask.rank in (2, 3):
        own = mask.shape[-1]
        # Names that may be equal are compared at run, where the mask meets the scores; one column is not spread.
        if not ctx.same(own, columns) and (own == 1 or is_equal(own, columns, ctx.ranges) is False):
            raise Refused(f"a mask {mask} does not cover {columns} keys")
        seen = ctx.elementwise("greater", wide, ctx.scalar(0, Elem.INT64), elem=Elem.BOOL)
        shape = (mask.shape[0], 1, 1 if mask.rank == 2 else mask.shape[1], own)
    else:
        raise Refused(f"a mask {mask} is not supported")
    return reshape_to(ctx, chosen(ctx, seen, elem, low), shape)


def _is_batch(ctx: Context, count: Dim, batch: Dim) -> bool:
    """Whether a mask has one number a row: for certain, or by a name of its own that the run compares."""
    return ctx.same(count, batch) or (
        isinstance(count, SymbolicDim) and is_equal(count, batch, ctx.ranges) is not False
    )
