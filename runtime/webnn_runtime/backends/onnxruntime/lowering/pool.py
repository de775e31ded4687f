"""Pooling over windows of height and width, and resampling to another size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.backends.onnxruntime.lowering.conv import from_nchw, not_empty, onnx_pads, to_nchw
from webnn_runtime.backends.onnxruntime.lowering.integers import larger
from webnn_runtime.backends.onnxruntime.types import DOUBLE
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.records import dataclass

__all__: list[str] = []

_GLOBAL: Final = {"AveragePool": "GlobalAveragePool", "LpPool": "GlobalLpPool", "MaxPool": "GlobalMaxPool"}


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows of one pool, in ONNX's terms.

    Attributes:
        attributes: of the pooling node.
        pads: ends enlarged so that rounding down gives the wanted number of windows.
        sizes: number of windows along both axes.
    """

    attributes: dict[str, list[int]]
    pads: list[Dim]
    sizes: list[Dim]

    @property
    def window(self) -> list[int]:
        return self.attributes["kernel_shape"]

    @property
    def fixed_pads(self) -> list[int] | None:
        """Paddings as an attribute; None where one depends on a name, or is as large as the window (refused)."""
        fixed = [pad for axis, pad in enumerate(self.pads) if isinstance(pad, int) and pad < self.window[axis % 2]]
        return fixed if len(fixed) == len(self.pads) else None


def _windows(
    g: Emitter,
    x: Tensor,
    *,
    window_dimensions: tuple[Dim, ...],
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
    dilations: tuple[Dim, ...],
    layout: str,
    output_shape_rounding: str,
    output_sizes: tuple[Dim, ...] | None,
) -> _Windows:
    window = g.integers(window_dimensions, "windowDimensions")
    step = g.integers(strides, "strides")
    spread = g.integers(dilations, "dilations")
    pads: list[Dim] = [*onnx_pads(g.integers(padding, "padding"))]
    sizes = [g.results[0].shape[layout.index(letter)] for letter in "hw"]
    for axis, letter in enumerate("hw"):
        if output_shape_rounding == "ceil" or output_sizes is not None:
            # onnxruntime's own rounding up leaves out a last window that WebNN counts.
            reach = (sizes[axis] - 1) * step[axis] + (window[axis] - 1) * spread[axis] + 1
            pads[axis + 2] = g.larger(pads[axis + 2], reach - x.shape[layout.index(letter)] - pads[axis])
    return _Windows({"kernel_shape": window, "strides": step, "dilations": spread}, pads, sizes)


def _is_global(x: Tensor, options: dict[str, object]) -> bool:
    layout = str(options["layout"])
    image = tuple(x.shape[layout.index(letter)] for letter in "hw")
    return options["window_dimensions"] == image and options["padding"] == (0, 0, 0, 0)


def _padded(g: Emitter, name: str, pads: list[Dim], filler: str | None) -> str:
    padded = g.node("Pad", name, g.dims([0, 0, *pads[:2], 0, 0, *pads[2:]]), filler)
    # The larger of a value and itself is that value, but keeps onnxruntime from merging the padding into the pool,
    # which then refuses it as too large.
    return g.node("Max", padded, padded)


def _pool(onnx_op: str, **fixed: int) -> Callable[..., str]:
    def lower(g: Emitter, x: Tensor, **options: object) -> str:
        layout = str(options["layout"])
        image = to_nchw(g, x, layout)
        if _is_global(x, options) and options["dilations"] == (1, 1):
            return from_nchw(g, g.node(_GLOBAL[onnx_op], image, **fixed), layout)
        windows = _windows(g, x, **options)  # type: ignore[arg-type]  # the row's options
        # onnxruntime pads no image that has no rows.
        if windows.fixed_pads is not None and all(map(g.is_positive, x.shape)):
            return from_nchw(g, g.node(onnx_op, image, pads=windows.fixed_pads, **windows.attributes, **fixed), layout)
        is_max = onnx_op == "MaxPool"
        padded = _padded(g, image, windows.pads, g.scalar(-np.inf, x.dtype) if is_max else None)
        # Where places are asked for as well, onnxruntime begins a maximum with -infinity, not with the lowest float.
        result, *_ = g.nodes(onnx_op, padded, results=1 + is_max, **windows.attributes, **fixed)
        if onnx_op == "AveragePool":
            # Padding must not count: divide by the share of each window that is not padding.
            ones = g.node("Expand", g.scalar(1, x.dtype), g.node("Shape", image))
            share = g.node(onnx_op, _padded(g, ones, windows.pads, None), **windows.attributes)
            result = g.node("Div", result, share)
        return from_nchw(g, result, layout)

    return lower


