"""Random valid graphs of several operators, and how far a right implementation may be from their definition.

The budgets of the specification are for one operator whose operands are exact. In a chain an operator gets
operands that are already off, and where terms cancel no float32 implementation keeps the last places. So the
allowance is carried through the graph: what the budget gives a node, plus twice the most that its definition
moves when the operands move by what they may be off themselves and by the node's own budget.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from call_sites import PROFILES, Call, Slot, accepts, fresh_types, plain
from hypothesis import strategies as st
from random_calls import call_of, calls

from webnn_runtime.conformance import tolerance_of
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node, TensorType
from webnn_runtime.format.ops import OPS
from webnn_runtime.reference import evaluate

__all__ = ["Allowed", "Made", "allowances", "beyond", "graphs", "one_operator"]

LARGEST: Final = 300


@dataclass(frozen=True)
class Made:
    """A graph and arrays for its inputs."""

    graph: Graph
    feeds: Mapping[str, Array]

    def __repr__(self) -> str:
        lines = [f"{name}: {kind} = {self.feeds[name].tolist()}" for name, kind in self.graph.inputs.items()]
        lines += [f"{name}: {item.type} = {item.values.tolist()}" for name, item in self.graph.constants.items()]
        lines += [f"{', '.join(n.outputs)} = {n.op}{n.inputs} {dict(n.options)}" for n in self.graph.nodes]
        return "\n".join([*lines, f"-> {', '.join(self.graph.outputs)}"])


@dataclass
class Assembly:
    """A graph under construction."""

    draw: st.DrawFn
    builder: GraphBuilder
    random: np.random.Generator
    values: list[Value]
    feeds: dict[str, Array]

    def fresh(self, slot: Slot) -> Value:
        """A new input or constant."""
        make = slot.values or plain(self.draw(st.sampled_from(PROFILES)))
        array = make(self.random, slot.type)
        name = f"x{len(self.feeds)}"
        self.feeds[name] = array
        if self.draw(st.booleans()):
            value = self.builder.constant(array, slot.type.dtype, name=name)
        else:
            value = self.builder.input(name, slot.type.dtype, slot.type.shape)
        self.values.append(value)
        return value

    def operand(self, slot: Slot | None) -> Value | None:
        """A value that is there already, where it has the type, or a new one."""
        if slot is None:
            return None
        there = [value for value in self.values if value.type == slot.type]
        if slot.values is None and there and self.draw(st.booleans()):
            return self.draw(st.sampled_from(there))
        return self.fresh(slot)

    def add(self, call: Call, first: Value | None = None) -> tuple[Value, ...]:
        """The node of a call."""
        first = first or self.fresh(call.first)
        others = [self.operand(slot) for slot in call.others]
        results = self.builder.op_many(call.op, first, *others, **call.options)
        self.values.extend(results)
        return results


def assembly(draw: st.DrawFn) -> Assembly:
    return Assembly(draw, GraphBuilder(), np.random.default_rng(draw(st.integers(0, 2**32 - 1))), [], {})


def finished(site: Assembly, outputs: list[Value]) -> Made:
    graph = site.builder.build({f"y{place}": value for place, value in enumerate(outputs)})
    return Made(graph, {name: site.feeds[name] for name in graph.inputs})


@st.composite
def one_operator(draw: st.DrawFn, op: str, dtype: DataType | None = None) -> Made:
    """One operator with operands of its own."""
    site = assembly(draw)
    return finished(site, list(site.add(draw(calls(op, dtype)))))


@st.composite
def graphs(draw: st.DrawFn, largest: int = 6) -> Made:
    """Several operators, most of them on results of others; every result that nothing reads is an output."""
    site = assembly(draw)
    made: list[Value] = []
    for _ in range(draw(st.integers(2, largest))):
        usable = [value for value in site.values if size(value.type) <= LARGEST]
        if usable and draw(st.integers(0, 4)):
            first = draw(st.sampled_from(usable[-3:]))
            op = draw(st.sampled_from([op for op, spec in OPS.items() if accepts(spec.operands[0], first.type)]))
            kind = first.type
        else:
            first, op = None, draw(st.sampled_from(sorted(OPS)))
            kind = fresh_types(draw, OPS[op])
        call = call_of(draw, op, kind, [value.type for value in site.values])
        # A call that wants its own values in the first operand (dequantizeLinear) takes computed ones as well.
        made.extend(site.add(call, first))
    read = {name for node in site.builder.build({"all": made[-1]}).nodes for name in node.inputs}
    outputs = [value for value in made if value.name not in read or draw(st.integers(0, 3)) == 0]
    return finished(site, outputs)


def size(kind: TensorType) -> int:
    return math.prod(kind.static_shape)


# What is allowed.

Float64 = npt.NDArray[np.float64]
_DIRECTIONS: Final = 6
# WebNN does not say whether NaN is an extreme. Our definition lets it win; a case of `tests/ops` says who does not.
_EXTREMES: Final = ("argMax", "argMin", "maxPool2d", "reduceMax", "reduceMin")
# The published budgets of recurrent operators, 1 to 3 ULP, are those of their published cases. Sums of products
# of either sign lose more than that in float32, at every gate of every step.
_LEAST_ULP: Final = dict.fromkeys(("gru", "gruCell", "lstm", "lstmCell"), 32.0)


@dataclass(frozen=True)
class Allowed:
    """What the definition gives, and how far each element may be off; infinite where anything is right."""

    expected: Array
    off: Float64


def allowances(made: Made, wider: Mapping[str, float]) -> dict[str, Allowed]:
    """For every value of a graph; `wider` gives an operator so many times its first operand's largest value more."""
    graph = made.graph
    found = {name: exact(array) for name, array in made.feeds.items()}
    found |= {name: exact(constant.values) for name, constant in graph.constants.items()}
    for node in graph.nodes:
        operands = [None if name is None else found[name] for name in node.inputs]
        kinds = [graph.types[name] for name in node.outputs]
        results = evaluate(node, [operand and operand.expected for operand in operands], {}, kinds)
        budget = tolerance_of(alone(graph, node))
        moved = [np.zeros(result.shape) for result in results]
        if budget.ulp or budget.absolute or any(operand is not None and operand.off.any() for operand in operands):
            for direction in range(_DIRECTIONS):
                ulp = max(budget.ulp, _LEAST_ULP.get(node.op, 1.0)) if budget.ulp or budget.absolute else 0.0
                nudged = [operand and pushed(operand, ulp, direction) for operand in operands]
                for most, result, other in zip(moved, results, evaluate(node, nudged, {}, kinds), strict=True):
                    np.maximum(most, difference(result, other), out=most)
        for name, result, most in zip(node.outputs, results, moved, strict=True):
            own = budget.absolute + budget.ulp * (step(result) if result.dtype.kind == "f" else 1.0)
            more = wider[node.op] * largest(operands[0]) if node.op in wider else 0.0
            if node.op in _EXTREMES and has_nan(operands[0]):
                own = np.full(result.shape, np.inf)
            if node.op == "cast":
                own = own + beyond_range(operands[0], result)
            found[name] = Allowed(result, np.asarray(own + 2 * most + more))
    return found


