"""Pooling and resizing."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.windows import Window, as_image, from_image, window_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["averaged"]


@onnx_op("MaxPool")
def max_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """The largest element of each window; the indices have no WebNN counterpart."""
    node.ignore("storage_order")  # of the indices
    return _pool(ctx, node, "maxPool2d", node.input(0))


@onnx_op("AveragePool", since=7)
def average_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """The mean of each window, over the elements that exist or over all of it."""
    return averaged(ctx, node, node.input(0))


def averaged(ctx: Context, node: OnnxNode, x: Tensor) -> Tensor:
    """AveragePool with the attributes of a node that may be of another kind."""
    if node.integer("count_include_pad", 0) == 0:
        return _pool(ctx, node, "averagePool2d", x)
    if node.integer("ceil_mode", 0):
        raise Refused("count_include_pad with ceil_mode: windows beyond the padding are counted in several ways")
    # Padding counts: pad with zeros first.
    image = as_image(ctx, x)
    window = _window(ctx, node, x, image)
    top, bottom, left, right = window.padding
    if any(window.padding):
        padded = ctx.emit.op(
            "pad",
            ctx.full(image),
            beginningPadding=(0, 0, top, left),
            endingPadding=(0, 0, bottom, right),
            mode="constant",
            value=0,
        )
        image = ctx.tensor(padded, x.elem)
    whole = Window(window.kernel, window.strides, window.dilations, (0, 0, 0, 0))
    return from_image(ctx, _pooled(ctx, "averagePool2d", image, whole, ceil=False), x.rank)


def _window(ctx: Context, node: OnnxNode, x: Tensor, image: Tensor) -> Window:
    del ctx
    return window_of(node, image, node.integers("kernel_shape"), x.rank - 2)


def _pool(ctx: Context, node: OnnxNode, op: str, x: Tensor) -> Tensor:
    image = as_image(ctx, x)
    window = _window(ctx, node, x, image)
    ceil = node.integer("ceil_mode", 0) != 0
    if ceil:
        _check_ceil(ctx, window, image)
    return from_image(ctx, _pooled(ctx, op, image, window, ceil=ceil), x.rank)


def _check_ceil(ctx: Context, window: Window, image: Tensor) -> None:
    """Rounding up can begin a window in the padding, which ONNX drops and WebNN keeps."""
    for axis in range(2):
        size = ctx.size(image.shape[2 + axis], "a spatial dimension with ceil_mode")
        begin, end = window.padding[2 * axis : 2 * axis + 2]
        reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1
        count = -(-(size + begin + end - reach) // window.strides[axis]) + 1
        if (count - 1) * window.strides[axis] >= size + begin:
            raise Refused("ceil_mode begins a window beyond the data, which ONNX leaves out and WebNN does not")


def _pooled(ctx: Context, op: str, image: Tensor, window: Window, *, ceil: bool) -> Tensor:
    made = ctx.emit.op(
        op,
        ctx.full(image),
        windowDimensions=window.kernel,
        padding=window.padding,
        strides=window.strides,
        dilations=window.dilations,
        layout="nchw",
        outputShapeRounding="ceil" if ceil else "floor",
    )
    return ctx.tensor(made, image.elem)


_GLOBAL: Final = {"GlobalAveragePool": "reduceMean", "GlobalMaxPool": "reduceMax"}


@onnx_op(*_GLOBAL)
def global_pool(ctx: Context, node: OnnxNode) -> Tensor:
    """One window over all spatial axes."""
    x = node.input(0)
    axes = tuple(range(2, x.rank))
    return ctx.computed(x.elem, _GLOBAL[node.op_type], ctx.full(x), axes=axes, keepDimensions=True)


@onnx_op("Upsample", since=7)
def upsample_before_9(ctx: Context, node: OnnxNode) -> Tensor:
    """Scales are an attribute; nearest rounds down."""
    scales = node.numbers("scales")
    return _upsample(ctx, node, scales)


@onnx_op("Upsample", since=9)
def upsample(ctx: Context, node: OnnxNode) -> Tensor:
    """Scales are an input."""
    return _upsample(ctx, node, _scales(ctx, node.input(1)))


def _upsample(ctx: Context, node: OnnxNode, scales: tuple[float, ...]) -> Tensor:
    if node.choice("mode", "nearest", "nearest", "linear") != "nearest":
        raise Refused("linear mode with asymmetric coordinates has no WebNN counterpart")
    return _repeat(ctx, node.input(0), scales)


def _scales(ctx: Context, tensor: Tensor) -> tuple[float, ...]:
    return tuple(float(scale) for scale in ctx.constant(tensor, "the scales").reshape(-1))


def _repeat(ctx: Context, x: Tensor, scales: tuple[float, ...]) -> Tensor:
    """Nearest neighbour with whole factors, by any coordinates that round down within a block."""
    if len(scales) != x.rank or any(scale != int(scale) or scale < 1 for scale in scales):
        raise Refused(f"scales {list(scales)}; nearest neighbour is supported for whole factors")
    shape: list[Dim] = []
    goal: list[Dim] = []
    for dim, scale in zip(x.shape, scales, strict=True):
        shape += [dim, 1]
        goal += [dim, int(scale)]
    spread = ctx.emit.expand(ctx.full(reshape_to(ctx, x, shape)), goal)
    whole = [dim * int(scale) for dim, scale in zip(x.shape, scales, strict=True)]
    return ctx.tensor(ctx.emit.reshape(spread, whole), x.elem)


@onnx_op("Resize", since=10)
def resize_before_11(ctx: Context, node: OnnxNode) -> Tensor:
    """Asymmetric coordinates, nearest rounds down."""
    return _upsample(ctx, node, _scales(ctx, node.input(1)))


@onnx_op("Resize", since=11)
def resize(ctx: Context, node: OnnxNode) -> Tensor:
    """Nearest with whole factors, and linear or nearest with half-pixel coordinates on two axes."""
    x, sizes_input, scales_input = node.input(0), node.optional(3), node.optional(2)
    mode = node.choice("mode", "nearest", "nearest", "linear")
    coordinates = node.text("coordinate_transformation_mode", "half_pixel")
    rounding = node.text("nearest_mode", "round_prefer_floor")
    if node.integer("antialias", 0) != 0 or node.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Refused("antialias and keep_aspect_ratio_policy are not supported")
    node.ignore("cubic_coeff_a", "exclude_outside", "extrapolation_value")  # of cubic and cropping modes
    axes = ctx.axes(node.integers("axes", tuple(range(x.rank))), x.rank)
    if sizes_input is not None and ctx.constant(sizes_input, "the sizes").size:
        wanted = ctx.ints(sizes_input, "the sizes")
        sizes = {axis: size for axis, size in zip(axes, wanted, strict=True) if x.shape[axis] != size}
        scales = {axis: size / ctx.size(x.shape[axis], "a resized dimension") for axis, size in sizes.items()}
    elif scales_input is not None:
        given = zip(axes, _scales(ctx, scales_input), strict=True)
        scales = {axis: scale for axis, scale in given if scale != 1}
        sizes = {}
        for axis, scale in scales.items():
            if scale == int(scale):
                continue
            whole = int(np.floor(ctx.size(x.shape[axis], "a resized dimension") * scale))
            if whole / ctx.size(x.shape[axis], "a resized dimension") != scale:
                raise Refused(f"scale {scale} does not give a whole size; its rounding differs between standards")
            sizes[axis] = whole
    else:
        raise Refused("neither scales nor sizes are given; the model is not valid")
    if not scales:
        return x
    is_whole = all(scale == int(scale) and scale >= 1 for scale in scales.values())
    if mode == "nearest" and is_whole and _rounds_down(coordinates, rounding):
        return _repeat(ctx, x, tuple(scales.get(axis, 1.0) for axis in range(x.rank)))
    is_half_pixel = coordinates == "half_pixel" or (
        coordinates == "pytorch_half_pixel" and all(scale * _static(x, axis) > 1 for axis, scale in scales.items())
    )
    if not is_half_pixel or (mode == "nearest" and rounding != "round_prefer_floor"):
        raise Refused(f"mode {mode} with coordinates {coordinates} and rounding {rounding} has no WebNN counterpart")
    return _resample(ctx, x, scales, mode)


def _static(x: Tensor, axis: int) -> float:
    dim = x.shape[axis]
    return float(dim) if isinstance(dim, int) else 0.0


def _rounds_down(coordinates: str, rounding: str) -> bool:
    """Whether every output of a whole factor k takes element floor(o / k)."""
    if coordinates == "asymmetric":
        return rounding == "floor"
    # (o + 0.5) / k - 0.5 lies within half an element of floor(o / k), and reaches the half only downwards.
    return coordinates in ("half_pixel", "pytorch_half_pixel") and rounding == "round_prefer_floor"


def _resample(ctx: Context, x: Tensor, scales: dict[int, float], mode: str) -> Tensor:
    if x.rank != 4 or len(scales) > 2:
        raise Refused(f"{len(scales)} axes of {x} are resized; WebNN resizes two axes of four")
    axes = sorted(scales)
    for axis in (3, 2, 1, 0):
        if len(axes) < 2 and axis not in axes:
            axes = sorted([*axes, axis])
    sizes = [round(scales.get(axis, 1.0) * ctx.size(x.shape[axis], "a resized dimension")) for axis in axes]
    wire = "linear" if mode == "linear" else "nearest-neighbor"
    return ctx.computed(x.elem, "resample2d", ctx.full(x), mode=wire, sizes=tuple(sizes), axes=tuple(axes))
