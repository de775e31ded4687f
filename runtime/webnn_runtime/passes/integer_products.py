"""Products of quantised integers, put back as products of what the integers stand for.

    float32(int32((float32(q) - zero) @ (float32(w) - zero_w))) * (scale * scale_w)
        = dequantizeLinear(q, scale, zero) @ dequantizeLinear(w, scale_w, zero_w)

The left is how a model states exact sums of 8-bit integers (MatMulInteger and its kin), cut along the inner dimension
where float32 would not hold them; the right is what a backend with integer arithmetic knows how to sum exactly. Others
would round the sums: this is for such a backend alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Constant, Graph, Node, TensorType
from webnn_runtime.format.names import fresh_name
from webnn_runtime.passes.dead import remove_dead
from webnn_runtime.passes.rewrite import Rewrite, apply
from webnn_runtime.passes.stored_weights import MOST_INNER
from webnn_runtime.passes.uses import Uses

__all__ = ["join_integer_products"]

_BYTES: Final = (DataType.INT8, DataType.UINT8)
# What leaves one number as it is.
_RESHAPES: Final = ("reshape", "expand", "identity")


def join_integer_products(graph: Graph) -> Graph:
    """The graph with `matmul` of two `dequantizeLinear` for each exact sum of constant 8-bit weights."""
    sums = [node for node in graph.nodes if _is_cast(graph, node, DataType.INT32, DataType.FLOAT32)]
    if not sums:
        return graph
    joining = _Joining(graph)
    for node in sums:
        joining.add(node)
    return remove_dead(apply(graph, joining.rewrite)) if joining.rewrite.nodes else graph


class _Left(NamedTuple):
    """`float32(integers) - zero`; `zero` is a value of the integers' type, or a number."""

    integers: str
    zero: str | float


class _Right(NamedTuple):
    """`float32(weights) - zero`, transposed or not; the zero has two dimensions, those of the constant."""

    weights: str
    zero: Array
    is_transposed: bool


class _Slice(NamedTuple):
    """Columns of a left-hand side by rows of a right-hand one: `start` and `size` along the inner dimension."""

    left: str
    right: str
    start: int
    size: int


