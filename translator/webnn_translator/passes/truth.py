"""Truths in place of products that are only compared with 0, as those of masks for pairs of tokens are (DeBERTa)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node

__all__ = ["truths_for_products"]

_COMPARES: Final = frozenset({"equal", "notEqual"})


def truths_for_products(graph: Graph, products: Collection[str]) -> Graph:
    """The same graph with 1 or 0 in place of products that are only compared with 0.

    Of two int64 numbers that fit int32 the product is 0 if one of them is, and only then.

    Args:
        graph: whose int64 values will be carried by int32.
        products: values to look at; those that are something else stay.
    """
    zeros = {node.name: zero for node in graph.nodes if node.name in products and (zero := _zero(graph, node))}
    if not zeros:
        return graph
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants=graph.constants,
        nodes=tuple(part for node in graph.nodes for part in _parts(node, zeros, graph.types)),
        outputs=graph.outputs,
    )


def _zero(graph: Graph, node: Node) -> str | None:
    """The zero that a product is compared with, where nothing else is done with it."""
    if node.op != "mul" or node.name in graph.outputs.values():
        return None
    found = None
    for reader in graph.nodes:
        if node.name not in reader.inputs:
            continue
        others = [str(name) for name in reader.inputs if name != node.name]
        constant = graph.constants.get(others[0]) if len(others) == 1 else None
        if reader.op not in _COMPARES or constant is None or constant.values.size != 1 or constant.values.any():
            return None
        if constant.type.rank > min(graph.types[str(name)].rank for name in node.inputs):
            return None
        found = others[0]
    return found


def _parts(node: Node, zeros: Mapping[str, str], taken: Collection[str]) -> Iterator[Node]:
    if node.name not in zeros:
        yield node
        return
    names = [_unused(f"{node.name}_{which}", taken) for which in ("left", "right", "both")]
    for name, factor in zip(names, node.inputs, strict=False):
        yield Node("notEqual", (factor, zeros[node.name]), {}, (name,), node.label)
    yield Node("logicalAnd", (names[0], names[1]), {}, (names[2],), node.label)
    yield Node("cast", (names[2],), {"to": DataType.INT64.value}, node.outputs, node.label)


def _unused(name: str, taken: Collection[str]) -> str:
    while name in taken:
        name += "_"
    return name
