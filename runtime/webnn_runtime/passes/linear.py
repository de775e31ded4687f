"""Linear layers: a product with a constant matrix, and the bias, activation, factor and residual that follow it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.activations import match_activation
from webnn_runtime.passes.stored_weights import StoredWeights
from webnn_runtime.passes.uses import Uses

__all__ = ["LinearMatch", "find_linear"]


@dataclass(frozen=True, slots=True, eq=False)
class LinearMatch:
    """`activation(source @ weights + bias) * factor + residual`.

    Attributes:
        source: value with the inner dimension last.
        weights: constant matrix [inner, columns], float32 and possibly a transposed view, or kept in fewer bits.
        bias: constant float32 vector [columns].
        activation: "identity", or one that `match_activation` names.
        factor: value of the result's type, multiplied after the activation.
        residual: value of the result's type, added last.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    source: str
    weights: Array | StoredWeights
    bias: Array | None
    activation: str
    factor: str | None
    residual: str | None
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads, constants apart."""
        return tuple(value for value in (self.source, self.factor, self.residual) if value is not None)

    @property
    def label(self) -> str:
        """What was fused, for reports: `linear+bias+gelu`."""
        parts = ["linear"]
        if self.bias is not None:
            parts.append("bias")
        if self.activation != "identity":
            parts.append(self.activation)
        if self.factor is not None:
            parts.append("factor")
        if self.residual is not None:
            parts.append("residual")
        return "+".join(parts)


def find_linear(graph: Graph | Uses, stored: Mapping[str, StoredWeights] | None = None) -> Iterator[LinearMatch]:
    """All float32 products with a constant matrix, each with as much of what follows as nothing else reads.

    `stored` are values that are matrices in fewer bits, which count as constant.
    """
    uses = Uses.of(graph)
    graph = uses.graph
    taken: set[str] = set()
    for node in graph.nodes:
        if graph.types[node.name].dtype is not DataType.FLOAT32:
            continue
        start = _product(uses, node, stored or {})
        if start is not None:
            match = _extend(uses, node, *start, taken)
            taken |= match.nodes
            yield match


def _product(
    uses: Uses, node: Node, stored: Mapping[str, StoredWeights]
) -> tuple[str, Array | StoredWeights, Array | None] | None:
    """Source, weights and bias of the product itself."""
    source = node.inputs[0] if node.inputs else None
    if node.op not in ("matmul", "gemm") or source is None:
        return None
    weights: Array | StoredWeights | None = uses.constant(node.inputs[1])
    if weights is None:
        weights = stored.get(str(node.inputs[1]))
    if weights is None or weights.ndim != 2:
        return None
    if node.op == "gemm":
        if node.options["aTranspose"] or node.options["alpha"] != 1.0:
            return None
        weights = weights.T if node.options["bTranspose"] else weights
    if uses.graph.types[source].shape[-1] != weights.shape[0]:
        # A named dimension, which only the run can find to be equal.
        return None
    if node.op == "matmul":
        return source, weights, None
    if node.inputs[2] is None:
        return source, weights, None
    bias = _vector(uses.constant(node.inputs[2]), weights.shape[1])
    return (source, weights, bias) if bias is not None and node.options["beta"] == 1.0 else None


def _extend(
    uses: Uses, node: Node, source: str, weights: Array | StoredWeights, bias: Array | None, taken: set[str]
) -> LinearMatch:
    nodes, result = {node.name}, node.name
    # A bias of gemm's own leaves no room for one behind it: that one would be rounded in another order.
    following = uses.only_reader(result) if bias is None else None
    if following is not None and following.op == "add":
        found = _vector(uses.constant(_other(following, result)), weights.shape[1])
        if found is not None and uses.graph.types[following.name] == uses.graph.types[result]:
            bias, result = found, following.name
            nodes.add(result)
    activation = "identity"
    function = match_activation(uses, result)
    if function is not None:
        activation, result = function.name, function.result
        nodes |= function.nodes
    factor, result = _joined(uses, "mul", result, nodes, taken)
    residual, result = _joined(uses, "add", result, nodes, taken)
    return LinearMatch(source, weights, bias, activation, factor, residual, result, frozenset(nodes))


def _joined(uses: Uses, op: str, result: str, nodes: set[str], taken: set[str]) -> tuple[str | None, str]:
    """A computed value of the same type that is all that `result` is joined with, and the value that this makes.

    Of two layers that are joined with each other, the first one takes the other's result.
    """
    following = uses.only_reader(result)
    if following is None or following.op != op or following.name in taken:
        return None, result
    other, kinds = _other(following, result), uses.graph.types
    if other in (None, result) or uses.constant(other) is not None:
        return None, result
    if not kinds[str(other)] == kinds[result] == kinds[following.name]:
        return None, result
    nodes.add(following.name)
    return other, following.name


def _other(node: Node, value: str) -> str | None:
    """The operand of a binary node that is not `value`."""
    return node.inputs[1] if node.inputs[0] == value else node.inputs[0]


def _vector(array: Array | None, size: int) -> Array | None:
    """`array` as a vector of `size`, if that is what it adds to each row."""
    if array is None or array.size != size or array.ndim == 0 or array.shape[-1] != size:
        return None
    return np.ascontiguousarray(array.reshape(size))
