"""Which sizes a graph is checked at: small and uneven ones, 1, 0 where it may be, and the maxima of bounded names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from typing import Final

from webnn_runtime.format.dims import DynamicDim, SymbolicDim, evaluate, names_of
from webnn_runtime.format.graph import DimCheck, Graph
from webnn_translator.narrowing import equal_sizes

__all__ = ["Point", "grid", "satisfies", "unchecked_maxima"]

# Read by position: the first name takes the first value of each row, and so on; uneven, so that a mix-up shows.
_ROWS: Final = ((1, 1, 1, 1), (2, 7, 3, 5), (3, 33, 2, 4), (1, 64, 2, 3), (9, 2, 1, 2))
# Where the graph allows none of those: sizes that strides, windows and frames of real models divide.
_SIZES: Final = (
    1,
    2,
    3,
    8,
    16,
    32,
    64,
    96,
    128,
    160,
    192,
    224,
    256,
    320,
    384,
    448,
    480,
    512,
    576,
    640,
    768,
    1024,
    2048,
)
_MOST_COMBINATIONS: Final = 20_000
_LARGEST_MULTIPLE: Final = 128
# Larger sizes are left to the user's own data: a check has to end within minutes.
_LARGEST_POINT: Final = 4096


@dataclass(frozen=True, slots=True)
class Point:
    """One run of the check.

    Attributes:
        bindings: a value for every named dimension.
        padded: whether masks hide the end of the rows.
        integers: what all integers of which nothing is known were, where the source takes no others; else None.
        repeated: names that have to be equal to sizes of other names.
    """

    bindings: Mapping[str, int]
    padded: bool = False
    integers: int | None = None
    repeated: frozenset[str] = frozenset()

    def record(self) -> dict[str, object]:
        """As it stands in a certificate."""
        only = {} if self.integers is None else {"integers": self.integers}
        return {"dims": dict(self.bindings), "padded": self.padded, **only}

    @property
    def size(self) -> int:
        """Product of the dimensions, each once: batch times length is a number of tokens."""
        return math.prod(max(value, 1) for name, value in self.bindings.items() if name not in self.repeated)

    def __str__(self) -> str:
        sizes = ", ".join(f"{name}={value}" for name, value in self.bindings.items())
        return f"{sizes or 'static'}{', padded' if self.padded else ''}"


def grid(graph: Graph, *, has_masks: bool) -> list[Point]:
    """The points to check, smallest first; each satisfies the conditions that the graph leaves to the run."""
    point = partial(Point, repeated=_repeated(graph))
    points = []
    drawn = list(_bindings(graph))
    # What a name has to equal may be large, and small sizes of the others say as much.
    moved = sorted((_reconciled(graph, one) for one in drawn), key=lambda one: point(one).size)
    drawn += [one for one in moved if point(one).size <= _LARGEST_POINT] or moved[:1]
    allowed = [one for one in drawn if satisfies(graph, one)] or _searched(graph)
    for bindings in _distinct(iter(allowed)):
        points.append(point(bindings))
        # A row of one token cannot be padded; of a static graph the shapes are not known here.
        if has_masks and (not bindings or max(bindings.values()) > 1):
            points.append(point(bindings, padded=True))
    return sorted(points, key=lambda one: (one.size, one.padded, str(one)))


def _repeated(graph: Graph) -> frozenset[str]:
    equal = equal_sizes(graph.checks, graph.dims)
    return frozenset(name for name, other in equal.items() if isinstance(other, SymbolicDim))


def unchecked_maxima(graph: Graph, points: Sequence[Point]) -> list[str]:
    """Names of dimensions that no point has at their maximum."""
    reached = {(name, value) for point in points for name, value in point.bindings.items()}
    return [name for name, dim in graph.dims.items() if (name, dim.max_size) not in reached]


def satisfies(graph: Graph, bindings: Mapping[str, int]) -> bool:
    """Whether the conditions that the graph leaves to the run hold for these sizes."""
    return all(_holds(check, bindings) for check in graph.checks)


def _holds(check: DimCheck, bindings: Mapping[str, int]) -> bool:
    left, right = evaluate(check.left, bindings), evaluate(check.right, bindings)
    return left == right if check.relation == "==" else left >= right


def _reconciled(graph: Graph, bindings: Mapping[str, int]) -> dict[str, int]:
    """The same where names that have to equal something do: the batch of one input is that of the others."""
    found = dict(bindings)
    # What one condition moves may be what another is about.
    for _ in graph.dims:
        for check in graph.checks:
            if not _holds(check, found):
                _fit(graph, found, check)
    return found


def _fit(graph: Graph, bindings: dict[str, int], check: DimCheck) -> None:
    """Give the name that is one side of a condition the size of the other side, where it may have that."""
    for name, other in ((str(check.left), check.right), (str(check.right), check.left)):
        if name in graph.dims and name not in names_of(other):
            size = evaluate(other, bindings)
            if graph.dims[name].min_size <= size <= graph.dims[name].max_size:
                bindings[name] = size
                return


def _searched(graph: Graph) -> list[dict[str, int]]:
    """The smallest combination of sizes that is allowed, and the next one that differs in every name; few or none."""
    columns = []
    for name, dim in graph.dims.items():
        alone = [check for check in graph.checks if names_of(check.left) | names_of(check.right) == {name}]
        fitting = (
            size
            for size in _SIZES
            if dim.min_size <= size <= dim.max_size and all(_holds(check, {name: size}) for check in alone)
        )
        columns.append(list(islice(fitting, int(_MOST_COMBINATIONS ** (1 / max(len(graph.dims), 1))))))
    named = (dict(zip(graph.dims, sizes, strict=True)) for sizes in product(*columns))
    found = sorted((one for one in named if satisfies(graph, one)), key=lambda one: Point(one).size)
    others = (one for one in found if all(one[name] != found[0][name] for name in one))
    return [*found[:1], *islice(others, 1)]


def _bindings(graph: Graph) -> Iterator[dict[str, int]]:
    names = list(graph.dims)
    for row in _ROWS:
        yield {name: _clipped(graph.dims[name], row[index % len(row)]) for index, name in enumerate(names)}
    empty = [name for name in names if graph.dims[name].min_size == 0]
    if empty:
        for row in _ROWS[:2]:
            # The first step of a decoder: its caches are empty together.
            yield {
                name: 0 if name in empty else _clipped(graph.dims[name], row[index % len(row)])
                for index, name in enumerate(names)
            }
    for large in names:
        if graph.dims[large].max_size <= _LARGEST_POINT:
            yield {name: dim.max_size if name == large else _clipped(dim, 1) for name, dim in graph.dims.items()}


def _clipped(dim: DynamicDim, value: int) -> int:
    """A size for a name, or as many times the smallest one: an image of 14 pixels at least is 98 high and 42 wide."""
    least = max(dim.min_size, 1)
    wanted = value if value >= least else max(min(value * least, _LARGEST_MULTIPLE), least)
    return min(wanted, dim.max_size)


def _distinct(candidates: Iterator[dict[str, int]]) -> Iterator[dict[str, int]]:
    seen: set[tuple[tuple[str, int], ...]] = set()
    for bindings in candidates:
        key = tuple(bindings.items())
        if key not in seen:
            seen.add(key)
            yield bindings
