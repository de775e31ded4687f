"""Sizes of sliding windows over the two spatial dimensions, for convolutions and pools."""

from __future__ import annotations

from typing import Final

from webnn_runtime.format.dims import Dim, ceil_div
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.kinds import Dims
from webnn_runtime.format.ops.spec import Option

__all__ = ["DILATIONS", "PADDING", "REFUSED", "STRIDES", "Pair", "arranged", "check_window", "spatial", "window_count"]

Pair = tuple[Dim, Dim]

DILATIONS: Final = Option("dilations", Dims(length=2), (1, 1))
STRIDES: Final = Option("strides", Dims(length=2), (1, 1))
# Beginning and ending height, then beginning and ending width, also under the older name.
PADDING: Final = Option("padding", Dims(0, length=4), (0, 0, 0, 0), aliases=("pads",))
REFUSED: Final = {"autoPad": "give 'padding' as [beginning height, ending height, beginning width, ending width]"}


def spatial(kind: TensorType, layout: str) -> Pair:
    """Height and width of a tensor in `nchw`, `nhwc` or a filter layout."""
    return kind.shape[layout.index("h")], kind.shape[layout.index("w")]


def arranged(layout: str, **dims: Dim) -> tuple[Dim, ...]:
    """A shape in the order of `layout`, from dimensions by letter."""
    return tuple(dims[letter] for letter in layout)


def check_window(
    context: Inference, window: Pair, padding: tuple[Dim, ...], strides: tuple[Dim, ...], dilations: tuple[Dim, ...]
) -> None:
    """Demand at run what a symbolic value could not show when it was read."""
    for amount in padding:
        context.at_least(amount, 0, f"padding {amount}")
    for amount in (*window, *strides, *dilations):
        context.at_least(amount, 1, f"window, stride or dilation {amount}")


def window_count(
    context: Inference,
    sizes: Pair,
    window: Pair,
    padding: tuple[Dim, ...],
    strides: tuple[Dim, ...],
    dilations: tuple[Dim, ...],
    *,
    ceil: bool = False,
) -> Pair:
    """How many windows fit along each dimension; the last one may hang over when `ceil`."""
    counts: list[Dim] = []
    for axis, (size, edge) in enumerate(zip(sizes, window, strict=True)):
        reach = (edge - 1) * dilations[axis] + 1
        padded = size + padding[2 * axis] + padding[2 * axis + 1]
        name = ("height", "width")[axis]
        context.at_least(padded, reach, f"padded {name}, for a window that reaches over {reach},")
        divide = ceil_div if ceil else _floor_div
        counts.append(divide(padded - reach, strides[axis]) + 1)
    return counts[0], counts[1]


def _floor_div(numerator: Dim, divisor: Dim) -> Dim:
    return numerator // divisor
