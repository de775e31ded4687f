"""Dimensions: integers, named dimensions, and integer expressions of those.

A `Dim` is an `int` or a `SymbolicDim`. A symbolic dimension is a polynomial with integer coefficients
over *atoms*: names, floor quotients, and minima or maxima of two dimensions. It is kept in one canonical
form, so `==` means "equal for all values of the names" wherever a polynomial identity can show it. An
expression without names is always an `int`, never a constant polynomial.

Names are plain identifiers here; the range of a name is a fact of the graph (`Graph.dims`), so that a
maximum learned late changes no expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Final, TypeAlias, TypeVar

__all__ = [
    "MAX_DIM",
    "Dim",
    "DynamicDim",
    "SymbolicDim",
    "bounds",
    "ceil_div",
    "dim_max",
    "dim_min",
    "evaluate",
    "is_at_least",
    "is_equal",
    "names_of",
    "parse_dim",
    "product",
    "rebuild",
    "substitute",
    "symbol",
]

# The largest valid WebNN dimension (a positive 32-bit signed integer).
MAX_DIM: Final = 2**31 - 1
# Expressions come from hostile files too: what real exporters produce stays far below these.
_MAX_TERMS: Final = 256
_MAX_TEXT: Final = 4096
_MAX_DEPTH: Final = 64
_MAX_POWER: Final = 16
_MAX_DIGITS: Final = 19


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
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"dimension name '{self.name}' is not an identifier; use letters, digits and _")
        if not 0 <= self.min_size <= self.max_size <= MAX_DIM:
            raise ValueError(
                f"dimension '{self.name}' has range {self.min_size}..{self.max_size}; it must lie within 0..{MAX_DIM}"
            )

    @property
    def is_unbounded(self) -> bool:
        """Whether nothing limits the dimension below what WebNN allows at all."""
        return self.max_size == MAX_DIM


@dataclass(frozen=True, slots=True)
class _Quotient:
    """floor(numerator / divisor), where it does not divide out."""

    numerator: SymbolicDim
    divisor: Dim

    def __str__(self) -> str:
        return f"{_grouped(self.numerator)}//{_grouped(self.divisor, tight=True)}"


@dataclass(frozen=True, slots=True)
class _Extremum:
    """The larger or smaller of two dimensions, where the ranges do not decide."""

    largest: bool
    left: Dim
    right: Dim

    def __str__(self) -> str:
        return f"{'max' if self.largest else 'min'}({self.left}, {self.right})"


_T = TypeVar("_T")
_Atom: TypeAlias = "str | _Quotient | _Extremum"
_Monomial: TypeAlias = "tuple[tuple[_Atom, int], ...]"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class SymbolicDim:
    """A canonical polynomial; make one with `symbol` and arithmetic, not by hand.

    Attributes:
        terms: (monomial, coefficient) pairs, highest degree first; a monomial is a sorted tuple of
            (atom, power) pairs. No coefficient is 0, and at least one monomial is not empty.
    """

    terms: tuple[tuple[_Monomial, int], ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.terms))

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Dim) -> Dim:
        total = dict(self.terms)
        for monomial, coefficient in _terms(other):
            total[monomial] = total.get(monomial, 0) + coefficient
        return _canonical(total)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        total: dict[_Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = _times(left, right)
                total[monomial] = total.get(monomial, 0) + a * b
        return _canonical(total)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return _floor_divide(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return _floor_divide(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return self - _floor_divide(self, other) * other

    def __rmod__(self, other: Dim) -> Dim:
        return other - _floor_divide(other, self) * self

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            magnitude = abs(coefficient)
            # A quotient alone needs no brackets, except after a leading sign, which Python binds tighter.
            alone = len(monomial) == 1 and magnitude == 1 and (bool(text) or coefficient > 0)
            factors = [_power_text(atom, power, alone=alone) for atom, power in monomial]
            if magnitude != 1 or not factors:
                factors.insert(0, str(magnitude))
            sign = ("-" if coefficient < 0 else "") if not text else (" - " if coefficient < 0 else " + ")
            text += sign + "*".join(factors)
        return text

    def __repr__(self) -> str:
        return f"SymbolicDim({str(self)!r})"


Dim: TypeAlias = "int | SymbolicDim"


def symbol(name: str) -> SymbolicDim:
    """The dimension called `name`.

    Raises:
        ValueError: `name` is not an identifier.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"dimension name '{name}' is not an identifier; use letters, digits and _")
    return SymbolicDim(((((name, 1),), 1),))


