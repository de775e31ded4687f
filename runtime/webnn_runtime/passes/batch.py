"""Which values of a graph are a batch of items that do not see one another.

A value has items if its first dimension is a multiple of the batch, no other dimension depends on the batch, and each
of its items is computed from the same item of the inputs alone. A backend may cut such a graph into chunks of items, on
as many threads, and gets the same numbers. What no rule below proves is not claimed: that costs speed, never a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from webnn_runtime.format.dims import Dim, SymbolicDim, names_of
from webnn_runtime.format.graph import Graph, Node, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.records import dataclass

__all__ = ["Items", "find_items"]


@dataclass(frozen=True, slots=True)
class Items:
    """A batch.

    Attributes:
        name: the dimension that counts the items.
        values: values that have items.
        free: values that do not depend on the batch at all.
    """

    name: str
    values: frozenset[str]
    free: frozenset[str]


def find_items(graph: Graph) -> Items | None:
    """The batch along the first dimension of inputs; of several, the one that most results have; None without any."""
    firsts = [str(kind.shape[0]) for kind in graph.inputs.values() if kind.shape]
    found = [_prove(graph, name) for name in dict.fromkeys(firsts) if name in graph.dims]
    results = graph.outputs.values()
    return max(found, key=lambda items: sum(value in items.values for value in results), default=None)


def _prove(graph: Graph, name: str) -> Items:
    proof = _Proof(graph, name)
    for value, kind in graph.inputs.items():
        if proof.has_form(kind):
            proof.values.add(value)
        elif not proof.depends(kind):
            proof.free.add(value)
    proof.free.update(graph.constants)
    for node in graph.nodes:
        proof.step(node)
    return Items(name, frozenset(proof.values), frozenset(proof.free))


class _Proof:
    def __init__(self, graph: Graph, name: str) -> None:
        self.values: set[str] = set()
        self.free: set[str] = set()
        self._types = graph.types
        self._name = name
        # By identity: equal layers share their types, and comparing dimensions costs more than looking at them.
        self._forms: dict[int, bool] = {}

    def has_form(self, kind: TensorType) -> bool:
        """Whether the first dimension is a multiple of the batch, and no other one depends on it."""
        found = self._forms.get(id(kind))
        if found is None:
            found = self._forms[id(kind)] = self._has_form(kind)
        return found

    def depends(self, kind: TensorType) -> bool:
        """Whether a shape depends on the batch."""
        return any(not isinstance(dim, int) and self._name in names_of(dim) for dim in kind.shape)

    def _has_form(self, kind: TensorType) -> bool:
        if not kind.shape:
            return False
        first, *others = kind.shape
        if isinstance(first, int) or self._name not in names_of(first):
            return False
        if any(not isinstance(dim, int) and self._name in names_of(dim) for dim in others):
            return False
        # A polynomial each of whose terms has the name as a factor, in the first power, and nowhere else.
        for monomial, _ in first.terms:
            powers = {atom: power for atom, power in monomial if isinstance(atom, str)}
            if powers.get(self._name) != 1 or len(powers) != len(monomial):
                return False
        return True

    def step(self, node: Node) -> None:
        """Classify the results of a node."""
        operands, free = [value for value in node.inputs if value is not None], self.free
        kinds = [self._types[value] for value in node.outputs]
        if free.issuperset(operands):
            if not any(map(self.depends, kinds)) and not self._says(node):
                free.update(node.outputs)
                return
            # What only the shape of the result makes a batch: the same item again and again.
            if node.op == "expand" and self.has_form(kinds[0]) and self._is_stretched(operands[0], kinds[0]):
                self.values.update(node.outputs)
            return
        if not all(value in free or value in self.values for value in operands):
            return
        if not all(map(self.has_form, kinds)):
            return
        rule = _RULES.get(node.op) or _FAMILIES.get(OPS[node.op].family)
        if rule is not None and rule(self, node):
            self.values.update(node.outputs)

    def has(self, value: str | None) -> bool:
        """Whether a value has items."""
        return value in self.values

    def shape(self, value: str | None) -> tuple[Dim, ...]:
        """The shape of a value."""
        return self._types[str(value)].shape

    def goes_along(self, value: str | None, shape: tuple[Dim, ...]) -> bool:
        """Whether an operand that is stretched to `shape` has its items in the same place, or is the same for all."""
        if value is None:
            return True
        own = self.shape(value)
        if self.has(value):
            return len(own) == len(shape) and own[0] == shape[0]
        return self._is_stretched(value, TensorType(self._types[value].dtype, shape))

    def _is_stretched(self, value: str, kind: TensorType) -> bool:
        own = self._types[value].shape
        return len(own) < kind.rank or (len(own) == kind.rank and own[0] == 1)

    def _says(self, node: Node) -> bool:
        """Whether an option depends on the batch."""
        return any(
            isinstance(item, SymbolicDim) and self._name in names_of(item)
            for value in node.options.values()
            for item in (value if isinstance(value, tuple) else (value,))
        )


def _pointwise(proof: _Proof, node: Node) -> bool:
    """Each element from the elements at the same place, operands stretched."""
    if node.op == "softmax" and node.options["axis"] == 0:
        return False
    shape = proof.shape(node.name)
    return all(proof.goes_along(value, shape) for value in node.inputs)


def _first_has_items(proof: _Proof, node: Node) -> bool:
    """The first operand's items, and operands that are the same for all."""
    return proof.has(node.inputs[0]) and not any(proof.has(value) for value in node.inputs[1:])


