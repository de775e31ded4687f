"""From a graph to calls: recognised patterns become fused kinds, the other nodes stay operators."""

from __future__ import annotations

import math
from collections.abc import Iterable

from webnn_runtime.backends.rust._calls import Attribute, Call, call_of
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node, TensorType
from webnn_runtime.passes.attention import AttentionMatch, find_attention
from webnn_runtime.passes.gelu import GeluMatch, find_gelu
from webnn_runtime.passes.layer_norm import LayerNormMatch, find_layer_norm
from webnn_runtime.passes.linear import LinearMatch, find_linear
from webnn_runtime.passes.uses import Uses

__all__ = ["Lowering", "lower"]

Match = AttentionMatch | LinearMatch | GeluMatch | LayerNormMatch

# [batch, rows, heads, depth] <-> [batch, heads, rows, depth]
_SWAPPED = (0, 2, 1, 3)


def lower(graph: Graph) -> Lowering:
    """The calls of a graph in order, without those that nothing needs."""
    lowering = Lowering(graph)
    matches = _disjoint((*find_attention(graph), *find_linear(graph), *find_gelu(graph), *find_layer_norm(graph)))
    swallowed = {name: match for match in matches for name in match.nodes}
    for node in graph.nodes:
        match = swallowed.get(node.name)
        if match is None:
            lowering.alone(node)
        elif node.name == match.result:
            # The pattern's last node: everything the pattern reads exists by now.
            lowering.pattern(match)
    lowering.drop_unneeded(graph.outputs.values())
    return lowering


