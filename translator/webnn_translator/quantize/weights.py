"""One weight at a time: which grid it gets, and its integers."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.graph import Array, Graph
from webnn_translator.quantize.options import QuantizeOptions
from webnn_translator.quantize.rewrite import written_weight
from webnn_translator.quantize.rounding import Grid, Packed, pack_blocks, pack_channels
from webnn_translator.quantize.sites import Site

__all__ = ["WIDTHS", "first_width", "pack"]

# What a weight may become, narrow first; "float32" leaves it as it is.
WIDTHS = ("int4", "int8", "uint8", "float16", "float32")
_LARGEST_HALF = 65504.0


def first_width(site: Site, options: QuantizeOptions) -> str:
    """What a weight becomes where nothing speaks against it.

    In 4 bits only products get on, and only where blocks divide what they sum over; tables, which a text reads few
    rows of, keep 8 bits.
    """
    if options.kind not in ("int4", "mixed"):
        return options.kind
    fits = site.role == "linear" and site.summed is not None and site.shape[site.summed] % options.block == 0
    return "int4" if fits and len(site.shape) == 2 else "int8"


def pack(graph: Graph, site: Site, width: str, options: QuantizeOptions) -> Packed | Array | None:
    """The weight in `width`; None where it holds values that cannot be rounded so, and stays in float32."""
    weight = written_weight(graph, site)
    largest = float(np.abs(weight).max(initial=0.0))
    if width == "float32" or not np.isfinite(largest) or (width == "float16" and largest > _LARGEST_HALF):
        return None
    if width == "float16":
        return weight.astype(np.float16)
    if width == "int4" and site.summed is not None:
        return pack_blocks(weight, site.summed, options.block, Grid.of("int4"))
    grid = Grid.of(width, reduce_range=options.reduce_range)
    # Tables have a scale per row in any case: it is gathered with the row.
    is_whole = options.per_channel is False and site.role != "table"
    return pack_channels(weight, None if is_whole else site.axis, grid)
