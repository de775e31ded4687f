"""Normalisation by mean and variance, given or computed."""

from __future__ import annotations

from collections.abc import Sequence

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, as_attribute
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.format.dims import Dim

__all__: list[str] = []


def _inverse(permutation: Sequence[int]) -> list[int]:
    return sorted(range(len(permutation)), key=lambda index: permutation[index])


@lowering("layerNormalization")
def _layer_normalization(
    g: Emitter, x: Tensor, scale: Tensor | None, bias: Tensor | None, *, axes: tuple[int, ...], epsilon: float
) -> str:
    if not axes:
        return _over_nothing(g, x, bias)
    if not all(g.is_positive(x.shape[axis]) for axis in axes):
        return _in_steps(g, x, scale, bias, epsilon, over=axes, along=axes)
    # ONNX normalises the last dimensions, with scale and bias in their order: bring the axes there as given.
    permutation = [axis for axis in range(x.rank) if axis not in axes] + list(axes)
    weights = scale.name if scale is not None else g.filled([x.shape[axis] for axis in axes], 1, x.dtype)
    normal = g.node(
        "LayerNormalization",
        g.transpose(x, permutation),
        weights,
        bias,
        axis=x.rank - len(axes),
        epsilon=as_attribute(epsilon, x.dtype),
    )
    return g.transpose(normal, _inverse(permutation))


def _in_steps(
    g: Emitter,
    x: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    epsilon: float,
    *,
    over: Sequence[int],
    along: Sequence[int],
) -> str:
    """Normalised `over` axes in steps: where there may be no elements, the operators of onnxruntime fail or crash."""
    axes = g.ints(over)
    centred = g.node("Sub", x, g.node("ReduceMean", x, axes))
    variance = g.node("ReduceMean", g.node("Mul", centred, centred), axes)
    result = g.node("Div", centred, g.node("Sqrt", g.node("Add", variance, g.scalar(epsilon, x.dtype))))
    # Scale and bias have their axes in the order given.
    order = sorted(range(len(along)), key=lambda position: along[position])
    shape = [x.shape[axis] if axis in along else 1 for axis in range(x.rank)]
    for value, op_type in ((scale, "Mul"), (bias, "Add")):
        if value is not None:
            result = g.node(op_type, result, g.reshape(g.transpose(value, order), shape))
    return result


def _over_nothing(g: Emitter, x: Tensor, bias: Tensor | None) -> str:
    """Each element is its own mean: the bias is left, or 0 (NaN where there is none to subtract from)."""
    nothing = g.node("Sub", x, x)
    return g.node("Add", nothing, bias) if bias is not None else nothing


@lowering("instanceNormalization")
def _instance_normalization(
    g: Emitter, x: Tensor, scale: Tensor | None, bias: Tensor | None, *, epsilon: float, layout: str
) -> str:
    to_nchw = [0, 1, 2, 3] if layout == "nchw" else [0, 3, 1, 2]
    if not all(map(g.is_positive, x.shape)):
        return _in_steps(g, x, scale, bias, epsilon, over=to_nchw[2:], along=to_nchw[1:2])
    channels: list[Dim] = [x.shape[to_nchw[1]]]
    scale_name = scale.name if scale is not None else g.filled(channels, 1, x.dtype)
    bias_name = bias.name if bias is not None else g.filled(channels, 0, x.dtype)
    normal = g.node(
        "InstanceNormalization", g.transpose(x, to_nchw), scale_name, bias_name, epsilon=as_attribute(epsilon, x.dtype)
    )
    return g.transpose(normal, _inverse(to_nchw))


@lowering("batchNormalization")
def _batch_normalization(
    g: Emitter,
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    scale: Tensor | None,
    bias: Tensor | None,
    *,
    axis: int,
    epsilon: float,
) -> str:
    if axis == 1 and g.producer(x) == "Conv":
        # onnxruntime folds this form into the convolution. Elsewhere its kernel's bias - mean * scale
        # would cancel digits (18 ULP where 6 are allowed).
        channels = [x.shape[1]]
        scale_name = scale.name if scale is not None else g.filled(channels, 1, x.dtype)
        bias_name = bias.name if bias is not None else g.filled(channels, 0, x.dtype)
        return g.node(
            "BatchNormalization", x, scale_name, bias_name, mean, variance, epsilon=as_attribute(epsilon, x.dtype)
        )
    shape: list[Dim] = [1] * x.rank
    shape[axis] = x.shape[axis]

    def along(value: Tensor) -> str:
        return value.name if axis == x.rank - 1 else g.reshape(value, shape)

    deviation = g.node("Sqrt", g.node("Add", along(variance), g.scalar(epsilon, x.dtype)))
    result = g.node("Div", g.node("Sub", x, along(mean)), deviation)
    if scale is not None:
        result = g.node("Mul", result, along(scale))
    return g.node("Add", result, along(bias)) if bias is not None else result
