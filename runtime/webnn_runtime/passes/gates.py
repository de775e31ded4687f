"""Gates: `activation(a) * b` of two parts of one value's last axis, as a gated layer with one matrix leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.activations import match_activation
from webnn_runtime.passes.uses import Uses

__all__ = ["GateMatch", "find_gates"]


@dataclass(frozen=True, slots=True)
class GateMatch:
    """One gate.

    Attributes:
        source: value whose last axis has both parts.
        first: where the part begins that goes through the activation.
        factor: where the other one begins.
        activation: name of the activation, as in `ActivationMatch`.
        result: value that holds the product.
        nodes: names of the nodes it replaces; those that cut the parts may have other readers, and are read past.
    """

    source: str
    first: int
    factor: int
    activation: str
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        return (self.source,)

    @property
    def label(self) -> str:
        """What was fused, for reports."""
        return f"{self.activation}+factor"


class _Part(NamedTuple):
    """`source[..., first:first + n]`."""

    source: str
    first: int


def find_gates(graph: Graph | Uses) -> Iterator[GateMatch]:
    """All gates in float32."""
    uses = Uses.of(graph)
    for node in uses.graph.nodes:
        if node.op not in ("slice", "split") or uses.graph.types[node.name].dtype is not DataType.FLOAT32:
            continue
        for value in node.outputs:
            part = _part(uses, node, value)
            found = match_activation(uses, value) if part is not None else None
            product = uses.only_reader(found.result) if found is not None else None
            if part is None or found is None or product is None or product.op != "mul":
                continue
            other = product.inputs[0] if product.inputs[1] == found.result else product.inputs[1]
            maker = uses.maker(other)
            factor = _part(uses, maker, str(other)) if maker is not None else None
            if factor is None or factor.source != part.source:
                continue
            if uses.graph.types[str(other)] == uses.graph.types[value]:
                nodes = found.nodes | {product.name}
                yield GateMatch(part.source, part.first, factor.first, found.name, product.name, nodes)


def _part(uses: Uses, node: Node, value: str) -> _Part | None:
    """Which part of the last axis a `slice` or `split` has made."""
    source, types = node.inputs[0] if node.inputs else None, uses.graph.types
    if source is None:
        return None
    whole, own = types[source].shape, types[value].shape
    if node.op == "split" and node.options["axis"] == len(whole) - 1:
        before = [types[part].shape[-1] for part in node.outputs[: node.outputs.index(value)]]
        sizes = [size for size in before if isinstance(size, int)]
        return _Part(source, sum(sizes)) if len(sizes) == len(before) else None
    if node.op != "slice" or not own or own[:-1] != whole[:-1]:
        return None
    starts = node.options["starts"]
    is_plain = isinstance(starts, tuple) and not any(starts[:-1]) and node.options["strides"] == (1,) * len(own)
    first = starts[-1] if isinstance(starts, tuple) else None
    return _Part(source, first) if is_plain and isinstance(first, int) else None
