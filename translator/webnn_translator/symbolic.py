"""Integer tensors whose elements are known as dimension expressions.

Two forms. `Symbols` lists every element: shapes, and what exporters compute from them. `Affine` is a grid
`offset + sum(stride * index)`: position numbers and the flat indices made from them. Everything here is exact
integer arithmetic on expressions; a comparison that the ranges of the names do not decide stays undecided.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, is_at_least, is_equal, names_of
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.elements import Elem

__all__ = [
    "Affine",
    "Items",
    "Undecided",
    "affine_from_array",
    "broadcast_shapes",
    "compare",
    "concrete",
    "items_from_array",
    "map_items",
    "truncated_div",
]

# An object array of int and SymbolicDim.
Items: TypeAlias = "npt.NDArray[Any]"
Relation: TypeAlias = Callable[[Dim, Dim, Mapping[str, DynamicDim]], "bool | None"]


class Undecided(Refused):
    """A condition on dimensions that their ranges leave open."""


@dataclass(frozen=True, slots=True)
class Affine:
    """Element [i0, i1, ...] is `offset + sum(strides[k] * ik)`; the shape is the tensor's.

    Attributes:
        offset: value at index 0.
        strides: one per axis; 0 where the value does not depend on the index.
    """

    offset: Dim
    strides: tuple[Dim, ...]

    def extremes(self, shape: Sequence[Dim], ranges: Mapping[str, DynamicDim]) -> tuple[Dim, Dim] | None:
        """Smallest and largest element, or None where the sign of a stride is unknown."""
        low = high = self.offset
        for stride, dim in zip(self.strides, shape, strict=True):
            reach = stride * (dim - 1)
            if is_at_least(stride, 0, ranges):
                high = high + reach
            elif is_at_least(0, stride, ranges):
                low = low + reach
            else:
                return None
        return low, high


def items_from_array(array: Array) -> Items:
    """The elements as Python integers."""
    items = np.empty(array.shape, object)
    items[...] = array.astype(np.int64 if array.dtype != np.uint64 else np.uint64).astype(object)
    return items


def concrete(items: Items, elem: Elem) -> Array | None:
    """An array, if no element is symbolic; integers wrap as the element type does."""
    if any(isinstance(item, SymbolicDim) for item in items.flat):
        return None
    if elem is Elem.BOOL:
        return items.astype(np.bool_)
    low, high = elem.integer_range
    span = high - low + 1
    wrapped = np.empty(items.shape, object)
    wrapped[...] = items
    for index, item in np.ndenumerate(items):
        wrapped[index] = (int(item) - low) % span + low
    return wrapped.astype(elem.numpy)


def map_items(function: Callable[..., Dim], *operands: Items) -> Items:
    """Apply element by element, with broadcasting."""
    stretched = np.broadcast_arrays(*operands)
    result = np.empty(stretched[0].shape, object)
    for index in np.ndindex(result.shape):
        result[index] = function(*(operand[index] for operand in stretched))
    return result


def compare(relation: Relation, left: Dim, right: Dim, ranges: Mapping[str, DynamicDim]) -> bool:
    """Decide a comparison.

    Raises:
        Undecided: it depends on the values of the names.
    """
    verdict = relation(left, right, ranges)
    if verdict is None:
        names = sorted(names_of(left) | names_of(right))
        raise Undecided(f"whether {left} and {right} compare depends on {', '.join(names)}", names)
    return verdict


def truncated_div(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim]) -> Dim:
    """Integer division as ONNX's: rounds toward zero.

    Raises:
        Undecided: the signs are unknown, or the divisor may be 0.
    """
    if isinstance(left, int) and isinstance(right, int):
        if right == 0:
            raise Undecided("a constant is divided by 0")
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    quotient = left // right
    if quotient * right == left:
        return quotient
    if is_at_least(left, 0, ranges) and is_at_least(right, 1, ranges):
        return quotient
    if is_at_least(0, left, ranges) and is_at_least(right, 1, ranges):
        return -(-left // right)
    raise Undecided(f"the sign of {left} / {right} is not known")


def affine_from_array(array: Array) -> Affine | None:
    """The grid that `array` is, if it is one; small integer arrays only."""
    if array.dtype.kind not in "iu" or array.size < 2:
        return None
    offset = int(array.flat[0])
    strides: list[int] = []
    for axis, size in enumerate(array.shape):
        index = tuple(1 if k == axis else 0 for k in range(array.ndim))
        strides.append(int(array[index]) - offset if size > 1 else 0)
    grid = np.full(array.shape, offset, np.int64)
    for axis, stride in enumerate(strides):
        shape = [1] * array.ndim
        shape[axis] = array.shape[axis]
        grid += (np.arange(array.shape[axis], dtype=np.int64) * stride).reshape(shape)
    return Affine(offset, tuple(strides)) if np.array_equal(grid, array) else None


def broadcast_shapes(
    shapes: Sequence[tuple[Dim, ...]], ranges: Mapping[str, DynamicDim]
) -> tuple[tuple[Dim, ...], bool]:
    """Shape of the result, and whether every equality it rests on is certain.

    Raises:
        ValueError: the shapes do not broadcast for any values of the names.
    """
    rank = max(len(shape) for shape in shapes)
    result: list[Dim] = [1] * rank
    certain = True
    for shape in shapes:
        for offset in range(1, len(shape) + 1):
            dim, known = shape[-offset], result[-offset]
            if dim == known or dim == 1:
                continue
            if known == 1:
                result[-offset] = dim
                continue
            if is_equal(dim, known, ranges) is False:
                listed = " and ".join(f"[{', '.join(map(str, shape))}]" for shape in shapes)
                raise ValueError(f"shapes {listed} do not broadcast: {known} and {dim}")
            certain = False
            result[-offset] = known if isinstance(known, int) else dim
    return tuple(result), certain
