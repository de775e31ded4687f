"""Convolutions: float64 sums over window positions, one matrix product each, rounded once."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import Float64, widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []

Pair = tuple[int, int]
Padding = tuple[int, int, int, int]

# Where a layout keeps the axes that the formulas want in this order.
_IMAGE: Final = "nchw"
_FILTER: Final = "oihw"
_TRANSPOSED_FILTER: Final = "iohw"


def _reorder(array: Array, layout: str, wanted: str) -> Array:
    return np.transpose(array, [layout.index(axis) for axis in wanted])


@kernel("conv2d")
def conv2d(
    x: Array,
    filter: Array,
    bias: Array | None,
    *,
    padding: Padding,
    strides: Pair,
    dilations: Pair,
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> Array:
    """Each output is the sum, over its group's channels and the window, of filter times input, plus bias."""
    image = _reorder(x, input_layout, _IMAGE)
    weight = _reorder(filter, filter_layout, _FILTER)
    outputs, inputs, height, width = weight.shape
    weight = widen(weight).reshape(groups, outputs // groups, inputs, height, width)
    top, bottom, left, right = padding
    rows = (image.shape[2] + top + bottom - (height - 1) * dilations[0] - 1) // strides[0] + 1
    columns = (image.shape[3] + left + right - (width - 1) * dilations[1] - 1) // strides[1] + 1
    result = np.empty((len(image), outputs, rows, columns), x.dtype)
    # One image at a time bounds the float64 memory.
    for one, target in zip(image, result, strict=True):
        padded = np.pad(widen(one), ((0, 0), (top, bottom), (left, right)))
        padded = padded.reshape(groups, inputs, *padded.shape[1:])
        total = np.zeros((groups, outputs // groups, rows * columns))
        for u, v in np.ndindex(height, width):
            window = padded[
                ...,
                u * dilations[0] : u * dilations[0] + (rows - 1) * strides[0] + 1 : strides[0],
                v * dilations[1] : v * dilations[1] + (columns - 1) * strides[1] + 1 : strides[1],
            ]
            total += weight[..., u, v] @ window.reshape(groups, inputs, rows * columns)
        target[...] = _with_bias(total.reshape(outputs, rows, columns), bias)
    return np.ascontiguousarray(_reorder(result, _IMAGE, input_layout))


@kernel("convTranspose2d")
def conv_transpose2d(
    x: Array,
    filter: Array,
    bias: Array | None,
    *,
    padding: Padding,
    strides: Pair,
    dilations: Pair,
    output_padding: Pair,
    output_sizes: Pair | None,
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> Array:
    """Each input adds itself times the filter to its window of the output, which is then cropped.

    `output_sizes` replaces `output_padding`; either way the extra rows and columns are at the end.
    """
    image = _reorder(x, input_layout, _IMAGE)
    weight = _reorder(filter, filter_layout, _TRANSPOSED_FILTER)
    inputs, outputs, height, width = weight.shape
    weight = widen(weight).reshape(groups, inputs // groups, outputs, height, width)
    top, bottom, left, right = padding
    # What the windows cover, before cropping.
    spread = (
        (image.shape[2] - 1) * strides[0] + (height - 1) * dilations[0] + 1,
        (image.shape[3] - 1) * strides[1] + (width - 1) * dilations[1] + 1,
    )
    sizes = output_sizes or (
        spread[0] - top - bottom + output_padding[0],
        spread[1] - left - right + output_padding[1],
    )
    rows, columns = image.shape[2:]
    result = np.empty((len(image), groups * outputs, *sizes), x.dtype)
    for one, target in zip(image, result, strict=True):
        source = widen(one).reshape(groups, inputs // groups, rows * columns)
        total = np.zeros((groups, outputs, max(spread[0], top + sizes[0]), max(spread[1], left + sizes[1])))
        # An image of no elements adds nothing, wherever its windows would lie.
        for u, v in np.ndindex((height, width) if source.size else (0, 0)):
            product = weight[..., u, v].swapaxes(1, 2) @ source
            total[
                ...,
                u * dilations[0] : u * dilations[0] + (rows - 1) * strides[0] + 1 : strides[0],
                v * dilations[1] : v * dilations[1] + (columns - 1) * strides[1] + 1 : strides[1],
            ] += product.reshape(groups, outputs, rows, columns)
        cropped = total[..., top : top + sizes[0], left : left + sizes[1]]
        target[...] = _with_bias(cropped.reshape(groups * outputs, *sizes), bias)
    return np.ascontiguousarray(_reorder(result, _IMAGE, input_layout))


def _with_bias(total: Float64, bias: Array | None) -> Float64:
    return total if bias is None else total + widen(bias)[:, None, None]