def _keeps_first_axis(option: str) -> Callable[[_Proof, Node], bool]:
    def rule(proof: _Proof, node: Node) -> bool:
        axes = node.options[option]
        found = axes if isinstance(axes, tuple) else (axes,)
        return _first_has_items(proof, node) and 0 not in found

    return rule


def _reshape(proof: _Proof, node: Node) -> bool:
    # In C order, item i of a multiple of the batch is the i-th part of the numbers, under either shape.
    return proof.has(node.inputs[0])


def _transpose(proof: _Proof, node: Node) -> bool:
    permutation = node.options["permutation"]
    return isinstance(permutation, tuple) and permutation[0] == 0 and proof.has(node.inputs[0])


def _matmul(proof: _Proof, node: Node) -> bool:
    a, b = node.inputs
    shape = proof.shape(node.name)
    if len(shape) == 2:
        return proof.has(a) and not proof.has(b)
    return all(proof.goes_along(value, shape) for value in (a, b))


def _gemm(proof: _Proof, node: Node) -> bool:
    a, b, c = node.inputs
    along = proof.goes_along(c, proof.shape(node.name))
    return proof.has(a) and not node.options["aTranspose"] and not proof.has(b) and along


def _gather(proof: _Proof, node: Node) -> bool:
    source, indices = node.inputs
    if proof.has(source):
        return not proof.has(indices) and node.options["axis"] != 0
    return node.options["axis"] == 0


def _gather_elements(proof: _Proof, node: Node) -> bool:
    return all(proof.has(value) for value in node.inputs) and node.options["axis"] != 0


def _gather_nd(proof: _Proof, node: Node) -> bool:
    return not proof.has(node.inputs[0])


def _concat(proof: _Proof, node: Node) -> bool:
    first = proof.shape(node.name)[0]
    return node.options["axis"] != 0 and all(
        proof.has(value) and proof.shape(value)[0] == first for value in node.inputs
    )


def _slice(proof: _Proof, node: Node) -> bool:
    starts, sizes, strides = (node.options[name] for name in ("starts", "sizes", "strides"))
    if not isinstance(starts, tuple) or not isinstance(sizes, tuple) or not isinstance(strides, tuple):
        return False
    return proof.has(node.inputs[0]) and (starts[0], strides[0], sizes[0]) == (0, 1, proof.shape(node.inputs[0])[0])


def _first_is(option: str, neutral: int) -> Callable[[_Proof, Node], bool]:
    def rule(proof: _Proof, node: Node) -> bool:
        numbers = node.options[option]
        return isinstance(numbers, tuple) and numbers[0] == neutral and proof.has(node.inputs[0])

    return rule


def _pad(proof: _Proof, node: Node) -> bool:
    return _first_is("beginningPadding", 0)(proof, node) and _first_is("endingPadding", 0)(proof, node)


def _expand(proof: _Proof, node: Node) -> bool:
    return proof.goes_along(node.inputs[0], proof.shape(node.name))


def _matrices(proof: _Proof, node: Node) -> bool:
    return len(proof.shape(node.name)) > 2 and proof.has(node.inputs[0])


_RULES: Final[Mapping[str, Callable[[_Proof, Node], bool]]] = {
    **{op: _keeps_first_axis("axis") for op in ("argMax", "argMin", "cumulativeSum", "batchNormalization", "split")},
    **dict.fromkeys(("averagePool2d", "conv2d", "convTranspose2d", "l2Pool2d", "maxPool2d"), _first_has_items),
    **dict.fromkeys(("instanceNormalization", "cast", "identity"), _first_has_items),
    "layerNormalization": _keeps_first_axis("axes"),
    "resample2d": _keeps_first_axis("axes"),
    "reverse": _keeps_first_axis("axes"),
    "reshape": _reshape,
    "transpose": _transpose,
    "matmul": _matmul,
    "gemm": _gemm,
    "gather": _gather,
    "gatherElements": _gather_elements,
    "gatherND": _gather_nd,
    "concat": _concat,
    "slice": _slice,
    "pad": _pad,
    "tile": _first_is("repetitions", 1),
    "expand": _expand,
    "triangular": _matrices,
}
# Rules of all other operators of a family.
_FAMILIES: Final[Mapping[str, Callable[[_Proof, Node], bool]]] = {
    **dict.fromkeys(("activation", "comparison", "elementwise", "quantize"), _pointwise),
    "reduction": _keeps_first_axis("axes"),
}
