"""Embedding tables, added up and normalised: the first step of BERT-like encoders."""

from __future__ import annotations

import numpy as np

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.normalization import layer_norm
from webnn_translator.ops.quantize import dequantised, one_number
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["embedded", "mask_index"]


@onnx_op("EmbedLayerNormalization", domain="com.microsoft", attributes=("epsilon", "mask_index_type"))
def embed_layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Word, position and segment embeddings, added and normalised."""
    ids, segments = node.input(0), node.optional(1)
    words, places, kinds = node.input(2), node.input(3), node.optional(4)
    mask = node.optional(7)
    total = embedded(ctx, ids, words, places, node.optional(8), segments, kinds)
    made = layer_norm(ctx, total, node.input(5), node.input(6), total.rank - 1, node.number("epsilon", 1e-12))
    # Without a mask there is nothing to count; with one ONNX Runtime counts, also where the type is 0.
    if node.integer("mask_index_type", 0) not in (0, 1):
        raise Refused(f"mask_index_type {node.integer('mask_index_type')} is not supported")
    index = mask_index(ctx, ids, mask) if node.wants(1) else None
    return [made, index, total if node.wants(2) else None]


@onnx_op("QEmbedLayerNormalization", domain="com.microsoft", attributes=("epsilon",))
def quantised_embed_layer_normalization(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """The same with quantised tables, of which the rows in use are dequantised."""
    ids, segments, mask = node.input(0), node.optional(1), node.optional(7)
    total: Tensor | None = None
    for table, rows in ((2, ids), (3, None), (4, segments)):
        values, scale, zero = node.optional(table), node.optional(table + 6), node.optional(table + 11)
        if table == 4 and (values is None or rows is None):
            continue
        if values is None or scale is None:
            raise Refused(f"input {table} or its scale is missing; the model is not valid")
        quantised = _first_rows(ctx, values, ids) if rows is None else _rows(ctx, values, rows)
        part = dequantised(ctx, quantised, one_number(ctx, scale), None if zero is None else one_number(ctx, zero))
        total = part if total is None else ctx.elementwise("add", total, part)
    assert total is not None
    gamma, beta = (
        dequantised(ctx, node.input(k), one_number(ctx, node.input(k + 6)), one_number(ctx, node.input(k + 11)))
        for k in (5, 6)
    )
    made = layer_norm(ctx, total, gamma, beta, total.rank - 1, node.number("epsilon", 1e-12))
    return [made, mask_index(ctx, ids, mask) if node.wants(1) else None]


def embedded(
    ctx: Context,
    ids: Tensor,
    words: Tensor,
    positions: Tensor,
    places: Tensor | None,
    segments: Tensor | None,
    kinds: Tensor | None,
) -> Tensor:
    """The sum of the tables' rows; without `places` positions count from 0."""
    total = _rows(ctx, words, ids)
    if places is not None:
        total = ctx.elementwise("add", total, _rows(ctx, positions, places))
    else:
        total = ctx.elementwise("add", total, _first_rows(ctx, positions, ids))
    if segments is not None and kinds is not None:
        total = ctx.elementwise("add", total, _rows(ctx, kinds, segments))
    return total


def _rows(ctx: Context, table: Tensor, ids: Tensor) -> Tensor:
    return ctx.computed(table.elem, "gather", ctx.full(table), ctx.full(ids), axis=0)


def _first_rows(ctx: Context, positions: Tensor, ids: Tensor) -> Tensor:
    """As many rows as a text has tokens, which the table bounds."""
    length = ids.shape[1]
    limit = ctx.size(positions.shape[0], "the number of positions")
    for name in ctx.ranges:
        if str(length) == name:
            ctx.narrow(name, limit, f"a table of {limit} positions")
    return slice_of(ctx, positions, {0: (0, length, 1)})


def mask_index(ctx: Context, ids: Tensor, mask: Tensor | None) -> Tensor:
    """How many ones each row of a mask has, as ONNX Runtime counts them."""
    if mask is None:
        return ctx.known(np.asarray(0, np.int32), Elem.INT32, (ids.shape[0],))
    ones = ctx.elementwise("equal", mask, ctx.scalar(1, mask.elem), elem=Elem.BOOL)
    counted = ctx.tensor(ctx.emit.cast(ctx.full(ones), ctx.carrier(Elem.INT32)), Elem.INT32)
    return ctx.computed(Elem.INT32, "reduceSum", ctx.full(counted), axes=(1,), keepDimensions=False)
