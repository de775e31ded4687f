"""Col2Im: blocks of an image that lie in columns, put back in their places."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.slicing import padded, slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Each element of a block takes three nodes.
_MOST_PLACES: Final = 256


@onnx_op("Col2Im", since=18)
def col2im(ctx: Context, node: OnnxNode) -> Tensor:
    """Columns put back as blocks of an image, which are summed where they overlap."""
    x = node.input(0)
    image, block = ctx.ints(node.input(1), "the image shape"), ctx.ints(node.input(2), "the block shape")
    spatial = len(image)
    dilations = node.integers("dilations", (1,) * spatial)
    pads, strides = node.integers("pads", (0,) * (2 * spatial)), node.integers("strides", (1,) * spatial)
    places = int(np.prod(block))
    if x.rank != 3 or len(block) != spatial or places > _MOST_PLACES:
        raise Refused(
            f"blocks of {places} elements of {x}; [batch, columns, blocks] and up to {_MOST_PLACES} are supported"
        )
    # How many blocks there are along each axis, and how far they spread with their steps.
    counts = [
        (image[k] + pads[k] + pads[k + spatial] - (block[k] - 1) * dilations[k] - 1) // strides[k] + 1
        for k in range(spatial)
    ]
    spread = [(count - 1) * step + 1 for count, step in zip(counts, strides, strict=True)]
    channels: Dim = x.shape[1] // places
    made = reshape_to(ctx, x, (x.shape[0], channels, places, *counts))
    for k in range(spatial):
        axis = 3 + k
        apart = reshape_to(ctx, made, (*made.shape[: axis + 1], 1, *made.shape[axis + 1 :]))
        wide = padded(ctx, apart, {axis + 1: (0, strides[k] - 1)})
        flat = reshape_to(ctx, wide, (*made.shape[:axis], counts[k] * strides[k], *made.shape[axis + 1 :]))
        made = slice_of(ctx, flat, {axis: (0, spread[k], 1)})
    f = Formula(ctx, x.elem)
    total: Tensor | None = None
    for number, place in enumerate(np.ndindex(*block)):
        one = slice_of(ctx, made, {2: (number, 1, 1)})
        one = reshape_to(ctx, one, (x.shape[0], channels, *spread))
        amounts: dict[int, tuple[Dim, Dim]] = {}
        for k in range(spatial):
            begin = int(place[k]) * dilations[k]
            amounts[2 + k] = (begin, image[k] + pads[k] + pads[k + spatial] - begin - spread[k])
        moved = padded(ctx, one, amounts)
        total = moved if total is None else f("add", total, moved)
    assert total is not None
    return slice_of(ctx, total, {2 + k: (pads[k], image[k], 1) for k in range(spatial)})
