"""GELU written out with erf, as exporters do: `0.5 * x * (1 + erf(x / sqrt(2)))` in any order of its factors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.uses import Uses

__all__ = ["GeluMatch", "find_gelu", "match_gelu"]

# Constants in files are rounded to float32, or written with a few digits.
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class GeluMatch:
    """A GELU of `source`, whose result is `result`.

    Attributes:
        source: the argument.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    source: str
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        return (self.source,)


def find_gelu(graph: Graph | Uses) -> Iterator[GeluMatch]:
    """All GELUs in float32 that are written out."""
    uses = Uses.of(graph)
    graph = uses.graph
    for node in graph.nodes:
        if node.op == "erf" and graph.types[node.name].dtype is DataType.FLOAT32:
            scaled = uses.maker(node.inputs[0])
            inner = uses.factor(scaled) if scaled is not None else None
            match = _written_out(uses, inner[1], node) if inner is not None else None
            if match is not None:
                yield match


def match_gelu(uses: Uses, source: str) -> GeluMatch | None:
    """The GELU of `source`, as the operator or written out, if one is there."""
    reader = uses.only_reader(source)
    if reader is not None and reader.op == "gelu":
        return GeluMatch(source, reader.name, frozenset({reader.name}))
    for erf in (node for scaled in uses.readers(source) for node in uses.readers(scaled.name) if node.op == "erf"):
        match = _written_out(uses, source, erf)
        if match is not None:
            return match
    return None


def _written_out(uses: Uses, source: str, erf: Node) -> GeluMatch | None:
    scaled = uses.maker(erf.inputs[0])
    inner = uses.factor(scaled) if scaled is not None else None
    plus_one = uses.only_reader(erf.name)
    if scaled is None or inner is None or plus_one is None or plus_one.op != "add":
        return None
    if inner[1] != source or not _is(inner[0], math.sqrt(0.5)):
        return None
    one = uses.number_and_other(plus_one)
    if one is None or one[0] != 1.0:
        return None
    nodes = {scaled.name, erf.name, plus_one.name}
    # What remains is the product of the sum with x and 0.5, in any grouping.
    product = uses.only_reader(plus_one.name)
    if product is None or product.op != "mul":
        return None
    nodes.add(product.name)
    other = product.inputs[0] if product.inputs[1] == plus_one.name else product.inputs[1]
    half = uses.factor(product)
    result = product.name
    if half == (0.5, plus_one.name) or other == source:
        # (sum * 0.5) * x, or (sum * x) * 0.5
        last = uses.only_reader(product.name)
        expected = {product.name, source}
        if last is None or not (
            uses.factor(last) == (0.5, product.name)
            if other == source
            else last.op == "mul" and {*last.inputs} == expected
        ):
            return None
        result = last.name
    else:
        # sum * (x * 0.5)
        halved = uses.maker(other)
        if halved is None or uses.factor(halved) != (0.5, source):
            return None
        nodes.add(halved.name)
    nodes.add(result)
    if not all(uses.is_private(value, nodes) for value in nodes - {result}):
        return None
    return GeluMatch(source, result, frozenset(nodes))


def _is(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=_TOLERANCE)
