"""Matrix products."""

from __future__ import annotations

import math
from typing import Final

from webnn_runtime.format.dims import bounds, is_equal
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["gemm", "matmul_of"]

# Products of integers are laid out before they are summed.
_MOST_PRODUCTS: Final = 1 << 24


@onnx_op("MatMul")
def matmul(ctx: Context, node: OnnxNode) -> Tensor:
    """NumPy's matmul."""
    return matmul_of(ctx, node.input(0), node.input(1))


def matmul_of(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    """Rank-1 operands get a dimension of size 1, which the result loses again.

    Raises:
        Refused: no sizes fit.
    """
    if a.rank == 0 or b.rank == 0:
        raise Refused(f"operands are {a} and {b}; the model is not valid")
    left = a if a.rank > 1 else reshape_to(ctx, a, (1, *a.shape))
    right = b if b.rank > 1 else reshape_to(ctx, b, (*b.shape, 1))
    if is_equal(left.shape[-1], right.shape[-2], ctx.ranges) is False:
        raise Refused(f"the inner dimensions of {a} and {b} differ for all sizes; the model is not valid")
    ctx.broadcast(left.shape[:-2], right.shape[:-2])
    if a.elem.is_float:
        made = ctx.computed(a.elem, "matmul", ctx.full(left), ctx.full(right))
    else:
        made = _of_integers(ctx, left, right)
    if a.rank > 1 and b.rank > 1:
        return made
    dims = list(made.shape)
    if b.rank == 1:
        del dims[-1]
    if a.rank == 1:
        del dims[-1 if b.rank == 1 else -2]
    return reshape_to(ctx, made, dims)


def _of_integers(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    """WebNN multiplies float matrices only: all products side by side, summed along an axis of their own."""
    shape, _ = ctx.broadcast((*a.shape, 1), (*b.shape[:-2], 1, *b.shape[-2:]))
    total = math.prod(bounds(dim, ctx.ranges)[0] for dim in shape)
    if total > _MOST_PRODUCTS:
        raise Refused(f"a product of {a.elem.text} matrices takes {total} products; at most {_MOST_PRODUCTS}")
    left = reshape_to(ctx, a, (*a.shape, 1))
    right = reshape_to(ctx, b, (*b.shape[:-2], 1, *b.shape[-2:]))
    products = ctx.elementwise("mul", left, right)
    return ctx.computed(a.elem, "reduceSum", ctx.full(products), axes=(products.rank - 2,), keepDimensions=False)


@onnx_op("Gemm", since=7)
def gemm(ctx: Context, node: OnnxNode) -> Tensor:
    """`alpha * a @ b + beta * c`; a factor of 0 is a factor."""
    a, b, c = node.input(0), node.input(1), node.optional(2)
    if a.rank != 2 or b.rank != 2:
        raise Refused(f"operands are {a} and {b}; the model is not valid")
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    flip_a, flip_b = node.flag("transA", 0), node.flag("transB", 0)
    if alpha == 1.0 and (c is None or beta == 1.0):
        # The plain form is what backends know best, and constant weights are turned here once.
        product = matmul_of(
            ctx, transposed(ctx, a, (1, 0)) if flip_a else a, transposed(ctx, b, (1, 0)) if flip_b else b
        )
        return product if c is None else ctx.elementwise("add", product, c)
    operands = [ctx.full(a), ctx.full(b), None if c is None else ctx.full(c)]
    made = ctx.emit.op("gemm", *operands, alpha=alpha, beta=beta, aTranspose=flip_a, bTranspose=flip_b)
    return ctx.tensor(made, a.elem)
