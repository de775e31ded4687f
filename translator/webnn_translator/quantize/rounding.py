"""Floats to integers with a scale: which range to take, and what each value becomes.

Everything works on rows: a matrix [rows, n] each row of which has one scale and one zero point. Channels, rows of
tables and blocks are all brought to that form by the callers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array

__all__ = ["Grid", "Packed", "dequantized", "fit_rows", "pack_blocks", "pack_channels", "round_rows"]

Floats = npt.NDArray[np.float32]
# Parts of the largest value that a range may end at: where it ends earlier, a few values are cut off and all others
# are rounded finer. In 8 bits the whole range is nearly always best, in 4 bits 0.7 to 0.95 of it is.
_WIDE_CUTS: Final = (1.0, 0.97, 0.94, 0.9, 0.85, 0.8)
_NARROW_CUTS: Final = tuple(float(cut) for cut in np.linspace(1.0, 0.6, 21))
# Values that are rounded at a time; a table of a large model would otherwise be in memory several times over.
_AT_ONCE: Final = 1 << 21


@dataclass(frozen=True, slots=True)
class Grid:
    """The integers that may be used.

    Attributes:
        dtype: their type.
        low: smallest.
        high: largest.
        is_symmetric: whether 0 means 0 in every row.
    """

    dtype: DataType
    low: int
    high: int
    is_symmetric: bool

    @classmethod
    def of(cls, kind: str, *, reduce_range: bool = False) -> Grid:
        """The grid of "int8", "uint8" or "int4"."""
        if kind == "int8":
            # -128 has no opposite: leaving it out keeps the grid symmetric.
            high = 63 if reduce_range else 127
            return cls(DataType.INT8, -high, high, is_symmetric=True)
        if kind == "uint8":
            return cls(DataType.UINT8, 0, 127 if reduce_range else 255, is_symmetric=False)
        return cls(DataType.INT4, -8, 7, is_symmetric=False)

    @property
    def cuts(self) -> tuple[float, ...]:
        """Ranges to try, as parts of the whole one."""
        return _WIDE_CUTS if self.high - self.low > 15 else _NARROW_CUTS


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """A quantised constant.

    Attributes:
        dtype: int8, uint8 or int4.
        values: integers in the shape of the weight.
        scale: float32, of the same rank.
        zero_point: integers of the scale's shape.
        shift: what has to be added to the products, [N]; None for nothing.
    """

    dtype: DataType
    values: Array
    scale: Array
    zero_point: Array
    shift: Array | None = None


def dequantized(packed: Packed) -> Array:
    """The numbers that the packed ones stand for, as `dequantizeLinear` gives them."""
    scale, zero = packed.scale, packed.zero_point.astype(np.int16)
    for axis, (have, want) in enumerate(zip(packed.scale.shape, packed.values.shape, strict=True)):
        if have not in (1, want):
            scale, zero = np.repeat(scale, want // have, axis), np.repeat(zero, want // have, axis)
    steps = packed.values.astype(np.int16) - zero.astype(np.int16)
    return np.asarray(steps * scale, np.float32)


def round_rows(rows: Floats, scale: Array, zero: Array, grid: Grid) -> Array:
    """The nearest integers [rows, n] on the grid, for scales and zero points [rows, 1]."""
    return np.asarray(np.clip(np.rint(rows / scale) + zero, grid.low, grid.high))


def fit_rows(rows: Floats, grid: Grid, cuts: Sequence[float] | None = None) -> tuple[Array, Array]:
    """Scale and zero point [rows, 1] with the smallest squared error among the cuts of the range.

    Args:
        rows: [rows, n].
        grid: integers to use.
        cuts: ranges to try, as parts of the whole one; the grid's by default.
    """
    low = np.minimum(rows.min(axis=1, keepdims=True), 0.0)
    high = np.maximum(rows.max(axis=1, keepdims=True), 0.0)
    best = np.full((len(rows), 1), np.inf, np.float32)
    scale, zero = np.ones_like(best), np.zeros_like(best)
    for cut in grid.cuts if cuts is None else cuts:
        tried, offset = _grid_of_range(low * np.float32(cut), high * np.float32(cut), grid)
        error = (round_rows(rows, tried, offset, grid) - offset) * tried - rows
        error *= error
        cost = error.sum(axis=1, keepdims=True, dtype=np.float32)
        better = cost < best
        best = np.where(better, cost, best)
        scale, zero = np.where(better, tried, scale), np.where(better, offset, zero)
    return scale, zero


def _grid_of_range(low: Array, high: Array, grid: Grid) -> tuple[Array, Array]:
    """Scale and zero point that spread the grid over `low` to `high`; a range of nothing has scale 1."""
    if grid.is_symmetric:
        scale = np.maximum(-low, high) / np.float32(grid.high)
        zero = np.zeros_like(scale)
    else:
        scale = (high - low) / np.float32(grid.high - grid.low)
        zero = np.zeros_like(scale)
    # Below the smallest normal number the quotient would lose digits, or be infinite.
    scale = np.where(scale < np.float32(1.2e-38), np.float32(1), scale).astype(np.float32)
    if not grid.is_symmetric:
        zero = np.clip(np.rint(grid.low - low / scale), grid.low, grid.high).astype(np.float32)
    return scale, zero


def pack_channels(weight: Array, axis: int | None, grid: Grid) -> Packed:
    """One scale for each index of `axis`, or one for all where it is None."""
    rank = weight.ndim
    if axis is None:
        rows, shape = weight.reshape(1, -1), (1,) * rank
    else:
        rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
        shape = tuple(size if place == axis else 1 for place, size in enumerate(weight.shape))
    # With one scale for all, the few largest weights are what a layer lives by: nothing is cut off.
    values, scale, zero = _pack_rows(rows, grid, (1.0,) if axis is None else grid.cuts)
    if axis is None:
        values = values.reshape(weight.shape)
    else:
        moved = np.moveaxis(weight, axis, 0).shape
        values = np.ascontiguousarray(np.moveaxis(values.reshape(moved), 0, axis))
    return Packed(grid.dtype, values, scale.reshape(shape), zero.reshape(shape))


def pack_blocks(weight: Array, axis: int, block: int, grid: Grid) -> Packed:
    """One scale for each `block` values along `axis` of a matrix; the axis divides by it."""
    columns = np.moveaxis(weight, axis, -1)
    blocks = columns.reshape(*columns.shape[:-1], -1, block)
    values, scale, zero = _pack_rows(blocks.reshape(-1, block), grid, grid.cuts)
    back = np.moveaxis(values.reshape(columns.shape), -1, axis)
    scales = np.moveaxis(scale.reshape(blocks.shape[:-1]), -1, axis)
    zeros = np.moveaxis(zero.reshape(blocks.shape[:-1]), -1, axis)
    return Packed(grid.dtype, *(np.ascontiguousarray(array) for array in (back, scales, zeros)))


def _pack_rows(rows: Array, grid: Grid, cuts: Sequence[float]) -> tuple[Array, Array, Array]:
    count, length = rows.shape
    kind = grid.dtype.numpy
    values = np.empty((count, length), kind)
    scale, zero = np.empty((count, 1), np.float32), np.empty((count, 1), kind)
    step = max(_AT_ONCE // max(length, 1), 1)
    for start in range(0, count, step):
        part = slice(start, start + step)
        piece = np.ascontiguousarray(rows[part], dtype=np.float32)
        scale[part], offset = fit_rows(piece, grid, cuts)
        zero[part] = offset
        values[part] = round_rows(piece, scale[part], offset, grid)
    return values, scale, zero
