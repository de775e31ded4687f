"""Parts of a graph that come again and again, such as the layers of an encoder: found by structure, not by names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Graph, Node

__all__ = ["Block", "blocks_of"]

# A pattern of fewer nodes is an idiom, not a layer; and one that covers little is not worth a fold.
_SHORTEST: Final = 5
# Most nodes that are taken out of a turn.
_GUESTS: Final = 4


@dataclass(frozen=True, slots=True)
class Block:
    """One turn of a repetition.

    Attributes:
        start: place of its first node.
        length: number of its nodes, which follow each other.
        number: which turn it is, from 1.
        count: how many turns there are.
        title: what the names of its nodes begin with; "block 2" if they share nothing.
    """

    start: int
    length: int
    number: int
    count: int
    title: str


def blocks_of(graph: Graph, labels: Mapping[str, str]) -> tuple[list[Node], list[Block]]:
    """The nodes in an order in which each turn stands together, and all turns in that order.

    Args:
        graph: the graph.
        labels: node name -> what titles are made of.
    """
    finder = _Finder(graph, labels)
    blocks = list(finder.within(0, len(finder.nodes)))
    return finder.nodes, blocks


class _Finder:
    def __init__(self, graph: Graph, labels: Mapping[str, str]) -> None:
        self.nodes = list(graph.nodes)
        self._labels = labels
        self._outputs = set(graph.outputs.values())
        known = _signatures(graph)
        self._signatures = [known[node.name] for node in self.nodes]

    def within(self, low: int, high: int) -> Iterator[Block]:
        """Turns in a range of places, largest repetition first, in order."""
        best = _longest(self._signatures, low, high, self._is_chain)
        if best is None:
            return
        start, period, turns, slack = best
        start += min(range(slack + 1), key=lambda shift: self._cut(start + shift, period, turns, shift))
        while start - period >= low and self._gather(low, start, period):
            start, turns = start - period, turns + 1
        yield from self.within(low, start)
        for turn in range(turns):
            first = start + turn * period
            yield Block(first, period, turn + 1, turns, self._title(first, period) or f"block {turn + 1}")
        yield from self.within(start + turns * period, high)

    def _is_chain(self, start: int, period: int, turns: int) -> bool:
        """Whether each turn takes something from the one before: heads side by side are no layers."""
        before: set[str] = set()
        for first in range(start, start + period * turns, period):
            nodes = self.nodes[first : first + period]
            if first > start and not any(name in before for node in nodes for name in node.inputs):
                return False
            before = {name for node in nodes for name in node.outputs}
        return True

    def _cut(self, start: int, period: int, turns: int, shift: int) -> tuple[int, int, int]:
        """Where a person would cut: few values cross, and the names of a turn share much."""
        crossing = set()
        made: dict[str, int] = {}
        for place in range(start, start + period * turns):
            turn = (place - start) // period
            node = self.nodes[place]
            crossing |= {(name, turn) for name in node.inputs if name in made and made[name] != turn}
            made |= dict.fromkeys(node.outputs, turn)
        return len(crossing), -len(self._title(start, period)), shift

    def _gather(self, low: int, start: int, period: int) -> bool:
        """Whether another turn ends at `start`, but for a few nodes among its own that can stand before it.

        The first layer often computes what all later ones share, such as a mask.
        """
        pattern = self._signatures[start : start + period]
        for extra in range(min(_GUESTS, start - period - low) + 1):
            first = start - period - extra
            own: list[int] = []
            wanted = iter(pattern)
            sought = next(wanted)
            for place in range(first, start):
                if self._signatures[place] == sought:
                    own.append(place)
                    sought = next(wanted, -1)
            guests = [place for place in range(first, start) if place not in set(own)]
            made = {name for place in own for name in self.nodes[place].outputs}
            if len(own) == period and not any(made & set(self.nodes[place].inputs) for place in guests):
                order = guests + own
                self.nodes[first:start] = [self.nodes[place] for place in order]
                self._signatures[first:start] = [self._signatures[place] for place in order]
                return True
        return False

    def _title(self, start: int, period: int) -> str:
        # What is an output has that name, and not the one of its layer.
        own = [node.name for node in self.nodes[start : start + period] if self._outputs.isdisjoint(node.outputs)]
        labels = sorted(self._labels[name] for name in own)
        # What the first and the last of sorted texts share, all of them share.
        pairs = zip(labels[0], labels[-1], strict=False) if labels else iter(())
        prefix = "".join(left for left, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        # Whole words only.
        cut = max(prefix.rfind(mark) for mark in "/._:")
        return prefix[:cut].strip("/._:") if cut > 0 else ""


def _signatures(graph: Graph) -> dict[str, int]:
    """A number for each node by its name; equal for nodes that do the same with operands of the same types."""
    known: dict[object, int] = {}
    found: dict[str, int] = {}
    for node in graph.nodes:
        operands = tuple(
            (name in graph.constants, graph.types[name]) if name is not None else None for name in node.inputs
        )
        options = tuple(sorted((name, str(value)) for name, value in node.options.items()))
        key = (node.op, operands, options, tuple(graph.types[name] for name in node.outputs))
        found[node.name] = known.setdefault(key, len(known))
    return found


def _longest(
    signatures: list[int], low: int, high: int, accept: Callable[[int, int, int], bool]
) -> tuple[int, int, int, int] | None:
    """(start, period, turns, slack) of the repetition that covers most; `slack` places may also be the start."""
    best: tuple[int, int, int, int] | None = None
    covered = 0
    numbers = np.asarray(signatures[low:high])
    for period in range(_SHORTEST, (high - low) // 2 + 1):
        # Every period is looked at, so of a long graph each look has to be short.
        is_equal = numbers[:-period] == numbers[period:]
        if np.count_nonzero(is_equal) < period:
            continue
        ends = np.append(np.flatnonzero(~is_equal), is_equal.size)
        starts = np.append(0, ends[:-1] + 1)
        # A second turn is a run as long as the period.
        for which in np.flatnonzero(ends - starts >= period):
            start, run = low + int(starts[which]), int(ends[which] - starts[which])
            turns = run // period + 1
            # Twice a period covers the same, so the shorter one, which comes first, stays.
            is_longer = turns * period > covered and len(set(signatures[start : start + run])) > 1
            if is_longer and accept(start, period, turns):
                covered = turns * period
                best = (start, period, turns, run % period)
    return best
