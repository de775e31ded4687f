"""Moving elements without computing with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from webnn_runtime.format.dims import (
    Dim,
    SymbolicDim,
    bounds,
    is_at_least,
    is_equal,
    names_of,
    product,
    substitute,
)
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.narrowing import equal_sizes, minimum_to_reach
from webnn_translator.node import OnnxNode
from webnn_translator.registry import onnx_op
from webnn_translator.scaled_dims import joined_dims, reshaped_dims
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Columns, Known, Quantised, Symbols, Tensor

__all__ = ["expand_to", "held_to", "joined", "reshape_to", "transposed"]


def reshape_to(ctx: Context, x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """The same elements in another shape, whose -1 is already solved."""
    target = tuple(shape)
    if target == x.shape:
        return x
    items = ctx.items(x)
    static = [dim for dim in target if isinstance(dim, int)]
    if items is not None and len(static) == len(target):
        if math.prod(static) != items.size:
            raise Refused(f"{x} cannot be reshaped to [{', '.join(map(str, target))}]; the model is not valid")
        return ctx.symbols(items.reshape(static), x.elem)
    if 0 in x.shape and 0 in target:
        return ctx.nothing(x.elem, target)
    scaled = reshaped_dims(x, target)
    if scaled is not None:
        return scaled
    if isinstance(x.content, Affine):
        strides = _regrouped(ctx, x.shape, x.content.strides, target)
        if strides is not None:
            return Tensor(x.elem, target, Affine(x.content.offset, strides))
    if isinstance(x.content, Known) and x.content.array.size == 1:
        return ctx.known(x.content.array.reshape(()), x.elem, target)
    return ctx.tensor(ctx.emit.reshape(ctx.full(x), target), x.elem)


def _regrouped(
    ctx: Context, source: tuple[Dim, ...], strides: tuple[Dim, ...], target: tuple[Dim, ...]
) -> tuple[Dim, ...] | None:
    """Strides of a grid in another shape that differs only in axes of size 1."""
    kept = [(dim, stride) for dim, stride in zip(source, strides, strict=True) if dim != 1]
    found: list[Dim] = []
    for dim in target:
        if dim == 1:
            found.append(0)
        elif kept and ctx.same(kept[0][0], dim):
            found.append(kept.pop(0)[1])
        else:
            return None
    return None if kept else tuple(found)


def transposed(ctx: Context, x: Tensor, permutation: Sequence[int]) -> Tensor:
    """Axes in another order."""
    if list(permutation) == list(range(x.rank)):
        return x
    items = ctx.items(x)
    if items is not None:
        return ctx.symbols(items.transpose(tuple(permutation)), x.elem)
    if 0 in x.shape:
        return ctx.nothing(x.elem, [x.shape[axis] for axis in permutation])
    if isinstance(x.content, Affine):
        strides = tuple(x.content.strides[axis] for axis in permutation)
        return Tensor(x.elem, tuple(x.shape[axis] for axis in permutation), Affine(x.content.offset, strides))
    if isinstance(x.content, Quantised):
        whole = x.content
        values, scale, zero = (
            np.transpose(array, tuple(permutation)) for array in (whole.values, whole.scale, whole.zero_point)
        )
        return Tensor(x.elem, tuple(values.shape), Quantised(values, whole.kind, scale, zero, whole.name))
    return ctx.tensor(ctx.emit.transpose(ctx.full(x), tuple(permutation)), x.elem)


def held_to(ctx: Context, x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """`x`, of which dimensions have other names than in `shape`: a run in which those are other sizes is refused.

    Raises:
        Refused: they cannot be one size, or no run could tell.
    """
    others = [(dim, wanted) for dim, wanted in zip(x.shape, shape, strict=True) if not ctx.same(dim, wanted)]
    if not others:
        return x
    may_be_equal = all(is_equal(dim, wanted, ctx.ranges) is None for dim, wanted in others)
    is_known = isinstance(x.content, (Affine, Symbols)) or ctx.uniform(x) is not None
    rest = product(wanted for dim, wanted in zip(x.shape, shape, strict=True) if ctx.same(dim, wanted))
    if may_be_equal and not is_known:
        if len(others) == 1 and is_at_least(rest, 1, ctx.ranges):
            # Both have as many elements only where the sizes are equal, as no other dimension is 0.
            return reshape_to(ctx, x, shape)
        if all(dim != 1 for dim, _ in others):
            # A name is not stretched, also where it is 1.
            return ctx.tensor(ctx.emit.expand(ctx.full(x), shape), x.elem)
    names = sorted(frozenset().union(*(names_of(dim) for pair in others for dim in pair)))
    raise Refused(f"{x} where [{', '.join(map(str, shape))}] is needed", names)


def expand_to(ctx: Context, x: Tensor, shape: Sequence[Dim]) -> Tensor:
    """Broadcast in both directions; carried out only where a consumer needs every element."""
    whole, certain = ctx.broadcast(x.shape, tuple(shape))
    if whole == x.shape:
        return x
    items = ctx.items(x)
    static = [dim for dim in whole if isinstance(dim, int)]
    if items is not None and len(static) == len(whole) and math.prod(static) <= 4096:
        return ctx.symbols(np.broadcast_to(items, static), x.elem)
    if not certain:
        return ctx.tensor(ctx.emit.expand(ctx.full(x), whole), x.elem)
    grid = ctx.affine(x)
    if grid is not None and not isinstance(x.content, Known):
        kept = tuple(0 if dim == 1 else stride for stride, dim in zip(grid.strides, x.shape, strict=True))
        return Tensor(x.elem, whole, Affine(grid.offset, (0,) * (len(whole) - x.rank) + kept))
    if isinstance(x.content, Known):
        return Tensor(x.elem, whole, x.content)
    return ctx.tensor(ctx.value(x), x.elem, whole)


@onnx_op("Reshape", since=5)
def reshape(ctx: Context, node: OnnxNode) -> Tensor:
    """-1 is the rest; 0 copies the input's dimension."""
    return _reshape(ctx, node, allow_zero=False)