class _Joining:
    """One graph on its way."""

    def __init__(self, graph: Graph) -> None:
        self.rewrite = Rewrite()
        self._graph = graph
        self._uses = Uses(graph)
        self._types = graph.types
        self._taken = set(graph.types)
        self._known: dict[tuple[str, str, str], str] = {}

    def add(self, node: Node) -> None:
        """Rewrite one sum, if it is what it should be."""
        slices = sorted(self._slices(node.inputs[0]) or (), key=lambda part: part.start)
        if not slices or len({(part.left, part.right) for part in slices}) != 1:
            return
        left, right = self._left(slices[0].left), self._right(slices[0].right)
        if left is None or right is None or not self._is_whole(slices, node, left):
            return
        result, scale, factors = self._factors(node, left)
        columns = self._types[result].shape[-1]
        made = [*self._numbers(left, scale)]
        numbers = made[-1].name if made else self._known[self._key(left, scale)]
        made += self._weights(right, factors, int(str(columns)))
        made.append(Node("matmul", (numbers, made[-1].name), {}, (result,)))
        self.rewrite.nodes[result] = tuple(made)

    def _slices(self, value: str | None) -> list[_Slice] | None:
        """The products that an int32 value is the sum of."""
        node = self._uses.maker(value)
        if node is None:
            return None
        if node.op == "add":
            parts = [self._slices(operand) for operand in node.inputs]
            return [part for found in parts for part in found or ()] if all(parts) else None
        product = self._uses.maker(node.inputs[0], "matmul") if node.op == "cast" else None
        if product is None or self._types[product.name].dtype is not DataType.FLOAT32:
            return None
        left, right = str(product.inputs[0]), str(product.inputs[1])
        inner = self._types[right].shape[0] if self._types[right].rank == 2 else None
        if not isinstance(inner, int) or self._types[left].rank < 2 or self._types[left].shape[-1] != inner:
            return None
        source, start = self._cut(left, -1)
        weights, other = self._cut(right, 0)
        return [_Slice(source, weights, start, inner)] if start == other else None

    def _cut(self, value: str, axis: int) -> tuple[str, int]:
        """What a value is cut from along an axis, and where; itself and 0 where it is no such slice."""
        node = self._uses.maker(value, "slice")
        if node is None or node.inputs[0] is None:
            return value, 0
        source = node.inputs[0]
        shape, sizes, starts = self._types[source].shape, self._types[value].shape, node.options["starts"]
        rank = len(shape)
        along = axis % rank
        whole = all(
            starts[at] == 0 and sizes[at] == shape[at]  # type: ignore[index]  # the table says they are a list
            for at in range(rank)
            if at != along
        )
        start = starts[along]  # type: ignore[index]
        is_plain = whole and set(node.options["strides"]) == {1} and isinstance(start, int)  # type: ignore[arg-type]
        return (source, int(str(start))) if is_plain else (value, 0)

    def _is_whole(self, slices: list[_Slice], node: Node, left: _Left) -> bool:
        """Whether the slices are the inner dimension, once, and the sums fit."""
        place = 0
        for part in slices:
            if part.start != place:
                return False
            place += part.size
        source, weights, result = (self._types[v].shape for v in (slices[0].left, slices[0].right, node.name))
        integers = self._types[left.integers].shape
        return (
            source == integers
            and source[-1] == weights[0] == place <= MOST_INNER
            and result == (*source[:-1], weights[1])
            and isinstance(weights[1], int)
        )

    def _left(self, value: str) -> _Left | None:
        node = self._uses.maker(value)
        zero: str | float | None = 0.0
        if node is not None and node.op == "sub":
            zero = self._zero(node.inputs[1])
            value = str(node.inputs[0])
            node = self._uses.maker(value)
        if node is None or node.op != "cast" or zero is None or node.inputs[0] is None:
            return None
        integers = node.inputs[0]
        kind = self._types[integers].dtype
        if kind not in _BYTES or self._types[value].dtype is not DataType.FLOAT32:
            return None
        found = _Left(integers, zero)
        if isinstance(zero, str):
            return found if self._types[zero].dtype is kind and self._is_unsigned(found) else None
        return found if zero.is_integer() and kind.bounds[0] <= zero <= kind.bounds[1] else None

    def _is_unsigned(self, left: _Left) -> bool:
        """Whether scale and zero point may be computed: the engine takes such a zero point as an unsigned byte."""
        return self._types[left.integers].dtype is DataType.UINT8

    def _zero(self, value: str | None) -> str | float | None:
        """One number: as a constant, or as the value that is cast to it."""
        number = self._uses.number(value)
        if number is not None:
            return number
        node = self._uses.maker(self._root(value), "cast")
        if node is None or not _is_one(self._types[node.name]):
            return None
        root = self._root(node.inputs[0])
        number = self._uses.number(root)
        return number if number is not None else root

    def _root(self, value: str | None) -> str | None:
        """A value of one element before reshapes."""
        node = self._uses.maker(value)
        while node is not None and node.op in _RESHAPES and _is_one(self._types[str(node.inputs[0])]):
            value = node.inputs[0]
            node = self._uses.maker(value)
        return value

    def _right(self, value: str) -> _Right | None:
        zeros: Array = np.zeros((1, 1), np.float32)
        node = self._uses.maker(value)
        is_transposed = False
        if node is not None and _is_turning(node):
            is_transposed, node = True, self._uses.maker(node.inputs[0])
        if node is not None and node.op == "sub":
            given = self._constant(node.inputs[1])
            if given is None or given.ndim > 2:
                return None
            if self._types[node.name] != self._types[str(node.inputs[0])]:
                return None
            zeros, node = given.reshape((1,) * (2 - given.ndim) + given.shape), self._uses.maker(node.inputs[0])
        if node is None or not self._is_of_bytes(node):
            return None
        weights = str(node.inputs[0])
        inner = self._uses.maker(weights)
        if inner is not None and _is_turning(inner) and not is_transposed:
            # Of the integers themselves: the zero moves with them.
            weights, is_transposed, zeros = str(inner.inputs[0]), True, zeros.T
        kind, low = self._types[weights], self._types[weights].dtype.bounds
        whole = (zeros == np.round(zeros)).all() and (zeros >= low[0]).all() and (zeros <= low[1]).all()
        if self._uses.constant(weights) is None or kind.dtype not in _BYTES or not whole:
            return None
        if (zeros.T if is_transposed else zeros).shape[0] != 1:
            return None
        return _Right(weights, zeros.astype(kind.dtype.numpy), is_transposed)

    def _is_of_bytes(self, node: Node) -> bool:
        return (
            node.op == "cast" and self._types[node.name].dtype is DataType.FLOAT32 and self._types[node.name].rank == 2
        )

    def _constant(self, value: str | None) -> Array | None:
        """The numbers of a constant, or of a cast of one."""
        node = self._uses.maker(value, "cast")
        return self._uses.constant(value if node is None else node.inputs[0])

    def _factors(self, node: Node, left: _Left) -> tuple[str, str | None, Array]:
        """What the sums are multiplied with, as far as it can be part of the scales.

        Returns the value that is then replaced, the scale of the left-hand side (None for 1), and those of columns.
        """
        nothing = node.name, None, np.ones(1, np.float32)
        following = self._uses.only_reader(node.name)
        if following is None or following.op != "mul" or self._types[following.name] != self._types[node.name]:
            return nothing
        other = following.inputs[1] if following.inputs[0] == node.name else following.inputs[0]
        columns = self._types[node.name].shape[-1]
        constant, computed = np.ones(1, np.float32), []
        for value in self._multiplied(other):
            array = self._uses.constant(value)
            if array is None:
                computed.append(value)
            elif array.size == 1 or array.size == columns == array.shape[-1]:
                constant = constant * array.reshape(-1)
            else:
                return nothing
        if not np.isfinite(constant).all():
            return nothing
        if not computed:
            return following.name, None, constant
        there = self._quantiser(left)
        if there is None or computed != [self._root(there.inputs[1])] or not self._is_unsigned(left):
            return nothing
        return following.name, str(there.inputs[1]), constant

    def _multiplied(self, value: str | None) -> Iterator[str]:
        """The factors of a number or vector."""
        root = self._root(value)
        node = self._uses.maker(root, "mul")
        if node is None:
            yield str(root)
            return
        for operand in node.inputs:
            yield from self._multiplied(operand)

    def _quantiser(self, left: _Left) -> Node | None:
        """What makes the integers of floats, by the same zero point."""
        node = self._uses.maker(left.integers, "quantizeLinear")
        if node is None or self._types[str(node.inputs[0])].dtype is not DataType.FLOAT32:
            return None
        if not all(value is not None and _is_one(self._types[value]) for value in node.inputs[1:]):
            return None
        root = self._root(node.inputs[2])
        own = self._uses.number(root)
        return node if left.zero == (own if own is not None else root) else None

    def _key(self, left: _Left, scale: str | None) -> tuple[str, str, str]:
        return left.integers, str(left.zero), str(scale)

    def _numbers(self, left: _Left, scale: str | None) -> Iterator[Node]:
        """What the left-hand integers stand for; nothing where that is there already."""
        key = self._key(left, scale)
        if key in self._known:
            return
        rank = self._types[left.integers].rank
        if scale is None:
            scale = self._number(f"{left.integers}_one", np.ones((1,) * rank, np.float32), DataType.FLOAT32)
        there = self._quantiser(left)
        kind = self._types[left.integers].dtype
        if there is not None:
            zero = str(there.inputs[2])
        elif not isinstance(left.zero, str):
            zero = self._number(f"{left.integers}_zero", np.full((1,) * rank, left.zero, kind.numpy), kind)
        else:
            zero = fresh_name(f"{left.zero}_of_{rank}", self._taken)
            yield Node("reshape", (left.zero,), {"newShape": (1,) * rank}, (zero,))
        self._known[key] = fresh_name(f"{left.integers}_numbers", self._taken)
        yield Node("dequantizeLinear", (left.integers, scale, zero), {}, (self._known[key],))

    def _weights(self, right: _Right, factors: Array, columns: int) -> Iterator[Node]:
        """What the weights stand for, their columns multiplied by factors."""
        scales = np.ascontiguousarray(np.broadcast_to(factors, (columns,)).reshape(1, columns))
        zeros = np.ascontiguousarray(np.broadcast_to(right.zero.T if right.is_transposed else right.zero, (1, columns)))
        if right.is_transposed:
            scales, zeros = scales.T.copy(), zeros.T.copy()
        kind = self._types[right.weights].dtype
        scale = self._number(f"{right.weights}_scales", scales, DataType.FLOAT32)
        zero = self._number(f"{right.weights}_zeros", zeros, kind)
        floats = fresh_name(f"{right.weights}_numbers", self._taken)
        yield Node("dequantizeLinear", (right.weights, scale, zero), {}, (floats,))
        if right.is_transposed:
            turned = fresh_name(f"{floats}_turned", self._taken)
            yield Node("transpose", (floats,), {"permutation": (1, 0)}, (turned,))

    def _number(self, stem: str, array: Array, dtype: DataType) -> str:
        name = fresh_name(stem, self._taken)
        self.rewrite.constants[name] = Constant(TensorType(dtype, array.shape), array)
        return name


def _is_one(kind: TensorType) -> bool:
    return all(dim == 1 for dim in kind.shape)


def _is_turning(node: Node) -> bool:
    """Whether a node swaps the two axes of a matrix."""
    return node.op == "transpose" and node.options["permutation"] == (1, 0)


def _is_cast(graph: Graph, node: Node, source: DataType, target: DataType) -> bool:
    if node.op != "cast" or node.inputs[0] is None:
        return False
    return graph.types[node.name].dtype is target and graph.types[node.inputs[0]].dtype is source
