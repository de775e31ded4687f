"""Functions of one value, as the operator or written out by exporters: what can follow a matrix product."""

from __future__ import annotations

import math
from typing import Final

from webnn_runtime.format.graph import Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.gelu import match_gelu
from webnn_runtime.passes.uses import Uses

__all__ = ["ActivationMatch", "match_activation"]

_OPERATORS: Final = ("relu", "sigmoid", "tanh")
# Constants in files are rounded to float32, or written with a few digits.
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class ActivationMatch:
    """A function of one value, none of whose intermediates anything else reads.

    Attributes:
        name: "relu", "sigmoid", "tanh", "gelu", "gelu_tanh" or "silu".
        source: the argument.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    name: str
    source: str
    result: str
    nodes: frozenset[str]


def match_activation(uses: Uses, source: str) -> ActivationMatch | None:
    """The function of `source` that is all that reads it, if there is one."""
    if source in uses.graph.outputs.values():
        return None
    gelu = match_gelu(uses, source)
    found = ActivationMatch("gelu", source, gelu.result, gelu.nodes) if gelu is not None else None
    found = found or _silu(uses, source) or _gelu_tanh(uses, source)
    if found is None:
        reader = uses.only_reader(source)
        if reader is not None and reader.op in _OPERATORS:
            found = ActivationMatch(reader.op, source, reader.name, frozenset({reader.name}))
    # Written out, a function reads its argument more than once; nobody else may.
    if found is None or not uses.is_private(source, found.nodes):
        return None
    return found


def _closed(uses: Uses, name: str, source: str, result: Node, nodes: set[str]) -> ActivationMatch | None:
    if not all(uses.is_private(value, nodes) for value in nodes - {result.name}):
        return None
    return ActivationMatch(name, source, result.name, frozenset(nodes))


def _silu(uses: Uses, source: str) -> ActivationMatch | None:
    """`x * sigmoid(x)`."""
    for sigmoid in uses.readers(source):
        product = uses.only_reader(sigmoid.name) if sigmoid.op == "sigmoid" else None
        if product is not None and product.op == "mul" and {*product.inputs} == {source, sigmoid.name}:
            return _closed(uses, "silu", source, product, {sigmoid.name, product.name})
    return None


def _gelu_tanh(uses: Uses, source: str) -> ActivationMatch | None:
    """`0.5 * x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x^3)))`."""
    for cubic_sum in uses.readers(source):
        if cubic_sum.op != "add":
            continue
        cubic = cubic_sum.inputs[0] if cubic_sum.inputs[1] == source else cubic_sum.inputs[1]
        nodes = {cubic_sum.name}
        if cubic is None or not _is_cubic(uses, source, cubic, nodes):
            continue
        scaled = uses.only_reader(cubic_sum.name)
        factor = uses.factor(scaled) if scaled is not None else None
        tanh = uses.only_reader(scaled.name) if scaled is not None else None
        plus_one = uses.only_reader(tanh.name) if tanh is not None and tanh.op == "tanh" else None
        if scaled is None or tanh is None or plus_one is None or plus_one.op != "add":
            continue
        one = uses.number_and_other(plus_one)
        if factor is None or not _is(factor[0], math.sqrt(2 / math.pi)) or one is None or one[0] != 1.0:
            continue
        nodes |= {scaled.name, tanh.name, plus_one.name}
        result = _halved_product(uses, source, plus_one, nodes)
        if result is not None:
            return _closed(uses, "gelu_tanh", source, result, nodes)
    return None


def _is_cubic(uses: Uses, source: str, value: str, nodes: set[str]) -> bool:
    """Whether `value` is `0.044715 * x^3`; adds its nodes."""
    node = uses.maker(value)
    factor = uses.factor(node) if node is not None else None
    cube = uses.maker(factor[1]) if factor is not None else None
    if node is None or factor is None or cube is None or not _is(factor[0], 0.044715):
        return False
    nodes |= {node.name, cube.name}
    if cube.op == "pow":
        return cube.inputs[0] == source and uses.number(cube.inputs[1]) == 3.0
    if cube.op != "mul" or source not in cube.inputs:
        return False
    square = uses.maker(cube.inputs[0] if cube.inputs[1] == source else cube.inputs[1])
    if square is None:
        return False
    nodes.add(square.name)
    if square.op == "pow":
        return square.inputs[0] == source and uses.number(square.inputs[1]) == 2.0
    return square.op == "mul" and square.inputs == (source, source)


def _halved_product(uses: Uses, source: str, total: Node, nodes: set[str]) -> Node | None:
    """The last node of `0.5 * x * total`, in any grouping; adds the nodes on the way."""
    product = uses.only_reader(total.name)
    if product is None or product.op != "mul":
        return None
    nodes.add(product.name)
    other = product.inputs[0] if product.inputs[1] == total.name else product.inputs[1]
    if other == source or uses.factor(product) == (0.5, total.name):
        last = uses.only_reader(product.name)
        if last is None:
            return None
        nodes.add(last.name)
        if other == source:
            return last if uses.factor(last) == (0.5, product.name) else None
        return last if last.op == "mul" and {*last.inputs} == {product.name, source} else None
    half = uses.maker(other)
    if half is None or uses.factor(half) != (0.5, source):
        return None
    nodes.add(half.name)
    return product


def _is(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=_TOLERANCE)
