"""Between floats and quantised integers: one scale and one zero point for each block of elements."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import saturate, widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []


def _blockwise(values: Array, shape: tuple[int, ...]) -> Array:
    """Each value repeated along each axis so often that the shape is reached."""
    for axis, (have, want) in enumerate(zip(values.shape, shape, strict=True)):
        if have not in (1, want):
            values = np.repeat(values, want // have, axis)
    return values


@kernel("dequantizeLinear")
def dequantize_linear(x: Array, scale: Array, zero_point: Array) -> Array:
    """(x - zeroPoint) * scale, in the type of the scale."""
    # 33 bits of difference and 24 of scale are a little more than float64 holds: two roundings, the first
    # of which can only matter for 32-bit integers.
    difference = widen(x) - widen(_blockwise(zero_point, x.shape))
    return np.asarray(difference * widen(_blockwise(scale, x.shape))).astype(scale.dtype)


@kernel("quantizeLinear")
def quantize_linear(x: Array, scale: Array, zero_point: Array) -> Array:
    """roundEven(x / scale) + zeroPoint, clamped to the type of the zero point.

    The quotient is rounded to float32 before roundEven sees it, as in the specification's own formula for
    float32: a quotient that float32 cannot tell from a half is a half.
    """
    quotient = x.astype(np.float32) / _blockwise(scale, x.shape).astype(np.float32)
    return saturate(np.rint(widen(quotient)) + widen(_blockwise(zero_point, x.shape)), zero_point.dtype)
