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
# Values of one activation that are kept of each run, in whole rows that lie evenly, beside its extremes.
_KEPT: Final = 8192
# Parts of the whole range that are tried.
_CUTS: Final = tuple(float(cut) for cut in np.linspace(1.0, 0.3, 29))
_PRODUCTS: Final = frozenset({"matmul", "gemm", "conv2d", "convTranspose2d"})


def products_of(graph: Graph, sites: Iterable[Site]) -> tuple[str, ...]:
    """Values that the products with these weights read as their first operand."""
    readers = {name for site in sites if site.role in ("linear", "conv") for name in site.nodes}
    found = (node.inputs[0] for node in graph.nodes if node.name in readers and node.op in _PRODUCTS)
    return tuple(dict.fromkeys(value for value in found if value is not None and value not in graph.constants))


def activation_ranges(graph: Graph, values: Sequence[str], feeds: Sequence[Mapping[str, Array]]) -> dict[str, Range]:
    """For each value the range with the smallest error over the runs; none for what is not finite.

    What an error costs depends on the weights that it is multiplied with: it is that of the products that counts.
    """
    inner = [value for value in values if value not in graph.inputs]
    running = compiled(watched(graph, inner)) if inner else None
    kept: dict[str, list[Array]] = {value: [] for value in values}
    limits: dict[str, list[Array]] = {value: [] for value in values}
    for feed in feeds:
        found = {**feed, **(running.run(feed) if running is not None else {})}
        for value, parts in kept.items():
            array = found[value].astype(np.float32, copy=False)
            if array.size:
                rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
                parts.append(rows[:: max(array.size // _KEPT, 1)])
                limits[value].append(np.asarray([array.min(), array.max()], np.float32))
    ranges = {}
    for value, parts in kept.items():
        widths = {part.shape[1] for part in parts}
        if not parts or not np.isfinite(limits[value]).all():
            continue
        priced = _prices(graph, value) if len(widths) == 1 else None
        flat, ends = np.concatenate([part.ravel() for part in parts]), np.concatenate(limits[value])
        prices = None
        if priced is not None and len(priced) in widths:
            # The extremes are there for the whole range; what they cost is counted with their rows, if those are kept.
            prices = np.concatenate([np.tile(priced, len(flat) // len(priced)), np.zeros(len(ends), np.float32)])
        scale, zero = fit_rows(np.concatenate([flat, ends])[None], _GRID, _CUTS, prices)
        ranges[value] = Range(float(scale[0, 0]), int(zero[0, 0]))
    return ranges


def _prices(graph: Graph, value: str) -> Array | None:
    """For each column of a value the squared weights that it is multiplied with; None where not all are known."""
    total: Array | None = None
    for node in graph.consumers()[value]:
        constant = graph.constants.get(node.inputs[1] or "") if node.op in ("matmul", "gemm") else None
        if constant is None or node.inputs[0] != value:
            continue
        weight = constant.values
        is_turned = node.op == "gemm" and bool(node.options["bTranspose"])
        if weight.ndim != 2 or (node.op == "gemm" and node.options["aTranspose"]):
            return None
        own = np.square(weight.astype(np.float32)).sum(axis=0 if is_turned else 1)
        total = own if total is None or total.shape != own.shape else total + own
    return total
