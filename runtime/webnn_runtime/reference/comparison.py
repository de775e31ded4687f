"""Comparisons, logic and choice: results are uint8 with 0 or 1, and any value but 0 is true."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []


def _truth(found: object) -> Array:
    return np.asarray(found, np.uint8)


@kernel("equal")
def equal(a: Array, b: Array) -> Array:
    """a == b; false for NaN."""
    return _truth(np.equal(a, b))


@kernel("notEqual")
def not_equal(a: Array, b: Array) -> Array:
    """a != b; true for NaN."""
    return _truth(np.not_equal(a, b))


@kernel("greater")
def greater(a: Array, b: Array) -> Array:
    """a > b; false for NaN."""
    return _truth(np.greater(a, b))


@kernel("greaterOrEqual")
def greater_or_equal(a: Array, b: Array) -> Array:
    """a >= b; false for NaN."""
    return _truth(np.greater_equal(a, b))


@kernel("lesser")
def lesser(a: Array, b: Array) -> Array:
    """a < b; false for NaN."""
    return _truth(np.less(a, b))


@kernel("lesserOrEqual")
def lesser_or_equal(a: Array, b: Array) -> Array:
    """a <= b; false for NaN."""
    return _truth(np.less_equal(a, b))


@kernel("logicalNot")
def logical_not(a: Array) -> Array:
    """1 where a is 0."""
    return _truth(np.logical_not(a))


@kernel("logicalAnd")
def logical_and(a: Array, b: Array) -> Array:
    """1 where neither is 0."""
    return _truth(np.logical_and(a, b))


@kernel("logicalOr")
def logical_or(a: Array, b: Array) -> Array:
    """1 where either is not 0."""
    return _truth(np.logical_or(a, b))


@kernel("logicalXor")
def logical_xor(a: Array, b: Array) -> Array:
    """1 where exactly one is not 0."""
    return _truth(np.logical_xor(a, b))


@kernel("isNaN")
def is_nan(a: Array) -> Array:
    """1 where a is not a number."""
    return _truth(np.isnan(a))


@kernel("isInfinite")
def is_infinite(a: Array) -> Array:
    """1 where a is infinity of either sign."""
    return _truth(np.isinf(a))


@kernel("where")
def where(condition: Array, true_value: Array, false_value: Array) -> Array:
    """trueValue where the condition is not 0, else falseValue; all three broadcast."""
    return np.where(condition != 0, true_value, false_value)
