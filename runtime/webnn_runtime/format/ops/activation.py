"""Activation functions: element by element, except softmax, which runs along one axis."""

from __future__ import annotations

from webnn_runtime.format.dtypes import cast_number
from webnn_runtime.format.errors import OptionError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Axis, Number, Real
from webnn_runtime.format.ops.limits import (
    ANY,
    FLOATS,
    SIGNED,
    VECTOR_UP,
    VECTOR_UP_REQUIRED,
    operand,
    result,
)
from webnn_runtime.format.ops.spec import OpSpec, Option

__all__ = ["SPECS"]


def _same(_: Inference, x: TensorType, **_options: object) -> TensorType:
    return x


def _clamp(
    context: Inference, x: TensorType, *, max_value: int | float | None, min_value: int | float | None
) -> TensorType:
    """Same type; the bounds are compared after they were cast to it, as they are when it runs."""
    if min_value is not None and max_value is not None:
        low, high = cast_number(min_value, x.dtype), cast_number(max_value, x.dtype)
        # A comparison with NaN is false, so a NaN bound of floats, which does not limit, passes here.
        if low > high:
            raise OptionError(
                f"clamp option 'minValue' {min_value} is larger than 'maxValue' {max_value}",
                node=context.node,
                op=context.op,
            )
    return x


def _prelu(context: Inference, x: TensorType, slope: TensorType) -> TensorType:
    return x.with_shape(context.broadcast(x.shape, slope.shape))


def _row(name: str, doc: str, *options: Option) -> OpSpec:
    return OpSpec(
        name, (operand("input", FLOATS, FLOATS),), options, (result("input", FLOATS),), _same, doc, "activation"
    )


SPECS = (
    OpSpec(
        "clamp",
        (operand("input", ANY, FLOATS),),
        (
            Option("maxValue", Number(), None, aliases=("max_value",)),
            Option("minValue", Number(), None, aliases=("min_value",)),
        ),
        (result("input", FLOATS),),
        _clamp,
        "x limited to minValue..maxValue; an absent bound does not limit.",
        "activation",
    ),
    _row("elu", "max(0, x) + alpha * (exp(min(0, x)) - 1).", Option("alpha", Real(), 1.0)),
    _row("gelu", "x * (1 + erf(x / sqrt 2)) / 2."),
    _row(
        "hardSigmoid",
        "alpha * x + beta, limited to 0..1.",
        Option("alpha", Real(), 0.2),
        Option("beta", Real(), 0.5),
    ),
    _row("hardSwish", "x * max(0, min(6, x + 3)) / 6."),
    _row("leakyRelu", "x where it is positive, else alpha * x.", Option("alpha", Real(), 0.01)),
    _row("linear", "alpha * x + beta.", Option("alpha", Real(), 1.0), Option("beta", Real(), 0.0)),
    OpSpec(
        "prelu",
        (operand("input", SIGNED, FLOATS), operand("slope", "input", FLOATS)),
        (),
        (result("input", FLOATS),),
        _prelu,
        "x where it is positive, else slope * x; the two broadcast to each other.",
        "activation",
    ),
    OpSpec(
        "relu", (operand("input", SIGNED, FLOATS),), (), (result("input", FLOATS),), _same, "max(0, x).", "activation"
    ),
    _row("sigmoid", "1 / (1 + exp(-x))."),
    OpSpec(
        "softmax",
        (operand("input", FLOATS, FLOATS, VECTOR_UP, VECTOR_UP_REQUIRED),),
        (Option("axis", Axis(), positional=1),),
        (result("input", FLOATS, VECTOR_UP, VECTOR_UP_REQUIRED),),
        _same,
        "exp(x) divided by its sum along axis.",
        "activation",
    ),
    _row("softplus", "log(1 + exp(x))."),
    _row("softsign", "x / (1 + |x|)."),
    _row("tanh", "Hyperbolic tangent."),
)
