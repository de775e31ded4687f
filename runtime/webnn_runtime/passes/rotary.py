"""Rotary positions: `x * cos + rotated(x) * sin`, where `rotated` swaps the halves of the last axis and negates one.

The halves are cut with `slice` and put together with `concat`, as the two exporters of torch write them.
"""

from __future__ import annotations

from collections.abc import Iterator

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.uses import Uses

__all__ = ["RotaryMatch", "find_rotary"]


@dataclass(frozen=True, slots=True)
class RotaryMatch:
    """Positions turned into the last axis of [batch, heads, rows, depth].

    Attributes:
        source: value that is turned; nodes outside may read it as well.
        cos: factors of the value itself, stretched to it.
        sin: factors of the swapped halves, stretched likewise.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    source: str
    cos: str
    sin: str
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        return self.source, self.cos, self.sin


def find_rotary(graph: Graph | Uses) -> Iterator[RotaryMatch]:
    """All float32 ones of four dimensions whose intermediates nothing else reads."""
    uses = Uses.of(graph)
    graph = uses.graph
    for node in graph.nodes:
        kind = graph.types[node.name]
        if node.op == "add" and kind.dtype is DataType.FLOAT32 and kind.rank == 4:
            for left, right in (node.inputs, node.inputs[::-1]):
                match = _sum(uses, node, left, right)
                if match is not None:
                    yield match
                    break


def _sum(uses: Uses, node: Node, left: str | None, right: str | None) -> RotaryMatch | None:
    straight, turned = uses.maker(left, "mul"), uses.maker(right, "mul")
    if straight is None or turned is None or straight is turned:
        return None
    types = uses.graph.types
    for swapped, sin in (turned.inputs, turned.inputs[::-1]):
        concat = uses.maker(swapped, "concat")
        nodes = {node.name, straight.name, turned.name}
        source = _swapped(uses, concat, nodes) if concat is not None else None
        if source is None or source not in straight.inputs or sin is None:
            continue
        cos = straight.inputs[0] if straight.inputs[1] == source else straight.inputs[1]
        if cos is None or {types[straight.name], types[turned.name], types[node.name]} != {types[source]}:
            continue
        if not all(_is_along(uses, value, source) for value in (cos, sin)):
            continue
        if all(uses.is_private(value, nodes) for value in nodes - {node.name}):
            return RotaryMatch(source, cos, sin, node.name, frozenset(nodes))
    return None


def _is_along(uses: Uses, value: str, source: str) -> bool:
    """Whether the last axis of `value` is that of `source`, and the others are its own or one element."""
    own, shape = uses.graph.types[value].shape, uses.graph.types[source].shape
    return (
        0 < len(own) <= 4
        and own[-1] == shape[-1]
        and all(size in (1, whole) for size, whole in zip(reversed(own), reversed(shape), strict=False))
    )


def _swapped(uses: Uses, concat: Node, nodes: set[str]) -> str | None:
    """The value whose halves are swapped, the second one negated; adds the nodes on the way."""
    kinds = uses.graph.types
    if len(concat.inputs) != 2 or concat.options["axis"] != kinds[concat.name].rank - 1:
        return None
    negated = uses.maker(concat.inputs[0], "neg")
    first = uses.maker(concat.inputs[1], "slice")
    second = uses.maker(negated.inputs[0], "slice") if negated is not None else None
    if negated is None or first is None or second is None or first.inputs[0] != second.inputs[0]:
        return None
    source = first.inputs[0]
    depth = kinds[str(source)].shape[-1]
    if source is None or not isinstance(depth, int) or depth % 2:
        return None
    for half, start in ((first, 0), (second, depth // 2)):
        shape = (*kinds[source].shape[:-1], depth // 2)
        rank = len(shape)
        starts = (*(0,) * (rank - 1), start)
        if (
            half.options["starts"] != starts
            or half.options["strides"] != (1,) * rank
            or kinds[half.name].shape != shape
        ):
            return None
    nodes |= {concat.name, negated.name, first.name, second.name}
    return source
