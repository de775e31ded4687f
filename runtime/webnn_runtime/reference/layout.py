"""Shape, order and type: joining, splitting, padding, and casts; nothing here computes.

Results may be views of the operands; whoever keeps or writes one copies it.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import cast_number, saturate, widen
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []

_PAD_MODES: Final = {"edge": "edge", "reflection": "reflect"}


@kernel("cast")
def cast(x: Array, *, to: DataType) -> Array:
    """x as another type.

    Between floats and from integers to floats: nearest, overflow to infinity. From floats to integers:
    toward zero; the specification leaves values out of range open, here they saturate and NaN is 0.
    Between integers: the low bits.
    """
    target = to.numpy
    if x.dtype.kind == "f" and target.kind != "f":
        return saturate(np.trunc(widen(x)), target)
    return x.astype(target)


@kernel("concat")
def concat(inputs: list[Array], *, axis: int) -> Array:
    """The operands one after the other along `axis`."""
    return np.concatenate(inputs, axis=axis)


@kernel("expand")
def expand(x: Array, *, new_shape: tuple[int, ...]) -> Array:
    """x stretched to a shape, by NumPy's broadcasting rules."""
    return np.broadcast_to(x, new_shape)


@kernel("identity")
def identity(x: Array) -> Array:
    """x itself."""
    return x


@kernel("pad")
def pad(
    x: Array,
    *,
    beginning_padding: tuple[int, ...],
    ending_padding: tuple[int, ...],
    mode: str,
    value: float,
) -> Array:
    """x with a border: one value, the edge repeated, or a reflection that leaves the edge out."""
    widths = list(zip(beginning_padding, ending_padding, strict=True))
    if not widths:
        return np.array(x)  # a scalar has no border, and NumPy wants one
    if mode == "constant":
        return np.pad(x, widths, mode="constant", constant_values=cast_number(value, x.dtype))
    padded: Array = np.pad(x, widths, mode=_PAD_MODES[mode])  # type: ignore[call-overload]  # the stub wants a literal
    return padded


@kernel("reshape")
def reshape(x: Array, *, new_shape: tuple[int, ...]) -> Array:
    """The same elements in row-major order under another shape."""
    return x.reshape(new_shape)


@kernel("reverse")
def reverse(x: Array, *, axes: tuple[int, ...] | None) -> Array:
    """x back to front along `axes`, or along all."""
    return np.flip(x, axes)


@kernel("slice")
def slice_(x: Array, *, starts: tuple[int, ...], sizes: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A window of `sizes` elements from `starts`, of which every stride-th is taken."""
    window = zip(starts, sizes, strides, strict=True)
    return x[tuple(slice(start, start + size, stride) for start, size, stride in window)]


@kernel("split")
def split(x: Array, *, splits: int | tuple[int, ...], axis: int) -> tuple[Array, ...]:
    """Consecutive parts along `axis`: a number of equal ones, or ones of given sizes."""
    sizes = (x.shape[axis] // splits,) * splits if isinstance(splits, int) else splits
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis=axis))


@kernel("tile")
def tile(x: Array, *, repetitions: tuple[int, ...]) -> Array:
    """x repeated as a whole, so many times along each axis."""
    return np.tile(x, repetitions)


@kernel("transpose")
def transpose(x: Array, *, permutation: tuple[int, ...]) -> Array:
    """Axes reordered: axis i of the result is axis permutation[i] of x."""
    return np.transpose(x, permutation)


@kernel("triangular")
def triangular(x: Array, *, upper: bool, diagonal: int) -> Array:
    """The part of each matrix on and above (below) a diagonal; the rest is 0."""
    return np.triu(x, diagonal) if upper else np.tril(x, diagonal)
