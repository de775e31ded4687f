"""Root mean square normalisation, written out: `x / sqrt(mean(x^2) + epsilon) * scale` over the last axis."""

from __future__ import annotations

from collections.abc import Iterator

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.uses import Uses

__all__ = ["RmsNormMatch", "find_rms_norm"]


@dataclass(frozen=True, slots=True)
class RmsNormMatch:
    """A normalisation over the last axis.

    Attributes:
        source: value that is normalised.
        epsilon: added to the mean of the squares.
        scale: constant with one factor per element of the last axis, or None.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    source: str
    epsilon: float
    scale: str | None
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        return (self.source,) if self.scale is None else (self.source, self.scale)


def find_rms_norm(graph: Graph | Uses) -> Iterator[RmsNormMatch]:
    """All float32 ones whose intermediates nothing else reads."""
    uses = Uses.of(graph)
    graph = uses.graph
    for node in graph.nodes:
        if node.op == "sqrt" and graph.types[node.name].dtype is DataType.FLOAT32:
            match = _around(uses, node)
            if match is not None:
                yield match


def _around(uses: Uses, root: Node) -> RmsNormMatch | None:
    shifted = uses.maker(root.inputs[0], "add")
    epsilon = uses.number_and_other(shifted) if shifted is not None else None
    mean = uses.maker(epsilon[1], "reduceMean") if epsilon is not None else None
    square = uses.maker(mean.inputs[0]) if mean is not None else None
    if shifted is None or epsilon is None or mean is None or square is None:
        return None
    source = square.inputs[0]
    if source is None or not _is_square(uses, square) or mean.options["keepDimensions"] is not True:
        return None
    kind = uses.graph.types[source]
    if mean.options["axes"] != (kind.rank - 1,) or not isinstance(kind.shape[-1], int):
        return None
    nodes = {root.name, shifted.name, mean.name, square.name}
    result = _quotient(uses, source, root, nodes)
    if result is None:
        return None
    scale, following = None, uses.only_reader(result.name)
    if following is not None and following.op == "mul":
        scale = uses.row_beside(following, result.name)
        if scale is not None:
            result = following
            nodes.add(result.name)
    if not all(uses.is_private(value, nodes) for value in nodes - {result.name}):
        return None
    return RmsNormMatch(source, epsilon[0], scale, result.name, frozenset(nodes))


def _is_square(uses: Uses, node: Node) -> bool:
    if node.op == "mul":
        return node.inputs[0] == node.inputs[1]
    return node.op == "pow" and uses.number(node.inputs[1]) == 2.0


def _quotient(uses: Uses, source: str, root: Node, nodes: set[str]) -> Node | None:
    """The node that divides `source` by the root, or multiplies it with its reciprocal; adds the nodes on the way."""
    following = uses.only_reader(root.name)
    if following is None:
        return None
    nodes.add(following.name)
    if following.op == "div" and following.inputs == (source, root.name):
        return following
    is_one = following.op == "div" and uses.number(following.inputs[0]) == 1.0
    if following.op != "reciprocal" and not is_one:
        return None
    product = uses.only_reader(following.name)
    if product is None or product.op != "mul" or {*product.inputs} != {source, following.name}:
        return None
    nodes.add(product.name)
    return product
