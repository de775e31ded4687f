"""Activation functions; also linear, clamp and the softmax."""

from __future__ import annotations

import math

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, as_attribute, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.backends.onnxruntime.lowering.integers import larger, smaller
from webnn_runtime.format.dtypes import DataType, cast_number

__all__: list[str] = []


@lowering("relu")
def _relu(g: Emitter, x: Tensor) -> str:
    if x.dtype.is_float:
        return g.node("Relu", x)
    zero = Tensor(g.scalar(0, x.dtype), x.type)
    return larger(g, x, zero) if x.dtype is DataType.INT64 else g.widened("Max", x, zero)


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
    return g.node("Elu", x, alpha=as_attribute(alpha, x.dtype))


@lowering("leakyRelu")
def _leaky_relu(g: Emitter, x: Tensor, *, alpha: float) -> str:
    return g.node("LeakyRelu", x, alpha=as_attribute(alpha, x.dtype))


@lowering("hardSigmoid")
def _hard_sigmoid(g: Emitter, x: Tensor, *, alpha: float, beta: float) -> str:
    return g.node("HardSigmoid", x, alpha=as_attribute(alpha, x.dtype), beta=as_attribute(beta, x.dtype))


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
def _clamp(g: Emitter, x: Tensor, *, min_value: float | None, max_value: float | None) -> str:
    if min_value is None and max_value is None:
        return g.node("Identity", x)
    # An absent bound of Clip is the largest finite number: infinities would not pass.
    low, high = (-math.inf, math.inf) if x.dtype.is_float else x.dtype.bounds
    bounds = (low if min_value is None else min_value, high if max_value is None else max_value)
    lowest, highest = (g.scalar(cast_number(bound, x.dtype), x.dtype) for bound in bounds)
    if x.dtype is DataType.INT64:
        return smaller(g, larger(g, x, lowest), highest)
    return g.node("Clip", x, lowest, highest)
