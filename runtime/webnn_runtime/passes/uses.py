"""Who makes and who reads each value of a graph: the ground on which patterns are recognised.

A pattern may swallow a value only if nothing else can see it. `only_reader` answers that, so a recogniser that
walks by it cannot take away an intermediate that another node or the caller needs.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array, Graph, Node

__all__ = ["Uses"]

# In float32 the inverse of a smaller number may be infinite, that of a larger one than its inverse has fewer digits.
_LEAST_DIVISOR: Final = 2.0**-126


class Uses:
    """An index of one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {node.outputs[0]: index for index, node in enumerate(graph.nodes)}
        self._makers = {value: node for node in graph.nodes for value in node.outputs}
        self._readers = graph.consumers()
        self._results = frozenset(graph.outputs.values())

    @classmethod
    def of(cls, graph: Graph | Uses) -> Uses:
        """The index of a graph, or the one that is given: who looks for many patterns makes it once."""
        return graph if isinstance(graph, Uses) else cls(graph)

    def maker(self, value: str | None, op: str | None = None) -> Node | None:
        """The node that makes `value`, if there is one and it is an `op`."""
        node = self._makers.get(value) if value is not None else None
        return node if node is not None and op in (None, node.op) else None

    def readers(self, value: str) -> list[Node]:
        """Nodes that read `value`, once for each time they do."""
        return self._readers[value]

    def only_reader(self, value: str) -> Node | None:
        """The one node that reads `value`, once; None if it is read elsewhere or is a result of the graph."""
        readers = self._readers[value]
        return readers[0] if len(readers) == 1 and value not in self._results else None

    def is_private(self, value: str, among: frozenset[str] | set[str]) -> bool:
        """Whether only the nodes named in `among` see `value`."""
        return value not in self._results and all(node.name in among for node in self._readers[value])

    def constant(self, value: str | None) -> Array | None:
        """The array of `value`, if it is a constant."""
        known = self.graph.constants.get(value) if value is not None else None
        return known.values if known is not None else None

    def number(self, value: str | None) -> float | None:
        """The one element of `value`, if it is a constant of a single element."""
        array = self.constant(value)
        return float(array.reshape(())) if array is not None and array.size == 1 else None

    def number_and_other(self, node: Node) -> tuple[float, str] | None:
        """For a node of two operands one of which is a constant number: that number, and the other operand.

        The other operand must not be stretched by the constant's rank.
        """
        first, second = node.inputs
        for number, other in ((self.number(first), second), (self.number(second), first)):
            if number is not None and other is not None and self.graph.types[other] == self.graph.types[node.name]:
                return number, other
        return None

    def factor(self, node: Node) -> tuple[float, str] | None:
        """For `x * c`, `c * x` or `x / c`: what x is multiplied with, and x."""
        if node.op == "mul":
            return self.number_and_other(node)
        if node.op == "div":
            divisor, value = self.number(node.inputs[1]), node.inputs[0]
            same = value is not None and self.graph.types[value] == self.graph.types[node.name]
            if divisor and value is not None and same and _LEAST_DIVISOR <= abs(divisor) <= 1 / _LEAST_DIVISOR:
                # As the division would round: 1/8 is exact, 1/sqrt(32) is off by half a unit in the last place.
                return float(np.float32(1) / np.float32(divisor)), value
        return None

    def row_beside(self, node: Node, value: str) -> str | None:
        """The operand of `node` beside `value`, if it is a constant of one number per element of the last axis."""
        other = node.inputs[1] if node.inputs[0] == value else node.inputs[0]
        array, kind = self.constant(other), self.graph.types[value]
        if array is None or array.ndim == 0 or kind != self.graph.types[node.name]:
            return None
        return other if array.shape[-1] == array.size == kind.shape[-1] else None