class Lowering:
    """Calls, and the values they are about.

    Attributes:
        calls: in order.
        types: type of every value.
        constants: values that are known.
    """

    def __init__(self, graph: Graph) -> None:
        self.calls: list[Call] = []
        self.types: dict[str, TensorType] = dict(graph.types)
        self.constants: dict[str, Array] = {name: constant.values for name, constant in graph.constants.items()}
        self._uses = Uses(graph)
        # Results of attentions as [batch, rows, heads, depth], by the value that has the heads first.
        self._unturned: dict[str, str] = {}
        self._truths: dict[tuple[str, bool], str] = {}

    def alone(self, node: Node) -> None:
        """Add an operator that belongs to no pattern."""
        source = self._unturned.get(node.inputs[0] or "") if node.inputs else None
        if node.op == "transpose" and source is not None and node.options["permutation"] == _SWAPPED:
            self.calls.append(Call("view", (source,), node.outputs, node=node))
        else:
            self.calls.append(call_of(node))

    def pattern(self, match: Match) -> None:
        """Add a pattern."""
        if isinstance(match, LinearMatch):
            self._linear(match)
        elif isinstance(match, LayerNormMatch):
            attributes: dict[str, Attribute] = {"axes": ("int", match.axes), "epsilon": ("float", match.epsilon)}
            operands = (match.source, match.scale, match.bias)
            self._add("layerNorm", operands, match.result, attributes, "layerNormalization")
        elif isinstance(match, GeluMatch):
            self._add("gelu", (match.source,), match.result, {}, "gelu")
        else:
            self._attention(match)

    def drop_unneeded(self, results: Iterable[str]) -> None:
        """Leave out calls without readers: patterns read past nodes that may then have none."""
        needed = set(results)
        kept = []
        for call in reversed(self.calls):
            if not needed.isdisjoint(call.results):
                kept.append(call)
                needed.update(call.reads)
        self.calls = kept[::-1]

    def _add(
        self,
        kind: str,
        operands: tuple[str | None, ...],
        result: str,
        attributes: dict[str, Attribute],
        pattern: str | None,
    ) -> None:
        self.calls.append(Call(kind, operands, (result,), attributes, pattern))

    def _fresh(self, stem: str, kind: TensorType) -> str:
        number = 0
        while f"{stem}:{number}" in self.types:
            number += 1
        # No identifier of a graph has a colon in it.
        self.types[f"{stem}:{number}"] = kind
        return f"{stem}:{number}"

    def _constant(self, stem: str, array: Array) -> str:
        name = self._fresh(stem, TensorType(DataType.from_numpy(array.dtype), array.shape))
        self.constants[name] = array
        return name

    def _view(self, value: str, shape: tuple[Dim, ...]) -> str:
        kind = self.types[value]
        if kind.shape == shape:
            return value
        name = self._fresh(value, kind.with_shape(shape))
        self.calls.append(Call("view", (value,), (name,)))
        return name

    def _linear(self, match: LinearMatch) -> None:
        weights, transposed = match.weights, False
        if not weights.flags.c_contiguous and weights.T.flags.c_contiguous:
            weights, transposed = weights.T, True
        operands = (
            match.source,
            self._constant(f"{match.result}.weights", weights),
            None if match.bias is None else self._constant(f"{match.result}.bias", match.bias),
            match.residual,
        )
        attributes: dict[str, Attribute] = {
            "activation": ("text", match.activation),
            "transposed": ("bool", transposed),
        }
        self._add("linearLayer", operands, match.result, attributes, match.label)

    def _attention(self, match: AttentionMatch) -> None:
        kind = self.types[match.result]
        rank = kind.rank
        q, q_place = self._heads(match.q)
        v, v_place = self._heads(match.v)
        k, k_place = self._keys(match)
        mask = self._over_scores(match.mask, rank)
        if mask is not None and match.fill is not None:
            mask = self._truth(mask, inverted=not match.keep_if)
        batch, *heads, rows, width = kind.shape
        attributes: dict[str, Attribute] = {
            "q": ("ints", q_place),
            "k": ("ints", k_place),
            "v": ("ints", v_place),
            "scale": ("float", match.scale),
            "undefinedIsZero": ("bool", match.undefined_is_zero),
        }
        if match.fill is not None:
            attributes["fill"] = ("float", match.fill)
        operands = (q, k, v, self._over_scores(match.bias, rank), mask)
        if rank == 3:
            self._add("attention", operands, match.result, attributes, match.label)
            return
        merged = self._fresh(match.result, kind.with_shape((batch, rows, math.prod(heads) * width)))
        self._add("attention", operands, merged, attributes, match.label)
        unturned = self._view(merged, (batch, rows, *heads, width))
        self._unturned[match.result] = unturned
        self._add("transpose", (unturned,), match.result, {"permutation": ("ints", _SWAPPED)}, None)

    def _heads(self, value: str) -> tuple[str, tuple[int, ...]]:
        """Where the heads of queries or values are: the value to read, and the place in its rows."""
        node = self._uses.maker(value, "transpose")
        if node is not None and node.options["permutation"] == _SWAPPED and node.inputs[0] is not None:
            found = self._in_rows(node.inputs[0])
            if found is not None:
                return found
        return value, ()

    def _in_rows(self, value: str) -> tuple[str, tuple[int, ...]] | None:
        """[batch, rows, heads, depth] as rows of heads side by side."""
        batch, rows, heads, depth = self.types[value].shape
        if not isinstance(heads, int) or not isinstance(depth, int) or heads * depth == 0:
            return None
        return self._view(value, (batch, rows, heads * depth)), (0, heads, depth)

    def _keys(self, match: AttentionMatch) -> tuple[str, tuple[int, ...]]:
        if not match.k_transposed:
            return self._heads(match.k)
        kind, node = self.types[match.k], self._uses.maker(match.k, "transpose")
        if node is not None and node.options["permutation"] == (0, 2, 3, 1) and node.inputs[0] is not None:
            found = self._in_rows(node.inputs[0])
            if found is not None:
                return found
        shape = (*kind.shape[:-2], kind.shape[-1], kind.shape[-2])
        turned = self._fresh(match.k, kind.with_shape(shape))
        permutation = (*range(kind.rank - 2), kind.rank - 1, kind.rank - 2)
        self._add("transpose", (match.k,), turned, {"permutation": ("ints", permutation)}, None)
        return turned, ()

    def _over_scores(self, value: str | None, rank: int) -> str | None:
        """A mask or bias of an attention: with three dimensions, the heads are one more."""
        if value is None or rank == 4 or self.types[value].rank < 3:
            return value
        shape = self.types[value].shape
        return self._view(value, (shape[0], 1, *shape[1:]))

    def _truth(self, value: str, *, inverted: bool) -> str:
        """A condition as float32, once for all attentions that it masks."""
        known = self._truths.get((value, inverted))
        if known is None:
            known = self._fresh(value, TensorType(DataType.FLOAT32, self.types[value].shape))
            self._add("truth", (value,), known, {"inverted": ("bool", inverted)}, None)
            self._truths[value, inverted] = known
        return known


def _disjoint(matches: Iterable[Match]) -> list[Match]:
    """Those matches, first come first served, that neither share nodes nor read what another one swallows."""
    kept: list[Match] = []
    taken: set[str] = set()
    inner: set[str] = set()
    read: set[str] = set()
    for match in matches:
        operands = set(match.operands)
        own = match.nodes - {match.result}
        if taken.isdisjoint(match.nodes) and inner.isdisjoint(operands) and read.isdisjoint(own):
            kept.append(match)
            taken |= match.nodes
            inner |= own
            read |= operands
    return kept
