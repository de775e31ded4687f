"""Matrix products."""

from __future__ import annotations

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["gemm", "matmul_of"]


@onnx_op("MatMul")
def matmul(ctx: Context, node: OnnxNode) -> Tensor:
    """NumPy's matmul."""
    return matmul_of(ctx, node.input(0), node.input(1))


def matmul_of(ctx: Context, a: Tensor, b: Tensor) -> Tensor:
    """Rank-1 operands get a dimension of size 1, which the result loses again."""
    if a.rank == 0 or b.rank == 0:
        raise Refused(f"operands are {a} and {b}; the model is not valid")
    if not a.elem.is_float:
        raise Refused(f"operands are {a.elem.text}; WebNN multiplies float matrices only")
    left = a if a.rank > 1 else reshape_to(ctx, a, (1, *a.shape))
    right = b if b.rank > 1 else reshape_to(ctx, b, (*b.shape, 1))
    made = ctx.computed(a.elem, "matmul", ctx.full(left), ctx.full(right))
    if a.rank > 1 and b.rank > 1:
        return made
    dims = list(made.shape)
    if b.rank == 1:
        del dims[-1]
    if a.rank == 1:
        del dims[-1 if b.rank == 1 else -2]
    return reshape_to(ctx, made, dims)


@onnx_op("Gemm", since=7)
def gemm(ctx: Context, node: OnnxNode) -> Tensor:
    """Alpha * a @ b + beta * c; a factor of 0 is a factor."""
    a, b, c = node.input(0), node.input(1), node.optional(2)
    if a.rank != 2 or b.rank != 2:
        raise Refused(f"operands are {a} and {b}; the model is not valid")
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    flip_a, flip_b = node.integer("transA", 0) != 0, node.integer("transB", 0) != 0
    if alpha == 1.0 and (c is None or beta == 1.0):
        # The plain form is what backends know best, and constant weights are turned here once.
        product = matmul_of(
            ctx, transposed(ctx, a, (1, 0)) if flip_a else a, transposed(ctx, b, (1, 0)) if flip_b else b
        )
        return product if c is None else ctx.elementwise("add", product, c)
    operands = [ctx.full(a), ctx.full(b), None if c is None else ctx.full(c)]
    made = ctx.emit.op("gemm", *operands, alpha=alpha, beta=beta, aTranspose=flip_a, bTranspose=flip_b)
    return ctx.tensor(made, a.elem)
