"""Leave out what no output depends on."""

from __future__ import annotations

from webnn_runtime.format.graph import Graph

__all__ = ["remove_dead"]


def remove_dead(graph: Graph, *, keep_inputs: bool = True) -> Graph:
    """The graph without unused nodes and constants; unused inputs stay unless told otherwise.

    A caller feeds inputs by the names that were declared, so dropping one changes the graph's face.
    """
    live = graph.needed(graph.outputs.values())
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs={name: kind for name, kind in graph.inputs.items() if keep_inputs or name in live},
        constants={name: constant for name, constant in graph.constants.items() if name in live},
        nodes=tuple(node for node in graph.nodes if node.name in live),
        outputs=graph.outputs,
    )
