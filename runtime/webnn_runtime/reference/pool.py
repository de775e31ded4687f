"""Pooling over windows of height and width, and resampling to another size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import Float64, widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]


class _Windows:
    """The windows of one pooling call, on an input in nchw order."""

    def __init__(
        self,
        shape: tuple[int, ...],
        window: Pair,
        padding: Padding,
        strides: Pair,
        dilations: Pair,
        rounding: str,
        output_sizes: Pair | None,
    ) -> None:
        height, width = shape[2:]
        self.window = window
        self.strides, self.dilations = strides, dilations
        begin, end = padding[::2], padding[1::2]
        self.sizes: tuple[int, ...]
        if output_sizes is not None:
            self.sizes = output_sizes
        else:
            room = [
                size + begin[axis] + end[axis] - (self.window[axis] - 1) * dilations[axis] - 1
                for axis, size in enumerate((height, width))
            ]
            # Ceiling division is the floor of the negative, negated.
            self.sizes = tuple(
                (free // stride if rounding == "floor" else -(-free // stride)) + 1
                for free, stride in zip(room, strides, strict=True)
            )
        reach = [
            (self.sizes[axis] - 1) * strides[axis] + (self.window[axis] - 1) * dilations[axis] + 1 for axis in (0, 1)
        ]
        # With rounding up, the last window reaches beyond the padding.
        self.widths = [
            (0, 0),
            (0, 0),
            *((begin[axis], max(0, reach[axis] - begin[axis] - size)) for axis, size in enumerate((height, width))),
        ]

    def positions(self, x: Array, fill: Any) -> Iterator[Array]:
        """For each place in the window, the element that every window has there; `fill` outside the input."""
        padded = np.pad(x, self.widths, constant_values=fill)
        for place in np.ndindex(*self.window):
            start = [place[axis] * self.dilations[axis] for axis in (0, 1)]
            stop = [start[axis] + (self.sizes[axis] - 1) * self.strides[axis] + 1 for axis in (0, 1)]
            yield padded[:, :, start[0] : stop[0] : self.strides[0], start[1] : stop[1] : self.strides[1]]

    def sums(self, x: Float64) -> Float64:
        """Sum over each window."""
        total = np.zeros((*x.shape[:2], *self.sizes))
        for elements in self.positions(x, 0.0):
            total += elements
        return total


def _to_nchw(x: Array, layout: str) -> Array:
    return x if layout == "nchw" else x.transpose(0, 3, 1, 2)


def _from_nchw(x: Array, layout: str) -> Array:
    return x if layout == "nchw" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@kernel("averagePool2d")
def average_pool2d(
    x: Array,
    *,
    window_dimensions: Pair,
    padding: Padding,
    strides: Pair,
    dilations: Pair,
    layout: str,
    output_shape_rounding: str,
    output_sizes: Pair | None,
) -> Array:
    """Mean of the elements of each window; padding does not count."""
    image = _to_nchw(x, layout)
    windows = _Windows(image.shape, window_dimensions, padding, strides, dilations, output_shape_rounding, output_sizes)
    counts = windows.sums(np.ones((1, 1, *image.shape[2:])))
    return _from_nchw((windows.sums(widen(image)) / counts).astype(x.dtype), layout)


@kernel("l2Pool2d")
def l2_pool2d(
    x: Array,
    *,
    window_dimensions: Pair,
    padding: Padding,
    strides: Pair,
    dilations: Pair,
    layout: str,
    output_shape_rounding: str,
    output_sizes: Pair | None,
) -> Array:
    """Square root of the sum of squares of each window."""
    image = _to_nchw(x, layout)
    windows = _Windows(image.shape, window_dimensions, padding, strides, dilations, output_shape_rounding, output_sizes)
    return _from_nchw(np.sqrt(windows.sums(np.square(widen(image)))).astype(x.dtype), layout)


@kernel("maxPool2d")
def max_pool2d(
    x: Array,
    *,
    window_dimensions: Pair,
    padding: Padding,
    strides: Pair,
    dilations: Pair,
    layout: str,
    output_shape_rounding: str,
    output_sizes: Pair | None,
) -> Array:
    """Largest element of each window; NaN if there is one."""
    image = _to_nchw(x, layout)
    windows = _Windows(image.shape, window_dimensions, padding, strides, dilations, output_shape_rounding, output_sizes)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    result = np.full((*image.shape[:2], *windows.sizes), lowest, x.dtype)
    for elements in windows.positions(image, lowest):
        np.maximum(result, elements, out=result)
    return _from_nchw(result, layout)


@kernel("resample2d")
def resample2d(x: Array, *, mode: str, scales: tuple[float, ...], sizes: Pair | None, axes: Pair) -> Array:
    """x at other sizes of two axes, nearest or linear between neighbours.

    Output o lies at (o + 0.5) / scale - 0.5 of the input, inside its range; the scale is that of the sizes.
    """
    goals = sizes or tuple(int(np.floor(x.shape[axis] * scale)) for axis, scale in zip(axes, scales, strict=True))
    shape = list(x.shape)
    for axis, goal in zip(axes, goals, strict=True):
        shape[axis] = goal
    if 0 in shape:
        return np.empty(shape, x.dtype)
    if mode == "nearest-neighbor":
        for axis, goal in zip(axes, goals, strict=True):
            # A place halfway between two elements takes the lower one.
            x = np.take(x, np.ceil(_places(x.shape[axis], goal) - 0.5).astype(np.intp), axis=axis)
        return x
    values = widen(x)
    for axis, goal in zip(axes, goals, strict=True):
        places = _places(x.shape[axis], goal)
        low = np.floor(places).astype(np.intp)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (places - low).reshape([-1 if dim == axis else 1 for dim in range(x.ndim)])
        values = np.take(values, low, axis) * (1.0 - share) + np.take(values, high, axis) * share
    return (values if x.dtype.kind == "f" else np.rint(values)).astype(x.dtype)


def _places(size: int, goal: int) -> Float64:
    if size == 0:
        raise ShapeError("resamples an axis of no elements; give it at least one")
    return np.clip((np.arange(goal) + 0.5) / (goal / size) - 0.5, 0.0, size - 1.0)
