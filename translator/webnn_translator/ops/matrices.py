"""Matrices as such: triangles, the identity, determinants, distances of rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Elimination takes some twenty nodes for each row.
_MOST_ROWS: Final = 32


@onnx_op("Trilu", domain="com.microsoft", attributes=("upper",))
@onnx_op("Trilu", since=14)
def trilu(ctx: Context, node: OnnxNode) -> Tensor:
    """Upper or lower triangle, counted from diagonal k."""
    x, diagonal = node.input(0), node.optional(1)
    upper = node.flag("upper", 1)
    if diagonal is None or ctx.array(diagonal) is not None:
        k = 0 if diagonal is None else ctx.integer(diagonal, "k")
        # Beyond the matrix every diagonal is the same; WebNN takes 32 bits.
        k = max(-(2**31), min(k, 2**31 - 1))
        return ctx.computed(x.elem, "triangular", ctx.full(x), upper=upper, diagonal=k)
    if any(dim != 1 for dim in diagonal.shape) or diagonal.elem is not Elem.INT64:
        raise Refused(f"k is {diagonal}; the model is not valid")
    ints = Formula(ctx, Elem.INT64)
    from_row = ints("add", positions(x.shape[-2], 0, 2), reshape_to(ctx, diagonal, ()))
    kept = ints("greaterOrEqual" if upper else "lesserOrEqual", positions(x.shape[-1], 1, 2), from_row)
    return ctx.elementwise("where", kept, x, ctx.scalar(0, x.elem), elem=x.elem)


@onnx_op("CDist", domain="com.microsoft", attributes=("metric",))
def distances(ctx: Context, node: OnnxNode) -> Tensor:
    """Distances of every row of one matrix from every row of another, as skl2onnx writes them for neighbours."""
    left, right = node.input(0), node.input(1)
    if left.rank != 2 or right.rank != 2:
        raise Refused(f"the rows are those of {left} and {right}; the model is not valid")
    metric = node.choice("metric", "sqeuclidean", "sqeuclidean", "euclidean")
    rows = reshape_to(ctx, left, (left.shape[0], 1, left.shape[1]))
    # Differences squared, not squares less products: of rows that are nearly equal nothing else is left.
    apart = ctx.elementwise("sub", rows, reshape_to(ctx, right, (1, *right.shape)))
    op = "reduceSumSquare" if metric == "sqeuclidean" else "reduceL2"
    return ctx.computed(left.elem, op, ctx.full(apart), axes=(2,), keepDimensions=False)


@onnx_op("EyeLike", since=9)
def eye_like(ctx: Context, node: OnnxNode) -> Tensor:
    """1 on a diagonal of a matrix of the same shape, else 0."""
    x, k = node.input(0), node.integer("k", 0)
    elem = Elem(node.integer("dtype", int(x.elem)))
    if x.rank != 2:
        raise Refused(f"the input is {x}; rank 2 is needed")
    rows, columns = x.shape
    if isinstance(rows, int) and isinstance(columns, int):
        return ctx.known(np.eye(rows, columns, k, elem.numpy), elem)
    ints = Formula(ctx, Elem.INT64)
    on = ints("equal", positions(columns, 1, 2), ints("add", positions(rows, 0, 2), k))
    return ctx.elementwise("where", on, ctx.scalar(1, elem), ctx.scalar(0, elem), elem=elem)


@onnx_op("Det", since=11)
def det(ctx: Context, node: OnnxNode) -> Tensor:
    """Determinants of the matrices in the last two axes: by formula up to 2 x 2, else by elimination."""
    x = node.input(0)
    if x.rank < 2 or x.shape[-1] != x.shape[-2]:
        raise Refused(f"the input is {x}; square matrices are needed")
    count = ctx.size(x.shape[-1], "the size of a matrix whose determinant is wanted")
    if count > _MOST_ROWS:
        raise Refused(f"the determinant of a {count} x {count} matrix; at most {_MOST_ROWS} rows are written out")
    f = Formula(ctx, x.elem)
    lead = x.shape[:-2]

    def element(matrix: Tensor, row: int, column: int) -> Tensor:
        return reshape_to(ctx, slice_of(ctx, matrix, {x.rank - 2: (row, 1, 1), x.rank - 1: (column, 1, 1)}), lead)

    total: Tensor | None = None
    while count > 2:
        x, factor = _eliminated(ctx, f, x, count)
        total = factor if total is None else f("mul", total, factor)
        count -= 1
    if count == 1:
        return element(x, 0, 0)
    rest = f("sub", f("mul", element(x, 0, 0), element(x, 1, 1)), f("mul", element(x, 0, 1), element(x, 1, 0)))
    return rest if total is None else f("mul", total, rest)


def _eliminated(ctx: Context, f: Formula, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The matrix without the first column and the row of its largest element, and that element with its sign."""
    rank, lead = x.rank, x.shape[:-2]
    column = slice_of(ctx, x, {rank - 1: (0, 1, 1)})
    best = ctx.emit.op("argMax", ctx.full(f("abs", column)), axis=rank - 2, keepDimensions=True, outputDataType="int64")
    place = ctx.tensor(best, Elem.INT64)
    chosen = f("equal", positions(count, 0, 2), place)
    # Chosen by where, not by a product: a product would spread NaN and infinity.
    pivot_row = f.reduce("reduceSum", f("where", chosen, x, 0.0), (rank - 2,), keep=True)
    first_row = slice_of(ctx, x, {rank - 2: (0, 1, 1)})
    others = slice_of(ctx, f("where", chosen, first_row, x), {rank - 2: (1, count - 1, 1)})
    pivot = slice_of(ctx, pivot_row, {rank - 1: (0, 1, 1)})
    safe = f("where", f("equal", pivot, 0), ctx.scalar(1, x.elem), pivot)
    factors = f("div", slice_of(ctx, others, {rank - 1: (0, 1, 1)}), safe)
    tail: dict[int, tuple[int, int, int]] = {rank - 1: (1, count - 1, 1)}
    rest = f("sub", slice_of(ctx, others, dict(tail)), f("mul", factors, slice_of(ctx, pivot_row, dict(tail))))
    ints = Formula(ctx, Elem.INT64)
    signed = f("where", ints("equal", place, 0), pivot, f("neg", pivot))
    return rest, reshape_to(ctx, signed, lead)
