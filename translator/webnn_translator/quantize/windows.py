"""What a convolution multiplies its filters with: the windows of its input, as rows like those of a product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array, Graph, Node
from webnn_translator.quantize.sites import Site

__all__ = ["Windows", "windows_of"]

# Steps of this part of the whole lie evenly, and never on the same column of every line.
_GOLDEN: Final = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class Windows:
    """One convolution: the value that its filters are laid over, and how.

    Attributes:
        value: its name.
        layout: order of the value's axes, as in "nchw".
        order: order of a window's elements, as in "ihw": that of the filters.
        size: height and width of a filter.
        padding: zeros above, below, to the left and to the right.
        strides: distance of windows.
        dilations: distance of elements within one.
        groups: parts of the channels, each of which has filters of its own.
    """

    value: str
    layout: str
    order: str
    size: tuple[int, int]
    padding: tuple[int, int, int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    groups: int

    def rows(self, array: Array, most: int) -> Array:
        """At most `most` windows that lie evenly, [groups, windows, elements]."""
        image = np.transpose(array, [self.layout.index(axis) for axis in "nchw"])
        top, bottom, left, right = self.padding
        padded = np.pad(image, ((0, 0), (0, 0), (top, bottom), (left, right)))
        whole = tuple((size - 1) * step + 1 for size, step in zip(self.size, self.dilations, strict=True))
        (down, across), (rise, run) = self.strides, self.dilations
        every = np.lib.stride_tricks.sliding_window_view(padded, whole, axis=(2, 3))
        every = every[:, :, ::down, ::across, ::rise, ::run]
        places = len(every) * every.shape[2] * every.shape[3]
        chosen = np.arange(places)
        if places > most:
            chosen = (np.arange(most) * _GOLDEN % 1 * places).astype(np.int64)
        image_of, line, column = np.unravel_index(chosen, (len(every), *every.shape[2:4]))
        some = every[image_of, :, line, column]
        apart = some.reshape(len(some), self.groups, -1, *self.size)
        axes = [2 + "ihw".index(axis) for axis in self.order]
        return np.transpose(apart, (1, 0, *axes)).reshape(self.groups, len(some), -1)


def windows_of(graph: Graph, site: Site) -> Windows | None:
    """What the only convolution with these filters reads; None where there are several, or one that is transposed."""
    if site.role != "conv" or len(site.nodes) != 1:
        return None
    node: Node = next(node for node in graph.nodes if node.name == site.nodes[0])
    value, options = node.inputs[0], node.options
    if node.op != "conv2d" or value is None or value in graph.constants:
        return None
    layout = str(options["filterLayout"])
    settings = {name: options[name] for name in ("padding", "strides", "dilations", "groups")}
    return Windows(
        value,
        str(options["inputLayout"]),
        layout.replace("o", ""),
        (site.shape[layout.index("h")], site.shape[layout.index("w")]),
        **settings,  # type: ignore[arg-type]  # the operator's row says what they are
    )
