"""Functions of one number that follow one another: what can be done to a row while it is in a cache."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, TypeAlias

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.activations import match_activation
from webnn_runtime.passes.uses import Uses

__all__ = ["ChainMatch", "Step", "find_chains", "follow"]

# A function of one number, and its two numbers; those that it does not have are 0.
Step: TypeAlias = "tuple[str, float, float]"

# More functions than this in a row are not known from networks.
_LONGEST: Final = 8


@dataclass(frozen=True, slots=True)
class ChainMatch:
    """At least two functions, none of whose intermediates anything else reads.

    Attributes:
        source: the argument of the first one.
        steps: the functions, the first one first.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    source: str
    steps: tuple[Step, ...]
    result: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Computed values that it reads."""
        return (self.source,)

    @property
    def label(self) -> str:
        """For reports."""
        return "+".join(name for name, _, _ in self.steps)


def find_chains(graph: Graph | Uses) -> Iterator[ChainMatch]:
    """All chains of float32 functions, each as long as can be, in networks of images.

    Elsewhere the numbers are few, and what packs texts without padding reads operators one by one.
    """
    uses = Uses.of(graph)
    graph = uses.graph
    if not any(node.op == "conv2d" for node in graph.nodes):
        return
    taken: set[str] = set()
    for node in graph.nodes:
        source = node.inputs[0] if node.inputs else None
        if node.name in taken or graph.types[node.name].dtype is not DataType.FLOAT32:
            continue
        first = next((step for value in node.inputs if value and (step := _step(uses, node, value))), None)
        if first is None or source is None:
            continue
        if node.op in ("add", "mul"):
            found = uses.number_and_other(node)
            source = found[1] if found is not None else source
        steps, result, nodes = follow(uses, node.name)
        if steps:
            taken |= nodes
            yield ChainMatch(source, (first, *steps), result, frozenset({node.name, *nodes}))


def follow(uses: Uses, value: str) -> tuple[list[Step], str, set[str]]:
    """The functions that are all that reads `value` and one another, the last one's result, and their nodes."""
    steps: list[Step] = []
    nodes: set[str] = set()
    while len(steps) < _LONGEST:
        function = match_activation(uses, value)
        if function is not None:
            steps.append((function.name, 0.0, 0.0))
            value = function.result
            nodes |= function.nodes
            continue
        written_out = _hard_swish(uses, value)
        if written_out is not None:
            steps.append(("hardSwish", 0.0, 0.0))
            value = written_out[-1]
            nodes |= {*written_out}
            continue
        reader = uses.only_reader(value)
        step = _step(uses, reader, value) if reader is not None else None
        if reader is None or step is None:
            break
        steps.append(step)
        value = reader.name
        nodes.add(reader.name)
    return steps, value, nodes


def _hard_swish(uses: Uses, value: str) -> tuple[str, ...] | None:
    """The nodes of `x * clamp(x + 3, 0, 6) / 6`, if they are all that reads x; the last one has the result."""
    for total in uses.readers(value):
        if total.op != "add" or uses.number_and_other(total) != (3.0, value):
            continue
        clamp = uses.only_reader(total.name)
        if clamp is None or _step(uses, clamp, total.name) != ("clamp", 0.0, 6.0):
            continue
        nodes, last = [total.name, clamp.name], clamp.name
        # The product with x and the division by 6, in either order.
        is_product = is_divided = False
        while not (is_product and is_divided):
            reader = uses.only_reader(last)
            factor = uses.factor(reader) if reader is not None and not is_divided else None
            if reader is not None and not is_product and reader.op == "mul" and {*reader.inputs} == {value, last}:
                is_product = True
            elif factor is not None and factor[1] == last and math.isclose(factor[0], 1 / 6, rel_tol=1e-6):
                is_divided = True
            else:
                break
            assert reader is not None
            last = reader.name
            nodes.append(last)
        if is_product and is_divided and uses.is_private(value, {*nodes}):
            return tuple(nodes)
    return None


def _step(uses: Uses, node: Node, value: str) -> Step | None:
    """A node as a function of one number."""
    options = {name: number for name, number in node.options.items() if isinstance(number, (int, float))}
    if node.op == "clamp":
        low, high = options.get("minValue", -math.inf), options.get("maxValue", math.inf)
        # A bound of NaN, or bounds in the wrong order, mean what the operator says.
        return ("clamp", float(low), float(high)) if low <= high else None
    if node.op in ("hardSigmoid", "leakyRelu"):
        return node.op, float(options["alpha"]), float(options.get("beta", 0.0))
    if node.op in ("hardSwish", "relu", "sigmoid", "tanh", "gelu"):
        return node.op, 0.0, 0.0
    if node.op in ("add", "mul"):
        found = uses.number_and_other(node)
        if found is not None and found[1] == value:
            return ("add" if node.op == "add" else "multiply"), found[0], 0.0
    return None
