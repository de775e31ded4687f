"""Where a random call is made: what its operands have to be, values for them, and shapes that go together.

Values come from a seeded generator, so that Hypothesis shrinks the structure and not the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.ops import Operand, OpSpec, Ranks

__all__ = [
    "MAX_RANK",
    "PROFILES",
    "Call",
    "Shape",
    "Site",
    "Slot",
    "Values",
    "accepts",
    "between",
    "counts",
    "distinct_along",
    "distinct_rows",
    "divisors",
    "first_types",
    "fresh_types",
    "indices",
    "ordered",
    "partner",
    "plain",
    "shapes",
    "squeezed",
    "windows",
]

MAX_RANK: Final = 5
PROFILES: Final = ("positive", "signed", "whole", "wide")
Shape = tuple[int, ...]
Values = Callable[[np.random.Generator, TensorType], Array]


@dataclass(frozen=True)
class Slot:
    """What an operand has to be: a type, and values of its own where any will not do."""

    type: TensorType
    values: Values | None = None


@dataclass(frozen=True)
class Call:
    """One call: the type of the first operand, what the others have to be, and the options given."""

    op: str
    first: Slot
    others: tuple[Slot | None, ...]
    options: dict[str, Any]


@dataclass
class Site:
    """Where a call is made: how to draw, the row, the first operand and the shapes that exist already."""

    draw: st.DrawFn
    spec: OpSpec
    x: TensorType
    known: Sequence[TensorType] = ()
    first_values: Values | None = None
    others: list[Slot | None] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self) -> bool:
        return self.draw(st.booleans())

    def pick(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(items)))

    def number(self, dtype: DataType) -> float | int:
        """A number that an option may be, for the most part one that the type holds."""
        if dtype.is_float or self.integer(0, 4) == 0:
            return self.pick([-1.5, -0.5, 0.0, 0.1, 0.5, 1.0, 2.5])
        low, high = dtype.bounds
        return self.pick([0, 1, 2, 3, max(low, -2), low, high])

    def dtype(self, name: str) -> DataType:
        """A type for the operand `name`."""
        operand = self.spec.operand(name)
        assert operand is not None
        if operand.same_as == self.spec.operands[0].name:
            return self.x.dtype
        assert operand.allowed is not None
        return self.pick(ordered(operand.allowed))

    def other(
        self, name: str, shape: Sequence[int], values: Values | None = None, dtype: DataType | None = None
    ) -> None:
        """The next operand."""
        self.others.append(Slot(TensorType(dtype or self.dtype(name), tuple(shape)), values))

    def maybe(self, name: str, shape: Sequence[int], values: Values | None = None) -> None:
        """The next operand, or none."""
        if self.chance():
            self.other(name, shape, values)
        else:
            self.others.append(None)


def ordered(types: frozenset[DataType]) -> list[DataType]:
    return [dtype for dtype in DataType if dtype in types]


def shapes(draw: st.DrawFn, ranks: Ranks) -> Shape:
    rank = draw(st.integers(ranks.low, min(MAX_RANK, ranks.high if ranks.high is not None else MAX_RANK)))
    largest = (1, 9, 6, 4, 4, 3)[rank]
    return tuple(draw(st.integers(1, largest)) for _ in range(rank))


def first_types(spec: OpSpec) -> list[DataType]:
    """Types that the first operand may have, with those beyond the specification."""
    operand = spec.operands[0]
    assert operand.allowed is not None
    return ordered(operand.allowed | operand.extra)


def fresh_types(draw: st.DrawFn, spec: OpSpec, dtype: DataType | None = None) -> TensorType:
    """A type for the first operand."""
    return TensorType(dtype or draw(st.sampled_from(first_types(spec))), shapes(draw, spec.operands[0].ranks))


def accepts(operand: Operand, kind: TensorType) -> bool:
    assert operand.allowed is not None
    return kind.dtype in operand.allowed | operand.extra and kind.rank in operand.ranks


# Values.


def plain(profile: str) -> Values:
    """Values of any type: small positive ones, small ones of both signs, whole numbers, or (integers) all bits."""

    def make(random: np.random.Generator, kind: TensorType) -> Array:
        shape, dtype = kind.static_shape, kind.dtype
        if dtype.is_float:
            low, high = {"positive": (0.1, 1.0), "signed": (-2.0, 2.0)}.get(profile, (-3.0, 3.0))
            found = random.uniform(low, high, shape)
            return np.asarray(np.rint(found) if profile == "whole" else found, dtype.numpy)
        low, high = dtype.bounds
        if profile != "wide":
            low, high = max(low, 1 if profile == "positive" else -3), min(high, 4)
        return np.asarray(random.integers(low, high, shape, dtype.numpy, endpoint=True))

    return make


def between(low: float, high: float) -> Values:
    return lambda random, kind: np.asarray(random.uniform(low, high, kind.static_shape), kind.dtype.numpy)


def indices(*limits: int) -> Values:
    """Indices into dimensions of these sizes, which the last dimension runs over; a few lie outside."""

    def make(random: np.random.Generator, kind: TensorType) -> Array:
        shape, signed = kind.static_shape, kind.dtype is not DataType.UINT32
        made = [
            random.integers(-n - 1 if signed else 0, n + 1, shape[:-1] if len(limits) > 1 else shape) for n in limits
        ]
        found = np.stack(made, axis=-1) if len(limits) > 1 else made[0]
        return np.asarray(found).reshape(shape).astype(kind.dtype.numpy)

    return make


def distinct_along(axis: int, size: int) -> Values:
    """Indices below `size` that do not repeat along an axis."""

    def make(random: np.random.Generator, kind: TensorType) -> Array:
        shape = list(kind.static_shape)
        count, shape[axis] = shape[axis], size
        every = np.broadcast_to(np.arange(size).reshape([-1 if d == axis else 1 for d in range(len(shape))]), shape)
        return random.permuted(every, axis=axis).take(range(count), axis).astype(kind.dtype.numpy)

    return make


def distinct_rows(limits: Sequence[int]) -> Values:
    """Coordinates of which no two are the same."""

    def make(random: np.random.Generator, kind: TensorType) -> Array:
        shape = kind.static_shape
        every = np.stack(np.unravel_index(random.permutation(math.prod(limits)), limits), axis=-1)
        return every[: math.prod(shape[:-1])].reshape(shape).astype(kind.dtype.numpy)

    return make


# Shapes that go together.


def partner(site: Site, shape: Sequence[int], dtype: DataType | None = None) -> Shape:
    """A shape that broadcasts with `shape`, often that of a value that is there already."""
    fitting = [
        kind.static_shape
        for kind in site.known
        if kind.dtype is (dtype or site.x.dtype) and broadcasts(kind.static_shape, shape)
    ]
    if fitting and site.chance():
        return site.pick(fitting)
    found = [site.pick([1, site.integer(1, 3)] if dim == 1 else [1, dim]) for dim in shape]
    found = found[site.integer(0, len(found)) :]
    if len(found) == len(shape) and len(shape) < MAX_RANK and site.chance():
        found.insert(0, site.integer(1, 2))
    return tuple(found)


def broadcasts(a: Sequence[int], b: Sequence[int]) -> bool:
    return all(x == y or 1 in (x, y) for x, y in zip(reversed(a), reversed(b), strict=False))


def squeezed(site: Site, shape: Sequence[int]) -> Shape:
    """A shape that stretches to `shape`."""
    found = [site.pick([1, dim]) for dim in shape]
    return tuple(found[site.integer(0, len(found)) :])


def divisors(number: int) -> list[int]:
    return [part for part in range(1, number + 1) if number % part == 0]


def windows(site: Site, sizes: Sequence[int], window: Sequence[int]) -> None:
    """Options `padding`, `strides` and `dilations` with which the window fits, and never lies beside the image."""
    dilations = [site.integer(1, 2), site.integer(1, 2)]
    padding = [
        site.integer(0, (edge - 1) * dilations[axis // 2]) for axis, edge in enumerate(np.repeat(window, 2).tolist())
    ]
    for axis in (0, 1):
        reach = (window[axis] - 1) * dilations[axis] + 1
        padding[2 * axis + 1] += max(0, reach - sizes[axis] - padding[2 * axis] - padding[2 * axis + 1])
    site.options |= {"padding": padding, "dilations": dilations, "strides": [site.integer(1, 3), site.integer(1, 2)]}


def counts(site: Site, sizes: Sequence[int], window: Sequence[int], *, ceil: bool) -> list[int]:
    found = []
    for axis in (0, 1):
        reach = (window[axis] - 1) * site.options["dilations"][axis] + 1
        rest = sizes[axis] + sum(site.options["padding"][2 * axis : 2 * axis + 2]) - reach
        stride = site.options["strides"][axis]
        found.append((-(-rest // stride) if ceil else rest // stride) + 1)
    return found
