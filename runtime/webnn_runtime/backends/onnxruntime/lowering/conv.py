"""Convolutions over height and width."""

from __future__ import annotations

from collections.abc import Sequence

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.format.dims import Dim

__all__ = ["from_nchw", "not_empty", "onnx_pads", "to_nchw"]


def onnx_pads(padding: Sequence[int]) -> list[int]:
    """WebNN has both paddings of the height first, ONNX the beginnings of both axes."""
    top, bottom, left, right = padding
    return [top, left, bottom, right]


def to_nchw(g: Emitter, x: Tensor, layout: str) -> str:
    """An image in the order of ONNX."""
    return g.transpose(x, [layout.index(axis) for axis in "nchw"])


def from_nchw(g: Emitter, name: str, layout: str) -> str:
    """The inverse of `to_nchw`."""
    return g.transpose(name, ["nchw".index(axis) for axis in layout])


def not_empty(g: Emitter, name: str, shape: Sequence[Dim]) -> str:
    """A value with a zero along each dimension that may have no elements, where it has none."""
    missing = [g.larger(1 - dim, 0) for dim in shape]
    return g.node("Pad", name, g.dims([0] * len(shape) + missing)) if any(missing) else name


@lowering("conv2d")
def _conv2d(
    g: Emitter,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
    dilations: tuple[Dim, ...],
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> str:
    result = g.node(
        "Conv",
        to_nchw(g, x, input_layout),
        g.transpose(weight, [filter_layout.index(axis) for axis in "oihw"]),
        bias,
        pads=onnx_pads(g.integers(padding, "padding")),
        strides=g.integers(strides, "strides"),
        dilations=g.integers(dilations, "dilations"),
        group=groups,
    )
    return from_nchw(g, result, input_layout)


@lowering("convTranspose2d")
def _conv_transpose2d(
    g: Emitter,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
    dilations: tuple[Dim, ...],
    output_padding: tuple[Dim, ...],
    output_sizes: tuple[Dim, ...] | None,
    groups: int,
    input_layout: str,
    filter_layout: str,
) -> str:
    if output_sizes is not None:
        # ONNX's output_shape would move the padding about; what is missing at the end is the same thing.
        output_padding = tuple(
            output_sizes[axis]
            - (x.shape[input_layout.index(letter)] - 1) * strides[axis]
            - (weight.shape[filter_layout.index(letter)] - 1) * dilations[axis]
            - 1
            + padding[2 * axis]
            + padding[2 * axis + 1]
            for axis, letter in enumerate("hw")
        )
    image = to_nchw(g, x, input_layout)
    shape = [g.results[0].shape[input_layout.index(letter)] for letter in "nchw"]
    pads, starts = onnx_pads(g.integers(padding, "padding")), [0, 0, 0, 0]
    if may_vanish := not all(map(g.is_positive, shape[2:])):
        # onnxruntime refuses padding that leaves nothing: it pads nothing then, and the result is cut out.
        pads, starts = [0] * 4, [0, 0, *pads[:2]]
    # onnxruntime takes no image without elements. One of zeros has the same sums, and more of them, which are cut off.
    count, channels, *spatial = (x.shape[input_layout.index(letter)] for letter in "nchw")
    padded = not_empty(g, image, [count, channels - groups + 1, *spatial])
    filters = g.transpose(weight, [filter_layout.index(axis) for axis in "iohw"])
    result = g.node(
        "ConvTranspose",
        padded,
        not_empty(g, filters, [weight.shape[filter_layout.index("i")] - groups + 1, 1, 1, 1]),
        bias,
        pads=pads,
        strides=g.integers(strides, "strides"),
        dilations=g.integers(dilations, "dilations"),
        output_padding=g.integers(output_padding, "outputPadding"),
        group=groups,
    )
    if padded != image or may_vanish:
        ends = [start + dim for start, dim in zip(starts, shape, strict=True)]
        result = g.node("Slice", result, g.ints(starts), g.dims(ends))
    return from_nchw(g, result, input_layout)
