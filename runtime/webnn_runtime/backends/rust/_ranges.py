"""Between which numbers the elements of a value lie: enough to see that a mask hides what it hides.

What no rule knows lies anywhere. A product with zero counts as zero: numbers that are not finite would spoil every
padded run of the model as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from webnn_runtime.backends.rust._calls import Call
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.ops import OPS

__all__ = ["ANYTHING", "ONE", "ZERO", "Range", "compares", "range_of", "range_of_constant"]

# Constants of more elements are not looked through: a causal mask of 512 tokens has 262,144.
_MOST_ELEMENTS: Final = 1 << 19


class Range(NamedTuple):
    """All numbers from `low` to `high`; ANYTHING includes NaN."""

    low: float
    high: float

    @property
    def is_number(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high and math.isfinite(self.low)

    def union(self, other: Range) -> Range:
        """The smallest range with both."""
        return Range(min(self.low, other.low), max(self.high, other.high))


ANYTHING: Final = Range(-math.inf, math.inf)
ONE: Final = Range(1.0, 1.0)
ZERO: Final = Range(0.0, 0.0)
_TRUTH: Final = Range(0.0, 1.0)
# Integers up to here are floats of their own, whatever type they are of.
_MOST_EXACT: Final = 1 << 53
_FLOATS: Final = (DataType.FLOAT32, DataType.FLOAT16)
_COMPARES: Final = frozenset({"equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "sub"})
_SAME: Final = frozenset({"cast", "identity", "expand", "reshape", "transpose"})


def compares(call: Call) -> bool:
    """Whether a call says how far two numbers are apart, or which is larger, and so the same for all equal ones."""
    return call.operator in _COMPARES


def range_of_constant(array: Array) -> Range:
    """The range of a constant's elements."""
    if array.size == 0 or array.size > _MOST_ELEMENTS:
        return ANYTHING
    low, high = float(array.min()), float(array.max())
    return ANYTHING if math.isnan(low) or math.isnan(high) else Range(low, high)


def range_of(call: Call, operands: Sequence[Range], kinds: Sequence[TensorType]) -> Range:
    """The range of an element that is computed from one element of each operand.

    Args:
        call: what computes it.
        operands: those of the operands that are there.
        kinds: their types.
    """
    if call.kind == "truth":
        if operands[0] == ZERO or operands[0].low > 0:
            return Range(*[float((operands[0] != ZERO) != call.attributes["inverted"][1])] * 2)
        return _TRUTH
    if call.node is None:
        return ANYTHING
    op = call.node.op
    if op == "where" and (operands[0] == ZERO or operands[0].low > 0):
        return operands[2] if operands[0] == ZERO else operands[1]
    if all(operand.is_number for operand in operands):
        return _number(call, operands, kinds)
    if op == "cast" and call.node.options["to"] not in _FLOATS:
        # Fractions are cut off; what the type might not hold could become anything.
        low, high = operands[0]
        return Range(math.floor(low), math.ceil(high)) if low >= 0 and high <= 127 else ANYTHING
    if op in _SAME:
        return operands[0]
    if op == "where":
        return operands[1].union(operands[2])
    if op == "logicalAnd" and ZERO in operands:
        return ZERO
    if OPS[op].family == "comparison":
        return _TRUTH
    return _arithmetic(op, operands)


def _arithmetic(op: str, operands: Sequence[Range]) -> Range:
    if op == "mul":
        if ZERO in operands:
            return ZERO
        ends = [a * b for a in operands[0] for b in operands[1]]
        return Range(min(ends), max(ends)) if all(map(math.isfinite, ends)) else ANYTHING
    if op in ("add", "sub", "max", "min"):
        (a, b), (c, d) = operands
        low, high = {
            "add": (a + c, b + d),
            "sub": (a - d, b - c),
            "max": (max(a, c), max(b, d)),
            "min": (min(a, c), min(b, d)),
        }[op]
        return ANYTHING if math.isnan(low) or math.isnan(high) else Range(low, high)
    return ANYTHING


def _number(call: Call, operands: Sequence[Range], kinds: Sequence[TensorType]) -> Range:
    """The one number that the operator's definition makes of one number each."""
    node = call.node
    assert node is not None
    if node.op in _SAME - {"cast"}:
        return operands[0]
    if node.op in ("equal", "notEqual") and max(abs(number) for number, _ in operands) <= _MOST_EXACT:
        # As most masks begin, which then start without the definitions: 1 ms of loading three modules.
        return ONE if (operands[0] == operands[1]) is (node.op == "equal") else ZERO
    arrays = [np.array(operand.low).astype(kind.dtype.numpy) for operand, kind in zip(operands, kinds, strict=True)]
    if not (node.op == "cast" or OPS[node.op].family in ("comparison", "elementwise")) or len(arrays) != len(
        node.inputs
    ):
        return ANYTHING
    from webnn_runtime.reference import evaluate

    value = float(evaluate(node, arrays, {})[0])
    return ANYTHING if math.isnan(value) else Range(value, value)
