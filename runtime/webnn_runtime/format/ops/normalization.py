"""Normalisation by mean and variance, given or computed."""

from __future__ import annotations

from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Axes, Axis, Choice, Real
from webnn_runtime.format.ops.limits import (
    ANY_RANK,
    FLOATS,
    IMAGE,
    SCALAR_UP,
    VECTOR,
    VECTOR_UP,
    operand,
    result,
)
from webnn_runtime.format.ops.spec import Operand, Operands, OpSpec, Option, Options, Ranks

__all__ = ["SPECS"]

_EPSILON = Option("epsilon", Real(), 1e-5)


def _batch(
    context: Inference,
    x: TensorType,
    mean: TensorType,
    variance: TensorType,
    scale: TensorType | None,
    bias: TensorType | None,
    *,
    axis: int,
    epsilon: float,  # noqa: ARG001  # a rule takes every option of its row
) -> TensorType:
    _channels(context, x, axis, mean=mean, variance=variance, scale=scale, bias=bias)
    return x


def _instance(
    context: Inference,
    x: TensorType,
    scale: TensorType | None,
    bias: TensorType | None,
    *,
    epsilon: float,  # noqa: ARG001  # a rule takes every option of its row
    layout: str,
) -> TensorType:
    _channels(context, x, layout.index("c"), scale=scale, bias=bias)
    return x


def _layer(
    context: Inference,
    x: TensorType,
    scale: TensorType | None,
    bias: TensorType | None,
    *,
    axes: tuple[int, ...],
    epsilon: float,  # noqa: ARG001  # a rule takes every option of its row
) -> TensorType:
    """Same type; scale and bias have the normalised dimensions, in the order of axes."""
    wanted = tuple(x.shape[axis] for axis in axes)
    for name, kind in (("scale", scale), ("bias", bias)):
        if kind is not None:
            context.same_shape(kind.shape, wanted, f"shapes of operand '{name}' and of the normalised axes")
    return x


def _channels(context: Inference, x: TensorType, axis: int, **operands: TensorType | None) -> None:
    for name, kind in operands.items():
        if kind is not None:
            context.equal(kind.shape[0], x.shape[axis], f"sizes of operand '{name}' and of the input's axis {axis}")


def _all_but_the_first(types: Operands, _: Options) -> tuple[int, ...]:
    first = types[0]
    return tuple(range(1, first.rank)) if first is not None else ()


def _as_many_as_scale_has(types: Operands, options: Options) -> tuple[int, ...]:
    """As many of the last axes as scale or bias has dimensions.

    Older writers leave axes out when they mean the last one. WebNN's own default would refuse every such
    graph where the two differ, so no valid one changes its meaning.
    """
    first, *rest = types
    counts = {kind.rank for kind in rest if kind is not None}
    if first is None or len(counts) != 1 or max(counts) > first.rank:
        return _all_but_the_first(types, options)
    return tuple(range(first.rank - counts.pop(), first.rank))


def _vector(name: str, *, optional: bool = False) -> Operand:
    return operand(name, "input", FLOATS, VECTOR, VECTOR, optional=optional)


SPECS = (
    OpSpec(
        "batchNormalization",
        (
            operand("input", FLOATS, FLOATS, VECTOR_UP, Ranks(3, 5)),
            _vector("mean"),
            _vector("variance"),
            _vector("scale", optional=True),
            _vector("bias", optional=True),
        ),
        (Option("axis", Axis(), 1), _EPSILON),
        (result("input", FLOATS, VECTOR_UP, Ranks(3, 5)),),
        _batch,
        "scale * (x - mean) / sqrt(variance + epsilon) + bias, per index of axis.",
        "normalization",
    ),
    OpSpec(
        "instanceNormalization",
        (
            operand("input", FLOATS, FLOATS, IMAGE, IMAGE),
            _vector("scale", optional=True),
            _vector("bias", optional=True),
        ),
        (_EPSILON, Option("layout", Choice(("nchw", "nhwc")), "nchw")),
        (result("input", FLOATS, IMAGE, IMAGE),),
        _instance,
        "Each image and channel by its own mean and variance over height and width.",
        "normalization",
    ),
    OpSpec(
        "layerNormalization",
        (
            operand("input", FLOATS, FLOATS),
            operand("scale", "input", FLOATS, optional=True),
            operand("bias", "input", FLOATS, optional=True),
        ),
        (
            Option(
                "axes",
                Axes(),
                default_for=_all_but_the_first,
                default_text="all axes but the first",
                older_default=_as_many_as_scale_has,
            ),
            _EPSILON,
        ),
        (result("input", FLOATS, ANY_RANK, SCALAR_UP),),
        _layer,
        "x by its own mean and variance over axes (all but the first), then scale and bias.",
        "normalization",
    ),
)
