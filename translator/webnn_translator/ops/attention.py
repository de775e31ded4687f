"""What all attention operators share, written out so that backends find the pattern themselves.

Heads lie on axis 1: queries, keys and values are [batch, heads, length, width of a head].
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.slicing import slice_of
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Tensor

__all__ = [
    "appended",
    "attend",
    "chosen",
    "join_heads",
    "lowest",
    "positions",
    "repeat_heads",
    "split_heads",
    "usual_scale",
]


def split_heads(ctx: Context, x: Tensor, heads: int) -> Tensor:
    """[batch, length, heads * width] as [batch, heads, length, width].

    Raises:
        Refused: the heads do not divide the last dimension.
    """
    whole = ctx.size(x.shape[2], "the width of the data")
    if heads < 1 or whole % heads:
        raise Refused(f"{heads} heads do not divide {whole}; the model is not valid")
    split = reshape_to(ctx, x, (x.shape[0], x.shape[1], heads, whole // heads))
    return transposed(ctx, split, (0, 2, 1, 3))


def join_heads(ctx: Context, x: Tensor) -> Tensor:
    """[batch, heads, length, width] as [batch, length, heads * width]."""
    batch, heads, length, width = x.shape
    return reshape_to(ctx, transposed(ctx, x, (0, 2, 1, 3)), (batch, length, heads * width))


def repeat_heads(ctx: Context, x: Tensor, heads: int) -> Tensor:
    """As many heads as queries have: each one of keys or values serves several neighbours.

    Raises:
        Refused: they do not divide.
    """
    batch, own, length, width = x.shape
    own = ctx.size(own, "the number of heads of keys and values")
    if own == heads:
        return x
    if own < 1 or heads % own:
        raise Refused(f"{own} heads of keys do not divide {heads} heads of queries; the model is not valid")
    apart = reshape_to(ctx, x, (batch, own, 1, length, width))
    wide = ctx.emit.expand(ctx.full(apart), (batch, own, heads // own, length, width))
    return reshape_to(ctx, ctx.tensor(wide, x.elem), (batch, heads, length, width))


def appended(ctx: Context, past: Tensor | None, fresh: Tensor) -> Tensor:
    """A cache and what is new after it, along axis 2."""
    if past is None or past.shape[2] == 0:
        return fresh
    if past.rank != 4 or past.elem is not fresh.elem:
        raise Refused(f"the cache is {past} and what is added {fresh}; the model is not valid")
    return ctx.tensor(ctx.emit.concat([ctx.full(past), ctx.full(fresh)], 2), fresh.elem)


def positions(size: Dim, rank: int, axis: int, offset: Dim = 0) -> Tensor:
    """offset, offset + 1, ... along one axis (int64); the others have size 1."""
    shape: list[Dim] = [1] * rank
    strides: list[Dim] = [0] * rank
    shape[axis], strides[axis] = size, 1
    return Tensor(Elem.INT64, tuple(shape), Affine(offset, tuple(strides)))


def lowest(elem: Elem) -> float:
    """The most negative finite number: added to a score, it leaves no weight, and no NaN."""
    return float(np.finfo(elem.numpy).min)


def chosen(ctx: Context, is_seen: Tensor, elem: Elem, low: float) -> Tensor:
    """A bias of 0 where a key may be seen, and `low` elsewhere."""
    return ctx.elementwise("where", is_seen, ctx.scalar(0, elem), ctx.scalar(low, elem), elem=elem)


def usual_scale(ctx: Context, query: Tensor) -> float:
    """One over the root of the width of a head."""
    return 1 / math.sqrt(ctx.size(query.shape[3], "the width of a head"))


def attend(
    ctx: Context,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *,
    scale: float,
    softcap: float = 0.0,
    biases: Sequence[Tensor] = (),
    sink: Tensor | None = None,
) -> Tensor:
    """softmax(softcap(query @ key^T * scale) + biases) @ value.

    Args:
        ctx: the translation.
        query: [batch, heads, rows, width].
        key: [batch, heads or a divisor of them, columns, width].
        value: [batch, heads or a divisor of them, columns, width of values].
        scale: factor of the scores.
        softcap: scores are bounded to it by tanh; 0 for no bound.
        biases: added to the scores, broadcast.
        sink: a score per head, [1, heads, 1, 1], that takes weight and has no value.
    """
    heads = ctx.size(query.shape[1], "the number of heads")
    key, value = repeat_heads(ctx, key, heads), repeat_heads(ctx, value, heads)
    scores = matmul_of(ctx, query, transposed(ctx, key, (0, 1, 3, 2)))
    scores = ctx.elementwise("mul", scores, ctx.scalar(scale, query.elem))
    if softcap > 0:
        bound = ctx.scalar(softcap, query.elem)
        scores = ctx.elementwise("mul", ctx.elementwise("tanh", ctx.elementwise("div", scores, bound)), bound)
    for bias in biases:
        scores = ctx.elementwise("add", scores, bias)
    if sink is None:
        weights = ctx.computed(query.elem, "softmax", ctx.full(scores), axis=3)
    else:
        column = ctx.emit.expand(ctx.value(sink), (*scores.shape[:3], 1))
        wide = ctx.tensor(ctx.emit.concat([ctx.full(scores), column], 3), query.elem)
        weights = ctx.computed(query.elem, "softmax", ctx.full(wide), axis=3)
        weights = slice_of(ctx, weights, {3: (0, scores.shape[3], 1)})
    return matmul_of(ctx, weights, value)
