"""Element by element: arithmetic of two operands, and functions of one.

Integer arithmetic is exact and wraps; nothing goes through floats.
"""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._erf import erf64
from webnn_runtime.reference._precision import by_blocks, through_float64
from webnn_runtime.reference._registry import kernel

__all__: list[str] = []


@kernel("add")
def add(a: Array, b: Array) -> Array:
    """a + b."""
    return np.asarray(np.add(a, b))


@kernel("sub")
def sub(a: Array, b: Array) -> Array:
    """a - b."""
    return np.asarray(np.subtract(a, b))


@kernel("mul")
def mul(a: Array, b: Array) -> Array:
    """a * b."""
    return np.asarray(np.multiply(a, b))


@kernel("div")
def div(a: Array, b: Array) -> Array:
    """a / b; integers truncate toward zero, and division by zero gives 0."""
    if a.dtype.kind == "f":
        return np.asarray(np.divide(a, b))
    # fmod takes the sign of a, so what is left is a multiple of b that is nearer to zero: no flooring.
    return np.asarray(np.floor_divide(a - np.fmod(a, b), b))


@kernel("max")
def maximum(a: Array, b: Array) -> Array:
    """The larger of a and b; NaN if either is NaN."""
    return np.asarray(np.maximum(a, b))


@kernel("min")
def minimum(a: Array, b: Array) -> Array:
    """The smaller of a and b; NaN if either is NaN."""
    return np.asarray(np.minimum(a, b))


@kernel("pow")
def power(a: Array, b: Array) -> Array:
    """a to the power of b.

    A negative integer power is 1 / a^|b| truncated: 1 or -1 for those bases, else 0.
    """
    if a.dtype.kind == "f":
        # NumPy takes one power of 0.5 for a square root, which is NaN for minus infinity and keeps the sign of zero.
        is_root = (b == 0.5) & ((a == 0) | np.isinf(a))
        return through_float64(np.power, np.where(is_root, np.abs(a), a), b)
    if a.dtype.kind == "u":
        return np.asarray(np.power(a, b))
    a, b = np.broadcast_arrays(a, b)
    inverse = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0)).astype(a.dtype)
    return np.where(b < 0, inverse, np.power(a, np.maximum(b, b.dtype.type(0))))


@kernel("abs")
def absolute(x: Array) -> Array:
    """|x|; the lowest integer stays as it is."""
    return np.asarray(np.abs(x))


@kernel("neg")
def negative(x: Array) -> Array:
    """-x; the lowest integer stays as it is."""
    return np.asarray(np.negative(x))


@kernel("sign")
def sign(x: Array) -> Array:
    """-1, 0 or 1; NaN stays NaN."""
    return np.asarray(np.sign(x))


@kernel("ceil")
def ceil(x: Array) -> Array:
    """The smallest integer that is not below x."""
    return np.asarray(np.ceil(x))


@kernel("cos")
def cos(x: Array) -> Array:
    """Cosine of x radians."""
    return through_float64(np.cos, x)


@kernel("erf")
def erf(x: Array) -> Array:
    """Gauss error function."""
    return by_blocks(erf64, x)


@kernel("exp")
def exp(x: Array) -> Array:
    """e to the power of x."""
    return through_float64(np.exp, x)


@kernel("floor")
def floor(x: Array) -> Array:
    """The largest integer that is not above x."""
    return np.asarray(np.floor(x))


@kernel("log")
def log(x: Array) -> Array:
    """Natural logarithm."""
    return through_float64(np.log, x)


@kernel("reciprocal")
def reciprocal(x: Array) -> Array:
    """1 / x."""
    return np.asarray(np.divide(x.dtype.type(1), x))


@kernel("roundEven")
def round_even(x: Array) -> Array:
    """The nearest integer; halves go to the even one."""
    return np.asarray(np.rint(x))


@kernel("sin")
def sin(x: Array) -> Array:
    """Sine of x radians."""
    return through_float64(np.sin, x)


@kernel("sqrt")
def sqrt(x: Array) -> Array:
    """Square root."""
    return np.asarray(np.sqrt(x))


@kernel("tan")
def tan(x: Array) -> Array:
    """Tangent of x radians."""
    return through_float64(np.tan, x)