@onnx_op("Reshape", since=14)
def reshape_since_14(ctx: Context, node: OnnxNode) -> Tensor:
    """With allowzero=1, 0 means no elements instead."""
    return _reshape(ctx, node, allow_zero=node.flag("allowzero", 0))


def _reshape(ctx: Context, node: OnnxNode, *, allow_zero: bool) -> Tensor:
    x = node.input(0)
    target = list(ctx.dims(node.input(1), "the target shape"))
    for index, dim in enumerate(target):
        if isinstance(dim, SymbolicDim):
            low = bounds(dim, ctx.ranges)[0]
            copied = x.shape[index] if index < x.rank else None
            open_end = low < 0 or (low == 0 and not allow_zero and dim != copied)
            # Sizes for which it is 0 mean another shape, and none that WebNN has.
            if open_end and not ctx.demand(dim, 1, f"a Reshape has the dimension {dim}"):
                names, least = sorted(names_of(dim)), minimum_to_reach(dim, 1, ctx.ranges)
                ways = f"; {' '.join(f'--min-dim {name}={least}' for name in names)} excludes that" if least else ""
                raise Refused(
                    f"the target dimension {dim} may be 0 or negative, which has another meaning{ways}", names
                )
        elif dim == 0 and not allow_zero:
            if index >= x.rank:
                raise Refused(f"the target shape copies dimension {index} of {x}; the model is not valid")
            target[index] = x.shape[index]
        elif dim < -1:
            raise Refused(f"the target shape holds {dim}; the model is not valid")
    solved = _solved(ctx, target, x.shape)
    if is_equal(product(list(x.shape)), product(list(solved)), ctx.ranges) is False:
        shown = ", ".join(map(str, solved))
        raise Refused(f"{x} has other numbers of elements than [{shown}], whatever the sizes; the model is not valid")
    return reshape_to(ctx, x, solved)


def _solved(ctx: Context, target: Sequence[Dim], source: Sequence[Dim]) -> Sequence[Dim]:
    """The target shape with a size in place of its one -1."""
    unknown = [index for index, dim in enumerate(target) if dim == -1]
    if not unknown:
        return target
    if len(unknown) > 1:
        raise Refused(f"the target shape [{', '.join(map(str, target))}] has several -1; the model is not valid")
    whole, rest = product(list(source)), product([dim for dim in target if dim != -1])
    if rest == 0:
        raise Refused("the target shape has both -1 and 0; WebNN has no empty tensors")
    size = whole // rest
    if size * rest != whole:
        # Of sizes that are one in every run: that these are is what the Reshape then needs itself.
        equal = equal_sizes(ctx.emit.builder.checks, ctx.ranges)
        whole, rest = substitute(whole, equal), substitute(rest, equal)
        if whole // rest * rest == whole:
            size = whole // rest
    return [size if dim == -1 else dim for dim in target]


