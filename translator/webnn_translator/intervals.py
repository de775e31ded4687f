"""Interval analysis of integers: between which two dimension expressions all elements of a value lie.

It proves that an index stays inside a table (or how long a sequence may be so that it does), that 16-bit results
need no wrapping, and that int64 values fit int32. An unknown operator gives no interval: nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np

from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, bounds, is_at_least, product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, TensorType

__all__ = ["Interval", "Known", "interval_of_array", "interval_of_type", "intervals_of_node"]

Ranges: TypeAlias = "Mapping[str, DynamicDim]"
# Floats that are whole numbers and exact: only those have intervals here.
_EXACT: Final = {DataType.FLOAT32: 1 << 24, DataType.FLOAT16: 1 << 11}
# Longer expressions are replaced by the numbers that they lie between.
_MAX_TERMS: Final = 6


@dataclass(frozen=True, slots=True)
class Interval:
    """Every element lies in `low` to `high`, both included, for all values of the names.

    Attributes:
        low: smallest value.
        high: largest value.
    """

    low: Dim
    high: Dim

    def numbers(self, ranges: Ranges) -> tuple[int, int]:
        """The smallest and the largest value over all values of the names."""
        return bounds(self.low, ranges)[0], bounds(self.high, ranges)[1]

    def within(self, low: int, high: int, ranges: Ranges) -> bool:
        """Whether no element leaves `low` to `high`."""
        smallest, largest = self.numbers(ranges)
        return low <= smallest and largest <= high

    def join(self, other: Interval, ranges: Ranges) -> Interval:
        """An interval with the elements of both."""
        return Interval(_smaller(self.low, other.low, ranges), _larger(self.high, other.high, ranges))


# What is known of an operand; None where nothing is, or where it may have wrapped around.
Known: TypeAlias = "Interval | None"
_BIT: Final = Interval(0, 1)


def interval_of_type(dtype: DataType) -> Known:
    """All values of an integer type."""
    return None if dtype.is_float else Interval(*dtype.bounds)


def interval_of_array(array: Array, dtype: DataType) -> Known:
    """The extremes of a constant."""
    if array.size == 0 or (dtype.is_float and not _is_whole(array, dtype)):
        return None
    return interval_of_type(dtype) if dtype.bits <= 8 else Interval(int(array.min()), int(array.max()))


def intervals_of_node(
    op: str,
    operands: Sequence[Known],
    kinds: Sequence[TensorType | None],
    options: Mapping[str, Any],
    results: Sequence[TensorType],
    ranges: Ranges,
) -> tuple[Known, ...]:
    """What is known of the results of one WebNN node.

    Args:
        op: operator.
        operands: what is known of its operands; None also where an optional one is absent.
        kinds: their types; None where absent.
        options: in the WebNN spelling.
        results: types of the results.
        ranges: of the named dimensions.
    """
    rule = _RULES.get(op)
    found = rule(_Call(operands, kinds, options, results[0], ranges)) if rule is not None else None
    return tuple(_checked(found, kind.dtype, ranges) for kind in results)


@dataclass(frozen=True, slots=True)
class _Call:
    operands: Sequence[Known]
    kinds: Sequence[TensorType | None]
    options: Mapping[str, Any]
    result: TensorType
    ranges: Ranges

    def shape(self, index: int = 0) -> tuple[Dim, ...]:
        kind = self.kinds[index]
        assert kind is not None
        return kind.shape


_Rule: TypeAlias = Callable[[_Call], Known]


def _checked(found: Known, dtype: DataType, ranges: Ranges) -> Known:
    if found is None:
        # What bytes hold is what the operator defines; they have no wider form here that they could leave.
        return interval_of_type(dtype) if dtype.bits <= 8 else None
    low, high = (-_EXACT[dtype], _EXACT[dtype]) if dtype.is_float else dtype.bounds
    if not found.within(low, high, ranges):
        return interval_of_type(dtype) if dtype.bits <= 8 else None
    return Interval(_short(found.low, ranges, 0), _short(found.high, ranges, 1))


def _short(dim: Dim, ranges: Ranges, side: int) -> Dim:
    if isinstance(dim, SymbolicDim) and len(dim.terms) > _MAX_TERMS:
        return bounds(dim, ranges)[side]
    return dim


def _is_whole(array: Array, dtype: DataType) -> bool:
    # Only small ones: masks and flags, not weights.
    if array.size > 1024 or not np.isfinite(array).all():
        return False
    return bool((np.rint(array) == array).all() and np.abs(array).max() <= _EXACT[dtype])


def _larger(left: Dim, right: Dim, ranges: Ranges) -> Dim:
    if is_at_least(left, right, ranges):
        return left
    return right if is_at_least(right, left, ranges) else max(bounds(left, ranges)[1], bounds(right, ranges)[1])


def _smaller(left: Dim, right: Dim, ranges: Ranges) -> Dim:
    if is_at_least(right, left, ranges):
        return left
    return right if is_at_least(left, right, ranges) else min(bounds(left, ranges)[0], bounds(right, ranges)[0])


def _first(call: _Call) -> Known:
    """Elements are moved, chosen or left out."""
    return call.operands[0]


def _join(*positions: int) -> _Rule:
    def rule(call: _Call) -> Known:
        found: Known = None
        for index, position in enumerate(positions or range(len(call.operands))):
            one = call.operands[position]
            if one is None:
                return None
            found = one if index == 0 or found is None else found.join(one, call.ranges)
        return found

    return rule


def _bit(_: _Call) -> Known:
    return _BIT


def _both(call: _Call) -> tuple[Interval, Interval] | None:
    left, right = call.operands[0], call.operands[1]
    return None if left is None or right is None else (left, right)


def _add(call: _Call) -> Known:
    pair = _both(call)
    return pair and Interval(pair[0].low + pair[1].low, pair[0].high + pair[1].high)


def _sub(call: _Call) -> Known:
    pair = _both(call)
    return pair and Interval(pair[0].low - pair[1].high, pair[0].high - pair[1].low)


def _product(left: Interval, right: Interval, ranges: Ranges) -> Interval:
    if is_at_least(left.low, 0, ranges) and is_at_least(right.low, 0, ranges):
        return Interval(left.low * right.low, left.high * right.high)
    corners = [a * b for a in left.numbers(ranges) for b in right.numbers(ranges)]
    return Interval(min(corners), max(corners))


def _mul(call: _Call) -> Known:
    pair = _both(call)
    return pair and _product(*pair, call.ranges)


def _div(call: _Call) -> Known:
    pair = _both(call)
    if pair is None or call.result.dtype.is_float:
        return None
    low, high = pair[0].numbers(call.ranges)
    # The divisor 0 has no result; all others are at least 1 in magnitude, so that a result is no larger than x.
    smallest, largest = pair[1].numbers(call.ranges)
    if smallest > 0:
        quotients = [_truncated(a, b) for a in (low, high) for b in (smallest, largest)]
        return Interval(min(quotients), max(quotients))
    reach = max(abs(low), abs(high))
    return Interval(-reach, reach)


def _truncated(left: int, right: int) -> int:
    return abs(left) // right * (1 if left >= 0 else -1)


def _neg(call: _Call) -> Known:
    one = call.operands[0]
    return one and Interval(-one.high, -one.low)


def _abs(call: _Call) -> Known:
    one = call.operands[0]
    if one is None or is_at_least(one.low, 0, call.ranges):
        return one
    low, high = one.numbers(call.ranges)
    return Interval(0, max(abs(low), abs(high)))


def _extremum(choose: Callable[[Dim, Dim, Ranges], Dim]) -> _Rule:
    def rule(call: _Call) -> Known:
        pair = _both(call)
        if pair is None:
            return None
        left, right = pair
        return Interval(choose(left.low, right.low, call.ranges), choose(left.high, right.high, call.ranges))

    return rule


def _clamp(call: _Call) -> Known:
    least, most = call.options.get("minValue"), call.options.get("maxValue")
    one = call.operands[0]
    if one is None:
        # Data of unknown size is cut to the bounds.
        if least is None or most is None or not (math.isfinite(least) and math.isfinite(most)):
            return None
        return Interval(math.floor(least), math.ceil(most))
    low, high = one.low, one.high
    if least is not None and math.isfinite(least):
        low, high = (_larger(end, math.floor(least), call.ranges) for end in (low, high))
    if most is not None and math.isfinite(most):
        low, high = (_smaller(end, math.ceil(most), call.ranges) for end in (low, high))
    return Interval(low, high)


def _relu(call: _Call) -> Known:
    one = call.operands[0]
    return one and Interval(_larger(one.low, 0, call.ranges), _larger(one.high, 0, call.ranges))


def _cast(call: _Call) -> Known:
    one = call.operands[0]
    if one is None:
        # A float that nothing is known of; what it becomes at least lies in the type.
        return interval_of_type(call.result.dtype)
    dtype = call.result.dtype
    if not dtype.is_float and not one.within(*dtype.bounds, call.ranges):
        return interval_of_type(dtype)
    return one


def _pad(call: _Call) -> Known:
    one = call.operands[0]
    if one is None or call.options.get("mode", "constant") != "constant":
        return one
    value = call.options.get("value", 0)
    if not math.isfinite(value):
        return None
    return one.join(Interval(math.floor(value), math.ceil(value)), call.ranges)


def _or_zero(call: _Call) -> Known:
    one = call.operands[0]
    return one and one.join(Interval(0, 0), call.ranges)


def _times(one: Known, count: Dim, ranges: Ranges) -> Known:
    """The sum of up to `count` elements, none of them included."""
    if one is None:
        return None
    whole = Interval(_smaller(one.low, 0, ranges), _larger(one.high, 0, ranges))
    low = whole.low * count if whole.low != 0 else 0
    return Interval(low, whole.high * count)


def _cumulative(call: _Call) -> Known:
    axis = call.options["axis"]
    return _times(call.operands[0], call.shape()[int(axis)], call.ranges)


def _sum(call: _Call) -> Known:
    shape = call.shape()
    axes = call.options.get("axes")
    summed = [shape[axis] for axis in (range(len(shape)) if axes is None else axes)]
    one = call.operands[0]
    if one is not None and one.low == one.high:
        # Ones are counted: the sum is known, not only its bounds.
        return Interval(one.low * product(summed), one.high * product(summed))
    return _times(one, product(summed), call.ranges)


def _position(call: _Call) -> Known:
    return Interval(0, call.shape()[int(call.options["axis"])] - 1)


_RULES: Final[dict[str, _Rule]] = {
    **dict.fromkeys(
        (
            *("identity", "reshape", "expand", "slice", "transpose", "reverse", "split", "tile", "reduceMax"),
            *("reduceMin", "gather", "gatherElements", "gatherND", "floor", "ceil", "roundEven"),
        ),
        _first,
    ),
    **dict.fromkeys(
        (
            *("equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "isNaN", "isInfinite"),
            *("logicalAnd", "logicalOr", "logicalXor", "logicalNot"),
        ),
        _bit,
    ),
    "concat": _join(),
    "where": _join(1, 2),
    "scatterElements": _join(0, 2),
    "scatterND": _join(0, 2),
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "abs": _abs,
    "sign": lambda _: Interval(-1, 1),
    "max": _extremum(_larger),
    "min": _extremum(_smaller),
    "clamp": _clamp,
    "relu": _relu,
    "cast": _cast,
    "pad": _pad,
    "triangular": _or_zero,
    "cumulativeSum": _cumulative,
    "reduceSum": _sum,
    "argMax": _position,
    "argMin": _position,
}
