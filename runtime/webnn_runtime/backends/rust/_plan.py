"""Turns a graph into steps: recognised patterns on the engine, the rest on the reference kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from webnn_runtime.backends.rust._steps import (
    ActivationStep,
    AttentionStep,
    LayerNormStep,
    LinearStep,
    MatmulStep,
    ReferenceStep,
    Step,
    ViewStep,
)
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.passes.attention import AttentionMatch, find_attention
from webnn_runtime.passes.gelu import GeluMatch, find_gelu
from webnn_runtime.passes.layer_norm import LayerNormMatch, find_layer_norm
from webnn_runtime.passes.linear import LinearMatch, find_linear

if TYPE_CHECKING:
    from webnn_kernels import Engine

__all__ = ["plan"]

_ACTIVATIONS: Final = frozenset({"gelu", "relu", "tanh"})
_VIEWS: Final = frozenset({"reshape", "transpose"})

Match: TypeAlias = AttentionMatch | LinearMatch | GeluMatch | LayerNormMatch


def plan(graph: Graph, engine: Engine) -> tuple[tuple[Step, tuple[str, ...]], ...]:
    """The steps in order, each with the values that nothing after it reads."""
    matches = _disjoint((*find_attention(graph), *find_linear(graph), *find_gelu(graph), *find_layer_norm(graph)))
    swallowed = {name: match for match in matches for name in match.nodes}
    steps: list[Step] = []
    for node in graph.nodes:
        match = swallowed.get(node.name)
        if match is not None:
            # The pattern's last node: everything the pattern reads exists by now.
            if node.name == match.result:
                steps.append(_step(engine, match))
        else:
            steps.append(_alone(graph, engine, node))
    return _with_last_uses(graph, steps)


def _step(engine: Engine, match: Match) -> Step:
    if isinstance(match, LinearMatch):
        return LinearStep(engine, match)
    if isinstance(match, LayerNormMatch):
        return LayerNormStep(engine, match)
    if isinstance(match, GeluMatch):
        return ActivationStep(engine, "gelu", match.source, match.result)
    return AttentionStep(engine, match)


def _alone(graph: Graph, engine: Engine, node: Node) -> Step:
    """The step of a node that belongs to no pattern."""
    if node.op in _VIEWS:
        return ViewStep(graph, node)
    kind = graph.types[node.name]
    if kind.dtype is DataType.FLOAT32:
        if node.op == "matmul":
            return MatmulStep(engine, node)
        if node.op in _ACTIVATIONS and node.inputs[0] is not None:
            return ActivationStep(engine, node.op, node.inputs[0], node.name)
    return ReferenceStep(node, [graph.types[name] for name in node.outputs])


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


def _with_last_uses(graph: Graph, steps: list[Step]) -> tuple[tuple[Step, tuple[str, ...]], ...]:
    """The steps whose results are needed; patterns read past nodes that may then have no reader left."""
    needed = set(graph.outputs.values())
    kept: list[tuple[Step, tuple[str, ...]]] = []
    for step in reversed(steps):
        if needed.isdisjoint(step.makes):
            continue
        mentioned = {*step.reads, *step.makes}
        kept.append((step, tuple(sorted(mentioned - needed))))
        needed |= mentioned
    return tuple(reversed(kept))
