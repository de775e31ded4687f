"""Fixed ranges of activations: what quantised products read, in 8 bits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph
from webnn_translator.quantize.moments import watched
from webnn_translator.quantize.rewrite import Range
from webnn_translator.quantize.rounding import Grid, fit_rows
from webnn_translator.quantize.samples import compiled
from webnn_translator.quantize.sites import Site

__all__ = ["activation_ranges", "products_of"]

_GRID: Final = Grid(DataType.UINT8, 0, 255, is_symmetric=False)
# Values of one activation that are kept of each run, evenly spaced, beside its extremes.
_KEPT: Final = 8192
_PRODUCTS: Final = frozenset({"matmul", "gemm", "conv2d", "convTranspose2d"})


def products_of(graph: Graph, sites: Iterable[Site]) -> tuple[str, ...]:
    """Values that the products with these weights read as their first operand."""
    readers = {name for site in sites if site.role in ("linear", "conv") for name in site.nodes}
    found = (node.inputs[0] for node in graph.nodes if node.name in readers and node.op in _PRODUCTS)
    return tuple(dict.fromkeys(value for value in found if value is not None and value not in graph.constants))


def activation_ranges(graph: Graph, values: Sequence[str], feeds: Sequence[Mapping[str, Array]]) -> dict[str, Range]:
    """For each value the range with the smallest squared error over the runs; none for what is not finite."""
    inner = [value for value in values if value not in graph.inputs]
    running = compiled(watched(graph, inner)) if inner else None
    kept: dict[str, list[Array]] = {value: [] for value in values}
    for feed in feeds:
        found = {**feed, **(running.run(feed) if running is not None else {})}
        for value, parts in kept.items():
            flat = found[value].ravel().astype(np.float32, copy=False)
            if flat.size:
                some = flat[:: max(flat.size // _KEPT, 1)]
                parts.append(np.concatenate([some, [flat.min(), flat.max()]]).astype(np.float32))
    ranges = {}
    for value, parts in kept.items():
        rows = np.concatenate(parts)[None] if parts else np.zeros((1, 0), np.float32)
        if rows.size and np.isfinite(rows).all():
            scale, zero = fit_rows(rows, _GRID)
            ranges[value] = Range(float(scale[0, 0]), int(zero[0, 0]))
    return ranges
