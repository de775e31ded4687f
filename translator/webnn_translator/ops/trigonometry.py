"""Hyperbolic functions and the inverse ones, which WebNN lacks: polynomials and logarithms, computed in float32.

Each is within about two units in the last place of float32 over its whole range, and keeps infinities, NaN outside
of the domain, and the sign of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.shape import convert
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# (atan(u) - u) / u^3 in powers of u^2, u up to tan(pi/8); and (asin(u) - u) / u^3, u up to 1/2. Least squares at
# 400 Chebyshev nodes; what is left off the result is 2.5e-9 and 1e-9 of it.
_ATAN: Final = (-0.06459376215934753, 0.10746298730373383, -0.1426423192024231, 0.1999955028295517, -0.3333333134651184)
_ASIN: Final = (
    0.03380574658513069,
    0.017077859491109848,
    0.03111615590751171,
    0.04459803178906441,
    0.07500098645687103,
    0.1666666567325592,
)
# Above it, x * x + 1 and x * x are the same float32, and 1 / (4 x^2) is nothing beside log(2 x).
_LARGE: Final = 1e4


@onnx_op("Sinh", "Cosh", since=9)
@onnx_op("Asin", "Acos", "Atan", since=7)
@onnx_op("Asinh", "Acosh", "Atanh", since=9)
def by_formula(ctx: Context, node: OnnxNode) -> Tensor:
    """Inverse and hyperbolic functions, by formulas that hold near 0 and far from it."""
    x = node.input(0)
    if not x.elem.is_float:
        raise Refused(f"the input is {x}; the model is not valid")
    return convert(ctx, _FUNCTIONS[node.op_type](Formula(ctx, Elem.FLOAT), convert(ctx, x, Elem.FLOAT)), x.elem)


def _cosh(f: Formula, x: Tensor) -> Tensor:
    # The exponential of half of it, squared: exp(x) itself overflows where exp(x) / 2 does not.
    root = f("exp", f("mul", f("abs", x), 0.5))
    return f("add", f("mul", f("mul", root, 0.5), root), f("div", f("div", 0.5, root), root))


def _sinh(f: Formula, x: Tensor) -> Tensor:
    # A difference of exponentials would lose everything near 0; tanh keeps its relative accuracy there.
    return f("mul", f("tanh", x), _cosh(f, x))


def _small_odd(f: Formula, u: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    square = f("mul", u, u)
    return f("add", u, f("mul", f("mul", u, square), f.polynomial(square, coefficients)))


def _atan(f: Formula, x: Tensor) -> Tensor:
    """From 1 on by the reciprocal, from tan(pi/8) on turned by pi/4."""
    size = f("abs", x)
    is_large = f("greater", size, 1)
    t = f("where", is_large, f("reciprocal", x), x)
    is_wide = f("greater", f("abs", t), math.tan(math.pi / 8))
    one = f("sign", x)
    u = f("where", is_wide, f("div", f("sub", t, one), f("add", f("abs", t), 1)), t)
    part = _small_odd(f, u, _ATAN)
    part = f("where", is_wide, f("add", f("mul", one, math.pi / 4), part), part)
    return _keep_zero(f, x, f("where", is_large, f("sub", f("mul", one, math.pi / 2), part), part))


def _outer_asin(f: Formula, distance: Tensor) -> Tensor:
    """Twice the arc sine of sqrt(distance / 2): the arc cosine of 1 - distance."""
    return f("mul", _small_odd(f, f("sqrt", f("mul", distance, 0.5)), _ASIN), 2)


def _asin(f: Formula, x: Tensor) -> Tensor:
    size = f("abs", x)
    outer = f("sub", math.pi / 2, _outer_asin(f, f("sub", 1, size)))
    made = f("where", f("lesserOrEqual", size, 0.5), _small_odd(f, x, _ASIN), f("mul", f("sign", x), outer))
    return _keep_zero(f, x, made)


def _acos(f: Formula, x: Tensor) -> Tensor:
    outer = _outer_asin(f, f("sub", 1, f("abs", x)))
    outer = f("where", f("lesser", x, 0), f("sub", math.pi, outer), outer)
    return f("where", f("lesserOrEqual", f("abs", x), 0.5), f("sub", math.pi / 2, _small_odd(f, x, _ASIN)), outer)


def _log_of_1_plus(f: Formula, u: Tensor) -> Tensor:
    """log(1 + u) for u from -1 on: what rounding did to 1 + u is taken out again."""
    whole = f("add", u, 1)
    mended = f("mul", f("log", whole), f("div", u, f("sub", whole, 1)))
    return f("where", f("logicalOr", f("equal", whole, 1), f("equal", u, math.inf)), u, mended)


def _log_of_double(f: Formula, x: Tensor) -> Tensor:
    return f("add", f("log", x), math.log(2))


def _odd(f: Formula, x: Tensor, positive: Tensor) -> Tensor:
    """The function of a size, with the sign of x."""
    return _keep_zero(f, x, f("where", f("lesser", x, 0), f("neg", positive), positive))


def _keep_zero(f: Formula, x: Tensor, made: Tensor) -> Tensor:
    """X itself where it is 0, which may be negative."""
    return f("where", f("equal", x, 0), x, made)


def _asinh(f: Formula, x: Tensor) -> Tensor:
    size = f("abs", x)
    square = f("mul", size, size)
    root = f("sqrt", f("add", square, 1))
    near = _log_of_1_plus(f, f("add", size, f("div", square, f("add", root, 1))))
    return _odd(f, x, f("where", f("greater", size, _LARGE), _log_of_double(f, size), near))


def _acosh(f: Formula, x: Tensor) -> Tensor:
    beyond = f("sub", x, 1)
    # Two roots, so that anything below 1 is NaN.
    near = _log_of_1_plus(f, f("add", beyond, f("mul", f("sqrt", beyond), f("sqrt", f("add", x, 1)))))
    return f("where", f("greater", x, _LARGE), _log_of_double(f, x), near)


def _atanh(f: Formula, x: Tensor) -> Tensor:
    size = f("abs", x)
    ratio = f("div", f("mul", size, 2), f("sub", 1, size))
    return _odd(f, x, f("mul", _log_of_1_plus(f, ratio), 0.5))


_FUNCTIONS: Final[dict[str, Callable[[Formula, Tensor], Tensor]]] = {
    "Acos": _acos,
    "Acosh": _acosh,
    "Asin": _asin,
    "Asinh": _asinh,
    "Atan": _atan,
    "Atanh": _atanh,
    "Cosh": _cosh,
    "Sinh": _sinh,
}
