"""Constant matrices that a graph keeps in few bits and unpacks before it multiplies by them.

`dequantizeLinear` of constants, `cast` of a constant float16, and integers cast and multiplied by a constant scale: a
backend that multiplies by such a matrix as it is reads a half, a quarter or an eighth of the bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.fold import fold_constants
from webnn_runtime.passes.uses import Uses

__all__ = ["MOST_INNER", "StoredWeights", "find_stored_weights", "keep_packed", "side_by_side"]

# Sums of products of bytes over more elements may not fit into 32 bits: 255 * 255 each.
MOST_INNER: Final = 33_025
_INTEGERS: Final = frozenset({DataType.INT8, DataType.UINT8, DataType.INT4, DataType.UINT4})


@dataclass(frozen=True, slots=True, eq=False)
class StoredWeights:
    """A float32 matrix as `(data - zero) * scale`, or as float16.

    Attributes:
        data: [inner, columns], possibly a transposed view; 4-bit integers have one byte each.
        dtype: type of `data`: float16, or integers of 8 or 4 bits.
        scale: float32 of [inner / block, columns]; None for float16.
        zero: the same of `dtype`; None for float16.
    """

    data: Array
    dtype: DataType
    scale: Array | None
    zero: Array | None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the matrix."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of its dimensions: 2."""
        return self.data.ndim

    @property
    def T(self) -> StoredWeights:
        """The matrix with its axes swapped."""
        scale = None if self.scale is None else self.scale.T
        zero = None if self.zero is None else self.zero.T
        return StoredWeights(self.data.T, self.dtype, scale, zero)

    def by_blocks_of_rows(self) -> StoredWeights | None:
        """With a scale and zero for each column and block of rows, spelled out; None if blocks are not alike."""
        if self.scale is None or self.zero is None:
            return self
        columns = self.shape[1]
        blocks = self.scale.shape[0]
        if self.scale.shape[1] == 0 or columns % self.scale.shape[1] or blocks == 0 or self.shape[0] % blocks:
            return None
        times = columns // self.scale.shape[1]
        scale, zero = (np.ascontiguousarray(np.repeat(array, times, axis=1)) for array in (self.scale, self.zero))
        return StoredWeights(self.data, self.dtype, scale, zero)

    @property
    def is_per_column(self) -> bool:
        """Whether all rows of a column share scale and zero: then its integers can be summed as they are."""
        return self.scale is not None and self.scale.shape == (1, self.shape[1])

    def floats(self) -> Array:
        """The matrix in float32."""
        if self.scale is None or self.zero is None:
            return self.data.astype(np.float32)
        factors = [size // own for size, own in zip(self.shape, self.scale.shape, strict=True)]
        scale, zero = (
            np.repeat(np.repeat(array, factors[0], axis=0), factors[1], axis=1) for array in (self.scale, self.zero)
        )
        floats: Array = (self.data.astype(np.float32) - zero.astype(np.float32)) * scale
        return floats


def side_by_side(parts: list[StoredWeights]) -> StoredWeights | None:
    """Matrices of one type and one number of blocks as one wide matrix."""
    if len({(part.dtype, None if part.scale is None else part.scale.shape[0]) for part in parts}) != 1:
        return None
    scales = [part.scale for part in parts if part.scale is not None]
    zeros = [part.zero for part in parts if part.zero is not None]
    return StoredWeights(
        np.concatenate([part.data for part in parts], axis=1),
        parts[0].dtype,
        np.concatenate(scales, axis=1) if scales else None,
        np.concatenate(zeros, axis=1) if zeros else None,
    )


def keep_packed(graph: Graph) -> Graph:
    """The graph with what depends on constants alone computed, but for matrices that `find_stored_weights` finds."""

    def may_unpack(node: Node) -> bool:
        kind = graph.types[node.name]
        return node.op in ("dequantizeLinear", "cast") and kind.dtype is DataType.FLOAT32 and kind.rank == 2

    folded = fold_constants(graph, keep=may_unpack)
    if not any(map(may_unpack, folded.nodes)):
        return folded
    unpacking = {name for _, nodes in find_stored_weights(folded).values() for name in nodes}
    return fold_constants(folded, keep=lambda node: node.name in unpacking)


def _is_unpacking(graph: Graph, node: Node) -> bool:
    """Whether a node can be a step from constants to a float32 matrix."""
    kind = graph.types[node.name]
    if kind.dtype is not DataType.FLOAT32 or kind.rank != 2 or not kind.is_static or not node.inputs:
        return False
    known = graph.constants.get(node.inputs[0] or "")
    if node.op == "dequantizeLinear":
        return known is not None and all(value in graph.constants for value in node.inputs)
    if node.op == "cast":
        return known is not None and (known.type.dtype is DataType.FLOAT16 or known.type.dtype in _INTEGERS)
    return False


def find_stored_weights(graph: Graph | Uses) -> Mapping[str, tuple[StoredWeights, frozenset[str]]]:
    """Value -> the matrix it is, and the nodes that make it; only values that a product takes as its second operand."""
    uses = Uses.of(graph)
    graph = uses.graph
    found: dict[str, tuple[StoredWeights, frozenset[str]]] = {}
    for node in graph.nodes:
        if not _is_unpacking(graph, node):
            continue
        weights, result, nodes = _unpacked(uses, node), node.name, {node.name}
        following = uses.only_reader(result)
        if weights is None and following is not None and following.op == "mul":
            weights, result = _scaled(uses, node, following), following.name
            nodes.add(result)
            following = uses.only_reader(result)
        if weights is None:
            continue
        if following is not None and following.op == "transpose" and following.options["permutation"] == (1, 0):
            weights, result = weights.T, following.name
            nodes.add(result)
        turned = {
            reader.options.get("bTranspose") is True for reader in uses.readers(result) if _multiplies(reader, result)
        }
        # By products that take it in two orientations, its blocks would be rows for one and columns for the other.
        if len(turned) == 1 and result not in graph.outputs.values():
            spelled = (weights.T if True in turned else weights).by_blocks_of_rows()
            if spelled is not None:
                found[result] = (spelled.T if True in turned else spelled, frozenset(nodes))
    return found


def _multiplies(reader: Node, value: str) -> bool:
    return reader.op in ("matmul", "gemm") and reader.inputs[1] == value and reader.inputs[0] != value


def _unpacked(uses: Uses, node: Node) -> StoredWeights | None:
    """The matrix that one node makes of constants."""
    data = uses.constant(node.inputs[0])
    if data is None or node.inputs[0] is None:
        return None
    dtype = uses.graph.types[node.inputs[0]].dtype
    if node.op == "cast":
        return StoredWeights(data, dtype, None, None) if dtype is DataType.FLOAT16 else None
    scale, zero = uses.constant(node.inputs[1]), uses.constant(node.inputs[2])
    if dtype not in _INTEGERS or scale is None or zero is None or scale.dtype != np.float32:
        return None
    return StoredWeights(data, dtype, scale, zero)


def _scaled(uses: Uses, cast: Node, product: Node) -> StoredWeights | None:
    """The matrix of integers that `cast` makes floats of and `product` multiplies by constants."""
    data = uses.constant(cast.inputs[0])
    factor = product.inputs[1] if product.inputs[0] == cast.name else product.inputs[0]
    scale = uses.constant(factor)
    if data is None or scale is None or cast.inputs[0] is None or scale.dtype != np.float32:
        return None
    dtype = uses.graph.types[cast.inputs[0]].dtype
    if dtype not in _INTEGERS or scale.ndim > 2 or uses.graph.types[product.name] != uses.graph.types[cast.name]:
        return None
    scale = scale.reshape((1,) * (2 - scale.ndim) + scale.shape)
    return StoredWeights(data, dtype, scale, np.zeros(scale.shape, data.dtype))
