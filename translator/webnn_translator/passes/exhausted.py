"""Formulas of one whole number, tried with every number that it can be.

The buckets of distances between tokens (T5, MPNet, DeBERTa) take a logarithm of 0 and never use it: intervals of their
parts say that a value may leave int32, and only all of them together that none which counts does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.format.ops import OPS
from webnn_runtime.reference import evaluate
from webnn_translator.intervals import Interval, Known

__all__ = ["Formulas"]

# 16 operators of a million numbers take about 0.1 s.
_MOST_NUMBERS: Final = 1 << 20
# Half of int32: implementations differ in the last bit of a logarithm, and so by some whole numbers of what it becomes.
_MOST: Final = 1 << 30
_FAMILIES: Final = ("comparison", "elementwise")
_ALSO_POINTWISE: Final = ("cast", "identity", "clamp")


class Formulas:
    """Which values of a graph are made, element by element, of one value and of single constants."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._origins: dict[str, str] = {}
        self._parts: dict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            origin = self._origin_of(node)
            if origin is not None:
                self._origins[node.name] = origin
                self._parts[origin].append(node)

    def proved(self, value: str, known: Mapping[str, Known]) -> dict[str, Interval]:
        """Intervals of the values of the formula that this one belongs to; none where one that counts may not fit.

        An element may leave int32, or be a float that no integer is, where nothing reads it but a `where` that
        takes the other one. The interval is that of the other elements.

        Args:
            value: a result of a node.
            known: intervals, that of the formula's own variable among them.
        """
        origin = self._origins.get(value)
        variable = None if origin is None else known[origin]
        if origin is None or variable is None:
            return {}
        low, high = variable.numbers(self._graph.dims)
        if high - low >= _MOST_NUMBERS or max(-low, high) > _MOST:
            return {}
        return self._tried(origin, np.arange(low, high + 1, dtype=self._graph.types[origin].dtype.numpy))

    def _origin_of(self, node: Node) -> str | None:
        """The one value that a node's result is made of, where operands lie element beside element."""
        if OPS[node.op].family not in _FAMILIES and node.op not in _ALSO_POINTWISE:
            return None
        read = [name for name in node.inputs if name is not None and not self._is_number(name)]
        origins = {self._origins.get(name, name) for name in read}
        if len(origins) != 1:
            return None
        types = self._graph.types
        origin = origins.pop()
        alike = {types[name].shape for name in (*read, node.name)} == {types[origin].shape}
        return origin if alike and not types[origin].dtype.is_float else None

    def _is_number(self, name: str) -> bool:
        constant = self._graph.constants.get(name)
        return constant is not None and constant.values.size == 1

    def _tried(self, origin: str, numbers: Array) -> dict[str, Interval]:
        values, lost = {origin: numbers}, {origin: np.zeros(numbers.shape, np.bool_)}
        for name, constant in self._graph.constants.items():
            if constant.values.size == 1:
                values[name], lost[name] = constant.values.reshape(()), np.zeros((), np.bool_)
        found: dict[str, Interval] = {}
        for node in self._parts[origin]:
            operands = [values[str(name)] for name in node.inputs]
            (result,) = evaluate(node, operands, {})
            gone = _lost(node, operands, [lost[str(name)] for name in node.inputs], result)
            if gone is None or (gone.any() and self._leaves(node.name, origin)):
                return {}
            values[node.name], lost[node.name] = result, gone
            if not self._graph.types[node.name].dtype.is_float:
                kept = result[~gone]
                found[node.name] = Interval(int(kept.min()), int(kept.max())) if kept.size else Interval(0, 0)
        return found

    def _leaves(self, name: str, origin: str) -> bool:
        """Whether something beside the formula reads a value."""
        readers = (node.name for node in self._graph.nodes if name in node.inputs)
        is_read = any(self._origins.get(reader) != origin for reader in readers)
        return is_read or name in self._graph.outputs.values()


def _lost(node: Node, operands: list[Array], lost: list[Array], result: Array) -> Array | None:
    """Elements that int32 does not hold, or that are made of such; None where those must not be computed."""
    if node.op == "where":
        gone = lost[0] | np.where(operands[0].astype(np.bool_), lost[1], lost[2])
    else:
        gone = np.logical_or.reduce(np.broadcast_arrays(*lost))
    if np.issubdtype(result.dtype, np.floating):
        return np.broadcast_to(gone, result.shape)
    if node.op == "div" and gone.any():
        # A divisor that has wrapped around may be 0, which ends the process on some machines.
        return None
    if node.op == "cast":
        least, most = np.iinfo(result.dtype).min, np.iinfo(result.dtype).max
        gone = gone | ~((operands[0] >= max(least, -_MOST)) & (operands[0] <= min(most, _MOST)))
    return np.asarray(np.broadcast_to(gone | (np.abs(result.astype(np.float64)) > _MOST), result.shape))
