"""Floats that NumPy has no type for: bfloat16, and the 8-bit and 4-bit storage formats. Decoding is exact.

Layouts: the OCP specifications "8-bit Floating Point" (E4M3, E5M2) and "Microscaling Formats" (E2M1, E8M0); the
FNUZ variants have one zero, one NaN at the code of -0, and an exponent bias that is one larger.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_translator.elements import Elem

__all__ = ["decode_bfloat16", "decode_minifloats", "round_to_bfloat16"]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sign, then exponent, then mantissa.

    Attributes:
        exponent: bits of the exponent.
        mantissa: bits of the mantissa.
        bias: of the exponent.
        nans: codes, without the sign, that are no number; with `is_fnuz` only that of -0 is.
        has_infinity: whether the largest exponent with mantissa 0 is infinite.
        is_fnuz: "finite, NaN, unsigned zero".
    """

    exponent: int
    mantissa: int
    bias: int
    nans: frozenset[int] = frozenset()
    has_infinity: bool = False
    is_fnuz: bool = False


_LAYOUTS: Final = {
    Elem.FLOAT8E4M3FN: _Layout(4, 3, 7, nans=frozenset({0x7F})),
    Elem.FLOAT8E4M3FNUZ: _Layout(4, 3, 8, is_fnuz=True),
    Elem.FLOAT8E5M2: _Layout(5, 2, 15, nans=frozenset({0x7D, 0x7E, 0x7F}), has_infinity=True),
    Elem.FLOAT8E5M2FNUZ: _Layout(5, 2, 16, is_fnuz=True),
    Elem.FLOAT4E2M1: _Layout(2, 1, 1),
}


def decode_minifloats(codes: Array, elem: Elem) -> Array:
    """uint8 codes -> float32, one value per code; float32 holds all of them exactly."""
    values: Array = _table(elem)[codes]
    return values


def decode_bfloat16(codes: Array) -> Array:
    """uint16 codes -> float32: the upper half of its bits."""
    wide = codes.astype(np.uint32)
    wide <<= 16
    return wide.view(np.float32)


def round_to_bfloat16(values: Array) -> Array:
    """float32 values that bfloat16 has, the nearest ones, ties to even."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = ((bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
    found: Array = np.where(np.isnan(values), np.float32(np.nan), rounded.view(np.float32)).astype(np.float32)
    return found.reshape(values.shape)


@cache
def _table(elem: Elem) -> Array:
    if elem is Elem.FLOAT8E8M0:
        # An exponent alone; 2**-127 is a subnormal float32.
        powers = np.ldexp(np.ones(255, np.float64), np.arange(255) - 127)
        return np.append(powers, np.nan).astype(np.float32)
    layout = _LAYOUTS[elem]
    half = 1 << (layout.exponent + layout.mantissa)
    magnitudes = np.asarray([_magnitude(code, layout) for code in range(half)], np.float32)
    table: Array = np.concatenate([magnitudes, -magnitudes])
    if layout.is_fnuz:
        table[half] = np.nan
    return table


def _magnitude(code: int, layout: _Layout) -> float:
    if code in layout.nans:
        return float("nan")
    exponent, mantissa = divmod(code, 1 << layout.mantissa)
    if layout.has_infinity and exponent == (1 << layout.exponent) - 1:
        return float("inf")
    fraction = mantissa / (1 << layout.mantissa)
    if exponent == 0:
        return float(fraction * 2.0 ** (1 - layout.bias))
    return float((1 + fraction) * 2.0 ** (exponent - layout.bias))
