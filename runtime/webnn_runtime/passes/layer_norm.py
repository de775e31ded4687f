"""Layer normalisation, as the operator or written out as older exports do.

(x - mean(x)) / sqrt(mean((x - mean(x))^2) + epsilon) * scale + bias
"""

from __future__ import annotations

from collections.abc import Iterator

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.uses import Uses

__all__ = ["LayerNormMatch", "find_layer_norm"]


@dataclass(frozen=True, slots=True)
class LayerNormMatch:
    """A normalisation over the last axes.

    Attributes:
        source: value that is normalised.
        axes: how many of the last axes are normalised together.
        epsilon: added to the variance.
        scale: value with one factor per element of these axes.
        bias: value with one summand per element of these axes.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    source: str
    axes: int
    epsilon: float
    scale: str | None
    bias: str | None
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        return tuple(value for value in (self.source, self.scale, self.bias) if value is not None)


def find_layer_norm(graph: Graph | Uses) -> Iterator[LayerNormMatch]:
    """All float32 normalisations over the last axes, whose intermediates nothing else reads."""
    uses = Uses.of(graph)
    graph = uses.graph
    for node in graph.nodes:
        if graph.types[node.name].dtype is not DataType.FLOAT32:
            continue
        match = _operator(graph, node) if node.op == "layerNormalization" else _written_out(uses, node)
        if match is not None:
            yield match


def _operator(graph: Graph, node: Node) -> LayerNormMatch | None:
    axes, epsilon, rank = node.options["axes"], node.options["epsilon"], graph.types[node.name].rank
    source, scale, bias = node.inputs
    if source is None or not isinstance(axes, tuple) or not isinstance(epsilon, (int, float)):
        return None
    if not axes or axes != tuple(range(rank - len(axes), rank)):
        return None
    return LayerNormMatch(source, len(axes), float(epsilon), scale, bias, node.name, frozenset({node.name}))


def _written_out(uses: Uses, quotient: Node) -> LayerNormMatch | None:
    """The normalisation whose division is `quotient`."""
    if quotient.op != "div":
        return None
    centred = uses.maker(quotient.inputs[0], "sub")
    root = uses.maker(quotient.inputs[1], "sqrt")
    shifted = uses.maker(root.inputs[0], "add") if root is not None else None
    epsilon = uses.number_and_other(shifted) if shifted is not None else None
    if centred is None or root is None or shifted is None or epsilon is None:
        return None
    variance = _mean(uses, epsilon[1])
    square = uses.maker(variance.inputs[0]) if variance is not None else None
    mean = _mean(uses, centred.inputs[1])
    source = centred.inputs[0]
    if variance is None or square is None or mean is None or source is None or mean.inputs[0] != source:
        return None
    if not _squares(uses, square, centred.name):
        return None
    nodes = {node.name for node in (quotient, root, shifted, variance, square, centred, mean)}
    result, scale, bias = quotient.name, None, None
    following = uses.only_reader(result)
    if following is not None and following.op == "mul":
        scale = uses.row_beside(following, result)
        if scale is not None:
            result = following.name
            nodes.add(result)
    following = uses.only_reader(result)
    if following is not None and following.op == "add":
        bias = uses.row_beside(following, result)
        if bias is not None:
            result = following.name
            nodes.add(result)
    if not all(uses.is_private(value, nodes) for value in nodes - {result}):
        return None
    return LayerNormMatch(source, 1, epsilon[0], scale, bias, result, frozenset(nodes))


def _mean(uses: Uses, value: str | None) -> Node | None:
    """The mean over the last axis that makes `value`, with that axis kept."""
    node = uses.maker(value, "reduceMean")
    if node is None or node.inputs[0] is None or node.options["keepDimensions"] is not True:
        return None
    return node if node.options["axes"] == (uses.graph.types[node.inputs[0]].rank - 1,) else None


def _squares(uses: Uses, node: Node, value: str) -> bool:
    if node.op == "mul":
        return node.inputs == (value, value)
    return node.op == "pow" and node.inputs[0] == value and uses.number(node.inputs[1]) == 2.0
