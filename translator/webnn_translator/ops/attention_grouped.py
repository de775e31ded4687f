"""com.microsoft GroupQueryAttention: few heads of keys for many of queries, rotary positions, and a ragged cache.

Rows of a batch may have different lengths: row b holds `seqlens_k[b] + 1` tokens after this step, the new ones
last. Where the step is the first, padding of shorter rows follows their tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from webnn_runtime.format.dims import Dim, is_at_least, is_equal
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
from webnn_translator.ops.normalization import rms_norm
from webnn_translator.ops.rotary import rotated, rows_of_table
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_ATTRIBUTES: Final = (
    "num_heads",
    "kv_num_heads",
    "scale",
    "softcap",
    "causal",
    "local_window_size",
    "do_rotary",
    "rotary_interleaved",
    "smooth_softmax",
    "qk_norm_epsilon",
    "qk_output",
    "sliding_window_cache",
    "kv_cache_bit_width",
    "k_quant_type",
    "v_quant_type",
)


@dataclass(frozen=True, slots=True)
class _Lengths:
    """How far each row is; [batch, 1] and int64.

    Attributes:
        total: tokens after this step.
        past: tokens before it.
    """

    total: Tensor
    past: Tensor


@onnx_op("GroupQueryAttention", domain="com.microsoft", attributes=_ATTRIBUTES)
def group_query_attention(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Output, and keys and values of all tokens so far."""
    _refuse_variants(node)
    query, key, value = _three(ctx, node)
    batch, length = query.shape[0], query.shape[2]
    lengths = _lengths(ctx, node.input(5), batch, length)
    query, key = _normalised(ctx, node, query, key)
    if node.flag("do_rotary", 0):
        query, key = _rotated(ctx, node, query, key, lengths)
    past_key, past_value = node.optional(3), node.optional(4)
    if (past_key is None) != (past_value is None):
        raise Refused("a past key and a past value belong together; the model is not valid")
    places = _places(ctx, node, past_key, length)
    keys, values = (
        _ragged(ctx, past, fresh, lengths, places) for past, fresh in ((past_key, key), (past_value, value))
    )
    made = attend(
        ctx,
        query,
        keys,
        values,
        scale=node.number("scale", 0.0) or usual_scale(ctx, query),
        softcap=node.number("softcap", 0.0),
        biases=_biases(ctx, node, query, lengths, places),
        sink=_sink(ctx, node, query),
    )
    return [join_heads(ctx, made), keys if node.wants(1) else None, values if node.wants(2) else None]


def _refuse_variants(node: OnnxNode) -> None:
    node.ignore("kv_cache_bit_width")  # of a quantised cache
    for name in ("k_quant_type", "v_quant_type"):
        node.choice(name, "NONE", "NONE")
    if node.optional(12) is not None or node.optional(13) is not None:
        raise Refused("a quantised cache is not supported; export with a cache of floats")
    if node.integer("sliding_window_cache", 0):
        raise Refused(
            "sliding_window_cache drops old tokens by its own rules; export without: local_window_size hides them"
        )
    if node.integer("qk_output", 0) or node.wants(3):
        raise Refused("the output of the scores is not supported; export without it")


