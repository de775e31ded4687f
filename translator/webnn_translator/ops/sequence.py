"""Sequences and optionals: lists of tensors that exist during translation only.

WebNN knows tensors. A sequence converts where it is known at translation which tensors are in it, and an optional
where it is known whether it holds something.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.initializers import elem_of
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import joined, reshape_to
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Absent, OnnxValue, Tensor, TensorList

__all__: list[str] = []

# More members than this would be a graph that nobody reads.
_MOST_MEMBERS: Final = 4096


@onnx_op("SequenceEmpty", since=11)
def sequence_empty(_: Context, node: OnnxNode) -> TensorList:
    """A sequence without members, of float by default."""
    return TensorList(elem_of(node.integer("dtype", int(Elem.FLOAT)), "attribute dtype"), ())


@onnx_op("SequenceConstruct", since=11)
def sequence_construct(_: Context, node: OnnxNode) -> TensorList:
    """A sequence of the inputs."""
    return _listed(node.operands[0].elem, node.operands)


@onnx_op("SequenceInsert", since=11)
def sequence_insert(ctx: Context, node: OnnxNode) -> TensorList:
    """One member more, at a position or at the end."""
    whole, member, position = node.sequence(0), node.input(1), node.optional(2)
    count = len(whole.items)
    place = count if position is None else _place(ctx, position, count, count)
    return _listed(whole.elem, [*whole.items[:place], member, *whole.items[place:]])


@onnx_op("SequenceErase", since=11)
def sequence_erase(ctx: Context, node: OnnxNode) -> TensorList:
    """One member less, at a position or at the end."""
    whole, position = node.sequence(0), node.optional(1)
    count = len(whole.items)
    if not count:
        raise Refused("the sequence it takes a member from has none; the model is not valid")
    place = count - 1 if position is None else _place(ctx, position, count, count - 1)
    return TensorList(whole.elem, whole.items[:place] + whole.items[place + 1 :])


@onnx_op("SequenceAt", since=11)
def sequence_at(ctx: Context, node: OnnxNode) -> Tensor:
    """One member."""
    whole = node.sequence(0)
    count = len(whole.items)
    return whole.items[_place(ctx, node.input(1), count, count - 1)]


@onnx_op("SequenceLength", since=11)
def sequence_length(ctx: Context, node: OnnxNode) -> Tensor:
    """The number of members."""
    return ctx.scalar(len(node.sequence(0).items), Elem.INT64)


@onnx_op("SplitToSequence", since=11)
def split_to_sequence(ctx: Context, node: OnnxNode) -> TensorList:
    """Parts along an axis: of given sizes, of one size with a smaller last one, or of size 1 each."""
    x, split = node.input(0), node.optional(1)
    axis = ctx.axis(node.integer("axis", 0), x.rank)
    dim = x.shape[axis]
    sizes: Sequence[Dim]
    if split is not None and split.rank == 1:
        sizes = ctx.dims(split, "the sizes of the parts")
        if not ctx.same(sum(sizes, 0), dim):
            raise Refused(f"sizes [{', '.join(map(str, sizes))}] do not add up to {dim}")
    else:
        whole = ctx.size(dim, "the dimension that is split, and so the number of parts,")
        each = 1 if split is None else ctx.integer(split, "the size of the parts")
        if each < 1 or whole > each * _MOST_MEMBERS:
            raise Refused(f"{whole} elements in parts of {each}; 1 to {_MOST_MEMBERS} parts are possible")
        sizes = [min(each, whole - start) for start in range(0, whole, each)]
    starts = accumulate(sizes, initial=0)
    parts = [slice_of(ctx, x, {axis: (start, size, 1)}) for start, size in zip(starts, sizes, strict=False)]
    # Only parts of size 1 that nobody asked the size of may lose their dimension.
    keeps = node.flag("keepdims", 1) or split is not None
    shape = x.shape[:axis] + x.shape[axis + 1 :]
    return TensorList(x.elem, tuple(part if keeps else reshape_to(ctx, part, shape) for part in parts))


@onnx_op("ConcatFromSequence", since=11)
def concat_from_sequence(ctx: Context, node: OnnxNode) -> Tensor:
    """The members in one tensor, along an axis they have or a new one."""
    items = node.sequence(0).items
    if not items:
        raise Refused("the sequence it joins has no members; the model is not valid")
    is_new = node.flag("new_axis", 0)
    axis = ctx.axis(node.integer("axis"), items[0].rank + is_new)
    if is_new:
        items = tuple(reshape_to(ctx, item, (*item.shape[:axis], 1, *item.shape[axis:])) for item in items)
    return joined(ctx, items, axis)


@onnx_op("Optional", since=15)
def optional(_: Context, node: OnnxNode) -> OnnxValue:
    """An optional with an element is that element."""
    node.ignore("type")
    return node.value(0) or Absent()


@onnx_op("OptionalHasElement", since=15)
def optional_has_element(ctx: Context, node: OnnxNode) -> Tensor:
    """Whether there is an element; without an input there is none."""
    found = node.value(0)
    return ctx.known(np.asarray(found is not None and not isinstance(found, Absent)))


@onnx_op("OptionalGetElement", since=15)
def optional_get_element(_: Context, node: OnnxNode) -> OnnxValue:
    """The element of an optional that has one."""
    found = node.value(0)
    if found is None or isinstance(found, Absent):
        raise Refused("the optional it reads is empty; the model is not valid")
    return found


def _listed(elem: Elem, items: Sequence[Tensor]) -> TensorList:
    if any(item.elem is not elem for item in items):
        raise Refused(f"a sequence of {elem.text} gets members of another type; the model is not valid")
    if len(items) > _MOST_MEMBERS:
        raise Refused(f"a sequence has more than {_MOST_MEMBERS} members")
    return TensorList(elem, tuple(items))


def _place(ctx: Context, position: Tensor, count: int, most: int) -> int:
    """A position, from the start or the end.

    Raises:
        Refused: it is computed at run time, or out of range.
    """
    place = ctx.integer(position, "the position in the sequence")
    if not -count <= place <= most:
        raise Refused(f"position {place} is out of range for {count} members; the model is not valid")
    return place + count if place < 0 else place
