"""What a graph asks of a context: each type and rank that an operand of an operator has in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node, TensorType
from webnn_runtime.format.ops import OPS, Operand

__all__ = ["Requirement", "live_nodes", "required_methods", "requirements", "widens"]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row to be compared with `opSupportLimits()`.

    Attributes:
        op: operator, or `input`, `constant`, `output`.
        operand: its operand or result as the limits call it; empty for the three.
        dtype: type that occurs.
        rank: rank that occurs.
        count: how often.
        label: the first place.
    """

    op: str
    operand: str
    dtype: DataType
    rank: int
    count: int
    label: str


def live_nodes(graph: Graph) -> list[Node]:
    """Nodes that some output depends on: what else there is, is none of a compiled graph."""
    used = graph.needed(graph.outputs.values())
    return [node for node in graph.nodes if node.name in used]


def requirements(graph: Graph, labels: Mapping[str, str]) -> list[Requirement]:
    """All that occur, each once, in order of appearance."""
    found: dict[tuple[str, str, DataType, int], Requirement] = {}
    for op, operand, kind, label in _occurrences(graph, labels):
        key = (op, operand, kind.dtype, kind.rank)
        known = found.get(key)
        found[key] = replace(known, count=known.count + 1) if known else Requirement(*key, 1, label)
    return list(found.values())


def _occurrences(graph: Graph, labels: Mapping[str, str]) -> Iterator[tuple[str, str, TensorType, str]]:
    used = graph.needed(graph.outputs.values())
    for name, kind in graph.inputs.items():
        if name in used:
            yield "input", "", kind, name
    for name, constant in graph.constants.items():
        if name in used:
            yield "constant", "", constant.type, labels.get(name, name)
    for node in live_nodes(graph):
        for row, value in operand_rows(node):
            yield node.op, row.name, graph.types[value], labels.get(node.name, node.name)
    for name, value in graph.outputs.items():
        yield "output", "", graph.types[value], name


def operand_rows(node: Node) -> Iterator[tuple[Operand, str]]:
    """Each operand and result of a node with its row of the table."""
    spec = OPS[node.op]
    rows = spec.operands * len(node.inputs) if spec.is_variadic else spec.operands
    yield from ((row, value) for row, value in zip(rows, node.inputs, strict=True) if value is not None)
    results = spec.results * len(node.outputs) if spec.results[0].variadic else spec.results
    yield from zip(results, node.outputs, strict=False)


def required_methods(graph: Graph) -> dict[str, int]:
    """Methods of the builder that the graph calls, with the number of their required arguments."""
    used = sorted({node.op for node in live_nodes(graph)})
    return {op: len(_required(op)) for op in used}


def _required(op: str) -> list[str]:
    spec = OPS[op]
    return [row.name for row in spec.operands if not row.optional] + [
        option.name for option in spec.options if option.positional
    ]


def widens(graph: Graph) -> bool:
    """Whether 4-bit constants may become 8-bit ones without changing a result.

    They may if no result has such a type (it would be limited to it) and the table allows the wider type in
    the same place.
    """
    small = {value for value, kind in graph.types.items() if kind.dtype.bits == 4}
    if not small or not small <= graph.constants.keys() or small & set(graph.outputs.values()):
        return False
    wider = {DataType.INT4: DataType.INT8, DataType.UINT4: DataType.UINT8}
    for node in graph.nodes:
        for row, value in operand_rows(node):
            if value in small and row.allowed is not None and wider[graph.types[value].dtype] not in row.allowed:
                return False
    return True
