"""Nodes that do nothing, do the same as another one, or undo what the one before did.

What leaves every bit as it is may go: `x * 1`, but not `x + 0`, which turns -0 into 0. A node stays where an output
names it, and where it alone holds a condition on dimensions, since a run that it refuses must stay refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node, OptionValue
from webnn_runtime.passes.rewrite import Rewrite
from webnn_runtime.passes.uses import Uses

__all__ = ["drop_duplicates", "drop_idle", "merge_moves"]


def drop_idle(graph: Graph) -> Rewrite:
    """Leave out nodes whose result is their operand, bit for bit."""
    rewrite, uses, kept = Rewrite(), Uses(graph), _kept(graph)
    for node in graph.nodes:
        value = _same_as(uses, node) if node.name not in kept else None
        if value is not None:
            rewrite.drop(node, value)
            rewrite.changes.append(f"{node.name}: this {node.op} changes nothing")
    return rewrite


def drop_duplicates(graph: Graph) -> Rewrite:
    """Leave out nodes that compute what an earlier one has computed."""
    rewrite, results = Rewrite(), set(graph.outputs.values())
    known: dict[object, Node] = {}
    for node in graph.nodes:
        inputs = tuple(None if value is None else rewrite.source(value) for value in node.inputs)
        key = (node.op, inputs, tuple(sorted((name, _hashable(value)) for name, value in node.options.items())))
        first = known.setdefault(key, node)
        if first is not node and results.isdisjoint(node.outputs):
            rewrite.nodes[node.name] = ()
            rewrite.instead.update(zip(node.outputs, first.outputs, strict=True))
            rewrite.changes.append(f"{node.name}: {first.name} is the same")
    return rewrite


def merge_moves(graph: Graph) -> Rewrite:
    """Make one transpose of two, and one reshape of two."""
    rewrite, uses, conditions = Rewrite(), Uses(graph), {check.node for check in graph.checks}
    for node in graph.nodes:
        first = uses.maker(node.inputs[0], node.op) if node.op in ("transpose", "reshape") else None
        # One merge at a time along a chain: the next round sees the rest of it.
        if first is None or first.name in rewrite.nodes or first.name in conditions or first.inputs[0] is None:
            continue
        if node.op == "transpose":
            before, after = first.options["permutation"], node.options["permutation"]
            options: dict[str, OptionValue] = {"permutation": _composed(before, after)}
        else:
            options = dict(node.options)
        rewrite.nodes[node.name] = (Node(node.op, (first.inputs[0],), options, node.outputs, node.label),)
        rewrite.changes.append(f"{node.name}: one {node.op} with {first.name}")
    return rewrite


def _kept(graph: Graph) -> set[str]:
    """Nodes that have to stay, whatever they do."""
    return set(graph.outputs.values()) | {check.node for check in graph.checks}


def _composed(before: OptionValue, after: OptionValue) -> tuple[Dim, ...]:
    """The one permutation that does both."""
    if not isinstance(before, tuple) or not isinstance(after, tuple):
        raise TypeError("a permutation that is no list")
    return tuple(before[axis] for axis in after)  # type: ignore[index,misc]  # the table says they are integers


def _same_as(uses: Uses, node: Node) -> str | None:
    """The operand that the result equals, if one is."""
    rule = _RULES.get(node.op)
    return rule(uses, node) if rule is not None else None


def _first_if_same_type(uses: Uses, node: Node) -> str | None:
    """Shape and type stay, and the operator only moves numbers about in ways that keep their order."""
    source = node.inputs[0]
    return source if source is not None and uses.graph.types[source] == uses.graph.types[node.name] else None


def _identity(uses: Uses, node: Node) -> str | None:
    del uses
    return node.inputs[0]


def _transpose(uses: Uses, node: Node) -> str | None:
    permutation = node.options["permutation"]
    rank = uses.graph.types[node.name].rank
    return node.inputs[0] if permutation == tuple(range(rank)) else None


def _one_operand(uses: Uses, node: Node) -> str | None:
    del uses
    return node.inputs[0] if len(node.inputs) == 1 else None


def _clamp(uses: Uses, node: Node) -> str | None:
    del uses
    return node.inputs[0] if node.options["minValue"] is None and node.options["maxValue"] is None else None


def _no_axes(uses: Uses, node: Node) -> str | None:
    del uses
    return node.inputs[0] if node.options["axes"] == () else None


def _times_one(uses: Uses, node: Node) -> str | None:
    if not uses.graph.types[node.name].dtype.is_float:
        return None
    known = uses.number_and_other(node)
    return known[1] if known is not None and known[0] == 1.0 else None


def _right_is(neutral: float, *, signed_zero: bool = False) -> Callable[[Uses, Node], str | None]:
    def rule(uses: Uses, node: Node) -> str | None:
        left, right = node.inputs
        number = uses.number(right)
        if left is None or number != neutral or uses.graph.types[left] != uses.graph.types[node.name]:
            return None
        if signed_zero and math.copysign(1.0, number) < 0:
            return None  # x - -0 turns -0 into 0
        return left if uses.graph.types[node.name].dtype.is_float else None

    return rule


_RULES: Final[dict[str, Callable[[Uses, Node], str | None]]] = {
    "cast": _first_if_same_type,
    "clamp": _clamp,
    "concat": _one_operand,
    "div": _right_is(1.0),
    "expand": _first_if_same_type,
    "identity": _identity,
    "mul": _times_one,
    "pad": _first_if_same_type,
    "pow": _right_is(1.0),
    "reduceMax": _no_axes,
    "reduceMin": _no_axes,
    "reduceProduct": _no_axes,
    "reduceSum": _no_axes,
    "reshape": _first_if_same_type,
    "reverse": _no_axes,
    "sub": _right_is(0.0, signed_zero=True),
    "tile": _first_if_same_type,
    "transpose": _transpose,
}


def _hashable(value: OptionValue) -> object:
    # 1, 1.0 and True are equal, and so are 0.0 and -0.0; as options they are not the same.
    if isinstance(value, tuple):
        return tuple(_hashable(item) for item in value)
    if isinstance(value, DataType):
        return value.value
    return (type(value).__name__, repr(value)) if isinstance(value, (bool, int, float)) else value
