"""Convolutions over height and width."""

from __future__ import annotations

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.errors import OptionError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Choice, Dims, Integer
from webnn_runtime.format.ops.limits import FLOATS, IMAGE, VECTOR, operand, result
from webnn_runtime.format.ops.spec import OpSpec, Option
from webnn_runtime.format.ops.windows import (
    DILATIONS,
    PADDING,
    REFUSED,
    STRIDES,
    arranged,
    check_window,
    spatial,
    window_count,
)

__all__ = ["SPECS"]


def _conv(
    context: Inference,
    x: TensorType,
    weight: TensorType,
    bias: TensorType | None,
    *,
    dilations: tuple[Dim, ...],
    filter_layout: str,
    groups: int,
    input_layout: str,
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
) -> TensorType:
    channels, made = x.shape[input_layout.index("c")], weight.shape[filter_layout.index("o")]
    read = weight.shape[filter_layout.index("i")]
    context.equal(channels, read * groups, f"input channels and filter channels times {groups} groups")
    context.multiple_of(made, groups, "number of output channels")
    _check_bias(context, bias, made)
    window = spatial(weight, filter_layout)
    check_window(context, window, padding, strides, dilations)
    height, width = window_count(context, spatial(x, input_layout), window, padding, strides, dilations)
    return x.with_shape(arranged(input_layout, n=x.shape[0], c=made, h=height, w=width))


def _conv_transpose(
    context: Inference,
    x: TensorType,
    weight: TensorType,
    bias: TensorType | None,
    *,
    dilations: tuple[Dim, ...],
    filter_layout: str,
    groups: int,
    input_layout: str,
    output_padding: tuple[Dim, ...],
    output_sizes: tuple[Dim, ...] | None,
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
) -> TensorType:
    """Each size is (in - 1) * stride + reach - padding, and what outputPadding or outputSizes adds."""
    channels = x.shape[input_layout.index("c")]
    context.equal(channels, weight.shape[filter_layout.index("i")], "channels of input and filter")
    context.multiple_of(channels, groups, "number of input channels")
    made = weight.shape[filter_layout.index("o")] * groups
    _check_bias(context, bias, made)
    window = spatial(weight, filter_layout)
    check_window(context, window, padding, strides, dilations)
    sizes: list[Dim] = []
    for axis, size in enumerate(spatial(x, input_layout)):
        reach = (window[axis] - 1) * dilations[axis] + 1
        least = (size - 1) * strides[axis] + reach - padding[2 * axis] - padding[2 * axis + 1]
        if output_sizes is None:
            _check_output_padding(context, output_padding[axis], strides[axis])
            sizes.append(least + output_padding[axis])
        else:
            name = f"output {('height', 'width')[axis]}"
            context.at_least(output_sizes[axis], least, name)
            context.at_least(least + strides[axis] - 1, output_sizes[axis], f"largest {name} that can be computed")
            sizes.append(output_sizes[axis])
    return x.with_shape(arranged(input_layout, n=x.shape[0], c=made, h=sizes[0], w=sizes[1]))


def _check_output_padding(context: Inference, amount: Dim, stride: Dim) -> None:
    if isinstance(amount, int) and isinstance(stride, int) and amount >= stride:
        raise OptionError(
            f"{context.op} option 'outputPadding': {amount} must be smaller than the stride {stride}",
            node=context.node,
            op=context.op,
        )
    context.at_least(amount, 0, f"output padding {amount}")
    context.at_least(stride, amount + 1, f"stride {stride} for the output padding {amount}")


def _check_bias(context: Inference, bias: TensorType | None, channels: Dim) -> None:
    if bias is not None:
        context.equal(bias.shape[0], channels, "sizes of operand 'bias' and of the output channels")


_OPERANDS = (
    operand("input", FLOATS, FLOATS, IMAGE, IMAGE),
    operand("filter", "input", FLOATS, IMAGE, IMAGE),
    operand("bias", "input", FLOATS, VECTOR, VECTOR, optional=True),
)
_RESULT = result("input", FLOATS, IMAGE, IMAGE)
_GROUPS = Option("groups", Integer(1, 2**31 - 1), 1)
_INPUT_LAYOUT = Option("inputLayout", Choice(("nchw", "nhwc")), "nchw")

SPECS = (
    OpSpec(
        "conv2d",
        _OPERANDS,
        (
            DILATIONS,
            Option("filterLayout", Choice(("oihw", "hwio", "ohwi", "ihwo")), "oihw"),
            _GROUPS,
            _INPUT_LAYOUT,
            PADDING,
            STRIDES,
        ),
        (_RESULT,),
        _conv,
        "Convolution over height and width, plus bias per output channel.",
        "conv",
        REFUSED,
    ),
    OpSpec(
        "convTranspose2d",
        _OPERANDS,
        (
            DILATIONS,
            Option("filterLayout", Choice(("iohw", "hwoi", "ohwi")), "iohw"),
            _GROUPS,
            _INPUT_LAYOUT,
            Option("outputPadding", Dims(0, length=2), (0, 0)),
            Option("outputSizes", Dims(length=2), None),
            PADDING,
            STRIDES,
        ),
        (_RESULT,),
        _conv_transpose,
        "Transposed convolution over height and width, plus bias per output channel.",
        "conv",
        REFUSED,
    ),
)
