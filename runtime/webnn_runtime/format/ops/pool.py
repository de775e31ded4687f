"""Pooling windows and resampling over two dimensions."""

from __future__ import annotations

import math

from webnn_runtime.format.dims import Dim, is_equal
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import OptionValue, TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Axes, Choice, Dims, Numbers
from webnn_runtime.format.ops.limits import ANY, FLOATS, FLOATS_8BIT, IMAGE, operand, result
from webnn_runtime.format.ops.spec import Operands, OpSpec, Option, Options
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


def _pool(
    context: Inference,
    x: TensorType,
    *,
    dilations: tuple[Dim, ...],
    layout: str,
    output_shape_rounding: str,
    output_sizes: tuple[Dim, ...] | None,
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
    window_dimensions: tuple[Dim, ...],
) -> TensorType:
    """Sizes as rounded; outputSizes overrules the rounding and must be what one of the two gives."""
    height, width = window_dimensions
    check_window(context, (height, width), padding, strides, dilations)
    floor, ceil = (
        window_count(context, spatial(x, layout), (height, width), padding, strides, dilations, ceil=up)
        for up in (False, True)
    )
    sizes = ceil if output_shape_rounding == "ceil" else floor
    if output_sizes is not None:
        wanted = (output_sizes[0], output_sizes[1])
        if not _may_be(context, wanted, floor) and not _may_be(context, wanted, ceil):
            raise context.error(
                f"option 'outputSizes' is {_text(wanted)}; it must be {_text(floor)}"
                + (f" or {_text(ceil)}" if ceil != floor else "")
            )
        # Undecided at build: the run must meet the one that the names leave possible.
        sizes = floor if _may_be(context, wanted, floor) and wanted != ceil else ceil
        for axis in (0, 1):
            context.equal(wanted[axis], sizes[axis], "outputSizes and the sizes that fit")
        sizes = wanted
    return x.with_shape(arranged(layout, n=x.shape[0], c=x.shape[layout.index("c")], h=sizes[0], w=sizes[1]))


def _may_be(context: Inference, wanted: tuple[Dim, Dim], sizes: tuple[Dim, Dim]) -> bool:
    return all(is_equal(a, b, context.dims) is not False for a, b in zip(wanted, sizes, strict=True))


def _text(sizes: tuple[Dim, Dim]) -> str:
    return f"[{sizes[0]}, {sizes[1]}]"


def _resample(
    context: Inference,
    x: TensorType,
    *,
    axes: tuple[int, ...],
    mode: str,  # noqa: ARG001  # a rule takes every option of its row
    scales: tuple[float, ...],
    sizes: tuple[Dim, ...] | None,
) -> TensorType:
    shape = list(x.shape)
    for place, axis in enumerate(axes):
        shape[axis] = sizes[place] if sizes is not None else _scaled(context, shape[axis], scales[place])
    return x.with_shape(tuple(shape))


def _scaled(context: Inference, dim: Dim, scale: float) -> Dim:
    """floor(dim * scale), where a symbolic dimension needs a scale that is a simple fraction."""
    if isinstance(dim, int):
        return math.floor(dim * scale)
    from fractions import Fraction

    exact = Fraction(scale)
    # Up to 2**22 parts the product with any dimension is exact in a double: both ways of computing it agree.
    if exact.numerator > 2**22 or exact.denominator > 2**22:
        raise context.error(f"dimension {dim} times the scale {scale} is no exact expression; give 'sizes'")
    return dim * exact.numerator // exact.denominator


def _whole_image(types: Operands, options: Options) -> OptionValue:
    first = types[0]
    return spatial(first, str(options["layout"])) if first is not None else (1, 1)


def _pool_row(name: str, allowed: frozenset[DataType], doc: str) -> OpSpec:
    return OpSpec(
        name,
        (operand("input", allowed, FLOATS, IMAGE, IMAGE),),
        (
            DILATIONS,
            Option("layout", Choice(("nchw", "nhwc")), "nchw"),
            Option("outputShapeRounding", Choice(("floor", "ceil")), "floor", aliases=("roundingType",)),
            Option("outputSizes", Dims(length=2), None),
            PADDING,
            STRIDES,
            Option("windowDimensions", Dims(length=2), default_for=_whole_image, default_text="input height and width"),
        ),
        (result("input", FLOATS, IMAGE, IMAGE),),
        _pool,
        doc,
        "pool",
        REFUSED,
    )


SPECS = (
    _pool_row("averagePool2d", FLOATS, "Mean of each window (the whole image); padding does not count."),
    _pool_row("l2Pool2d", FLOATS, "Square root of the sum of squares of each window (the whole image)."),
    _pool_row("maxPool2d", ANY, "Largest value of each window (the whole image)."),
    OpSpec(
        "resample2d",
        (operand("input", FLOATS_8BIT, FLOATS, IMAGE, IMAGE),),
        (
            Option("axes", Axes(length=2), (2, 3)),
            Option("mode", Choice(("nearest-neighbor", "linear")), "nearest-neighbor"),
            Option("scales", Numbers(length=2, above=0), (1.0, 1.0)),
            Option("sizes", Dims(length=2), None),
        ),
        (result("input", FLOATS, IMAGE, IMAGE),),
        _resample,
        "Two axes resized by scales, or to sizes, which come first.",
        "pool",
    ),
)
