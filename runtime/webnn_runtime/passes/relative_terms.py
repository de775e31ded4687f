"""What attention adds to its scores for the distance of query and key, read from a product with vectors of distances.

    c * gatherElements(q @ distances^T, columns) + c' * transpose(gatherElements(k @ distances^T, columns'))

The position terms of disentangled attention (He et al., DeBERTa, 2021, equation 4). The columns are the same for every
item and head; what repeats them is not needed.
"""

from __future__ import annotations

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.uses import Uses

__all__ = ["RelativeTerm", "find_relative_terms"]

_SWAPPED = (0, 1, 3, 2)


@dataclass(frozen=True, slots=True)
class RelativeTerm:
    """`factor * source[..., i, columns[i, j]]` for query i and key j, or `factor * source[..., j, columns[j, i]]`.

    Attributes:
        source: value [batch, heads, rows, distances].
        columns: indices [1, 1, queries, keys]; [1, 1, keys, queries] where the rows are the keys'.
        factor: multiplied with what is read.
        is_by_key: whether the rows are the keys'.
    """

    source: str
    columns: str
    factor: float
    is_by_key: bool


def find_relative_terms(uses: Uses, value: str) -> tuple[tuple[RelativeTerm, ...], frozenset[str]] | None:
    """The terms whose sum `value` is, and the nodes that make it of them; None if it is no such sum."""
    node = uses.maker(value)
    if node is None or uses.graph.types[value].rank != 4 or uses.graph.types[value].dtype is not DataType.FLOAT32:
        return None
    known = uses.number_and_other(node) if node.op == "add" else None
    if node.op == "add" and (known is None or known[0] != 0.0):
        left, right = (find_relative_terms(uses, str(part)) for part in node.inputs)
        if left is None or right is None or node.inputs[0] == node.inputs[1]:
            return None
        return left[0] + right[0], left[1] | right[1] | {node.name}
    return _term(uses, node)


def _term(uses: Uses, node: Node | None) -> tuple[tuple[RelativeTerm, ...], frozenset[str]] | None:
    """One term, from its last node up to the reading."""
    factor, is_by_key, nodes = 1.0, False, set[str]()
    while node is not None:
        nodes.add(node.name)
        known = uses.number_and_other(node) if node.op == "add" else None
        scaled = uses.factor(node)
        if known is not None and known[0] == 0.0:
            node = uses.maker(known[1])
        elif scaled is not None:
            factor *= scaled[0]
            node = uses.maker(scaled[1])
        elif node.op == "transpose" and node.options["permutation"] == _SWAPPED:
            is_by_key = not is_by_key
            node = uses.maker(node.inputs[0])
        elif node.op == "gatherElements" and node.options["axis"] == 3:
            columns = _columns(uses, str(node.inputs[1]))
            if columns is None:
                return None
            return (RelativeTerm(str(node.inputs[0]), columns, factor, is_by_key),), frozenset(nodes)
        else:
            return None
    return None


def _columns(uses: Uses, value: str) -> str | None:
    """[1, 1, rows, columns] of which `value` is a copy for each item and head."""
    repeated = uses.maker(value, "expand")
    source = repeated.inputs[0] if repeated is not None else None
    if source is None or uses.graph.types[source].shape != (1, 1, *uses.graph.types[value].shape[2:]):
        return None
    return source
