"""What a plan is made of: calls of native kinds, or of operators, on values known by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Node, OptionValue
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.ops.kinds import Dims, Kind, Number, Size, Splits
from webnn_runtime.format.records import dataclass, field

__all__ = ["Attribute", "Call", "attributes_of", "call_of", "needed_calls"]

# A word that says of what type it is, and the value; dimensions are still expressions.
Attribute: TypeAlias = "tuple[str, object]"


@dataclass(frozen=True, slots=True)
class Call:
    """One step.

    Attributes:
        kind: as the engine's table knows it; "view" for another shape of the same numbers.
        operands: value names; None where an optional one is absent.
        results: value names.
        attributes: options in the engine's types.
        pattern: what was recognised, for reports; None for an operator by itself.
        node: the operator by itself, which the reference can run as well; None for a pattern.
    """

    kind: str
    operands: tuple[str | None, ...]
    results: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    pattern: str | None = None
    node: Node | None = None

    @property
    def operator(self) -> str:
        """For reports: the operator by itself, or what the engine calls it."""
        return self.kind if self.node is None else self.node.op

    @property
    def origin(self) -> str:
        """For errors: the node, or the last one of a pattern."""
        return (self.results[0] if self.node is None else self.node.name).partition(":")[0]

    @property
    def reads(self) -> tuple[str, ...]:
        """Operands that are there."""
        return tuple(value for value in self.operands if value is not None)

    @property
    def axes(self) -> set[int]:
        """The axes that an operator by itself goes along: a reduction, a normalisation, a softmax."""
        assert self.node is not None
        axes = self.node.options.get("axes", self.node.options.get("axis"))
        return set(axes) if isinstance(axes, tuple) else {int(str(axes))}  # type: ignore[arg-type]  # a tuple of ints


def needed_calls(calls: Sequence[Call], values: Iterable[str]) -> list[Call]:
    """The calls that these values come from."""
    needed = set(values)
    kept = []
    for call in reversed(calls):
        if not needed.isdisjoint(call.results):
            kept.append(call)
            needed.update(call.reads)
    return kept[::-1]


def call_of(node: Node) -> Call:
    """An operator by itself."""
    if node.op == "reshape":
        return Call("view", node.inputs, node.outputs, node=node)
    return Call(node.op, node.inputs, node.outputs, attributes_of(node), node=node)


def attributes_of(node: Node) -> dict[str, Attribute]:
    """The options of a node as the engine takes them, by the kinds of the operator table; absent ones are left out."""
    kinds = {option.name: option.kind for option in OPS[node.op].options}
    return {name: _attribute(kinds[name], value) for name, value in node.options.items() if value is not None}


def _attribute(kind: Kind, value: OptionValue) -> Attribute:
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, DataType):
        return "text", value.value
    if isinstance(kind, Size):
        return "dims", (value,)
    if isinstance(kind, Number) and isinstance(value, int):
        # No type of integers reaches further, and what is beyond its range becomes its end.
        return "int", min(max(value, -(2**63)), 2**64 - 1)
    if isinstance(value, tuple):
        if isinstance(kind, (Dims, Splits)):
            dims: tuple[Dim | object, ...] = value
            return "dims", dims
        for tag, item in (("texts", str), ("ints", int)):
            if value and all(isinstance(element, item) for element in value):
                return tag, value
        return ("floats", value) if value else ("ints", value)
    tags: dict[type, str] = {int: "int", float: "float", str: "text"}
    return tags[type(value)], value
