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


@onnx_op("Einsum", since=12)
def einsum(ctx: Context, node: OnnxNode) -> Tensor:
    """Two operands without repeated or diagonal letters: a matmul between transposes and reshapes."""
    equation = node.text("equation").replace(" ", "")
    operands = node.operands
    inputs, _, output = equation.partition("->")
    terms = inputs.split(",")
    if "..." in equation or "->" not in equation or len(terms) != len(operands) or len(operands) > 2:
        raise Refused(f"equation '{equation}' is not one of the supported forms")
    if any(len(set(term)) != len(term) or len(term) != x.rank for term, x in zip(terms, operands, strict=True)):
        raise Refused(f"equation '{equation}' repeats a letter, or does not fit the ranks")
    if len(terms) == 1:
        summed = tuple(axis for axis, letter in enumerate(terms[0]) if letter not in output)
        x = operands[0]
        if summed:
            x = ctx.computed(x.elem, "reduceSum", ctx.full(x), axes=summed, keepDimensions=False)
        left = [letter for letter in terms[0] if letter in output]
        return transposed(ctx, x, [left.index(letter) for letter in output])
    a, b = operands
    # A letter of one operand only that the output lacks is summed first.
    summed_terms = []
    for term, other, x in ((terms[0], terms[1], a), (terms[1], terms[0], b)):
        alone = tuple(axis for axis, letter in enumerate(term) if letter not in other and letter not in output)
        if alone:
            x = ctx.computed(x.elem, "reduceSum", ctx.full(x), axes=alone, keepDimensions=False)
        summed_terms.append(("".join(letter for letter in term if letter in other or letter in output), x))
    (left_term, a), (right_term, b) = summed_terms
    sizes = dict(zip(left_term + right_term, (*a.shape, *b.shape), strict=True))
    batch = [letter for letter in left_term if letter in right_term and letter in output]
    inner = [letter for letter in left_term if letter in right_term and letter not in output]
    rows = [letter for letter in left_term if letter not in right_term]
    columns = [letter for letter in right_term if letter not in left_term]

    def grouped(x: Tensor, term: str, *groups: list[str]) -> Tensor:
        moved = transposed(ctx, x, [term.index(letter) for group in groups for letter in group])
        shape = [sizes[letter] for letter in groups[0]]
        for group in groups[1:]:
            size = sizes[group[0]] if group else 1
            for letter in group[1:]:
                size = size * sizes[letter]
            shape.append(size)
        return reshape_to(ctx, moved, shape)

    if left_term and any(
        not ctx.same(sizes[letter], dict(zip(left_term, a.shape, strict=True))[letter]) for letter in batch + inner
    ):
        raise Refused(f"equation '{equation}' stretches a dimension")
    made = matmul_of(ctx, grouped(a, left_term, batch, rows, inner), grouped(b, right_term, batch, inner, columns))
    order = batch + rows + columns
    spread = reshape_to(ctx, made, [sizes[letter] for letter in order])
    return transposed(ctx, spread, [order.index(letter) for letter in output])
