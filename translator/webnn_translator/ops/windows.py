"""What convolutions and pools share: padding in its ONNX spellings, and one-dimensional data as images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from webnn_runtime.format.dims import Dim, SymbolicDim, ceil_div, names_of
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import reshape_to
from webnn_translator.tensor import Tensor

__all__ = ["Window", "as_image", "from_image", "window_of"]


@dataclass(frozen=True, slots=True)
class Window:
    """A two-dimensional window, in the order of WebNN.

    Attributes:
        kernel: height and width.
        strides: steps.
        dilations: distances between elements of the window.
        padding: begin and end of the height, begin and end of the width.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[int, int, int, int]


def as_image(ctx: Context, x: Tensor) -> Tensor:
    """[batch, channels, width] as [batch, channels, 1, width].

    Raises:
        Refused: more than two spatial axes.
    """
    if x.rank not in (3, 4):
        raise Refused(f"the input is {x}; WebNN has one and two spatial axes only")
    return x if x.rank == 4 else reshape_to(ctx, x, (x.shape[0], x.shape[1], 1, x.shape[2]))


def from_image(ctx: Context, y: Tensor, rank: int) -> Tensor:
    """Back to the rank of the source."""
    return y if rank == 4 else reshape_to(ctx, y, (y.shape[0], y.shape[1], y.shape[3]))


def window_of(node: OnnxNode, image: Tensor, kernel: Sequence[int], spatial: int) -> Window:
    """The attributes of a node with `spatial` axes, completed to two axes.

    Raises:
        Refused: an attribute of the wrong length, or automatic padding of a dynamic dimension.
    """
    lists = {
        "strides": node.integers("strides", (1,) * spatial),
        "dilations": node.integers("dilations", (1,) * spatial),
        "kernel": tuple(kernel),
    }
    for name, values in lists.items():
        if len(values) != spatial:
            raise Refused(f"{name} has {len(values)} values for {spatial} spatial axes; the model is not valid")
    mode = node.choice("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    pads = node.integers("pads", (0,) * (2 * spatial))
    if mode != "NOTSET":
        if any(pads):
            raise Refused(f"pads are given together with auto_pad {mode}; the model is not valid")
        sizes = image.shape[4 - spatial :]
        pads = (0,) * (2 * spatial) if mode == "VALID" else _same(lists, sizes, mode)
    if len(pads) != 2 * spatial or any(pad < 0 for pad in pads):
        raise Refused(f"pads are {list(pads)}; {2 * spatial} values from 0 on are needed")
    two = {name: (1,) * (2 - spatial) + values for name, values in lists.items()}
    ends = (0,) * (2 - spatial)
    begin, end = ends + tuple(pads[:spatial]), ends + tuple(pads[spatial:])
    return Window(
        (two["kernel"][0], two["kernel"][1]),
        (two["strides"][0], two["strides"][1]),
        (two["dilations"][0], two["dilations"][1]),
        (begin[0], end[0], begin[1], end[1]),
    )


def _same(lists: dict[str, tuple[int, ...]], sizes: Sequence[Dim], mode: str) -> tuple[int, ...]:
    begins, ends = [], []
    for size, kernel, stride, dilation in zip(
        sizes, lists["kernel"], lists["strides"], lists["dilations"], strict=True
    ):
        reach = (kernel - 1) * dilation + 1
        if stride == 1:
            total: Dim = reach - 1
        else:
            total = (ceil_div(size, stride) - 1) * stride + reach - size
        if isinstance(total, SymbolicDim):
            raise Refused(f"auto_pad {mode} with strides depends on dimension {size}", sorted(names_of(total)))
        total = max(0, total)
        small, large = total // 2, total - total // 2
        begins.append(small if mode == "SAME_UPPER" else large)
        ends.append(large if mode == "SAME_UPPER" else small)
    return (*begins, *ends)
