"""Canonical polynomials over names, floor quotients and extrema, and how they print."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from typing import Final, TypeAlias, TypeVar

from webnn_runtime.format.records import dataclass, field

__all__ = [
    "MAX_DIM",
    "Atom",
    "Dim",
    "Extremum",
    "Quotient",
    "SymbolicDim",
    "ceil_div",
    "factors_of",
    "floor_divide",
    "is_name",
    "names_of",
    "product",
    "rebuild",
    "symbol",
]

# The largest valid WebNN dimension (a positive 32-bit signed integer).
MAX_DIM: Final = 2**31 - 1
# NumPy 1 stops here, and the reference is what any backend may fall to.
MAX_RANK: Final = 32
# Expressions come from hostile files too: what real exporters produce stays far below this.
_MAX_TERMS: Final = 256
# Powers double with every product of a size with itself, and the numbers in their ranges with them.
MAX_DEGREE: Final = 64
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Quotient:
    """floor(numerator / divisor), where it does not divide out."""

    numerator: SymbolicDim
    divisor: Dim

    def __str__(self) -> str:
        return f"{_grouped(self.numerator)}//{_grouped(self.divisor, tight=True)}"


@dataclass(frozen=True, slots=True)
class Extremum:
    """The larger or smaller of two dimensions, where the ranges do not decide."""

    largest: bool
    left: Dim
    right: Dim

    def __str__(self) -> str:
        return f"{'max' if self.largest else 'min'}({self.left}, {self.right})"


Atom: TypeAlias = "str | Quotient | Extremum"
Monomial: TypeAlias = "tuple[tuple[Atom, int], ...]"


@dataclass(frozen=True, slots=True)
class SymbolicDim:
    """A canonical polynomial; make one with `symbol` and arithmetic, not by hand.

    Attributes:
        terms: (monomial, coefficient) pairs, highest degree first; a monomial is a sorted tuple of
            (atom, power) pairs. No coefficient is 0, and at least one monomial is not empty.
    """

    terms: tuple[tuple[Monomial, int], ...]
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
        total: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in _terms(other):
                monomial = _times(left, right)
                total[monomial] = total.get(monomial, 0) + a * b
        return _canonical(total)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return floor_divide(self, other)

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floor_divide(other, self)

    def __mod__(self, other: Dim) -> Dim:
        return self - floor_divide(self, other) * other

    def __rmod__(self, other: Dim) -> Dim:
        return other - floor_divide(other, self) * self

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


def is_name(text: str) -> bool:
    """Whether a dimension may be called so: letters, digits and _, no digit first."""
    return text.isascii() and text.isidentifier()


def symbol(name: str) -> SymbolicDim:
    """The dimension called `name`.

    Raises:
        ValueError: `name` is not an identifier.
    """
    if not is_name(name):
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


def names_of(dim: Dim) -> frozenset[str]:
    """All names that occur in `dim`."""
    if isinstance(dim, int):
        return frozenset()
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom, _ in monomial:
            if isinstance(atom, str):
                found.add(atom)
            elif isinstance(atom, Quotient):
                found |= names_of(atom.numerator) | names_of(atom.divisor)
            else:
                found |= names_of(atom.left) | names_of(atom.right)
    return frozenset(found)


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

    def atom_value(atom: Atom) -> _T:
        if isinstance(atom, str):
            return name(atom)
        left: Dim
        if isinstance(atom, Quotient):
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


# Arithmetic on canonical forms


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, SymbolicDim) else ((((), dim),) if dim else ())


def _times(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    powers = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=_atom_order))


def _atom_order(item: tuple[Atom, int]) -> tuple[int, str]:
    # Names before compound atoms, each alphabetically: any fixed total order makes the form canonical.
    return (0 if isinstance(item[0], str) else 1, str(item[0]))


def _term_order(term: tuple[Monomial, int]) -> tuple[int, tuple[tuple[tuple[int, str], int], ...]]:
    monomial = term[0]
    degree = sum(power for _, power in monomial)
    return (-degree, tuple((_atom_order(item), -item[1]) for item in monomial))


def _canonical(total: Mapping[Monomial, int]) -> Dim:
    kept = [(monomial, coefficient) for monomial, coefficient in total.items() if coefficient]
    if not kept:
        return 0
    if len(kept) == 1 and kept[0][0] == ():
        return kept[0][1]
    if len(kept) > _MAX_TERMS:
        raise ValueError(f"dimension expression with {len(kept)} terms; at most {_MAX_TERMS} are kept")
    degree = max(sum(power for _, power in monomial) for monomial, _ in kept)
    if degree > MAX_DEGREE:
        raise ValueError(f"dimension expression has the degree {degree}; at most {MAX_DEGREE} is kept")
    # Nearly all dimensions of real models have one term.
    return SymbolicDim(tuple(kept if len(kept) == 1 else sorted(kept, key=_term_order)))


def floor_divide(numerator: Dim, divisor: Dim) -> Dim:
    if isinstance(divisor, int):
        if divisor == 0:
            raise ZeroDivisionError(f"dimension '{numerator}' divided by 0")
        if isinstance(numerator, int):
            return numerator // divisor
        if divisor < 0:
            numerator, divisor = -numerator, -divisor
        # floor((q*d + r)/d) = q + floor(r/d): take out what divides, so that equal forms meet.
        signs = [coefficient < 0 for monomial, coefficient in _terms(numerator) if monomial and coefficient % divisor]
        if signs and signs[0]:
            # -n//4 is -((n + 3)//4). In the form 3*n//4 - n nobody sees that a size less it is never 0.
            return -floor_divide(divisor - 1 - numerator, divisor)
        whole: Dim = 0
        rest: Dim = 0
        for monomial, coefficient in _terms(numerator):
            whole = whole + _canonical({monomial: coefficient // divisor})
            rest = rest + _canonical({monomial: coefficient % divisor})
        if isinstance(rest, int):
            return whole + rest // divisor
        if (shared := math.gcd(divisor, *(coefficient for monomial, coefficient in rest.terms if monomial))) > 1:
            # floor((c*n + r)/(c*d)) is floor((n + floor(r/c))/d).
            less = _canonical({monomial: coefficient // shared for monomial, coefficient in rest.terms})
            return whole + floor_divide(less, divisor // shared)
        if len(rest.terms) == 1 and (inner := _divided_once(rest)) is not None:
            # floor(floor(n/c)/d) is floor(n/(c*d)).
            return whole + floor_divide(inner.numerator, inner.divisor * divisor)
        return whole + _quotient(rest, divisor)
    if numerator == 0:
        return 0
    cancelled = _cancelled(numerator, divisor)
    if cancelled is not None:
        return floor_divide(*cancelled)
    # A constant over a name: keep it as an atom through a one-term polynomial.
    return _quotient(_constant(numerator) if isinstance(numerator, int) else numerator, divisor)


def _divided_once(dim: SymbolicDim) -> Quotient | None:
    """The quotient by a positive number that `dim` is, and nothing else."""
    ((monomial, coefficient),) = dim.terms
    if coefficient != 1 or len(monomial) != 1 or monomial[0][1] != 1:
        return None
    atom = monomial[0][0]
    return atom if isinstance(atom, Quotient) and isinstance(atom.divisor, int) and atom.divisor > 0 else None


def _constant(value: int) -> SymbolicDim:
    # The only place where a constant polynomial exists: inside a quotient, whose fields are typed alike.
    return SymbolicDim((((), value),))


def _quotient(numerator: SymbolicDim, divisor: Dim) -> SymbolicDim:
    return SymbolicDim(((((Quotient(numerator, divisor), 1),), 1),))


def _cancelled(numerator: Dim, divisor: SymbolicDim) -> tuple[Dim, Dim] | None:
    """Both without a factor that they share, the divisor beginning with a positive term; None where they are so."""
    # Of sums, only whole ones are looked for: (a + 1)*b and (a + 1)*c share one, which they show without b or c.
    for factor in (_content(numerator, divisor), _sum_in(divisor), _sum_in(numerator)):
        if factor != 1:
            parts = _divide_exactly(numerator, factor), _divide_exactly(divisor, factor)
            if parts[0] is not None and parts[1] is not None:
                return parts[0], parts[1]
    return None


def _content(*dims: Dim) -> Dim:
    """The largest product of a number and atoms that divides every term, with the sign of the last dimension."""
    terms = [term for dim in dims for term in _terms(dim)]
    powers = dict(terms[0][0])
    for monomial, _ in terms:
        others = dict(monomial)
        powers = {atom: min(power, others[atom]) for atom, power in powers.items() if atom in others}
    number = math.gcd(*(coefficient for _, coefficient in terms))
    return _canonical({tuple(powers.items()): number if _terms(dims[-1])[0][1] > 0 else -number})


def factors_of(*dims: Dim) -> list[Dim]:
    """The number and the atoms, each as often as it is there, that divide every term of all dimensions."""
    ((monomial, number),) = _terms(_content(*dims))
    return [abs(number), *(SymbolicDim(((((atom, 1),), 1),)) for atom, power in monomial for _ in range(power))]


def _sum_in(dim: Dim) -> Dim:
    """What `_content` leaves of a dimension: a sum, or 1."""
    left = _divide_exactly(dim, _content(dim))
    assert left is not None
    return left


def _divide_exactly(numerator: Dim, divisor: Dim) -> Dim | None:
    """Numerator / divisor as a polynomial, or None when a remainder is left, or the way is too long."""
    lead, lead_coefficient = _terms(divisor)[0]
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
        try:
            rest = rest - step * divisor
        except ValueError:  # more terms than are kept
            return None
    return None


def _divide_monomial(numerator: Monomial, divisor: Monomial) -> Monomial | None:
    powers = dict(numerator)
    for atom, power in divisor:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    return tuple(sorted(((atom, power) for atom, power in powers.items() if power), key=_atom_order))


# Text


def _grouped(dim: Dim, *, tight: bool = False) -> str:
    text = str(dim)
    simple = is_name(text) or text.isdigit() or (not tight and text.replace("_", "0").replace("*", "0").isalnum())
    return text if simple else f"({text})"


def _power_text(atom: Atom, power: int, *, alone: bool = False) -> str:
    base = str(atom)
    if isinstance(atom, Quotient) and not (alone and power == 1):
        base = f"({base})"
    return "*".join([base] * power)