def product(dims: Iterator[Dim] | tuple[Dim, ...] | list[Dim]) -> Dim:
    """Product of dimensions; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def ceil_div(numerator: Dim, divisor: Dim) -> Dim:
    """Quotient rounded up, for a positive divisor."""
    return (numerator + divisor - 1) // divisor


def dim_max(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> Dim:
    """The larger dimension; symbolic where the ranges do not decide."""
    return _extremum(True, left, right, ranges or {})


def dim_min(left: Dim, right: Dim, ranges: Mapping[str, DynamicDim] | None = None) -> Dim:
    """The smaller dimension; symbolic where the ranges do not decide."""
    return _extremum(False, left, right, ranges or {})


def names_of(dim: Dim) -> frozenset[str]:
    """All names that occur in `dim`."""
    if isinstance(dim, int):
        return frozenset()
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom, _ in monomial:
            if isinstance(atom, str):
                found.add(atom)
            elif isinstance(atom, _Quotient):
                found |= names_of(atom.numerator) | names_of(atom.divisor)
            else:
                found |= names_of(atom.left) | names_of(atom.right)
    return frozenset(found)


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


def rebuild(
    dim: Dim,
    *,
    integer: Callable[[int], _T],
    name: Callable[[str], _T],
    combine: Callable[[str, _T, _T], _T],
) -> _T:
    """`dim` in another arithmetic: `combine` gets `+`, `*`, `//` (rounding down), `min` or `max` and two values."""
    if isinstance(dim, int):
        return integer(dim)

    def atom_value(atom: _Atom) -> _T:
        if isinstance(atom, str):
            return name(atom)
        left: Dim
        if isinstance(atom, _Quotient):
            sign, left, right = "//", atom.numerator, atom.divisor
        else:
            sign, left, right = "max" if atom.largest else "min", atom.left, atom.right
        return combine(
            sign,
            rebuild(left, integer=integer, name=name, combine=combine),
            rebuild(right, integer=integer, name=name, combine=combine),
        )

    terms: list[_T] = []
    for monomial, coefficient in dim.terms:
        factors = [atom_value(atom) for atom, power in monomial for _ in range(power)]
        if coefficient != 1 or not factors:
            factors.append(integer(coefficient))
        terms.append(reduce(lambda a, b: combine("*", a, b), factors))
    return reduce(lambda a, b: combine("+", a, b), terms)


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


def parse_dim(text: str) -> Dim:
    """Read what `str(dim)` prints: + - * // ** ( ) min(a, b) max(a, b), integers and names.

    Raises:
        ValueError: the text is no such expression, divides by zero, or is unreasonably large.
    """
    if len(text) > _MAX_TEXT:
        raise ValueError(f"dimension expression of {len(text)} characters; at most {_MAX_TEXT} are read")
    return _Reader(text).whole()


# Arithmetic on canonical forms


def _terms(dim: Dim) -> tuple[tuple[_Monomial, int], ...]:
    return dim.terms if isinstance(dim, SymbolicDim) else ((((), dim),) if dim else ())


def _times(left: _Monomial, right: _Monomial) -> _Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=_atom_order))


def _atom_order(item: tuple[_Atom, int]) -> tuple[int, str]:
    # Names before compound atoms, each alphabetically: any fixed total order makes the form canonical.
    return (0 if isinstance(item[0], str) else 1, str(item[0]))


def _term_order(term: tuple[_Monomial, int]) -> tuple[int, tuple[tuple[tuple[int, str], int], ...]]:
    monomial = term[0]
    degree = sum(power for _, power in monomial)
    return (-degree, tuple((_atom_order(item), -item[1]) for item in monomial))


def _canonical(total: Mapping[_Monomial, int]) -> Dim:
    kept = [(monomial, coefficient) for monomial, coefficient in total.items() if coefficient]
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == ():
        return kept[0][1]
    if len(kept) > _MAX_TERMS:
        raise ValueError(f"dimension expression with {len(kept)} terms; at most {_MAX_TERMS} are kept")
    # Nearly all dimensions of real models have one term.
    return SymbolicDim(tuple(kept if len(kept) == 1 else sorted(kept, key=_term_order)))


def _floor_divide(numerator: Dim, divisor: Dim) -> Dim:
    if isinstance(divisor, int):
        if divisor == 0:
            raise ZeroDivisionError(f"dimension '{numerator}' divided by 0")
        if isinstance(numerator, int):
            return numerator // divisor
        if divisor < 0:
            numerator, divisor = -numerator, -divisor
        # floor((q*d + r)/d) = q + floor(r/d): take out what divides, so that equal forms meet.
        whole: Dim = 0
        rest: Dim = 0
        for monomial, coefficient in _terms(numerator):
            whole = whole + _canonical({monomial: coefficient // divisor})
            rest = rest + _canonical({monomial: coefficient % divisor})
        return whole + (_quotient(rest, divisor) if isinstance(rest, SymbolicDim) else rest // divisor)
    if isinstance(numerator, int) and numerator == 0:
        return 0
    exact = _divide_exactly(numerator, divisor)
    if exact is not None:
        return exact
    if isinstance(numerator, int):
        # A constant over a name: keep it as an atom through a one-term polynomial.
        return SymbolicDim(((((_Quotient(_constant(numerator), divisor), 1),), 1),))
    return _quotient(numerator, divisor)


def _constant(value: int) -> SymbolicDim:
    # The only place where a constant polynomial exists: inside a quotient, whose fields are typed alike.
    return SymbolicDim((((), value),))


def _quotient(numerator: SymbolicDim, divisor: Dim) -> SymbolicDim:
    return SymbolicDim(((((_Quotient(numerator, divisor), 1),), 1),))


def _divide_exactly(numerator: Dim, divisor: SymbolicDim) -> Dim | None:
    """Numerator / divisor as a polynomial, or None when a remainder is left."""
    lead, lead_coefficient = divisor.terms[0]
    result: Dim = 0
    rest: Dim = numerator
    for _ in range(_MAX_TERMS):
        if isinstance(rest, int) and rest == 0:
            return result
        monomial, coefficient = _terms(rest)[0]
        factor = _divide_monomial(monomial, lead)
        if factor is None or coefficient % lead_coefficient:
            return None
        step = _canonical({factor: coefficient // lead_coefficient})
        result = result + step
        rest = rest - step * divisor
    return None


def _divide_monomial(numerator: _Monomial, divisor: _Monomial) -> _Monomial | None:
    powers = dict(numerator)
    for atom, power in divisor:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    return tuple(sorted(((atom, power) for atom, power in powers.items() if power), key=_atom_order))


def _extremum(largest: bool, left: Dim, right: Dim, ranges: Mapping[str, DynamicDim]) -> Dim:
    if left == right:
        return left
    at_least = is_at_least(left, right, ranges)
    if at_least is True or is_at_least(right, left, ranges) is True:
        return left if (at_least is True) == largest else right
    first, second = sorted((left, right), key=str)
    return SymbolicDim(((((_Extremum(largest, first, second), 1),), 1),))


def _substitute_atom(atom: _Atom, values: Mapping[str, Dim] | Mapping[str, int]) -> Dim:
    if isinstance(atom, str):
        return values.get(atom, symbol(atom))
    if isinstance(atom, _Quotient):
        return _floor_divide(substitute(atom.numerator, values), substitute(atom.divisor, values))
    return _extremum(atom.largest, substitute(atom.left, values), substitute(atom.right, values), {})


def _atom_bounds(atom: _Atom, ranges: Mapping[str, DynamicDim]) -> tuple[int, int]:
    if isinstance(atom, str):
        known = ranges.get(atom)
        return (known.min_size, known.max_size) if known else (1, MAX_DIM)
    if isinstance(atom, _Quotient):
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


# Text


def _grouped(dim: Dim, *, tight: bool = False) -> str:
    text = str(dim)
    simple = _NAME.fullmatch(text) or text.isdigit() or (not tight and re.fullmatch(r"[\w*]+", text))
    return text if simple else f"({text})"


def _power_text(atom: _Atom, power: int, *, alone: bool = False) -> str:
    base = str(atom)
    if isinstance(atom, _Quotient) and not (alone and power == 1):
        base = f"({base})"
    return "*".join([base] * power)


class _Reader:
    """Recursive descent over: sum = term {(+|-) term}; term = factor {(*|//) factor}."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = re.findall(r"\s*(//|[-+*(),]|\d+|[A-Za-z_][A-Za-z0-9_]*|\S)", text)
        self.position = 0

    def whole(self) -> Dim:
        try:
            value = self.sum(0)
        except ZeroDivisionError as exc:
            raise ValueError(f"dimension expression '{self.text}' divides by zero") from exc
        if self.position != len(self.tokens):
            raise self.error()
        return value

    def error(self) -> ValueError:
        found = self.tokens[self.position] if self.position < len(self.tokens) else "the end"
        return ValueError(f"dimension expression '{self.text}': unexpected {found}")

    def take(self, *expected: str) -> str | None:
        if self.position < len(self.tokens) and self.tokens[self.position] in expected:
            self.position += 1
            return self.tokens[self.position - 1]
        return None

    def sum(self, depth: int) -> Dim:
        if depth > _MAX_DEPTH:
            raise ValueError("dimension expression is nested too deeply")
        value: Dim = self.term(depth) if not self.take("-") else -self.term(depth)
        while sign := self.take("+", "-"):
            value = value + self.term(depth) if sign == "+" else value - self.term(depth)
        return value

    def term(self, depth: int) -> Dim:
        value = self.factor(depth)
        while sign := self.take("*", "//"):
            right = self.factor(depth)
            value = value * right if sign == "*" else value // right
            if isinstance(value, SymbolicDim) and sum(p for _, p in value.terms[0][0]) > _MAX_POWER:
                raise ValueError(f"dimension expression '{self.text}' has a degree above {_MAX_POWER}")
        return value

    def factor(self, depth: int) -> Dim:
        if self.take("("):
            value = self.sum(depth + 1)
            self.expect(")")
            return value
        if self.position >= len(self.tokens):
            raise self.error()
        token = self.tokens[self.position]
        self.position += 1
        if token.isascii() and token.isdigit():
            if len(token) > _MAX_DIGITS:
                raise ValueError(f"dimension expression holds an integer of {len(token)} digits")
            return int(token)
        if token in ("min", "max") and self.take("("):
            left = self.sum(depth + 1)
            self.expect(",")
            right = self.sum(depth + 1)
            self.expect(")")
            return dim_max(left, right) if token == "max" else dim_min(left, right)
        if _NAME.fullmatch(token):
            return symbol(token)
        self.position -= 1
        raise self.error()

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.error()
