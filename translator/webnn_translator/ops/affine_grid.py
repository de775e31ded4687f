"""Grids of places in an image that is turned, stretched and moved."""

from __future__ import annotations

from webnn_runtime.format.dims import Dim, is_at_least, product
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import expand_to, joined, reshape_to, transposed
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []


@onnx_op("AffineGrid", since=20)
def affine_grid(ctx: Context, node: OnnxNode) -> Tensor:
    """[batch, (depth,) height, width, 2 or 3] of each pixel's place, from -1 to 1, times one matrix per image."""
    theta, sizes = node.input(0), ctx.dims(node.input(1), "the size")
    is_aligned = node.flag("align_corners", 0)
    batch, space = sizes[0], tuple(sizes[2:])
    rank = len(space)
    if rank not in (2, 3) or theta.rank != 3 or not ctx.same(theta.shape[1], rank):
        raise Refused(f"theta is {theta} for {rank} spatial axes; [batch, 2, 3] and [batch, 3, 4] are valid")
    if not (ctx.same(theta.shape[0], batch) and ctx.same(theta.shape[2], rank + 1)):
        raise Refused(f"theta is {theta} for a batch of {batch} with {rank} spatial axes; the model is not valid")
    f = Formula(ctx, Elem.FLOAT)
    # The last axis comes first: x, y, z, and 1 for what moves all of them.
    parts = [_places(ctx, f, space, axis, is_aligned) for axis in reversed(range(rank))]
    parts.append(ctx.scalar(1, Elem.FLOAT))
    columns = [reshape_to(ctx, expand_to(ctx, part, space), (product(list(space)), 1)) for part in parts]
    matrices = transposed(ctx, convert(ctx, theta, Elem.FLOAT), (0, 2, 1))
    made = ctx.computed(Elem.FLOAT, "matmul", ctx.full(joined(ctx, columns, 1)), ctx.full(matrices))
    return convert(ctx, reshape_to(ctx, made, (batch, *space, rank)), theta.elem)


def _places(ctx: Context, f: Formula, space: tuple[Dim, ...], axis: int, is_aligned: bool) -> Tensor:
    """-1 to 1 along one axis: the centres of the outermost pixels, or their outer borders."""
    size = space[axis]
    at = f("mul", convert(ctx, positions(size, axis, len(space)), Elem.FLOAT), 2)
    if not is_aligned:
        return f("sub", f("div", f("add", at, 1), f.size(size)), 1)
    why = "an AffineGrid with align_corners has no middle between two corners that are one"
    if is_at_least(size, 2, ctx.ranges) is not True and not ctx.demand(size, 2, why):
        raise Refused(f"align_corners of an axis of {size} is read in three ways: it is at -1, at 0 or at 1")
    return f("sub", f("div", at, f.size(size - 1)), 1)
