"""Heads that an exporter has merged with the batch, apart again.

    reshape [batch, heads, rows, columns] to [batch * heads, rows, columns]; ...; reshape back, and mask

becomes the same operators on four dimensions, without the reshapes: attention is recognised there, its mask is one for
all heads, and what a `tile` has repeated for every item of the batch is broadcast. Every number stays as it is.
"""

from __future__ import annotations

from typing import NamedTuple

from webnn_runtime.format.dims import Dim, SymbolicDim, product
from webnn_runtime.format.graph import Graph, Node, OptionValue
from webnn_runtime.format.names import fresh_name
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.records import replace
from webnn_runtime.passes.dead import remove_dead
from webnn_runtime.passes.rewrite import Rewrite, apply
from webnn_runtime.passes.uses import Uses

__all__ = ["split_heads"]

# Operators that compute each element from those at the same place: whole families, and some of others.
_POINTWISE_FAMILIES = ("comparison", "elementwise")
_POINTWISE = ("cast", "clamp", "identity", "relu", "sigmoid", "tanh")


class _Apart(NamedTuple):
    """A value of three dimensions as one of four.

    Attributes:
        value: what has the numbers.
        shape: its shape; where `is_whole` is not set, the first dimension or the first two may be 1, and repeat.
        whole: batch and heads.
        is_whole: whether nothing has to be repeated.
    """

    value: str
    shape: tuple[Dim, ...]
    whole: tuple[Dim, Dim]

    @property
    def is_whole(self) -> bool:
        return self.shape[:2] == self.whole


def split_heads(graph: Graph) -> Graph:
    """The graph with four dimensions wherever merged heads are taken apart again later; without any, the same graph."""
    shapes = [graph.types[node.name].shape for node in graph.nodes if node.op == "reshape"]
    if not any(len(shape) == 3 for shape in shapes) or not any(len(shape) == 4 for shape in shapes):
        return graph
    splitting = _Splitting(graph)
    for node in graph.nodes:
        splitting.step(node)
    return remove_dead(apply(graph, splitting.rewrite)) if splitting.has_gained else graph


