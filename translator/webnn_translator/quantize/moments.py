"""What products meet at run time: second moments and ranges of the values that they read, over sample inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.graph import Array, Graph, Node
from webnn_translator.quantize.samples import compiled
from webnn_translator.quantize.sites import Site

__all__ = ["Moments", "Reads", "reads_of", "second_moments", "watched"]

Floats = npt.NDArray[np.float32]
# Rows of activations that are kept until they are multiplied at once.
_ROWS_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class Reads:
    """One product: the value that a weight is multiplied with.

    Attributes:
        value: its name.
        axis: axis of the value that is summed over, from the end: -1 or -2.
    """

    value: str
    axis: int


def reads_of(graph: Graph, site: Site) -> tuple[Reads, ...]:
    """What a linear weight is multiplied with; nothing where that is a constant as well."""
    found: dict[Reads, None] = {}
    weights = {site.weight} | {
        node.name for node in graph.nodes if node.op == "transpose" and node.inputs[0] == site.weight
    }
    for node in graph.nodes:
        if node.op in ("matmul", "gemm") and not weights.isdisjoint(node.inputs[:2]):
            place = 1 if node.inputs[1] in weights else 0
            other = node.inputs[1 - place]
            if other is not None and other not in graph.constants and other not in weights:
                found[Reads(other, _summed(node, 1 - place))] = None
    return tuple(found)


def _summed(node: Node, place: int) -> int:
    """The axis of operand `place` that the product sums over, from the end."""
    is_turned = node.op == "gemm" and bool(node.options["bTranspose" if place else "aTranspose"])
    return (-1 if place == 0 else -2) if not is_turned else (-2 if place == 0 else -1)


def watched(graph: Graph, values: Iterable[str]) -> Graph:
    """The graph with these values as its only outputs; inputs are read from the feeds."""
    made = dict.fromkeys(value for value in values if value not in graph.inputs)
    live = graph.needed(made)
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants={name: constant for name, constant in graph.constants.items() if name in live},
        nodes=tuple(node for node in graph.nodes if node.name in live),
        outputs={value: value for value in made},
    )


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What is known of the rows x that products read.

    Attributes:
        second: [K, K], the sum of x x^T.
        first: [K], the sum of x.
        count: number of rows.
    """

    second: npt.NDArray[np.float64]
    first: npt.NDArray[np.float64]
    count: int

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.second + other.second, self.first + other.first, self.count + other.count)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean row."""
        return self.first / max(self.count, 1)

    @property
    def spread(self) -> npt.NDArray[np.float64]:
        """[K, K], the sum of (x - mean) (x - mean)^T."""
        return self.second - np.outer(self.first, self.mean)


@dataclass(slots=True)
class _Moment:
    """The sums over rows."""

    total: Moments | None = None
    rows: list[Floats] = field(default_factory=list)
    held: int = 0

    def add(self, rows: Floats) -> None:
        self.rows.append(rows)
        self.held += len(rows)
        if self.held >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if self.rows:
            stacked = np.concatenate(self.rows)
            stacked = stacked[np.isfinite(stacked).all(axis=1)]
            second = (stacked.T @ stacked).astype(np.float64)
            found = Moments(second, stacked.sum(axis=0, dtype=np.float64), len(stacked))
            self.total = found if self.total is None else self.total + found
            self.rows, self.held = [], 0


def second_moments(graph: Graph, reads: Iterable[Reads], feeds: Sequence[Mapping[str, Array]]) -> dict[Reads, Moments]:
    """For each product the moments of what its rows read."""
    wanted = list(dict.fromkeys(reads))
    sums = {read: _Moment() for read in wanted}
    inner = {read.value for read in wanted} - set(graph.inputs)
    running = compiled(watched(graph, inner)) if inner else None
    for feed in feeds:
        found = {**feed, **(running.run(feed) if running is not None else {})}
        for read, moment in sums.items():
            array = np.moveaxis(found[read.value], read.axis, -1)
            moment.add(array.reshape(-1, array.shape[-1]).astype(np.float32, copy=False))
    for moment in sums.values():
        moment.flush()
    return {read: moment.total for read, moment in sums.items() if moment.total is not None}
