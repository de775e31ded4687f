"""What convolutions and pools share: windows along one axis, and padding in its ONNX spellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from webnn_runtime.format.dims import Dim, SymbolicDim, ceil_div, dim_max, names_of
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.slicing import padded
from webnn_translator.tensor import Tensor

__all__ = ["Span", "demand_windows", "rounded_up", "settled", "spans_of"]


@dataclass(frozen=True, slots=True)
class Span:
    """A window along one axis.

    Attributes:
        kernel: elements of the window.
        stride: step from window to window.
        dilation: distance between elements of a window.
        begin: padding before the data.
        end: padding after it.
    """

    kernel: int
    stride: int = 1
    dilation: int = 1
    begin: int = 0
    end: int = 0

    @property
    def reach(self) -> int:
        """Elements from the first to the last of a window."""
        return (self.kernel - 1) * self.dilation + 1

    def count(self, size: Dim) -> Dim:
        """Number of windows; one that is not whole is none."""
        return (size + (self.begin + self.end - self.reach)) // self.stride + 1


def spans_of(node: OnnxNode, sizes: Sequence[Dim], kernel: Sequence[int]) -> tuple[Span, ...]:
    """The attributes of a node, one span per spatial axis.

    Raises:
        Refused: an attribute of the wrong length, or automatic padding of a dynamic dimension.
    """
    spans, free = _read(node, sizes, kernel)
    for axis in free:
        raise Refused(
            f"automatic padding with strides depends on dimension {sizes[axis]}", sorted(names_of(sizes[axis]))
        )
    return spans


def settled(
    ctx: Context, node: OnnxNode, x: Tensor, kernel: Sequence[int], value: float = 0
) -> tuple[Tensor, tuple[Span, ...], bool]:
    """The data and its spans, one per axis from the third on; padding that depends on a free size has become data.

    Args:
        ctx: the translation.
        node: its attributes.
        x: [batch, channels, ...].
        kernel: size of the window.
        value: what the padding holds.

    Returns:
        The data, its spans, and whether some padding has become data.
    """
    spans, free = _read(node, x.shape[2:], kernel)
    amounts = {2 + axis: pads for axis, pads in free.items()}
    return padded(ctx, x, amounts, value), spans, bool(amounts)


def demand_windows(ctx: Context, sizes: Sequence[Dim], spans: Sequence[Span]) -> None:
    """Leave sizes without a whole window out of the ranges: what would come of them has no elements, or is an error."""
    for size, span in zip(sizes, spans, strict=True):
        if isinstance(size, SymbolicDim):
            ctx.demand(size + span.begin + span.end, span.reach, f"a window reaches over {span.reach} of {size}")


def _read(
    node: OnnxNode, sizes: Sequence[Dim], kernel: Sequence[int]
) -> tuple[tuple[Span, ...], dict[int, tuple[Dim, Dim]]]:
    """The spans, and the padding of those axes where it depends on the size, which their spans do not have."""
    spatial = len(sizes)
    lists = {
        "strides": node.integers("strides", (1,) * spatial),
        "dilations": node.integers("dilations", (1,) * spatial),
        "kernel": tuple(kernel),
    }
    for name, values in lists.items():
        if len(values) != spatial or any(value < 1 for value in values):
            raise Refused(f"{name} is {list(values)} for {spatial} spatial axes; the model is not valid")
    mode = node.choice("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    pads = node.integers("pads", (0,) * (2 * spatial))
    free: dict[int, tuple[Dim, Dim]] = {}
    if mode != "NOTSET":
        if any(pads):
            raise Refused(f"pads are given together with auto_pad {mode}; the model is not valid")
        wanted = [(0, 0)] * spatial if mode == "VALID" else _same(lists, sizes, mode)
        free = {axis: pair for axis, pair in enumerate(wanted) if not all(isinstance(pad, int) for pad in pair)}
        fixed = [(0, 0) if axis in free else pair for axis, pair in enumerate(wanted)]
        pads = tuple(int(str(pair[side])) for side in (0, 1) for pair in fixed)
    if len(pads) != 2 * spatial or any(pad < 0 for pad in pads):
        raise Refused(f"pads are {list(pads)}; {2 * spatial} values from 0 on are needed")
    columns = zip(lists["kernel"], lists["strides"], lists["dilations"], pads[:spatial], pads[spatial:], strict=True)
    return tuple(Span(*column) for column in columns), free


def rounded_up(span: Span, size: Dim) -> Span:
    """The span with as much padding as makes rounding up exact (`ceil_mode`).

    ONNX drops a window that would begin behind the data and its padding; WebNN would keep it.

    Raises:
        Refused: whether there is such a window depends on a dimension.
    """
    if isinstance(size, SymbolicDim):
        # The last window begins less than a step behind the place where it would end with the padding.
        if span.end + span.stride > span.reach:
            raise Refused(
                f"whether the last window of {span.reach} with ceil_mode, every {span.stride}, begins in the data"
                f" depends on dimension {size}",
                sorted(names_of(size)),
            )
        return replace(span, end=span.end + span.stride - 1)
    count = -(-(size + span.begin + span.end - span.reach) // span.stride) + 1
    if (count - 1) * span.stride >= size + span.begin:
        count -= 1
    needed = (count - 1) * span.stride + span.reach
    return replace(span, end=max(0, needed - size - span.begin))


def _same(lists: dict[str, tuple[int, ...]], sizes: Sequence[Dim], mode: str) -> list[tuple[Dim, Dim]]:
    """Padding before and after, so that there are as many windows as steps fit into the size, rounded up."""
    pairs: list[tuple[Dim, Dim]] = []
    for size, kernel, stride, dilation in zip(
        sizes, lists["kernel"], lists["strides"], lists["dilations"], strict=True
    ):
        reach = (kernel - 1) * dilation + 1
        total: Dim = reach - 1 if stride == 1 else (ceil_div(size, stride) - 1) * stride + reach - size
        if isinstance(total, int):
            total = max(0, total)
        elif reach == 1:
            total = 0
        elif reach < stride:
            # Otherwise a window begins before the data ends, and reaches to its end at least.
            total = dim_max(total, 0, {})
        small, large = total // 2, total - total // 2
        pairs.append((small, large) if mode == "SAME_UPPER" else (large, small))
    return pairs