lowering("averagePool2d")(_pool("AveragePool"))
lowering("l2Pool2d")(_pool("LpPool", p=2))


@lowering("maxPool2d")
def _max_pool2d(g: Emitter, x: Tensor, **options: object) -> str:
    if x.dtype.is_float:
        return _pool("MaxPool")(g, x, **options)
    layout = str(options["layout"])
    windows = _windows(g, x, **options)  # type: ignore[arg-type]  # the row's options
    is_wide = x.dtype.bits == 64
    # float64 holds all 32-bit integers; wider ones are compared place by place of the window.
    name = g.transpose(g.ordered("Where", x) if is_wide else g.cast(x, DOUBLE), [layout.index(axis) for axis in "nchw"])
    lowest = g.scalar(-(2**63), DataType.INT64) if is_wide else g.constant(np.array(float(x.dtype.bounds[0])))
    padded = _padded(g, name, windows.pads, lowest)
    if not is_wide:
        return g.cast(from_nchw(g, g.node("MaxPool", padded, **windows.attributes), layout), x.dtype)
    result = ""
    step, spread = (g.integers(options[key], key) for key in ("strides", "dilations"))  # type: ignore[arg-type]  # dimensions
    for place in np.ndindex(*windows.window):
        starts = [place[axis] * spread[axis] for axis in (0, 1)]
        ends = [
            start + (count - 1) * stride + 1 for start, count, stride in zip(starts, windows.sizes, step, strict=True)
        ]
        elements = g.node("Slice", padded, g.ints(starts), g.dims(ends), g.ints([2, 3]), g.ints(step))
        result = larger(g, result, elements) if result else elements
    return from_nchw(g, g.from_ordered("Where", result, x.dtype), layout)


@lowering("resample2d")
def _resample2d(
    g: Emitter,
    x: Tensor,
    *,
    mode: str,
    axes: tuple[int, ...],
    scales: tuple[float, ...],
    sizes: tuple[Dim, ...] | None,
) -> str:
    del scales, sizes  # the type of the result says both
    for axis in axes:
        reason = "resamples an axis of no elements; give it at least one"
        g.demand_elements("resample2d", [x.shape[axis]], g.results[0].shape, reason)
    # onnxruntime resizes the last two axes only.
    order = [*(axis for axis in range(4) if axis not in axes), *sorted(axes)]
    is_linear = mode == "linear"
    # Between integers it would truncate.
    wide = DataType.FLOAT32 if is_linear and not x.dtype.is_float else kernel_type("Resize", x.dtype)
    name = g.transpose(x.name if wide is x.dtype else g.cast(x, wide), order)
    shape = [g.results[0].shape[axis] for axis in order]
    # onnxruntime makes no image without elements: it makes one, which is cut off.
    made = [g.larger(dim, 1) for dim in shape]
    result = g.node(
        "Resize",
        not_empty(g, name, [x.shape[axis] for axis in order]),
        None,
        None,
        g.dims(made),
        mode="linear" if is_linear else "nearest",
        coordinate_transformation_mode="half_pixel",
        nearest_mode="round_prefer_floor",
    )
    if made != shape:
        result = g.node("Slice", result, g.ints([0] * 4), g.dims(shape))
    if wide is not x.dtype:
        result = g.cast(g.node("Round", result) if is_linear else result, x.dtype)
    return g.transpose(result, sorted(range(4), key=lambda index: order[index]))
