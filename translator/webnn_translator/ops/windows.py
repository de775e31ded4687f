"""What convolutions and pools share: windows along one axis, and padding in its ONNX spellings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from webnn_runtime.format.dims import Dim, SymbolicDim, ceil_div, names_of
from webnn_translator._errors import Refused
from webnn_translator.node import OnnxNode

__all__ = ["Span", "rounded_up", "spans_of"]


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
    if mode != "NOTSET":
        if any(pads):
            raise Refused(f"pads are given together with auto_pad {mode}; the model is not valid")
        pads = (0,) * (2 * spatial) if mode == "VALID" else _same(lists, sizes, mode)
    if len(pads) != 2 * spatial or any(pad < 0 for pad in pads):
        raise Refused(f"pads are {list(pads)}; {2 * spatial} values from 0 on are needed")
    columns = zip(lists["kernel"], lists["strides"], lists["dilations"], pads[:spatial], pads[spatial:], strict=True)
    return tuple(Span(*column) for column in columns)


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
