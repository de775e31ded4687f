"""What operators need of named dimensions: ranges that give them something to compute with, and equal sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, bounds, names_of, substitute
from webnn_runtime.format.graph import DimCheck

__all__ = ["equal_sizes", "left_by", "minimum_to_reach", "narrowed_to_reach"]

# A model that needs more rows than this at once is refused instead of being restricted to them.
_LARGEST_MINIMUM: Final = 4096


def equal_sizes(checks: Iterable[DimCheck], ranges: Mapping[str, DynamicDim]) -> dict[str, Dim]:
    """Names of dimensions that have to be equal to others in every run -> those."""
    found: dict[str, Dim] = {}
    for check in checks:
        left, right = substitute(check.left, found), substitute(check.right, found)
        for name, other in ((str(left), right), (str(right), left)):
            if check.relation == "==" and name in ranges and name not in names_of(other):
                found = {one: substitute(dim, {name: other}) for one, dim in found.items()} | {name: other}
                break
    return found


def left_by(check: DimCheck, ranges: Mapping[str, DynamicDim]) -> Iterator[DynamicDim]:
    """The ranges that a condition of the run leaves: from both ends the sizes go that are certain to be refused.

    Raises:
        ValueError: none is left.
    """
    rest = check.left - check.right
    for name in sorted(names_of(rest)):
        left = _left(rest, check.relation, ranges[name], ranges)
        if left != ranges[name]:
            yield left


def _left(rest: Dim, relation: str, known: DynamicDim, ranges: Mapping[str, DynamicDim]) -> DynamicDim:
    def fails(low: int, high: int) -> bool:
        least, most = bounds(rest, {**ranges, known.name: DynamicDim(known.name, high, low)})
        return most < 0 or (relation == "==" and least > 0)

    low, high = known.min_size, known.max_size
    if fails(low, high):
        raise ValueError(f"'{known.name}' is {low} to {high}")
    above = _first(low + 1, high, lambda size: fails(size, high))
    # The last multiple of 4 below the largest size that there is bounds nothing.
    last = high if above is None or (known.is_unbounded and above > high // 2) else above - 1
    steps = _first(0, last - low - 1, lambda step: fails(low, last - 1 - step))
    return DynamicDim(known.name, last, low if steps is None else last - steps)


def narrowed_to_reach(dim: Dim, low: int, ranges: Mapping[str, DynamicDim]) -> tuple[DynamicDim, ...]:
    """The ranges that make `dim` at least `low`: of the one name that does, or of one name per factor of a product.

    Args:
        dim: some size.
        low: what it has to be at least.
        ranges: those of all names.

    Returns:
        Narrower ranges; none where it is not certain whose they are.
    """
    alone = _of_one_name(dim, low, ranges)
    if alone is not None:
        return (alone,)
    # (h // 8) * (w // 8), the patches of an image, is at least 1 where both are.
    found = [_of_one_name(factor, 1, ranges) for factor in _factors(dim)] if low == 1 else []
    wanted = tuple(one for one in found if one is not None)
    are_apart = len({one.name for one in wanted}) == len(found)
    return wanted if are_apart else ()


def minimum_to_reach(dim: Dim, low: int, ranges: Mapping[str, DynamicDim]) -> int | None:
    """The smallest size that makes `dim` at least `low` where all its names have it as their minimum."""

    def reaches(least: int) -> bool:
        raised = {
            name: DynamicDim(name, max(size.max_size, least), max(size.min_size, least))
            for name, size in ranges.items()
            if name in names
        }
        return bounds(dim, {**ranges, **raised})[0] >= low

    names = names_of(dim)
    return _first(1, min([_LARGEST_MINIMUM, *(ranges[name].max_size for name in names)]), reaches)


def _of_one_name(dim: Dim, low: int, ranges: Mapping[str, DynamicDim]) -> DynamicDim | None:
    names = [name for name in sorted(names_of(dim)) if name in ranges]
    found = [narrowed for name in names if (narrowed := _least(dim, low, name, ranges)) is not None]
    if not found and len(names) == 1:
        found = [narrowed for name in names if (narrowed := _most(dim, low, name, ranges)) is not None]
    return found[0] if len(found) == 1 else None


def _factors(dim: Dim) -> list[Dim]:
    """The factors of a product of several, each once; none where it is no such product."""
    if not isinstance(dim, SymbolicDim) or len(dim.terms) != 1:
        return []
    ((monomial, coefficient),) = dim.terms
    if coefficient < 1 or len(monomial) < 2:
        return []
    return [SymbolicDim(((((atom, 1),), 1),)) for atom, _ in monomial]


def _least(dim: Dim, low: int, name: str, ranges: Mapping[str, DynamicDim]) -> DynamicDim | None:
    """The name with the smallest minimum that makes `dim` at least `low`, the others being as they are."""
    known = ranges[name]
    first, last = known.min_size, min(known.max_size, _LARGEST_MINIMUM)
    found = _first(first, last, lambda least: _reaches(dim, low, DynamicDim(name, known.max_size, least), ranges))
    if found is None:
        return None
    narrowed = DynamicDim(name, known.max_size, found)
    # It has to be this name's doing: l - b >= 0 would leave out every l below the largest b.
    others = {one: DynamicDim(one, size.min_size, size.min_size) for one, size in ranges.items() if one != name}
    below = DynamicDim(name, known.max_size, max(found - 1, first))
    alone = found == first or bounds(dim, {**others, name: below})[0] < low
    return narrowed if alone else None


def _most(dim: Dim, low: int, name: str, ranges: Mapping[str, DynamicDim]) -> DynamicDim | None:
    """The name with the largest maximum that makes `dim` at least `low`, the others being as they are."""
    known = ranges[name]

    def reaches(step: int) -> bool:
        return _reaches(dim, low, DynamicDim(name, known.max_size - step, known.min_size), ranges)

    found = _first(0, known.max_size - known.min_size, reaches)
    return None if found is None else DynamicDim(name, known.max_size - found, known.min_size)


def _reaches(dim: Dim, low: int, narrowed: DynamicDim, ranges: Mapping[str, DynamicDim]) -> bool:
    return bounds(dim, {**ranges, narrowed.name: narrowed})[0] >= low


def _first(first: int, last: int, holds: Callable[[int], bool]) -> int | None:
    """The smallest of first..last from which on it holds; None where it does not even for the last."""
    if first > last or not holds(last):
        return None
    while first < last:
        middle = (first + last) // 2
        first, last = (first, middle) if holds(middle) else (middle + 1, last)
    return first
