"""Matrix products."""

from __future__ import annotations

from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference, shape_text
from webnn_runtime.format.ops.kinds import Bool, Real
from webnn_runtime.format.ops.limits import FLOATS, MATRIX, MATRIX_UP, MATRIX_UP_REQUIRED, operand, result
from webnn_runtime.format.ops.spec import OpSpec, Option, Ranks

__all__ = ["SPECS"]


def _matmul(context: Inference, a: TensorType, b: TensorType) -> TensorType:
    """[..., M, K] by [..., K, N] gives [..., M, N]; leading dimensions broadcast."""
    what = f"inner dimensions of {shape_text(a.shape)} and {shape_text(b.shape)}"
    context.equal(a.shape[-1], b.shape[-2], what)
    batch = context.broadcast(a.shape[:-2], b.shape[:-2])
    return a.with_shape((*batch, a.shape[-2], b.shape[-1]))


def _gemm(
    context: Inference,
    a: TensorType,
    b: TensorType,
    c: TensorType | None,
    *,
    a_transpose: bool,
    b_transpose: bool,
    **_: object,
) -> TensorType:
    """[M, K] by [K, N] gives [M, N], after the transpositions; c stretches to it."""
    rows, left = reversed(a.shape) if a_transpose else a.shape
    right, columns = reversed(b.shape) if b_transpose else b.shape
    context.equal(left, right, f"inner dimensions of {shape_text((rows, left))} and {shape_text((right, columns))}")
    if c is not None:
        context.broadcast_to(c.shape, (rows, columns), "operand 'c'")
    return a.with_shape((rows, columns))


SPECS = (
    OpSpec(
        "gemm",
        (
            operand("a", FLOATS, FLOATS, MATRIX, MATRIX),
            operand("b", "a", FLOATS, MATRIX, MATRIX),
            operand("c", "a", FLOATS, Ranks(0, 2), Ranks(0, 2), optional=True),
        ),
        (
            Option("aTranspose", Bool(), False, aliases=("a_transpose",)),
            Option("alpha", Real(), 1.0),
            Option("bTranspose", Bool(), False, aliases=("b_transpose",)),
            Option("beta", Real(), 1.0),
        ),
        (result("a", FLOATS, MATRIX, MATRIX),),
        _gemm,
        "alpha * a @ b + beta * c, with a and b transposed on demand.",
        "matmul",
    ),
    OpSpec(
        "matmul",
        (
            operand("a", FLOATS, FLOATS, MATRIX_UP, MATRIX_UP_REQUIRED),
            operand("b", "a", FLOATS, MATRIX_UP, MATRIX_UP_REQUIRED),
        ),
        (),
        (result("a", FLOATS, MATRIX_UP, MATRIX_UP_REQUIRED),),
        _matmul,
        "Matrix product of the last two dimensions; the others broadcast.",
        "matmul",
    ),
)
