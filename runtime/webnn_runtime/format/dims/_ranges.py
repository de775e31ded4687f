"""Ranges of names, what they decide, and values put in for names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from webnn_runtime.format.dims._expression import (
    MAX_DIM,
    Atom,
    Dim,
    Extremum,
    Monomial,
    Quotient,
    SymbolicDim,
    factors_of,
    floor_divide,
    is_name,
    names_of,
    symbol,
)
from webnn_runtime.format.records import dataclass

__all__ = [
    "DynamicDim",
    "bounds",
    "dim_max",
    "dim_min",
    "evaluate",
    "is_at_least",
    "is_equal",
    "simplest_sides",
    "substitute",
]

# How deep `bounds` looks for other forms of an expression, and in how long a one: files may hold hostile ones.
_EFFORT: Final = 5
_MOST_TERMS: Final = 8


@dataclass(frozen=True, slots=True)
class DynamicDim:
    """A named dimension and its range.

    Attributes:
        name: identifier, unique in the graph.
        max_size: largest value; `MAX_DIM` when nothing bounds it.
        min_size: smallest value; 0 only in v2 graphs (an empty key-value cache).
    """

    name: str
    max_size: int = MAX_DIM
    min_size: int = 1

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(f"dimension name '{self.name}' is not an identifier; use letters, digits and _")
        if not 0 <= self.min_size <= self.max_size <= MAX_DIM:
            raise ValueError(
                f"dimension '{self.name}' has minimum {self.min_size} and maximum {self.max_size}; "
                f"0 <= minimum <= maximum <= {MAX_DIM} is needed"
            )

    @property
    def is_unbounded(self) -> bool:
        """Whether nothing limits the dimension below what WebNN allows at all."""
        return self.max_size == MAX_DIM


def bounds(dim: Dim, ranges: Mapping[str, DynamicDim]) -> tuple[int, int]:
    """Interval that contains every value `dim` can take; a name without a range counts as 1..MAX_DIM."""
    return _bounds(dim, ranges, _EFFORT)


def _bounds(dim: Dim, ranges: Mapping[str, DynamicDim], effort: int) -> tuple[int, int]:
    """`bounds`, at a cost that `effort` limits: it falls with each part and each other form that is looked at."""
    if isinstance(dim, int):
        return dim, dim
    effort -= 1
    low, high = _term_bounds(dim, ranges, effort)
    if effort > 0 and len(dim.terms) <= _MOST_TERMS:
        for other in (_without_quotient, _without_extremum, _from_minima):
            # Terms apart know nothing of one another: x - 4*(x//4) is 0 to 3, and 2*x*x - x is at least 1.
            if low <= 0 < high and (better := other(dim, ranges, effort)) is not None:
                low, high = max(low, better[0]), min(high, better[1])
    return low, high


def _term_bounds(dim: SymbolicDim, ranges: Mapping[str, DynamicDim], effort: int) -> tuple[int, int]:
    """The sum of the intervals of the terms."""
    low = high = 0
    for monomial, coefficient in dim.terms:
        term_low, term_high = coefficient, coefficient
        for atom, power in monomial:
            atom_low, atom_high = _atom_bounds(atom, ranges, effort)
            for _ in range(power):
                corners = [a * b for a in (term_low, term_high) for b in (atom_low, atom_high)]
                term_low, term_high = min(corners), max(corners)
        low, high = low + term_low, high + term_high
    return low, high


def _without_quotient(dim: SymbolicDim, ranges: Mapping[str, DynamicDim], effort: int) -> tuple[int, int] | None:
    """With n - r, r being 0 to d - 1, in place of d*(n//d); None where no such quotient stands beside another term."""
    for atom, coefficient, rest in _lone_atoms(dim):
        if isinstance(atom, Quotient) and isinstance(atom.divisor, int) and atom.divisor > 0:
            divisor = atom.divisor
            low, high = _bounds(rest * divisor + atom.numerator * coefficient, ranges, effort)
            ends = (0, -coefficient * (divisor - 1))
            return -((-low - min(ends)) // divisor), (high + max(ends)) // divisor
    return None


def _without_extremum(dim: SymbolicDim, ranges: Mapping[str, DynamicDim], effort: int) -> tuple[int, int] | None:
    """With either side in place of a minimum or maximum; None where none stands beside another term.

    What is taken off a sum turns a minimum into a maximum: n - min(3, n) is the larger one of n - 3 and 0.
    """
    for atom, coefficient, rest in _lone_atoms(dim):
        if isinstance(atom, Extremum):
            left, right = (_bounds(rest + side * coefficient, ranges, effort) for side in (atom.left, atom.right))
            choose: Callable[[int, int], int] = max if atom.largest == (coefficient > 0) else min
            return choose(left[0], right[0]), choose(left[1], right[1])
    return None


def _lone_atoms(dim: SymbolicDim) -> Iterator[tuple[Atom, int, Dim]]:
    """Each term that is a multiple of one atom: the atom, how many times, and the other terms, if there are any."""
    if len(dim.terms) < 2:
        return
    for monomial, coefficient in dim.terms:
        if len(monomial) == 1 and monomial[0][1] == 1:
            yield monomial[0][0], coefficient, dim - SymbolicDim(((monomial, coefficient),))


def _from_minima(dim: SymbolicDim, ranges: Mapping[str, DynamicDim], effort: int) -> tuple[int, int] | None:
    """Counted from the smallest value of each name: higher powers then outweigh what is taken off."""
    if all(_is_simple(monomial) for monomial, _ in dim.terms):
        return None
    known = {name: ranges.get(name, DynamicDim(name)) for name in names_of(dim)}
    if all(one.min_size == 0 for one in known.values()):
        return None
    rest = {name: DynamicDim(name, one.max_size - one.min_size, 0) for name, one in known.items()}
    moved = substitute(dim, {name: symbol(name) + one.min_size for name, one in known.items()}, rest)
    return (moved, moved) if isinstance(moved, int) else _term_bounds(moved, rest, effort)


def _is_simple(monomial: Monomial) -> bool:
    """Whether nothing multiplies or divides a name by one."""
    return sum(power for _, power in monomial) < 2 and not any(
        isinstance(atom, Quotient) and not isinstance(atom.divisor, int) for atom, _ in monomial
    )


def is_equal(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> bool | None:
    """True or False for all values of the names, None where it depends on them."""
    if left == right:
        return True
    difference = left - right
    if isinstance(difference, int):
        return difference == 0
    low, high = bounds(difference, ranges or {})
    return False if low > 0 or high < 0 else None


def is_at_least(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> bool | None:
    """Whether left >= right: True or False for all values of the names, None where it depends on them."""
    low, high = bounds(left - right, ranges or {})
    return True if low >= 0 else (False if high < 0 else None)


def simplest_sides(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> tuple[Dim, Dim]:
    """Two dimensions that compare as these do for all values of the names, without common terms and factors."""
    difference = left - right
    if isinstance(difference, int):
        return left, right
    for part in factors_of(difference):
        # A size that may be 0 is no factor to leave out.
        if bounds(part, ranges or {})[0] > 0 and isinstance(shorter := difference // part, SymbolicDim):
            difference = shorter
    sides: list[Dim] = [0, 0]
    for monomial, coefficient in difference.terms:
        sides[coefficient < 0] += SymbolicDim(((monomial, abs(coefficient)),)) if monomial else abs(coefficient)
    return sides[0], sides[1]


def dim_max(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> Dim:
    """The larger dimension; symbolic where the ranges do not decide."""
    return _extremum(True, left, right, ranges or {})


def dim_min(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> Dim:
    """The smaller dimension; symbolic where the ranges do not decide."""
    return _extremum(False, left, right, ranges or {})


def evaluate(dim: Dim, bindings: Mapping[str, int]) -> int:
    """The value of `dim` for given names.

    Raises:
        KeyError: a name has no binding.
        ZeroDivisionError: a divisor evaluates to 0.
    """
    value = substitute(dim, bindings)
    if not isinstance(value, int):
        raise KeyError(min(names_of(value) - bindings.keys(), default=str(value)))
    return value


def substitute(
    dim: Dim, values: Mapping[str, Dim] | Mapping[str, int], ranges: Mapping[str, DynamicDim] | None = None
) -> Dim:
    """`dim` with names replaced; names that `values` lacks stay.

    `ranges` are those of the names in the result; without them nothing is known of a name but that it is not negative.
    """
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom, power in monomial:
            factor = _substitute_atom(atom, values, ranges)
            for _ in range(power):
                term = term * factor
        total = total + term
    return total


def _atom_bounds(atom: Atom, ranges: Mapping[str, DynamicDim], effort: int) -> tuple[int, int]:
    if isinstance(atom, str):
        known = ranges.get(atom)
        return (known.min_size, known.max_size) if known else (1, MAX_DIM)
    if isinstance(atom, Quotient):
        low, high = _bounds(atom.numerator, ranges, effort)
        divisor_low, divisor_high = _bounds(atom.divisor, ranges, effort)
        # Where the divisor vanishes evaluation raises, so only other divisors have values.
        if divisor_low == 0 < divisor_high:
            divisor_low = 1
        if divisor_low <= 0:
            reach = max(abs(low), abs(high))
            return -reach, reach
        corners = [a // b for a in (low, high) for b in (divisor_low, divisor_high)]
        return min(corners), max(corners)
    left, right = _bounds(atom.left, ranges, effort), _bounds(atom.right, ranges, effort)
    choose: Callable[[int, int], int] = max if atom.largest else min
    return choose(left[0], right[0]), choose(left[1], right[1])


def from_zero(*dims: Dim) -> dict[str, DynamicDim]:
    """Ranges from 0 on for the names in `dims`: all that is known where a file may say more further on."""
    return {name: DynamicDim(name, min_size=0) for dim in dims for name in names_of(dim)}


def _extremum(largest: bool, left: Dim, right: Dim, ranges: Mapping[str, DynamicDim]) -> Dim:
    if left == right:
        return left
    at_least = is_at_least(left, right, ranges)
    if at_least is True or is_at_least(right, left, ranges) is True:
        return left if (at_least is True) == largest else right
    first, second = sorted((left, right), key=str)
    return SymbolicDim(((((Extremum(largest, first, second), 1),), 1),))


def _substitute_atom(
    atom: Atom, values: Mapping[str, Dim] | Mapping[str, int], ranges: Mapping[str, DynamicDim] | None
) -> Dim:
    if isinstance(atom, str):
        return values.get(atom, symbol(atom))
    if isinstance(atom, Quotient):
        return floor_divide(substitute(atom.numerator, values, ranges), substitute(atom.divisor, values, ranges))
    left, right = (substitute(side, values, ranges) for side in (atom.left, atom.right))
    return _extremum(atom.largest, left, right, from_zero(left, right) if ranges is None else ranges)
