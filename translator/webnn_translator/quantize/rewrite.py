"""The quantised graph: packed constants, and the nodes that unpack them where they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Constant, Graph, Node, OptionValue, TensorType
from webnn_runtime.format.names import fresh_name
from webnn_translator.quantize.biases import bias_of, shifted
from webnn_translator.quantize.rounding import Packed
from webnn_translator.quantize.sites import Site

__all__ = ["Range", "rewrite", "written_weight"]


@dataclass(frozen=True, slots=True)
class Range:
    """A fixed range of an activation, in 8 bits.

    Attributes:
        scale: of one step.
        zero_point: the integer that means 0.
    """

    scale: float
    zero_point: int


def written_weight(graph: Graph, site: Site) -> Array:
    """The values of a site in the orientation in which they are written."""
    values = graph.constants[site.weight].values
    return np.ascontiguousarray(values.T) if site.is_transposed else values


def rewrite(
    graph: Graph,
    packed: Mapping[Site, Packed | Array],
    ranges: Mapping[str, Range] | None = None,
) -> Graph:
    """The graph with these weights quantised.

    Tables are gathered packed, with their scales, and unpacked row by row: no backend has to hold the float table.

    Args:
        graph: in floats.
        packed: for each site integers with their scales, or halves.
        ranges: value -> range it is rounded to, and back, where a quantised product reads it.
    """
    work = _Work(graph, dict(packed))
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes.extend(work.replaced(node))
    if ranges:
        nodes = list(_with_ranges(graph, work, nodes, ranges))
    used = {value for node in nodes for value in node.inputs} | set(graph.outputs.values())
    return Graph.create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants={name: constant for name, constant in work.constants.items() if name in used},
        nodes=tuple(nodes),
        outputs=graph.outputs,
    )


@dataclass(slots=True)
class _Work:
    graph: Graph
    packed: dict[Site, Packed | Array]
    constants: dict[str, Constant] = field(init=False)
    taken: set[str] = field(init=False)
    parts: dict[str, tuple[Site, tuple[str, ...]]] = field(init=False)
    whole: dict[str, str] = field(init=False)
    turns: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.constants = dict(self.graph.constants)
        self.taken = set(self.graph.types)
        self.parts, self.whole, self.turns = {}, {}, {}
        for site, weight in self.packed.items():
            self.parts[site.weight] = (site, self._store(site.weight, weight))
            if isinstance(weight, Packed) and weight.shift is not None and (bias := bias_of(self.graph, site)):
                self.constants[bias] = shifted(self.graph.constants[bias], weight.shift)
        for node in self.graph.nodes:
            found = self.parts.get(node.inputs[0] or "") if node.op == "transpose" else None
            if found is not None and found[0].is_transposed:
                self.turns[node.name] = found[0].weight

    def replaced(self, node: Node) -> Iterator[Node]:
        """What stands for a node of the float graph."""
        if node.name in self.turns:
            return
        inputs = tuple(self.turns.get(value, value) if value is not None else None for value in node.inputs)
        table = self.parts.get(inputs[0] or "") if inputs else None
        if table is not None and node.op in ("gather", "slice") and _is_row_wise(node, table[0]):
            yield from self._gathered(replace(node, inputs=inputs), table[1])
            return
        read: list[str | None] = []
        for value in inputs:
            if value in self.parts:
                yield from self._unpacked(value)
                read.append(self.whole[value])
            else:
                read.append(value)
        yield replace(node, inputs=tuple(read))

    def _store(self, name: str, weight: Packed | Array) -> tuple[str, ...]:
        """Put a packed weight among the constants, under its own name."""
        if not isinstance(weight, Packed):
            self._constant(name, DataType.FLOAT16, weight)
            return (name,)
        self._constant(name, weight.dtype, weight.values)
        scale, zero = self.fresh(f"{name}_scale"), self.fresh(f"{name}_zero_point")
        self._constant(scale, DataType.FLOAT32, weight.scale)
        self._constant(zero, weight.dtype, weight.zero_point)
        return name, scale, zero

    def _constant(self, name: str, dtype: DataType, array: Array) -> None:
        self.constants[name] = Constant(TensorType(dtype, array.shape), array.astype(dtype.numpy, copy=False), name)

    def _unpacked(self, name: str) -> Iterator[Node]:
        """The node that makes floats of a whole weight, once."""
        if name not in self.whole:
            self.whole[name] = self.fresh(f"{name}_float")
            yield _unpack(self.parts[name][1], self.whole[name])

    def _gathered(self, node: Node, parts: tuple[str, ...]) -> Iterator[Node]:
        """The rows of a table, with those of its scales and zero points."""
        made = []
        for part, suffix in zip(parts, ("packed", "scale", "zero_point"), strict=False):
            made.append(self.fresh(f"{node.name}_{suffix}"))
            options = dict(node.options)
            if node.op == "slice":
                options = _narrowed(options, self.constants[part].type)
            yield replace(node, inputs=(part, *node.inputs[1:]), outputs=(made[-1],), options=options)
        yield _unpack(tuple(made), node.name)

    def fresh(self, name: str) -> str:
        """A name nothing has yet."""
        return fresh_name(name, self.taken)


def _unpack(parts: tuple[str, ...], name: str) -> Node:
    if len(parts) == 1:
        return Node("cast", parts, {"to": DataType.FLOAT32}, (name,))
    return Node("dequantizeLinear", parts, {}, (name,))


def _is_row_wise(node: Node, site: Site) -> bool:
    """Whether the scales of a table can be picked as its rows are."""
    return site.role in ("table", "other") or (node.op == "gather" and node.options["axis"] == site.axis)


def _narrowed(options: dict[str, OptionValue], kind: TensorType) -> dict[str, OptionValue]:
    """Options of `slice` for the scales of a table: along axes that they do not have, all there is."""
    found = dict(options)
    for name, whole in (("starts", 0), ("sizes", 1), ("strides", 1)):
        stated = options[name]
        assert isinstance(stated, tuple)
        dims: Any = tuple(whole if dim == 1 else item for item, dim in zip(stated, kind.shape, strict=True))
        found[name] = dims
    return found


def _with_ranges(graph: Graph, work: _Work, nodes: list[Node], ranges: Mapping[str, Range]) -> Iterator[Node]:
    """Nodes in which every product with a quantised weight reads its other operand rounded to its range."""
    unpacked = set(work.whole.values())
    rounded: dict[str, str] = {}
    for node in nodes:
        value = node.inputs[0] if node.inputs else None
        reads = node.op in ("matmul", "gemm", "conv2d", "convTranspose2d") and node.inputs[1] in unpacked
        if value is None or not reads or value not in ranges:
            yield node
            continue
        if value not in rounded:
            rounded[value] = work.fresh(f"{value}_rounded")
            yield from _round_trip(graph, work, value, rounded[value], ranges[value])
        yield replace(node, inputs=(rounded[value], *node.inputs[1:]))


def _round_trip(graph: Graph, work: _Work, value: str, result: str, span: Range) -> Iterator[Node]:
    shape = (1,) * graph.types[value].rank
    scale, zero, packed = (work.fresh(f"{value}_{what}") for what in ("scale", "zero_point", "quantized"))
    work.constants[scale] = _inline(DataType.FLOAT32, np.full(shape, span.scale, np.float32), scale)
    work.constants[zero] = _inline(DataType.UINT8, np.full(shape, span.zero_point, np.uint8), zero)
    yield Node("quantizeLinear", (value, scale, zero), {}, (packed,))
    yield Node("dequantizeLinear", (packed, scale, zero), {}, (result,))


def _inline(dtype: DataType, array: Array, name: str) -> Constant:
    return Constant(TensorType(dtype, array.shape), array, name)
