"""Recipes for calls that move, cut or repeat elements; see `random_calls`."""

from __future__ import annotations

import itertools
import math

from call_sites import (
    MAX_RANK,
    Site,
    Slot,
    distinct_along,
    distinct_rows,
    divisors,
    indices,
    shapes,
)

from webnn_runtime.format.ops import Ranks

__all__ = [
    "concat",
    "expand",
    "gather",
    "gather_elements",
    "gather_nd",
    "pad",
    "reshape",
    "scatter_elements",
    "scatter_nd",
    "slice_",
    "split",
    "tile",
]


def concat(site: Site) -> None:
    shape = list(site.x.static_shape)
    axis = site.options["axis"] = site.integer(0, len(shape) - 1)
    for _ in range(site.integer(0, 3)):
        site.others.append(Slot(site.x.with_shape((*shape[:axis], site.integer(1, 3), *shape[axis + 1 :]))))


def expand(site: Site) -> None:
    shape = [site.integer(1, 3) if dim == 1 else dim for dim in site.x.static_shape]
    if len(shape) < MAX_RANK and site.chance():
        shape.insert(0, site.integer(1, 3))
    site.options["newShape"] = shape


def pad(site: Site) -> None:
    mode = site.options["mode"] = site.pick(["constant", "edge", "reflection"])
    for name in ("beginningPadding", "endingPadding"):
        limits = [min(2, dim - 1) if mode == "reflection" else 2 for dim in site.x.static_shape]
        site.options[name] = [site.integer(0, limit) for limit in limits]
    if site.chance():
        site.options["value"] = site.number(site.x.dtype)


def reshape(site: Site) -> None:
    rest = math.prod(site.x.static_shape)
    shape: list[int] = []
    for _ in range(site.integer(0, MAX_RANK - 1)):
        shape.append(site.pick(divisors(rest)))
        rest //= shape[-1]
    site.options["newShape"] = [*shape, rest] if rest > 1 or site.chance() else shape


def slice_(site: Site) -> None:
    starts = site.options["starts"] = [site.integer(0, dim - 1) for dim in site.x.static_shape]
    sizes = [site.integer(1, dim - start) for dim, start in zip(site.x.static_shape, starts, strict=True)]
    site.options["sizes"] = sizes
    if site.chance():
        site.options["strides"] = [site.integer(1, 3) for _ in sizes]


def split(site: Site) -> None:
    axis = site.integer(0, site.x.rank - 1)
    dim = site.x.static_shape[axis]
    cuts = sorted({0, dim, *(site.integer(0, dim) for _ in range(2))})
    parts = [high - low for low, high in itertools.pairwise(cuts)]
    site.options |= {"axis": axis, "splits": parts if site.chance() else site.pick(divisors(dim))}


def tile(site: Site) -> None:
    site.options["repetitions"] = [site.integer(1, 2) for _ in site.x.static_shape]


def gather(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = shapes(site.draw, Ranks(0, min(3, MAX_RANK + 1 - site.x.rank)))
    site.other("indices", shape, indices(site.x.static_shape[axis]))


def gather_elements(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = list(site.x.static_shape)
    size, shape[axis] = shape[axis], site.integer(1, 4)
    site.other("indices", shape, indices(size))


def gather_nd(site: Site) -> None:
    depth = site.integer(1, site.x.rank)
    shape = shapes(site.draw, Ranks(0, min(2, MAX_RANK - site.x.rank + depth)))
    site.other("indices", (*shape, depth), indices(*site.x.static_shape[:depth]))


def scatter_elements(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = list(site.x.static_shape)
    size, shape[axis] = shape[axis], site.integer(1, shape[axis])
    site.other("indices", shape, distinct_along(axis, size))
    site.other("updates", shape)


def scatter_nd(site: Site) -> None:
    shape = site.x.static_shape
    depth = site.integer(1, site.x.rank)
    rows = site.integer(1, math.prod(shape[:depth]))
    site.other("indices", (rows, depth), distinct_rows(shape[:depth]))
    site.other("updates", (rows, *shape[depth:]))
