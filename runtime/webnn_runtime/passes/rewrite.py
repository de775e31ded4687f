"""What clean-ups are made of: a graph, some nodes of which give way to others or to values that are there already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from webnn_runtime.format.graph import Constant, Graph, Node
from webnn_runtime.format.records import dataclass, field, replace

__all__ = ["Rewrite", "apply"]


@dataclass(slots=True)
class Rewrite:
    """Changes to one graph, collected and then applied together.

    Attributes:
        instead: value -> value that is read in its place from now on.
        nodes: name of a node -> what stands in its place; nothing to leave it out.
        constants: constants that the new nodes read.
        changes: what was done, one line each.
    """

    instead: dict[str, str] = field(default_factory=dict)
    nodes: dict[str, tuple[Node, ...]] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def drop(self, node: Node, value: str) -> None:
        """Leave out a node of one result, reading `value` instead."""
        self.nodes[node.name] = ()
        self.instead[node.name] = value

    def swallow(self, names: Iterable[str], result: str, *made: Node) -> None:
        """Put `made` where `result` was made, and leave out the other nodes of a pattern."""
        for name in names:
            self.nodes[name] = ()
        self.nodes[result] = made

    def source(self, value: str) -> str:
        """What is read where `value` was."""
        while value in self.instead:
            value = self.instead[value]
        return value


def apply(graph: Graph, rewrite: Rewrite) -> Graph:
    """The graph with the changes made; types and rules are checked again."""
    if not rewrite.nodes:
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.extend(_reading(made, rewrite) for made in rewrite.nodes.get(node.name, (node,)))
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants=_used({**graph.constants, **rewrite.constants}, nodes, graph.outputs),
        nodes=tuple(nodes),
        outputs=graph.outputs,
    )


def _reading(node: Node, rewrite: Rewrite) -> Node:
    inputs = tuple(None if value is None else rewrite.source(value) for value in node.inputs)
    return node if inputs == node.inputs else replace(node, inputs=inputs)


def _used(constants: Mapping[str, Constant], nodes: Iterable[Node], outputs: Mapping[str, str]) -> dict[str, Constant]:
    used = {value for node in nodes for value in node.inputs} | set(outputs.values())
    return {name: constant for name, constant in constants.items() if name in used}
