"""From a graph to calls: recognised patterns become fused kinds, the other nodes stay operators.

Several layers that read the same value and feed the heads of an attention become one wide layer: its left-hand side is
packed once, and the attention reads its heads where they are in the wide rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import numpy as np

from webnn_runtime.backends.rust._calls import Attribute, Call, attributes_of, call_of
from webnn_runtime.backends.rust._heads import SWAPPED, Heads, projection
from webnn_runtime.backends.rust._stored import StoredLayers, floats_for
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.passes.attention import AttentionMatch, find_attention
from webnn_runtime.passes.chain import ChainMatch, Step, find_chains
from webnn_runtime.passes.conv import ConvMatch, find_conv
from webnn_runtime.passes.dynamic_range import DynamicRangeMatch, find_dynamic_range
from webnn_runtime.passes.gates import GateMatch, find_gates
from webnn_runtime.passes.gelu import GeluMatch, find_gelu
from webnn_runtime.passes.layer_norm import LayerNormMatch, find_layer_norm
from webnn_runtime.passes.linear import LinearMatch, find_linear
from webnn_runtime.passes.rms_norm import RmsNormMatch, find_rms_norm
from webnn_runtime.passes.rotary import RotaryMatch, find_rotary
from webnn_runtime.passes.stored_weights import StoredWeights, find_stored_weights, side_by_side
from webnn_runtime.passes.uses import Uses

__all__ = ["lower"]

Match = (
    AttentionMatch
    | ChainMatch
    | ConvMatch
    | DynamicRangeMatch
    | GateMatch
    | GeluMatch
    | LayerNormMatch
    | LinearMatch
    | RmsNormMatch
    | RotaryMatch
)
# What may make blocks of images worth while; other graphs need not know of them.
_IMAGES: Final = frozenset(("conv2d", "convLayer"))
_FINDERS: Final = (
    find_conv,
    find_gates,
    find_gelu,
    find_layer_norm,
    find_rms_norm,
    find_rotary,
    find_dynamic_range,
    find_chains,
)


def lower(graph: Graph, compute: str = "exact") -> Values:
    """The calls of a graph in order, without those that nothing needs.

    With `compute` "int8", layers with weights of 8 bits may quantise their rows.
    """
    lowering = _Lowering(graph, compute)
    for node in graph.nodes:
        lowering.node(node)
    lowering.finish()
    return lowering.values


class _Lowering:
    def __init__(self, graph: Graph, compute: str) -> None:
        uses = Uses(graph)
        found = find_stored_weights(uses)
        self._stored = {value: weights for value, (weights, _) in found.items()}
        self._unpacking = frozenset(name for _, nodes in found.values() for name in nodes)
        finders = (find_attention, partial(find_linear, stored=self._stored), *_FINDERS)
        matches = _disjoint(match for find in finders for match in find(uses))
        self.values = Values(graph)
        self._layers = StoredLayers(uses, self.values, compute)
        self._results = graph.outputs.values()
        self._swallowed = {name: match for match in matches for name in match.nodes}
        self._heads = Heads(uses, self.values)
        self._side_by_side = _side_by_side(uses, matches)

    def node(self, node: Node) -> None:
        """Add what a node becomes."""
        match = self._swallowed.get(node.name)
        if node.name in self._unpacking:
            return
        if match is None:
            self._alone(node)
        elif node.name == match.result:
            # The pattern's last node: everything the pattern reads exists by now.
            self._pattern(match)

    def finish(self) -> None:
        """Leave out what nothing needs."""
        floats_for(self._stored, self.values)
        self.values.drop_unneeded(self._results)
        if any(call.kind in _IMAGES for call in self.values.calls):
            from webnn_runtime.backends.rust._blocks import in_blocks

            in_blocks(self.values, self._results)

    def _alone(self, node: Node) -> None:
        """Add an operator that belongs to no pattern."""
        merged = self._heads.merged.get(node.inputs[0] or "") if node.inputs else None
        if node.op == "transpose" and merged is not None and node.options["permutation"] == SWAPPED:
            self.values.calls.append(Call("view", (merged,), node.outputs, node=node))
        else:
            self.values.calls.append(call_of(node))

    def _pattern(self, match: Match) -> None:
        if isinstance(match, LinearMatch):
            group = self._side_by_side.get(match.result)
            if group is None:
                self._linear(match)
            else:
                self._columns(match, group)
        elif isinstance(match, ConvMatch):
            self._conv(match)
        elif isinstance(match, ChainMatch):
            self.values.add("chain", (match.source,), match.result, _chain("steps", match.steps), match.label)
        elif isinstance(match, LayerNormMatch):
            attributes: dict[str, Attribute] = {"axes": ("int", match.axes), "epsilon": ("float", match.epsilon)}
            operands = (match.source, match.scale, match.bias)
            self.values.add("layerNorm", operands, match.result, attributes, "layerNormalization")
        elif isinstance(match, GeluMatch):
            self.values.add("gelu", (match.source,), match.result, {}, "gelu")
        elif isinstance(match, RmsNormMatch):
            self._rms_norm(match)
        elif isinstance(match, DynamicRangeMatch):
            call = Call("dynamicRange", (match.source,), (match.result, match.zero), {}, "range of a tensor")
            self.values.calls.append(call)
        elif isinstance(match, GateMatch):
            columns: dict[str, Attribute] = {"first": ("int", match.first), "factor": ("int", match.factor)}
            columns["activation"] = ("text", match.activation)
            self.values.add("gate", (match.source,), match.result, columns, match.label)
        elif isinstance(match, RotaryMatch):
            self._heads.rotary(match)
        else:
            self._heads.attention(match)

    def _rms_norm(self, match: RmsNormMatch) -> None:
        scale = match.scale
        if scale is None:
            width = self.values.types[match.source].shape[-1]
            scale = self.values.constant(f"{match.result}.scale", np.ones(int(str(width)), np.float32))
        attributes: dict[str, Attribute] = {"epsilon": ("float", match.epsilon)}
        self.values.add("rmsNorm", (match.source, scale), match.result, attributes, "rmsNormalization")

    def _linear(self, match: LinearMatch) -> None:
        bias = None if match.bias is None else self.values.constant(f"{match.result}.bias", match.bias)
        weights, transposed = match.weights, False
        if isinstance(weights, StoredWeights):
            self._layers.add(
                weights, match.source, bias, match.residual, match.factor, match.result, match.activation, match.label
            )
            return
        if not weights.flags.c_contiguous and weights.T.flags.c_contiguous:
            weights, transposed = weights.T, True
        operands = (
            match.source,
            self.values.constant(f"{match.result}.weights", weights),
            bias,
            match.residual,
            match.factor,
        )
        attributes: dict[str, Attribute] = {
            "activation": ("text", match.activation),
            "transposed": ("bool", transposed),
        }
        self.values.add("linearLayer", operands, match.result, attributes, match.label)

    def _conv(self, match: ConvMatch) -> None:
        operands = (
            match.source,
            self.values.constant(f"{match.result}.filter", match.filter),
            None if match.bias is None else self.values.constant(f"{match.result}.bias", match.bias),
            match.residual,
        )
        attributes = {**attributes_of(match.node), **_chain("after", match.after), **_chain("then", match.then)}
        if match.node.op == "convTranspose2d":
            self.values.add("convTranspose2d", operands[:3], match.result, attributes, match.label)
            return
        self.values.add("convLayer", operands, match.result, attributes, match.label)

    def _columns(self, match: LinearMatch, group: list[LinearMatch]) -> None:
        """One of several layers that are one wide layer; whoever cannot read it in there gets a copy."""
        if match.result not in self._heads.columns:
            widths = [layer.weights.shape[1] for layer in group]
            kind = self.values.types[match.result]
            wide = self.values.fresh(match.result, kind.with_shape((*kind.shape[:-1], sum(widths))))
            weights, bias = [layer.weights for layer in group], self._biases(wide, group)
            label = f"linear x{len(group)}{'+bias' if bias is not None else ''}"
            stored = [part for part in weights if isinstance(part, StoredWeights)]
            joined = side_by_side(stored) if len(stored) == len(weights) else None
            if joined is not None:
                self._layers.add(joined, match.source, bias, None, None, wide, "identity", label)
            else:
                self._floats_side_by_side(weights, match.source, bias, wide, label)
            offsets = [sum(widths[:index]) for index in range(len(group))]
            places = zip(group, offsets, strict=True)
            self._heads.columns.update({layer.result: (wide, offset) for layer, offset in places})
        wide, offset = self._heads.columns[match.result]
        self.values.add("columns", (wide,), match.result, {"offset": ("int", offset)})

    def _floats_side_by_side(
        self, parts: Sequence[Array | StoredWeights], source: str, bias: str | None, wide: str, label: str
    ) -> None:
        """One layer of matrices that the engine packs from where each lies: joined before, they would be copied."""
        floats = [part.floats() if isinstance(part, StoredWeights) else part for part in parts]
        transposed = not floats[0].flags.c_contiguous and floats[0].T.flags.c_contiguous
        first, *more = (self.values.constant(f"{wide}.weights", part.T if transposed else part) for part in floats)
        attributes: dict[str, Attribute] = {
            "activation": ("text", "identity"),
            "transposed": ("bool", transposed),
        }
        # The engine takes a residual and a factor between the first weights and the others.
        self.values.add("linearLayer", (source, first, bias, None, None, *more), wide, attributes, label)

    def _biases(self, wide: str, group: list[LinearMatch]) -> str | None:
        if all(layer.bias is None for layer in group):
            return None
        parts: list[Array] = [
            np.zeros(layer.weights.shape[1], np.float32) if layer.bias is None else layer.bias for layer in group
        ]
        return self.values.constant(f"{wide}.bias", np.concatenate(parts))


def _chain(name: str, steps: Sequence[Step]) -> dict[str, Attribute]:
    """Functions as the engine takes them: words, and two numbers for each."""
    if not steps:
        return {}
    numbers = tuple(number for _, first, second in steps for number in (first, second))
    return {name: ("texts", tuple(word for word, _, _ in steps)), f"{name}Numbers": ("floats", numbers)}


def _side_by_side(uses: Uses, matches: Sequence[Match]) -> dict[str, list[LinearMatch]]:
    """Layers of one source that feed attentions, by the result of each: at least two, in the order of the graph."""
    layers = {match.result: match for match in matches if isinstance(match, LinearMatch)}
    turned_from = {match.result: match.source for match in matches if isinstance(match, RotaryMatch)}
    found: dict[str, list[LinearMatch]] = {}
    for match in matches:
        if isinstance(match, AttentionMatch):
            for value in (match.q, match.k, match.v):
                layer = layers.get(projection(uses, value, turned_from))
                if layer is not None and layer.operands == (layer.source,) and layer.activation == "identity":
                    group = found.setdefault(layer.source, [])
                    if layer not in group:
                        group.append(layer)
    for group in found.values():
        group.sort(key=lambda layer: uses.position[layer.result])
    return {layer.result: group for group in found.values() if len(group) > 1 for layer in group}


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
