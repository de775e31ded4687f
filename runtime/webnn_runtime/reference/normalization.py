"""Normalisations: (x - mean) / sqrt(variance + epsilon), then scale and bias, all in float64."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import Float64, cast_number, widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []


def _normalize(
    x: Float64, mean: Float64, variance: Float64, scale: Float64 | None, bias: Float64 | None, epsilon: float
) -> Float64:
    result = (x - mean) / np.sqrt(variance + epsilon)
    if scale is not None:
        result *= scale
    if bias is not None:
        result += bias
    return result


def _along(values: Array | None, axes: tuple[int, ...], rank: int) -> Float64 | None:
    """Values with one dimension for each of `axes`, in that order, placed to broadcast over `rank`."""
    if values is None:
        return None
    order = sorted(range(len(axes)), key=lambda position: axes[position])
    shape = [1] * rank
    for position in order:
        shape[axes[position]] = values.shape[position]
    placed: Float64 = widen(values).transpose(order).reshape(shape)
    return placed


@kernel("batchNormalization")
def batch_normalization(
    x: Array,
    mean: Array,
    variance: Array,
    scale: Array | None,
    bias: Array | None,
    *,
    axis: int,
    epsilon: float,
) -> Array:
    """Normalise by given statistics, one of each per index of `axis`."""
    per_axis = [_along(values, (axis,), x.ndim) for values in (mean, variance, scale, bias)]
    assert per_axis[0] is not None
    assert per_axis[1] is not None
    tolerance = float(cast_number(epsilon, x.dtype))
    return _normalize(widen(x), per_axis[0], per_axis[1], per_axis[2], per_axis[3], tolerance).astype(x.dtype)


@kernel("instanceNormalization")
def instance_normalization(x: Array, scale: Array | None, bias: Array | None, *, epsilon: float, layout: str) -> Array:
    """Normalise each image and channel by its own mean and population variance over height and width."""
    spatial, channel = ((2, 3), 1) if layout == "nchw" else ((1, 2), 3)
    return _by_own_statistics(x, spatial, _along(scale, (channel,), x.ndim), _along(bias, (channel,), x.ndim), epsilon)


@kernel("layerNormalization")
def layer_normalization(
    x: Array, scale: Array | None, bias: Array | None, *, axes: tuple[int, ...], epsilon: float
) -> Array:
    """Normalise over `axes`; scale and bias have those dimensions, in the order of `axes`.

    Over no axes each element is its own mean, which leaves the bias or 0.
    """
    return _by_own_statistics(x, axes, _along(scale, axes, x.ndim), _along(bias, axes, x.ndim), epsilon)


def _by_own_statistics(
    x: Array, axes: tuple[int, ...], scale: Float64 | None, bias: Float64 | None, epsilon: float
) -> Array:
    if not x.size:
        return np.empty_like(x)  # NumPy warns of the mean of nothing
    values = widen(x)
    mean = np.asarray(np.mean(values, axis=axes, keepdims=True))
    variance = np.asarray(np.mean(np.square(values - mean), axis=axes, keepdims=True))
    tolerance = float(cast_number(epsilon, x.dtype))
    return _normalize(values, mean, variance, scale, bias, tolerance).astype(x.dtype)
