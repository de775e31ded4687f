"""Ranges of names, what they decide, and values put in for names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from webnn_runtime.format.dims._expression import (
    MAX_DIM,
    Atom,
    Dim,
    Extremum,
    Quotient,
    SymbolicDim,
    floor_divide,
    is_name,
    names_of,
    symbol,
)
from webnn_runtime.format.records import dataclass

__all__ = ["DynamicDim", "bounds", "dim_max", "dim_min", "evaluate", "is_at_least", "is_equal", "substitute"]


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
                f"dimension '{self.name}' has range {self.min_size}..{self.max_size}; it must lie within 0..{MAX_DIM}"
            )

    @property
    def is_unbounded(self) -> bool:
        """Whether nothing limits the dimension below what WebNN allows at all."""
        return self.max_size == MAX_DIM


def bounds(dim: Dim, ranges: Mapping[str, DynamicDim]) -> tuple[int, int]:
    """Interval that contains every value `dim` can take; a name without a range counts as 1..MAX_DIM."""
    if isinstance(dim, int):
        return dim, dim
    low = high = 0
    for monomial, coefficient in dim.terms:
        term_low, term_high = coefficient, coefficient
        for atom, power in monomial:
            atom_low, atom_high = _atom_bounds(atom, ranges)
            for _ in range(power):
                corners = [a * b for a in (term_low, term_high) for b in (atom_low, atom_high)]
                term_low, term_high = min(corners), max(corners)
        low, high = low + term_low, high + term_high
    return low, high


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


def substitute(dim: Dim, values: Mapping[str, Dim] | Mapping[str, int]) -> Dim:
    """`dim` with names replaced; names that `values` lacks stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        term: Dim = coefficient
        for atom, power in monomial:
            factor = _substitute_atom(atom, values)
            for _ in range(power):
                term = term * factor
        total = total + term
    return total


def _atom_bounds(atom: Atom, ranges: Mapping[str, DynamicDim]) -> tuple[int, int]:
    if isinstance(atom, str):
        known = ranges.get(atom)
        return (known.min_size, known.max_size) if known else (1, MAX_DIM)
    if isinstance(atom, Quotient):
        low, high = bounds(atom.numerator, ranges)
        divisor_low, divisor_high = bounds(atom.divisor, ranges)
        # Where the divisor vanishes evaluation raises, so only other divisors have values.
        if divisor_low == 0 < divisor_high:
            divisor_low = 1
        if divisor_low <= 0:
            reach = max(abs(low), abs(high))
            return -reach, reach
        corners = [a // b for a in (low, high) for b in (divisor_low, divisor_high)]
        return min(corners), max(corners)
    left, right = bounds(atom.left, ranges), bounds(atom.right, ranges)
    choose: Callable[[int, int], int] = max if atom.largest else min
    return choose(left[0], right[0]), choose(left[1], right[1])


def _extremum(largest: bool, left: Dim, right: Dim, ranges: Mapping[str, DynamicDim]) -> Dim:
    if left == right:
        return left
    at_least = is_at_least(left, right, ranges)
    if at_least is True or is_at_least(right, left, ranges) is True:
        return left if (at_least is True) == largest else right
    first, second = sorted((left, right), key=str)
    return SymbolicDim(((((Extremum(largest, first, second), 1),), 1),))


def _substitute_atom(atom: Atom, values: Mapping[str, Dim] | Mapping[str, int]) -> Dim:
    if isinstance(atom, str):
        return values.get(atom, symbol(atom))
    if isinstance(atom, Quotient):
        return floor_divide(substitute(atom.numerator, values), substitute(atom.divisor, values))
    return _extremum(atom.largest, substitute(atom.left, values), substitute(atom.right, values), {})
