"""Where a graph has weights that can be quantised, and along which axis each of them wants its scales.

A site is a constant together with all nodes that read it. The axis of the scales is the one that the product does
not sum over: then a backend may add up integers first and multiply with the scale once. Tables have a scale per row.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_translator.quantize.options import QuantizeMisuse, QuantizeOptions

__all__ = ["MIN_ELEMENTS", "Site", "chosen_sites", "find_sites"]

# Scales and zero points of a smaller one would eat up what is saved, and biases and gains are worth their bits.
MIN_ELEMENTS: Final = 1024
# What identifiers and patterns have not.
_FOREIGN: Final = re.compile(r"[^\w*?\[\]!-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Site:
    """One constant to quantise.

    Attributes:
        weight: name of the constant.
        role: "linear", "table", "conv", "recurrent", or "other" for what only float16 can do.
        axis: axis of the channels; None where one scale has to do for all.
        summed: for linear ones the axis that the product sums over.
        shape: as it is written; the constant's, or with its axes exchanged.
        is_transposed: whether the constant is only read through a transpose that is done once and for all.
        nodes: names of the nodes that read the weight, behind that transpose.
    """

    weight: str
    role: str
    axis: int | None
    summed: int | None
    shape: tuple[int, ...]
    is_transposed: bool
    nodes: tuple[str, ...]

    @property
    def size(self) -> int:
        """Number of values."""
        total = 1
        for dim in self.shape:
            total *= dim
        return total


def find_sites(graph: Graph) -> Iterator[Site]:
    """Every float constant of a useful size that a known operator reads, in the order of the graph."""
    readers = graph.consumers()
    results = frozenset(graph.outputs.values())
    for name, constant in graph.constants.items():
        kind = constant.type
        if not kind.dtype.is_float or kind.rank < 2 or name in results or not readers[name]:
            continue
        if kind.size < MIN_ELEMENTS:  # type: ignore[operator]  # constants are static
            continue
        yield _site(graph, name, readers)


def chosen_sites(graph: Graph, options: QuantizeOptions, names: Mapping[str, str] | None = None) -> tuple[Site, ...]:
    """The sites that the options ask for.

    Args:
        graph: in floats.
        options: what to take, and what to leave.
        names: identifier -> original name, for patterns that are written as the source model has it.

    Raises:
        QuantizeMisuse: a pattern matches nothing, or nothing is left.
    """
    is_half = options.kind == "float16"
    wanted = DataType.FLOAT32
    sites = [
        site
        for site in find_sites(graph)
        if (is_half or site.role != "other") and graph.constants[site.weight].type.dtype is wanted
    ]
    if not sites:
        raise QuantizeMisuse(
            f"--quantize {options.kind}: the graph has no float32 weights of {MIN_ELEMENTS:,} values or more"
            f"{_packed_already(graph)}; convert it without --quantize"
        )
    for pattern in (*options.include, *options.exclude):
        if not any(_matches(site, pattern, names or {}) for site in sites):
            known = ", ".join(site.nodes[0] for site in sites[:3])
            raise QuantizeMisuse(
                f"pattern '{pattern}' matches no node or weight that can be quantised, such as {known}"
            )
    kept = [
        site
        for site in sites
        if (not options.include or any(_matches(site, pattern, names or {}) for pattern in options.include))
        and not any(_matches(site, pattern, names or {}) for pattern in options.exclude)
    ]
    if not kept:
        raise QuantizeMisuse("--include and --exclude leave nothing to quantise; widen the patterns")
    return tuple(kept)


def _packed_already(graph: Graph) -> str:
    """What to say of a graph whose weights are packed or halves."""
    types = [constant.type for constant in graph.constants.values()]
    weights = [of for of in types if of.rank >= 2 and math.prod(of.static_shape) >= MIN_ELEMENTS]
    packed = sorted({weight.dtype.value for weight in weights if _is_narrow(weight.dtype)})
    return f" (its weights are {', '.join(packed)} already)" if packed else ""


def _is_narrow(dtype: DataType) -> bool:
    return dtype.bits <= 8 or dtype is DataType.FLOAT16


def _matches(site: Site, pattern: str, names: Mapping[str, str]) -> bool:
    own = (site.weight, *site.nodes)
    # "/encoder/layer.0/*" is written "encoder_layer_0_*" here.
    written = _FOREIGN.sub("_", pattern).lstrip("_")
    return any(
        fnmatchcase(name, pattern) or fnmatchcase(name, written) or fnmatchcase(names.get(name, name), pattern)
        for name in own
    )


def _site(graph: Graph, weight: str, readers: dict[str, list[Node]]) -> Site:
    shape = graph.constants[weight].type.static_shape
    users = readers[weight]
    results = frozenset(graph.outputs.values())
    turned = [user for user in users if _is_turn(user) and user.name not in results]
    is_transposed = len(turned) == len(users)
    if is_transposed:
        shape = shape[::-1]
        users = [reader for turn in turned for reader in readers[turn.name]]
        names = {weight, *(turn.name for turn in turned)}
        uses = [_use(graph, user, operand) for user in users for operand in _places(user, names)]
    else:
        uses = []
        for user in users:
            if user in turned:
                # The other readers want it as it is: the transpose stays, and its axes count the other way round.
                behind = [
                    _use(graph, reader, place)
                    for reader in readers[user.name]
                    for place in _places(reader, {user.name})
                ]
                uses += [_turned(use) for use in behind]
            else:
                uses += [_use(graph, user, place) for place in _places(user, {weight})]
    names_of_users = tuple(dict.fromkeys(user.name for user in users))
    known = [use for use in uses if use is not None]
    # A table decides for all: its rows have to be gathered with their scales.
    first = next((use for use in known if use[0] == "table"), known[0] if known else None)
    if first is None or len(known) != len(uses):
        return Site(weight, "other", None, None, shape, is_transposed, names_of_users)
    role, axis, summed = first
    if role == "table" and any(use[0] == "table" and use != first for use in known):
        return Site(weight, "other", None, None, shape, is_transposed, names_of_users)
    return Site(weight, role, axis, summed if role == "linear" else None, shape, is_transposed, names_of_users)


_Use = tuple[str, int, int | None]


def _use(graph: Graph, node: Node, place: int) -> _Use | None:
    """Role, axis of the channels and axis that is summed over, for one operand of one node."""
    rank = len(graph.types[str(node.inputs[place])].shape)
    if node.op == "matmul" and rank >= 2:
        return ("linear", rank - 1, rank - 2) if place == 1 else ("linear", rank - 2, rank - 1)
    if node.op == "gemm" and place < 2:
        is_turned = bool(node.options["bTranspose" if place else "aTranspose"])
        inner = (1 if is_turned else 0) if place == 1 else (0 if is_turned else 1)
        return "linear", 1 - inner, inner
    if node.op in ("conv2d", "convTranspose2d") and place == 1:
        return "conv", str(node.options["filterLayout"]).index("o"), None
    if node.op in ("lstm", "gru") and place in (1, 2):
        return "recurrent", 1, None
    if node.op == "gather" and place == 0:
        axis = node.options["axis"]
        return ("table", axis, None) if isinstance(axis, int) else None
    if node.op == "slice" and place == 0 and rank >= 2:
        return "table", rank - 2, None
    return None


def _turned(use: _Use | None) -> _Use | None:
    """The same through a transpose of two axes; rows of a table cannot be gathered behind one."""
    if use is None or use[0] != "linear" or use[2] is None:
        return None
    return use[0], 1 - use[1], 1 - use[2]


def _is_turn(node: Node) -> bool:
    return node.op == "transpose" and node.options["permutation"] == (1, 0)


def _places(node: Node, names: set[str]) -> list[int]:
    return [place for place, value in enumerate(node.inputs) if value in names]
