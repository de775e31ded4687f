"""What products meet at run time: second moments and ranges of the values that they read, over sample inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.graph import Array, Graph, Node
from webnn_translator.quantize.samples import compiled
from webnn_translator.quantize.sites import Site
from webnn_translator.quantize.windows import Windows, windows_of

__all__ = ["Moments", "Reads", "reads_of", "second_moments", "watched"]

Floats = npt.NDArray[np.float32]
# Rows of activations that are kept until they are multiplied at once.
_ROWS_AT_ONCE: Final = 2048
# Windows of a convolution, over all sample inputs: neighbours are much alike.
_WINDOWS: Final = 8192
# Where all rows are the same, what is left of their moments is what float64 rounds.
_LEFT_OVER: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Reads:
    """One product: the value that a weight is multiplied with.

    Attributes:
        value: its name.
        axis: axis of the value that is summed over, from the end: -1 or -2.
    """

    value: str
    axis: int

    def rows(self, array: Array, most: int) -> Array:
        """All rows, [1, rows, K]; `most` is for windows, of which there are many more."""
        del most
        return np.moveaxis(array, self.axis, -1).reshape(1, -1, array.shape[self.axis])


def reads_of(graph: Graph, site: Site) -> tuple[Reads | Windows, ...]:
    """What a weight of a product or a convolution is multiplied with; nothing where that is a constant as well."""
    if site.role == "conv":
        windows = windows_of(graph, site)
        return () if windows is None else (windows,)
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
    """What is known of the rows x that products read, for each group of a convolution apart.

    Attributes:
        second: [groups, K, K], the sum of x x^T.
        first: [groups, K], the sum of x.
        count: number of rows.
    """

    second: npt.NDArray[np.float64]
    first: npt.NDArray[np.float64]
    count: int

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.second + other.second, self.first + other.first, self.count + other.count)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean row of each group, [groups, K]."""
        return self.first / max(self.count, 1)

    @property
    def spread(self) -> npt.NDArray[np.float64]:
        """[groups, K, K], the sum of (x - mean) (x - mean)^T."""
        found = self.second - _outer(self.first, self.mean)
        floor = _LEFT_OVER * np.einsum("gkk->g", self.second) / self.second.shape[-1]
        return np.asarray(found + floor[:, None, None] * np.eye(found.shape[-1]))

    def moved(self, origin: npt.NDArray[np.float64]) -> Moments:
        """The moments of x + origin."""
        both = _outer(self.first, origin)
        second = self.second + both + both.transpose(0, 2, 1) + self.count * _outer(origin, origin)
        return Moments(second, self.first + self.count * origin, self.count)


def _outer(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return left[:, :, None] * right[:, None, :]


@dataclass(slots=True)
class _Moment:
    """The sums over rows, around the mean of the first ones: float32 is not exact enough for what is far from 0."""

    total: Moments | None = None
    origin: Floats | None = None
    rows: list[Floats] = field(default_factory=list)
    held: int = 0

    def add(self, rows: Floats) -> None:
        self.rows.append(rows)
        self.held += rows.shape[1]
        if self.held >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        if not self.rows:
            return
        stacked = np.concatenate(self.rows, axis=1)
        self.rows, self.held = [], 0
        stacked = stacked[:, np.isfinite(stacked).all(axis=(0, 2))]
        if self.origin is None:
            if not stacked.size:
                return
            self.origin = stacked.mean(axis=1, keepdims=True)
        stacked = stacked - self.origin
        second = np.stack([(rows.T @ rows).astype(np.float64) for rows in stacked])
        found = Moments(second, stacked.sum(axis=1, dtype=np.float64), stacked.shape[1])
        self.total = found if self.total is None else self.total + found

    def whole(self) -> Moments | None:
        """The moments around 0; None where no row was finite."""
        self.flush()
        if self.total is None or self.origin is None:
            return None
        return self.total.moved(self.origin[:, 0].astype(np.float64))


def second_moments(
    graph: Graph, reads: Iterable[Reads | Windows], feeds: Sequence[Mapping[str, Array]]
) -> dict[Reads | Windows, Moments]:
    """For each product or convolution the moments of what its rows read."""
    wanted = list(dict.fromkeys(reads))
    sums = {read: _Moment() for read in wanted}
    inner = {read.value for read in wanted} - set(graph.inputs)
    running = compiled(watched(graph, inner)) if inner else None
    for feed in feeds:
        found = {**feed, **(running.run(feed) if running is not None else {})}
        for read, moment in sums.items():
            rows = read.rows(found[read.value], -(-_WINDOWS // len(feeds)))
            moment.add(rows.astype(np.float32, copy=False))
    made = {read: moment.whole() for read, moment in sums.items()}
    return {read: moments for read, moments in made.items() if moments is not None}
