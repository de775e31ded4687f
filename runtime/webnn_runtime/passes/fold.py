"""Compute what depends on constants alone, on the definitions of the operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from webnn_runtime.format.dims import SymbolicDim
from webnn_runtime.format.graph import Array, Constant, Graph, Node, OptionValue
from webnn_runtime.format.names import fresh_name

__all__ = ["fold_constants"]

# Results up to this size are always worth keeping: scalars spread out, masks, position ids.
_SMALL_BYTES: Final = 1 << 20


def fold_constants(
    graph: Graph,
    *,
    max_growth: int = 8,
    small_bytes: int = _SMALL_BYTES,
    largest_bytes: int | None = None,
    keep: Callable[[Node], bool] | None = None,
) -> Graph:
    """The graph with constant sub-graphs replaced by constants.

    A node whose results are over `small_bytes` and over `max_growth` times the size of its operands stays, with all
    that depends on it: computing them again is cheaper than keeping them. 8 lets quantised weights unfold, 1
    does not. Results over `largest_bytes` are never kept, where that is given. Nodes that `keep` names stay as well.
    What an output names stays a node (an identity), since an output must not be a constant.
    """
    constants = dict(graph.constants)
    outputs = set(graph.outputs.values())
    taken = set(graph.types)
    nodes: list[Node] = []
    for node in graph.nodes:
        is_kept = keep is not None and keep(node)
        results = None if is_kept else _folded(graph, node, constants, max_growth, small_bytes, largest_bytes)
        if results is None:
            nodes.append(node)
            continue
        for value, array in zip(node.outputs, results, strict=True):
            kind = graph.types[value]
            if value in outputs:
                source = fresh_name(f"{value}_folded", taken)
                nodes.append(Node("identity", (source,), {}, (value,), node.label))
            else:
                source = value
            constants[source] = Constant(kind, np.ascontiguousarray(array).reshape(array.shape))
    if nodes == list(graph.nodes):
        return graph
    return _without_unused(graph, constants, nodes)


def _folded(
    graph: Graph,
    node: Node,
    constants: dict[str, Constant],
    max_growth: int,
    small_bytes: int,
    largest_bytes: int | None,
) -> tuple[Array, ...] | None:
    """The results of a node that can be computed now and are worth keeping."""
    if node.op == "identity" and node.outputs[0] in graph.outputs.values():
        return None
    if any(value is not None and value not in constants for value in node.inputs):
        return None
    kinds = [graph.types[output] for output in node.outputs]
    if any(graph.types[name].dtype.bits < 8 for name in graph.outputs.values() if name in node.outputs):
        return None  # the identity that would name the output takes no 4-bit types
    if not all(kind.is_static for kind in kinds) or any(_is_symbolic(value) for value in node.options.values()):
        return None
    operands = [constants[value].values if value is not None else None for value in node.inputs]
    size = sum(int(np.prod(kind.static_shape, dtype=np.int64)) * kind.dtype.numpy.itemsize for kind in kinds)
    if largest_bytes is not None and size > largest_bytes:
        return None
    if size > max(small_bytes, max_growth * sum(operand.nbytes for operand in operands if operand is not None)):
        return None
    from webnn_runtime.reference import evaluate  # most graphs have no need of it

    return evaluate(node, operands, {}, kinds)


def _is_symbolic(value: OptionValue) -> bool:
    return isinstance(value, SymbolicDim) or (
        isinstance(value, tuple) and any(isinstance(item, SymbolicDim) for item in value)
    )


def _without_unused(graph: Graph, constants: dict[str, Constant], nodes: list[Node]) -> Graph:
    used = {value for node in nodes for value in node.inputs} | set(graph.outputs.values())
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants={name: constant for name, constant in constants.items() if name in used},
        nodes=tuple(nodes),
        outputs=graph.outputs,
    )
