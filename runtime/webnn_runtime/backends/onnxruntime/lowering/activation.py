"""Activation functions; also linear, clamp and the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering

__all__: list[str] = []


@lowering("relu")
def _relu(g: Emitter, x: Tensor) -> str:
    if kernel_type("Relu", x.dtype) is x.dtype:
        return g.node("Relu", x)
    return g.node("Max", x, g.scalar(0, x.dtype))


@lowering("gelu")
def _gelu(g: Emitter, x: Tensor) -> str:
    return g.node("Gelu", x)


@lowering("sigmoid")
def _sigmoid(g: Emitter, x: Tensor) -> str:
    return g.node("Sigmoid", x)


@lowering("tanh")
def _tanh(g: Emitter, x: Tensor) -> str:
    return g.node("Tanh", x)


@lowering("softmax")
def _softmax(g: Emitter, x: Tensor, *, axis: int) -> str:
    return g.node("Softmax", x, axis=axis)


@lowering("softplus")
def _softplus(g: Emitter, x: Tensor) -> str:
    return g.node("Softplus", x)


@lowering("softsign")
def _softsign(g: Emitter, x: Tensor) -> str:
    return g.node("Softsign", x)


@lowering("elu")
def _elu(g: Emitter, x: Tensor, *, alpha: float) -> str:
    return g.node("Elu", x, alpha=float(alpha))


@lowering("leakyRelu")
def _leaky_relu(g: Emitter, x: Tensor, *, alpha: float) -> str:
    return g.node("LeakyRelu", x, alpha=float(alpha))


@lowering("hardSigmoid")
def _hard_sigmoid(g: Emitter, x: Tensor, *, alpha: float, beta: float) -> str:
    return g.node("HardSigmoid", x, alpha=float(alpha), beta=float(beta))


@lowering("hardSwish")
def _hard_swish(g: Emitter, x: Tensor) -> str:
    # ONNX's HardSwish multiplies by a rounded 1/6 before it adds: near -3 nothing is left of the digits.
    zero, three, six = (g.scalar(value, x.dtype) for value in (0, 3, 6))
    gate = g.node("Clip", g.node("Add", x, three), zero, six)
    return g.node("Div", g.node("Mul", x, gate), six)


@lowering("linear")
def _linear(g: Emitter, x: Tensor, *, alpha: float, beta: float) -> str:
    return g.node("Add", g.node("Mul", x, g.scalar(alpha, x.dtype)), g.scalar(beta, x.dtype))


@lowering("prelu")
def _prelu(g: Emitter, x: Tensor, slope: Tensor) -> str:
    stretches = x.rank >= slope.rank and all(
        b in (1, a) for a, b in zip(reversed(x.shape), reversed(slope.shape), strict=False)
    )
    if x.dtype.is_float and stretches:
        return g.node("PRelu", x, slope)
    # ONNX stretches only the slope, and has no integers.
    dtype = x.dtype
    wide = kernel_type("Where", kernel_type("Mul", dtype))
    x_name, slope_name = (value.name if wide is dtype else g.cast(value, wide) for value in (x, slope))
    is_negative = g.node("Less", x_name, g.scalar(0, wide))
    result = g.node("Where", is_negative, g.node("Mul", x_name, slope_name), x_name)
    return result if wide is dtype else g.cast(result, dtype)


@lowering("clamp")
def _clamp(g: Emitter, x: Tensor, *, min_value: Any, max_value: Any) -> str:
    low, high = (None if value is None else g.constant(_exact(value, x)) for value in (min_value, max_value))
    if low is None and high is None:
        return g.node("Identity", x)
    return g.node("Clip", x, low, high)


def _exact(value: float | int, x: Tensor) -> np.ndarray:  # type: ignore[type-arg]
    """An option number in the type of `x`: clamped into its range, halves to even; never through float for integers."""
    if x.dtype.is_float:
        with np.errstate(over="ignore"):
            return np.array(value, x.dtype.numpy)
    low, high = x.dtype.bounds
    if value != value:
        return np.array(0, x.dtype.numpy)
    return np.array(round(min(max(value, low), high)), x.dtype.numpy)
