"""Turns a graph into steps: recognised patterns on the engine, the rest on the reference kernels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from webnn_runtime.backends.rust._steps import AttentionStep, LinearStep, MatmulStep, ReferenceStep, Step
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph
from webnn_runtime.passes.attention import AttentionMatch, find_attention
from webnn_runtime.passes.linear import LinearMatch, find_linear

if TYPE_CHECKING:
    from webnn_kernels import Engine

__all__ = ["plan"]


def plan(graph: Graph, engine: Engine) -> tuple[tuple[Step, tuple[str, ...]], ...]:
    """The steps in order, each with the values that nothing after it reads."""
    matches = _disjoint((*find_attention(graph), *find_linear(graph)))
    swallowed = {name: match for match in matches for name in match.nodes}
    steps: list[Step] = []
    for node in graph.nodes:
        match = swallowed.get(node.name)
        if match is not None:
            # The pattern's last node: everything the pattern reads exists by now.
            if node.name == match.result:
                steps.append(_step(engine, match))
        elif node.op == "matmul" and graph.types[node.name].dtype is DataType.FLOAT32:
            steps.append(MatmulStep(engine, node))
        else:
            steps.append(ReferenceStep(node))
    return _with_last_uses(graph, steps)


def _step(engine: Engine, match: AttentionMatch | LinearMatch) -> Step:
    return LinearStep(engine, match) if isinstance(match, LinearMatch) else AttentionStep(engine, match)


def _disjoint(matches: Iterable[AttentionMatch | LinearMatch]) -> list[AttentionMatch | LinearMatch]:
    """Those matches, first come first served, that neither share nodes nor read what another one swallows."""
    kept: list[AttentionMatch | LinearMatch] = []
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