@onnx_op("Flatten")
def flatten(ctx: Context, node: OnnxNode) -> Tensor:
    """Two dimensions: those before the axis, and the rest."""
    x = node.input(0)
    axis = node.integer("axis", 1)
    if not -x.rank <= axis <= x.rank:
        raise Refused(f"axis {axis} is out of range for rank {x.rank}; the model is not valid")
    axis = axis + x.rank if axis < 0 else axis
    return reshape_to(ctx, x, (product(list(x.shape[:axis])), product(list(x.shape[axis:]))))


@onnx_op("Squeeze")
def squeeze_before_13(ctx: Context, node: OnnxNode) -> Tensor:
    """Axes are an attribute."""
    return _squeeze(ctx, node.input(0), node.integers("axes") if node.has("axes") else None)


@onnx_op("Squeeze", since=13)
def squeeze(ctx: Context, node: OnnxNode) -> Tensor:
    """Axes are an input."""
    axes = node.optional(1)
    return _squeeze(ctx, node.input(0), None if axes is None else ctx.ints(axes, "axes"))


def _squeeze(ctx: Context, x: Tensor, axes: Sequence[int] | None) -> Tensor:
    if axes is None:
        open_dims = [dim for dim in x.shape if isinstance(dim, SymbolicDim) and is_equal(dim, 1, ctx.ranges) is None]
        if open_dims:
            names = sorted(frozenset().union(*(names_of(dim) for dim in open_dims)))
            ways = " ".join(f"--min-dim {name}=2" for name in names)
            raise Refused(
                f"it removes every dimension of size 1, and {open_dims[0]} may be one; {ways} excludes that", names
            )
        dropped = tuple(axis for axis, dim in enumerate(x.shape) if dim == 1)
    else:
        dropped = ctx.axes(axes, x.rank)
        for axis in dropped:
            if is_equal(x.shape[axis], 1, ctx.ranges) is False:
                raise Refused(f"dimension {axis} of {x} is not 1; the model is not valid")
            if x.shape[axis] != 1:
                raise Refused(f"dimension {x.shape[axis]} must be 1", sorted(names_of(x.shape[axis])))
    return reshape_to(ctx, x, [dim for axis, dim in enumerate(x.shape) if axis not in dropped])


@onnx_op("Unsqueeze")
def unsqueeze_before_13(ctx: Context, node: OnnxNode) -> Tensor:
    """Axes are an attribute."""
    return _unsqueeze(ctx, node.input(0), node.integers("axes"))


@onnx_op("Unsqueeze", since=13)
def unsqueeze(ctx: Context, node: OnnxNode) -> Tensor:
    """Axes are an input."""
    return _unsqueeze(ctx, node.input(0), ctx.ints(node.input(1), "axes"))


def _unsqueeze(ctx: Context, x: Tensor, axes: Sequence[int]) -> Tensor:
    rank = x.rank + len(axes)
    added = ctx.axes(axes, rank)
    dims = list(x.shape)
    for axis in sorted(added):
        dims.insert(axis, 1)
    return reshape_to(ctx, x, dims)


@onnx_op("Transpose")
def transpose(ctx: Context, node: OnnxNode) -> Tensor:
    """Without a permutation the order of the axes is reversed."""
    x = node.input(0)
    permutation = node.integers("perm", tuple(reversed(range(x.rank))))
    if sorted(permutation) != list(range(x.rank)):
        raise Refused(f"{list(permutation)} is no permutation of the axes of {x}; the model is not valid")
    return transposed(ctx, x, permutation)


@onnx_op("Expand", since=8)
def expand(ctx: Context, node: OnnxNode) -> Tensor:
    """Broadcast to a shape, in both directions."""
    return expand_to(ctx, node.input(0), ctx.dims(node.input(1), "the shape"))


@onnx_op("Concat", since=4)
def concat(ctx: Context, node: OnnxNode) -> Tensor:
    """Tensors one after another; those without elements add nothing."""
    parts = node.operands
    return joined(ctx, parts, ctx.axis(node.integer("axis"), parts[0].rank))


