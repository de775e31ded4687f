"""Running sums and products along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# A running product is one multiplication per element: products of parts would overflow where the whole does not.
_MOST_FACTORS: Final = 256


@onnx_op("CumSum", since=11)
def cum_sum(ctx: Context, node: OnnxNode) -> Tensor:
    """Sum of the elements up to each one."""
    exclusive, backwards = node.flag("exclusive", 0), node.flag("reverse", 0)

    def along(x: Tensor, axis: int) -> Tensor:
        options = {"axis": axis, "exclusive": exclusive, "reversed": backwards}
        return ctx.computed(x.elem, "cumulativeSum", ctx.full(x), **options)

    return _along_chosen(ctx, node, along)


@onnx_op("CumProd", since=26)
def cum_prod(ctx: Context, node: OnnxNode) -> Tensor:
    """Product of the elements up to each one."""
    exclusive, backwards = node.flag("exclusive", 0), node.flag("reverse", 0)
    return _along_chosen(ctx, node, lambda x, axis: _products(ctx, x, axis, exclusive, backwards))


def _products(ctx: Context, x: Tensor, axis: int, exclusive: bool, backwards: bool) -> Tensor:
    size = ctx.size(x.shape[axis], "the dimension of a running product")
    if size > _MOST_FACTORS:
        raise Refused(f"a running product of {size} factors; at most {_MOST_FACTORS}")
    f = Formula(ctx, x.elem)
    order = range(size - 1, -1, -1) if backwards else range(size)
    parts: list[Tensor] = []
    one = ctx.known(ctx.constant(ctx.scalar(1, x.elem), "1"), x.elem, [*x.shape[:axis], 1, *x.shape[axis + 1 :]])
    for place in order:
        factor = slice_of(ctx, x, {axis: (place, 1, 1)})
        if not parts:
            parts.append(one if exclusive else factor)
            last = factor
        elif exclusive:
            parts.append(f("mul", parts[-1], last))
            last = factor
        else:
            parts.append(f("mul", parts[-1], factor))
    values = [ctx.full(part) for part in (parts[::-1] if backwards else parts)]
    return ctx.tensor(ctx.emit.concat(values, axis), x.elem)


def _along_chosen(ctx: Context, node: OnnxNode, along: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Along the axis of input 1; where only the run knows it, along each one, and the right one is chosen."""
    x, chosen = node.input(0), node.input(1)
    if ctx.array(chosen) is not None:
        return along(x, ctx.axis(ctx.integer(chosen, "axis"), x.rank))
    if any(dim != 1 for dim in chosen.shape) or not chosen.elem.is_integer:
        raise Refused(f"the axis is {chosen}; the model is not valid")
    number = Formula(ctx, chosen.elem)
    made = along(x, 0)
    for axis in range(1, x.rank):
        is_it = number("logicalOr", number("equal", chosen, axis), number("equal", chosen, axis - x.rank))
        made = ctx.elementwise("where", is_it, along(x, axis), made, elem=x.elem)
    return made