class _Splitting:
    def __init__(self, graph: Graph) -> None:
        self.rewrite = Rewrite()
        self.has_gained = False
        self._uses = Uses(graph)
        self._types = graph.types
        self._apart: dict[str, _Apart] = {}
        self._results = set(graph.outputs.values())
        self._conditions = {check.node for check in graph.checks}
        self._names = set(graph.types)

    def step(self, node: Node) -> None:
        """Put the node on four dimensions if its operands are, or end there what is taken apart."""
        if node.op == "reshape":
            self._reshape(node)
            return
        if node.op == "tile":
            self._tile(node)
            return
        heads = {self._apart[value].whole for value in node.inputs if value in self._apart}
        if len(node.outputs) != 1 or len(heads) != 1 or self._types[node.name].rank != 3:
            return
        self._whole = heads.pop()
        made = self._made(node)
        if made is None:
            return
        nodes, shape = made
        found = _Apart(nodes[-1].name, shape, self._whole)
        if found.is_whole and node.name not in self._conditions:
            merged: dict[str, OptionValue] = {"newShape": self._types[node.name].shape}
            nodes.append(Node("reshape", (found.value,), merged, node.outputs, node.label))
            self.rewrite.nodes[node.name] = tuple(nodes)
        else:
            self.rewrite.nodes[node.name] = (*nodes, node)
        self._apart[node.name] = found

    def _reshape(self, node: Node) -> None:
        source, shape = node.inputs[0], self._types[node.name].shape
        if source is None:
            return
        own = self._types[source].shape
        if len(own) == 4 and len(shape) == 3 and own[2:] == shape[1:] and shape[0] == product(own[:2]):
            self._apart[node.name] = _Apart(source, own, (own[0], own[1]))
            return
        apart = self._apart.get(source)
        if apart is None or apart.shape != shape or node.name in self._conditions:
            return
        self.has_gained = True
        if node.name in self._results:
            self.rewrite.nodes[node.name] = (replace(node, inputs=(apart.value,)),)
        else:
            self.rewrite.drop(node, apart.value)

    def _tile(self, node: Node) -> None:
        """All heads, and all of them again for the next item."""
        source, repetitions = str(node.inputs[0]), node.options["repetitions"]
        own = self._types[source].shape
        if len(own) == 3 and isinstance(repetitions, tuple) and repetitions[1:] == (1, 1):
            batch, shape = repetitions[0], (1, *own)
            if not isinstance(batch, (int, SymbolicDim)):
                return
            made = self._node("reshape", (source,), {"newShape": shape}, node)
            self.rewrite.nodes[node.name] = (made, node)
            self._apart[node.name] = _Apart(made.name, shape, (batch, own[0]))

    def _made(self, node: Node) -> tuple[list[Node], tuple[Dim, ...]] | None:
        """The nodes that compute a result on four dimensions, the last of them that result, and its shape."""
        if node.op in _POINTWISE or OPS[node.op].family in _POINTWISE_FAMILIES:
            return self._pointwise(node, dict(node.options))
        if node.op == "softmax" and node.options["axis"] == 2:
            return self._pointwise(node, {"axis": 3})
        if node.op == "matmul":
            return self._matmul(node)
        if node.op == "transpose" and node.options["permutation"] == (0, 2, 1):
            return self._transpose(node)
        if node.op == "gatherElements" and node.options["axis"] in (1, 2):
            return self._gather_elements(node)
        return None

    def _pointwise(self, node: Node, options: dict[str, OptionValue]) -> tuple[list[Node], tuple[Dim, ...]] | None:
        nodes: list[Node] = []
        operands = [None if value is None else self._operand(value, nodes) for value in node.inputs]
        found = [operand for operand in operands if operand is not None]
        if len(found) != sum(value is not None for value in node.inputs):
            return None
        shape = self._types[node.name].shape
        lead = self._lead([operand.shape for operand in found])
        inputs = tuple(None if operand is None else operand.value for operand in operands)
        nodes.append(self._node(node.op, inputs, options, node))
        return nodes, (*lead, *shape[1:])

    def _matmul(self, node: Node) -> tuple[list[Node], tuple[Dim, ...]] | None:
        nodes: list[Node] = []
        operands = [self._operand(str(value), nodes) for value in node.inputs]
        a, b = operands
        if a is None or b is None or min(len(a.shape), len(b.shape)) < 2:
            return None
        nodes.append(self._node("matmul", (a.value, b.value), {}, node))
        return nodes, (*self._lead([a.shape, b.shape]), *self._types[node.name].shape[1:])

    def _transpose(self, node: Node) -> tuple[list[Node], tuple[Dim, ...]]:
        batch, heads, rows, columns = self._apart[str(node.inputs[0])].shape
        source = self._apart[str(node.inputs[0])].value
        made = self._node("transpose", (source,), {"permutation": (0, 1, 3, 2)}, node)
        return [made], (batch, heads, columns, rows)

    def _gather_elements(self, node: Node) -> tuple[list[Node], tuple[Dim, ...]] | None:
        nodes: list[Node] = []
        source, indices = (self._operand(str(value), nodes) for value in node.inputs)
        if source is None or indices is None or not source.is_whole or len(indices.shape) != 4:
            return None
        shape = (*self._whole, *self._types[str(node.inputs[1])].shape[1:])
        places = indices.value
        if indices.shape != shape:
            nodes.append(self._node("expand", (places,), {"newShape": shape}, node))
            places = nodes[-1].name
        axis = 2 if node.options["axis"] == 1 else 3
        nodes.append(self._node("gatherElements", (source.value, places), {"axis": axis}, node))
        return nodes, shape

    def _operand(self, value: str, nodes: list[Node]) -> _Apart | None:
        """`value` so that it is broadcast to four dimensions; what that takes is added to `nodes`."""
        apart = self._apart.get(value)
        if apart is not None:
            return apart if apart.whole == self._whole else None
        shape = self._types[value].shape
        if len(shape) < 3:
            return _Apart(value, shape, self._whole)
        if len(shape) > 3:
            return None
        if shape[0] == 1:
            return self._as(value, (1, *shape), nodes)
        repeated = self._uses.maker(value, "expand")
        source = repeated.inputs[0] if repeated is not None else None
        if source is not None and self._types[source].shape == (1, *shape[1:]):
            return self._as(source, (1, 1, *shape[1:]), nodes)
        return None

    def _as(self, value: str, shape: tuple[Dim, ...], nodes: list[Node]) -> _Apart:
        nodes.append(self._node("reshape", (value,), {"newShape": shape}, None))
        return _Apart(nodes[-1].name, shape, self._whole)

    def _lead(self, shapes: list[tuple[Dim, ...]]) -> tuple[Dim, Dim]:
        """Batch and heads of a result, from the operands that have any."""
        whole = [shape for shape in shapes if len(shape) == 4]
        first, second = (next((shape[axis] for shape in whole if shape[axis] != 1), 1) for axis in (0, 1))
        return first, second

    def _node(
        self, op: str, inputs: tuple[str | None, ...], options: dict[str, OptionValue], like: Node | None
    ) -> Node:
        name = fresh_name(f"{inputs[0] if like is None else like.name}:heads", self._names)
        return Node(op, inputs, options, (name,), "" if like is None else like.label)
