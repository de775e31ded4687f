"""Activations: functions of one element with numbers of their own, and softmax.

The formulas are the specification's, so infinity times zero is NaN here as it is there.
"""

from __future__ import annotations

import math

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._erf import erfc64
from webnn_runtime.reference._precision import Float64, by_blocks, by_rows, cast_number, through_float64
from webnn_runtime.reference._registry import kernel

__all__ = ["sigmoid64"]


def sigmoid64(x: Float64) -> Float64:
    """1 / (1 + exp(-x)); exp overflowing to infinity gives the right 0."""
    result: Float64 = 1.0 / (1.0 + np.exp(-x))
    return result


@kernel("clamp")
def clamp(x: Array, *, min_value: float | None, max_value: float | None) -> Array:
    """x limited to [minValue, maxValue], both first cast to its type.

    NaN stays NaN, and a bound of NaN does not limit.
    """
    if min_value is not None and not math.isnan(min_value):
        x = np.maximum(x, cast_number(min_value, x.dtype))
    if max_value is not None and not math.isnan(max_value):
        x = np.minimum(x, cast_number(max_value, x.dtype))
    return np.asarray(x)


@kernel("elu")
def elu(x: Array, *, alpha: float) -> Array:
    """max(0, x) + alpha * (exp(min(0, x)) - 1)."""
    scale = float(cast_number(alpha, x.dtype))
    return by_blocks(lambda v: np.maximum(v, 0.0) + scale * np.expm1(np.minimum(v, 0.0)), x)


@kernel("gelu")
def gelu(x: Array) -> Array:
    """x/2 * (1 + erf(x / sqrt(2))), written with erfc so that large negative x keep their digits."""
    return by_blocks(lambda v: 0.5 * v * erfc64(-v / math.sqrt(2.0)), x)


@kernel("hardSigmoid")
def hard_sigmoid(x: Array, *, alpha: float, beta: float) -> Array:
    """max(0, min(1, alpha * x + beta))."""
    slope, offset = (float(cast_number(number, x.dtype)) for number in (alpha, beta))
    return by_blocks(lambda v: np.maximum(0.0, np.minimum(1.0, slope * v + offset)), x)


@kernel("hardSwish")
def hard_swish(x: Array) -> Array:
    """x * max(0, min(6, x + 3)) / 6."""
    return by_blocks(lambda v: v * np.maximum(0.0, np.minimum(6.0, v + 3.0)) / 6.0, x)


@kernel("leakyRelu")
def leaky_relu(x: Array, *, alpha: float) -> Array:
    """x where x >= 0, else alpha * x."""
    slope = float(cast_number(alpha, x.dtype))
    return by_blocks(lambda v: np.where(v >= 0.0, v, slope * v), x)


@kernel("linear")
def linear(x: Array, *, alpha: float, beta: float) -> Array:
    """alpha * x + beta."""
    slope, offset = (float(cast_number(number, x.dtype)) for number in (alpha, beta))
    return by_blocks(lambda v: slope * v + offset, x)


@kernel("prelu")
def prelu(x: Array, slope: Array) -> Array:
    """x where x >= 0, else slope * x; both operands broadcast."""
    return np.where(x < 0, x * slope, x)


@kernel("relu")
def relu(x: Array) -> Array:
    """max(0, x)."""
    return np.asarray(np.maximum(x, x.dtype.type(0)))


@kernel("sigmoid")
def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return by_blocks(sigmoid64, x)


@kernel("softmax")
def softmax(x: Array, *, axis: int) -> Array:
    """exp(x - max(x)) / sum(exp(x - max(x))) along one axis."""

    def rows(v: Float64) -> Float64:
        powers = np.exp(v - v.max(axis=1, keepdims=True))
        shares: Float64 = powers / powers.sum(axis=1, keepdims=True)
        return shares

    return by_rows(rows, x, axis)


@kernel("softplus")
def softplus(x: Array) -> Array:
    """ln(1 + exp(x)), in the form that cannot overflow."""
    return by_blocks(lambda v: np.maximum(v, 0.0) + np.log1p(np.exp(-np.abs(v))), x)


@kernel("softsign")
def softsign(x: Array) -> Array:
    """x / (1 + |x|)."""
    return by_blocks(lambda v: v / (1.0 + np.abs(v)), x)


@kernel("tanh")
def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return through_float64(np.tanh, x)
