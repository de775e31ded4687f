"""How many ids a graph knows: the rows of the tables that its inputs look up.

A gather of WebNN takes an index beyond its table for the last row, so a token of another model's tokenizer, or one
that was added to the tokenizer alone, would get some vector; torch and ONNX Runtime fail there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from webnn_runtime.format.graph import Graph

__all__ = ["table_rows"]

# Between an input and its table: other types, and other shapes of the same numbers.
_SAME_NUMBERS: Final = frozenset({"cast", "identity", "reshape"})


def table_rows(graph: Graph, inputs: Collection[str]) -> Mapping[str, int]:
    """Rows of the smallest constant table that each input looks up; inputs that look up none are left out."""
    source = {name: name for name in inputs}
    rows: dict[str, int] = {}
    for node in graph.nodes:
        operands = [str(each) for each in node.inputs]
        if node.op in _SAME_NUMBERS and operands[0] in source:
            source[node.name] = source[operands[0]]
        elif node.op == "gather" and operands[1] in source and operands[0] in graph.constants:
            size = graph.constants[operands[0]].type.static_shape[int(str(node.options["axis"]))]
            name = source[operands[1]]
            rows[name] = min(rows.get(name, size), size)
    return rows