def joined(ctx: Context, parts: Sequence[Tensor], axis: int) -> Tensor:
    """Tensors of one type and rank, one after another along an axis."""
    elem = parts[0].elem
    filled = [part for part in parts if part.shape[axis : axis + 1] != (0,)] or [parts[0]]
    if any(part.elem is not elem or part.rank != parts[0].rank for part in parts):
        raise Refused("its inputs differ in type or rank; the model is not valid")
    known = [ctx.items(part) for part in filled]
    if all(items is not None for items in known):
        return ctx.symbols(np.concatenate([items for items in known if items is not None], axis), elem)
    if len(filled) == 1:
        return filled[0]
    if 0 in filled[0].shape:
        shape = list(filled[0].shape)
        shape[axis] = sum((part.shape[axis] for part in filled[1:]), shape[axis])
        return ctx.nothing(elem, shape)
    scaled = joined_dims(ctx, filled, axis)
    if scaled is not None:
        return scaled
    columns = _columns(ctx, filled, axis)
    if columns is not None:
        return columns
    return ctx.tensor(ctx.emit.concat([ctx.full(part) for part in filled], axis), elem)


def _columns(ctx: Context, parts: Sequence[Tensor], axis: int) -> Tensor | None:
    """Position grids side by side, as GatherND takes them."""
    first = parts[0]
    if axis != first.rank - 1 or any(part.shape[-1] != 1 for part in parts):
        return None
    if any(not ctx.same(a, b) for part in parts for a, b in zip(part.shape, first.shape, strict=True)):
        return None
    if not any(isinstance(part.content, Affine) for part in parts):
        return None
    grids = [ctx.affine(part) for part in parts]
    if any(grid is None for grid in grids):
        return None
    return Tensor(first.elem, (*first.shape[:-1], len(parts)), Columns(tuple(grid for grid in grids if grid)))


@onnx_op("Tile", since=6)
def tile(ctx: Context, node: OnnxNode) -> Tensor:
    """The tensor repeated along each axis."""
    x = node.input(0)
    repeats = ctx.dims(node.input(1), "repeats")
    if len(repeats) != x.rank:
        raise Refused(f"{len(repeats)} repeats for {x}; the model is not valid")
    items = ctx.items(x)
    static = [dim for dim in repeats if isinstance(dim, int)]
    if items is not None and len(static) == len(repeats):
        return ctx.symbols(np.tile(items, static), x.elem)
    if all(repeat == 1 for repeat in repeats):
        return x
    if all(repeat == 1 or dim == 1 for repeat, dim in zip(repeats, x.shape, strict=True)):
        return expand_to(ctx, x, [dim * repeat for dim, repeat in zip(x.shape, repeats, strict=True)])
    return ctx.tensor(ctx.emit.op("tile", ctx.full(x), repetitions=repeats), x.elem)


@onnx_op("DepthToSpace")
def depth_to_space(ctx: Context, node: OnnxNode) -> Tensor:
    """Channels to blocks of pixels, in one of two orders."""
    x, block = node.input(0), node.integer("blocksize")
    if x.rank != 4:
        raise Refused(f"the input is {x}; rank 4 is needed")
    batch, channels, height, width = x.shape
    mode = node.choice("mode", "DCR", "DCR", "CRD")
    rest = channels // (block * block)
    split = (batch, block, block, rest, height, width) if mode == "DCR" else (batch, rest, block, block, height, width)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    return reshape_to(
        ctx, transposed(ctx, reshape_to(ctx, x, split), order), (batch, rest, height * block, width * block)
    )


@onnx_op("SpaceToDepth")
def space_to_depth(ctx: Context, node: OnnxNode) -> Tensor:
    """Blocks of pixels to channels."""
    x, block = node.input(0), node.integer("blocksize")
    if x.rank != 4:
        raise Refused(f"the input is {x}; rank 4 is needed")
    batch, channels, height, width = x.shape
    high, wide = height // block, width // block
    parts = reshape_to(ctx, x, (batch, channels, high, block, wide, block))
    order = (0, 3, 5, 1, 2, 4) if node.choice("mode", "DCR", "DCR", "CRD") == "DCR" else (0, 1, 3, 5, 2, 4)
    return reshape_to(ctx, transposed(ctx, parts, order), (batch, channels * block * block, high, wide))
