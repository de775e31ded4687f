"""Rotary position embedding: pairs of features, turned by an angle that grows with the position."""

from __future__ import annotations

from webnn_runtime.format.dims import SymbolicDim, bounds
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.attention import join_heads, positions, split_heads
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Tensor

__all__ = ["rotated", "rows_of_table"]


@onnx_op("RotaryEmbedding", since=23)
def rotary_embedding(ctx: Context, node: OnnxNode) -> Tensor:
    """With tables and position ids, or with the angles of every token."""
    x, cos, sin, ids = node.input(0), node.input(1), node.input(2), node.optional(3)
    heads, width = node.integer("num_heads", 0), node.integer("rotary_embedding_dim", 0)
    if x.rank == 3 and not heads:
        raise Refused("attribute num_heads is missing for an input of rank 3; the model is not valid")
    if ids is not None:
        _limit_length(ctx, x, cos)
        cos, sin = rows_of_table(ctx, cos, ids), rows_of_table(ctx, sin, ids)
    elif cos.rank != 3 or sin.rank != 3:
        raise Refused(f"without position ids the angles are {cos}; [batch, length, pairs] is needed")
    return _turned(ctx, x, cos, sin, heads, width, interleaved=node.flag("interleaved", 0))


@onnx_op(
    "RotaryEmbedding",
    domain="com.microsoft",
    attributes=("num_heads", "rotary_embedding_dim", "interleaved", "is_packed_batching", "scale"),
)
def rotary_embedding_microsoft(ctx: Context, node: OnnxNode) -> Tensor:
    """With tables, and position ids for every token or one number that the first token has."""
    is_packed = node.flag("is_packed_batching", 0)  # lifts a limit on the length, changes no number
    if node.number("scale", 1.0) != 1.0:
        raise Refused("scale is not 1; what it would scale is not stated")
    x, ids, cos, sin = (node.input(index) for index in range(4))
    heads, width = node.integer("num_heads", 0), node.integer("rotary_embedding_dim", 0)
    if x.rank == 3 and not heads:
        if width:
            raise Refused("rotary_embedding_dim needs num_heads; the model is not valid")
        each = ctx.size(cos.shape[1], "the width of the table") * 2
        heads = ctx.size(x.shape[2], "the width of the data") // each
    if not is_packed:
        _limit_length(ctx, x, cos)
    if ids.rank < 2:
        length = x.shape[1] if x.rank == 3 else x.shape[2]
        ids = ctx.elementwise("add", reshape_to(ctx, ids, (1, 1)), _counted(ids, length))
    cos, sin = rows_of_table(ctx, cos, ids), rows_of_table(ctx, sin, ids)
    return _turned(ctx, x, cos, sin, heads, width, interleaved=node.flag("interleaved", 0))


def _limit_length(ctx: Context, x: Tensor, table: Tensor) -> None:
    """As many tokens as the table has rows: ONNX Runtime takes no more of them, whatever their positions are."""
    length, rows = x.shape[1 if x.rank == 3 else 2], table.shape[0]
    if isinstance(rows, int) and isinstance(length, SymbolicDim) and bounds(length, ctx.ranges)[1] > rows:
        ctx.demand(-length, -rows, f"the table of angles has {rows} rows")


def _counted(ids: Tensor, length: object) -> Tensor:
    counted = positions(length, 2, 1)  # type: ignore[arg-type]  # a dimension of the input
    assert isinstance(counted.content, Affine)
    return Tensor(ids.elem, counted.shape, counted.content)


def rows_of_table(ctx: Context, table: Tensor, ids: Tensor) -> Tensor:
    """[batch, length, pairs] of a table [positions, pairs]."""
    if table.rank != 2:
        raise Refused(f"the table of angles is {table}; rank 2 is needed")
    return ctx.computed(table.elem, "gather", ctx.full(table), ctx.full(ids), axis=0)


def _turned(ctx: Context, x: Tensor, cos: Tensor, sin: Tensor, heads: int, width: int, *, interleaved: bool) -> Tensor:
    if x.rank == 4:
        return rotated(ctx, x, cos, sin, width, interleaved=interleaved)
    if x.rank != 3:
        raise Refused(f"the input is {x}; rank 3 or 4 is needed")
    return join_heads(ctx, rotated(ctx, split_heads(ctx, x, heads), cos, sin, width, interleaved=interleaved))


def rotated(ctx: Context, x: Tensor, cos: Tensor, sin: Tensor, width: int, *, interleaved: bool) -> Tensor:
    """The first `width` features of each head in pairs turned, the rest as it is.

    Args:
        ctx: the translation.
        x: [batch, heads, length, features].
        cos: [batch or 1, length, width / 2].
        sin: the same.
        width: features to turn; 0 for all.
        interleaved: whether pairs are neighbours, else feature k goes with k + width / 2.
    """
    whole = ctx.size(x.shape[3], "the width of a head")
    width = width or whole
    pairs = width // 2
    if width % 2 or width > whole or not ctx.same(cos.shape[2], pairs) or not ctx.same(sin.shape[2], pairs):
        raise Refused(f"{cos.shape[2]} angles do not turn {width} of {whole} features; the model is not valid")
    cos, sin = (reshape_to(ctx, part, (part.shape[0], 1, *part.shape[1:])) for part in (cos, sin))
    turning = slice_of(ctx, x, {3: (0, width, 1)})
    if interleaved:
        apart = reshape_to(ctx, turning, (*x.shape[:3], pairs, 2))
        first, second = (reshape_to(ctx, slice_of(ctx, apart, {4: (k, 1, 1)}), (*x.shape[:3], pairs)) for k in (0, 1))
    else:
        first, second = (slice_of(ctx, turning, {3: (k * pairs, pairs, 1)}) for k in (0, 1))
    real = ctx.elementwise("sub", ctx.elementwise("mul", cos, first), ctx.elementwise("mul", sin, second))
    imaginary = ctx.elementwise("add", ctx.elementwise("mul", sin, first), ctx.elementwise("mul", cos, second))
    rest = [] if width == whole else [ctx.full(slice_of(ctx, x, {3: (width, whole - width, 1)}))]
    if not interleaved:
        return ctx.tensor(ctx.emit.concat([ctx.full(real), ctx.full(imaginary), *rest], 3), x.elem)
    columns = [ctx.full(reshape_to(ctx, part, (*x.shape[:3], pairs, 1))) for part in (real, imaginary)]
    woven = ctx.emit.reshape(ctx.emit.concat(columns, 4), (*x.shape[:3], width))
    return ctx.tensor(ctx.emit.concat([woven, *rest], 3), x.elem)