def _three(ctx: Context, node: OnnxNode) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value, given apart or beside one another in one tensor."""
    heads, few = node.integer("num_heads"), node.integer("kv_num_heads")
    query, key, value = node.input(0), node.optional(1), node.optional(2)
    if (key is None) != (value is None):
        raise Refused("a key and a value belong together; the model is not valid")
    if key is not None and value is not None:
        return split_heads(ctx, query, heads), split_heads(ctx, key, few), split_heads(ctx, value, few)
    whole = ctx.size(query.shape[2], "the width of the data")
    if whole % (heads + 2 * few):
        raise Refused(f"{heads} + 2 * {few} heads do not divide {whole}; the model is not valid")
    every = split_heads(ctx, query, heads + 2 * few)
    first, second, third = (
        slice_of(ctx, every, {1: cut}) for cut in ((0, heads, 1), (heads, few, 1), (heads + few, few, 1))
    )
    return first, second, third


def _lengths(ctx: Context, last: Tensor, batch: Dim, length: Dim) -> _Lengths:
    wide = reshape_to(ctx, convert(ctx, last, Elem.INT64), (batch, 1))
    total = ctx.elementwise("add", wide, ctx.scalar(1, Elem.INT64))
    # The first step is as long as its longest row; shorter rows have no past either.
    before = ctx.elementwise("sub", total, ctx.from_dims([length]))
    return _Lengths(total, ctx.elementwise("max", before, ctx.scalar(0, Elem.INT64)))


def _places(ctx: Context, node: OnnxNode, past: Tensor | None, length: Dim) -> Tensor:
    """Positions [1, size] in the present state, which holds all tokens, or what a buffer has room for."""
    before: Dim = 0 if past is None else past.shape[2]
    totals = ctx.dims(node.input(6), "total_sequence_length")
    if len(totals) != 1:
        raise Refused(f"total_sequence_length has {len(totals)} values; the model is not valid")
    total, grown = totals[0], before + length
    if ctx.same(total, grown):
        return positions(grown, 2, 1)
    if is_at_least(before, total, ctx.ranges):
        return positions(before, 2, 1)
    if is_equal(total, grown, ctx.ranges) is False:
        raise Refused(f"total_sequence_length is {total} for {before} past and {length} new tokens")
    # Whether the two are equal is known at run only: adding zeros of the other length makes the graph check it.
    zeros = Tensor(Elem.INT64, (1, grown), Affine(0, (0, 0)))
    return ctx.elementwise("add", positions(total, 2, 1), zeros)


def _normalised(ctx: Context, node: OnnxNode, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
    epsilon = node.number("qk_norm_epsilon", 1e-6)
    for_query, for_key = node.optional(14), node.optional(15)
    if for_query is None or for_key is None:
        return query, key
    return rms_norm(ctx, query, for_query, 3, epsilon), rms_norm(ctx, key, for_key, 3, epsilon)


def _rotated(ctx: Context, node: OnnxNode, query: Tensor, key: Tensor, lengths: _Lengths) -> tuple[Tensor, Tensor]:
    cos, sin, ids = node.input(7), node.input(8), node.optional(9)
    # ONNX Runtime refuses a text that is longer than the tables, and so does a run: its slice does not exist.
    total = ctx.dims(node.input(6), "total_sequence_length")[0]
    for table in (cos, sin):
        if is_at_least(table.shape[0], total, ctx.ranges) is False:
            raise Refused(f"total_sequence_length is {total}, and the tables have {table.shape[0]} rows")
    held = [slice_of(ctx, table, {0: (0, total, 1)}) for table in (cos, sin)]
    if ids is None:
        cos, sin = held
        ids = ctx.elementwise("add", lengths.past, positions(query.shape[2], 2, 1))
    cos, sin = rows_of_table(ctx, cos, ids), rows_of_table(ctx, sin, ids)
    width = 2 * ctx.size(cos.shape[2], "the width of the table")
    interleaved = node.flag("rotary_interleaved", 0)
    return (
        rotated(ctx, query, cos, sin, width, interleaved=interleaved),
        rotated(ctx, key, cos, sin, width, interleaved=interleaved),
    )


def _ragged(ctx: Context, past: Tensor | None, fresh: Tensor, lengths: _Lengths, places: Tensor) -> Tensor:
    """The past of each row, then what is new in it, then zeros: [batch, heads, size, width]."""
    whole = appended(ctx, past, fresh)
    batch, heads, room, width = whole.shape
    before = room - fresh.shape[2]
    if before == 0:
        return whole
    size = places.shape[1]
    is_past = ctx.elementwise("lesser", places, lengths.past, elem=Elem.BOOL)
    shift = ctx.elementwise("sub", ctx.from_dims([before]), lengths.past)
    source = ctx.elementwise("where", is_past, places, ctx.elementwise("add", places, shift), elem=Elem.INT64)
    source = ctx.elementwise("min", source, ctx.from_dims([room - 1]))
    # One gather of whole tokens from all rows and heads: [batch * heads * room, width].
    tokens = reshape_to(ctx, whole, (batch * heads * room, width))
    row = Tensor(Elem.INT64, (batch, heads, 1), Affine(0, (heads * room, room, 0)))
    index = ctx.elementwise("add", row, reshape_to(ctx, source, (batch, 1, size)))
    moved = ctx.computed(whole.elem, "gather", ctx.full(tokens), ctx.full(index), axis=0)
    end = ctx.elementwise("add", lengths.past, ctx.from_dims([fresh.shape[2]]))
    is_held = ctx.elementwise("lesser", places, end, elem=Elem.BOOL)
    is_held = reshape_to(ctx, is_held, (batch, 1, size, 1))
    return ctx.elementwise("where", is_held, moved, ctx.scalar(0, whole.elem), elem=whole.elem)


def _biases(ctx: Context, node: OnnxNode, query: Tensor, lengths: _Lengths, places: Tensor) -> list[Tensor]:
    is_causal, window = node.flag("causal", 1), node.integer("local_window_size", -1)
    rows = query.shape[2]
    batch = query.shape[0]
    places = reshape_to(ctx, places, (1, 1, 1, places.shape[1]))
    total = reshape_to(ctx, lengths.total, (batch, 1, 1, 1))
    seen = ctx.elementwise("lesser", places, total, elem=Elem.BOOL)
    if is_causal:
        own = ctx.elementwise("add", reshape_to(ctx, lengths.past, (batch, 1, 1, 1)), positions(rows, 4, 2))
        earlier = ctx.elementwise("lesserOrEqual", places, own, elem=Elem.BOOL)
        seen = ctx.elementwise("logicalAnd", seen, earlier, elem=Elem.BOOL)
        if window > 0:
            first = ctx.elementwise("sub", own, ctx.scalar(window, Elem.INT64))
            near = ctx.elementwise("greater", places, first, elem=Elem.BOOL)
            seen = ctx.elementwise("logicalAnd", seen, near, elem=Elem.BOOL)
    elif window > 0:
        raise Refused("local_window_size needs causal attention; the model is not valid")
    extra = node.optional(10)
    return [*([] if extra is None else [extra]), chosen(ctx, seen, query.elem, lowest(query.elem))]


def _sink(ctx: Context, node: OnnxNode, query: Tensor) -> Tensor | None:
    sink = node.optional(11)
    if sink is not None:
        node.ignore("smooth_softmax")  # a sink of its own takes the place of the one that scores 0
        return reshape_to(ctx, sink, (1, query.shape[1], 1, 1))
    # One more key with a score of 0.
    return ctx.scalar(0, query.elem) if node.integer("smooth_softmax", 0) > 0 else None