def beyond_range(operand: Allowed | None, result: Array) -> Float64:
    """No bound where a float is cast to an integer type that cannot hold it, which WebNN leaves open."""
    assert operand is not None
    if operand.expected.dtype.kind != "f" or result.dtype.kind == "f":
        return np.zeros(result.shape)
    limits = np.iinfo(result.dtype)
    wide = np.trunc(operand.expected.astype(np.float64))
    return np.where((wide >= float(limits.min)) & (wide < float(limits.max) + 1), 0.0, np.inf)


def has_nan(operand: Allowed | None) -> bool:
    return operand is not None and bool((operand.expected != operand.expected).any())


def largest(operand: Allowed | None) -> float:
    """Largest absolute value."""
    assert operand is not None
    finite = np.abs(operand.expected[np.isfinite(operand.expected)])
    return float(finite.max()) if finite.size else 0.0


def exact(array: Array) -> Allowed:
    return Allowed(array, np.zeros(array.shape))


def alone(graph: Graph, node: Node) -> Graph:
    """One node of a graph, all of its operands inputs or constants."""
    read = [name for name in node.inputs if name is not None]
    return Graph.create(
        "alone",
        dims={},
        inputs={name: graph.types[name] for name in read},
        constants={},
        nodes=(node,),
        outputs={name: name for name in node.outputs},
    )


def step(array: Array) -> Float64:
    """Distance from each float to the next one."""
    with np.errstate(all="ignore"):
        return np.abs(np.spacing(array)).astype(np.float64)


def pushed(operand: Allowed, ulp: float, direction: int) -> Array:
    """The operand off by what it may be, upwards, downwards, or either way element by element."""
    array = operand.expected
    random = np.random.default_rng(direction)
    signs = random.choice([-1.0, 1.0], array.shape) if direction > 1 else np.full(array.shape, 1.0 - 2 * direction)
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            off = operand.off + ulp * step(array)
            # What may be anything is in turn no number and either infinity, so that what depends on it may be, too.
            anything = (np.nan, np.inf, -np.inf)[direction % 3]
            return np.where(np.isfinite(off), array + signs * off, anything).astype(array.dtype)
    if not operand.off.any():
        return array
    limits = np.iinfo(array.dtype)
    off = np.ceil(np.minimum(operand.off, 2.0**62)).astype(np.int64)
    wide = [
        min(max(int(x) + int(s) * int(o), int(limits.min)), int(limits.max))
        for x, s, o in zip(array.flat, signs.flat, off.flat, strict=True)
    ]
    return np.array(wide, array.dtype).reshape(array.shape)


def difference(a: Array, b: Array) -> Float64:
    """|a - b|; nothing between equal ones, and no bound where only one of the two is a number."""
    with np.errstate(all="ignore"):
        found = np.abs(a.astype(np.float64) - b.astype(np.float64))
    same = (a == b) | ((a != a) & (b != b))
    return np.where(same, 0.0, np.where(np.isnan(found), np.inf, found))


def beyond(actual: Array, allowed: Allowed) -> str | None:
    """What is wrong with a result, or None."""
    expected = allowed.expected
    if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
        return f"{actual.dtype}{list(actual.shape)} instead of {expected.dtype}{list(expected.shape)}"
    off = np.atleast_1d(difference(actual, expected) > allowed.off)
    if not off.any():
        return None
    first = np.argmax(off)
    return (
        f"{off.sum()} of {off.size} elements are off; element {first} is {actual.flat[first]!s}, "
        f"expected {expected.flat[first]!s} within {allowed.off.flat[first]:g}"
    )
