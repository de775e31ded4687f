"""Small changes to any graph, after which it means something else or is not the pattern it looks like.

A pattern that a backend misses costs speed; one that it sees where there is none costs the right answer. Each change
is one that a careless pattern would overlook: another axis or number, operands swapped, a value inside the pattern
that is read once more or is a result, something in between, the same thing twice. The graph that comes out is valid,
because `Graph.create` has checked it, and the definitions say what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final, TypeAlias

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WebnnError
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_runtime.passes.dead import remove_dead

__all__ = ["CHANGES", "mutated"]


class Draft:
    """A graph while it is changed: its parts, without any promise."""

    def __init__(self, graph: Graph, random: Random) -> None:
        self.graph = graph
        self.random = random
        self.constants = dict(graph.constants)
        self.nodes = list(graph.nodes)
        self.outputs = dict(graph.outputs)
        self.types = dict(graph.types)

    def fresh(self, stem: str) -> str:
        number = 0
        while f"{stem}_{number}" in self.types:
            number += 1
        self.types[f"{stem}_{number}"] = self.types.get(stem, TensorType(DataType.FLOAT32, ()))
        return f"{stem}_{number}"

    def place(self) -> int:
        """Of any node."""
        return self.random.randrange(len(self.nodes))

    def edge(self) -> tuple[int, int, str]:
        """A node, one of its operands, and the value read there."""
        while True:
            place = self.place()
            reads = [(index, value) for index, value in enumerate(self.nodes[place].inputs) if value is not None]
            if reads:
                return place, *self.random.choice(reads)

    def read(self, place: int, index: int, value: str) -> None:
        """Let a node read something else."""
        inputs = list(self.nodes[place].inputs)
        inputs[index] = value
        self.nodes[place] = replace(self.nodes[place], inputs=tuple(inputs))

    def number(self, like: TensorType) -> str:
        """A new scalar."""
        name = self.fresh("number")
        values = [0.5, 2.0, -1.0, 1.0, 0.0, 3.0] if like.dtype.is_float else [1, 2, 0]
        array = np.asarray(self.random.choice(values), like.dtype.numpy)
        self.constants[name] = Constant(TensorType(like.dtype, ()), array)
        return name

    def finished(self) -> Graph:
        used = {value for node in self.nodes for value in node.inputs} | set(self.outputs.values())
        constants = {name: constant for name, constant in self.constants.items() if name in used}
        return Graph.create(
            self.graph.name,
            dims=self.graph.dims,
            inputs=self.graph.inputs,
            constants=constants,
            nodes=tuple(self.nodes),
            outputs=self.outputs,
        )


def swap_operands(draft: Draft) -> None:
    place, first, _ = draft.edge()
    inputs = list(draft.nodes[place].inputs)
    second = draft.random.randrange(len(inputs))
    inputs[first], inputs[second] = inputs[second], inputs[first]
    draft.nodes[place] = replace(draft.nodes[place], inputs=tuple(inputs))


def read_another(draft: Draft) -> None:
    """Another value of the same type that is there by then."""
    place, index, value = draft.edge()
    made = {name for node in draft.nodes[:place] for name in node.outputs}
    there = [*draft.graph.inputs, *draft.constants, *made]
    draft.read(place, index, draft.random.choice([name for name in there if draft.types[name] == draft.types[value]]))


def change_option(draft: Draft) -> None:
    place = draft.place()
    node = draft.nodes[place]
    if node.options:
        name = draft.random.choice(sorted(node.options))
        options = {**node.options, name: other_option(node.options[name], draft.random)}
        draft.nodes[place] = replace(node, options=options)


def other_option(value: Any, random: Random) -> Any:
    """Something of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice([value + 1, max(value - 1, 0), 0])
    if isinstance(value, float):
        return random.choice([value * 2, value + 0.25, -value, 0.0, 1.0])
    if isinstance(value, tuple) and value:
        changed = list(value)
        if all(isinstance(item, int) for item in value) and random.random() < 0.5:
            at = random.randrange(len(value))
            changed[at] = max(changed[at] + random.choice([-1, 1]), 0)
        else:
            random.shuffle(changed)
        return tuple(changed)
    return value


def change_number(draft: Draft) -> None:
    """One element of a constant, or all of them."""
    if not draft.constants:
        return
    name = draft.random.choice(sorted(draft.constants))
    constant = draft.constants[name]
    array = np.array(constant.values)
    at: Any = np.unravel_index(draft.random.randrange(array.size), array.shape) if draft.random.random() < 0.5 else ...
    if array.dtype.kind == "f":
        with np.errstate(all="ignore"):
            changes = [array[at] * 1.5, -array[at], array[at] + 0.25, array[at] * 0 + 1, array[at] * 0]
            array[at] = np.asarray(draft.random.choice(changes), array.dtype)
    else:
        array[at] = array[at] + (1 if np.max(array[at]) < constant.type.dtype.bounds[1] else 0)
    draft.constants[name] = replace(constant, array=array)


def reshape_constant(draft: Draft) -> None:
    """Other axes for the same numbers, or fewer numbers that are stretched."""
    if not draft.constants:
        return
    name = draft.random.choice(sorted(draft.constants))
    constant = draft.constants[name]
    array = np.array(constant.values)
    forms = [array[None], array.reshape(-1), array[..., None]]
    if array.ndim:
        forms += [array[..., :1], array[:1], np.swapaxes(array, 0, -1)]
    chosen = np.ascontiguousarray(draft.random.choice(forms))
    key = constant.key or (name if chosen.ndim else None)
    draft.constants[name] = Constant(
        TensorType(constant.type.dtype, chosen.shape), chosen, key if chosen.ndim else None
    )


def show(draft: Draft) -> None:
    """A value on the way is a result as well."""
    node = draft.nodes[draft.place()]
    draft.outputs[f"shown_{len(draft.outputs)}"] = draft.random.choice(node.outputs)


def read_once_more(draft: Draft) -> None:
    """Another node reads a value on the way, for a result of its own."""
    place = draft.place()
    value = draft.random.choice(draft.nodes[place].outputs)
    name = draft.fresh(value)
    op = draft.random.choice(["add", "mul", "identity"])
    inputs = (value,) if op == "identity" else (value, draft.number(draft.types[value]))
    draft.nodes.insert(place + 1, Node(op, inputs, {}, (name,)))
    draft.outputs[f"more_{len(draft.outputs)}"] = name


def put_between(draft: Draft) -> None:
    """A node on the way from a value to one of its readers."""
    place, index, value = draft.edge()
    kind, name = draft.types[value], draft.fresh(value)
    forms = [Node("identity", (value,), {}, (name,))]
    if kind.dtype.is_float:
        forms += [Node(op, (value,), {}, (name,)) for op in ("neg", "relu", "sigmoid")]
    if kind.dtype in (DataType.FLOAT32, DataType.INT64):
        forms += [Node(op, (value, draft.number(kind)), {}, (name,)) for op in ("mul", "add", "max")]
        forms += [Node(op, (draft.number(kind), value), {}, (name,)) for op in ("sub", "mul")]
    if kind.rank > 1:
        order = list(range(kind.rank))
        order[-1], order[-2] = order[-2], order[-1]
        forms.append(Node("transpose", (value,), {"permutation": tuple(order)}, (name,)))
        axis = draft.random.randrange(kind.rank)
        forms.append(Node("reverse", (value,), {"axes": (axis,)}, (name,)))
    draft.nodes.insert(place, draft.random.choice(forms))
    draft.read(place + 1, index, name)


def leave_out(draft: Draft) -> None:
    """What reads a node's result reads its operand instead."""
    place, index, value = draft.edge()
    for node in draft.nodes[:place]:
        if value in node.outputs and node.inputs:
            draft.read(place, index, draft.random.choice([name for name in node.inputs if name is not None]))


def double(draft: Draft) -> None:
    """A node stands there twice; one reader takes the second."""
    place, index, value = draft.edge()
    for node in draft.nodes[:place]:
        if node.outputs == (value,):
            name = draft.fresh(value)
            draft.nodes.insert(place, replace(node, outputs=(name,)))
            draft.read(place + 1, index, name)
            return


def exchange(draft: Draft) -> None:
    """Another operator of the same form."""
    place = draft.place()
    node = draft.nodes[place]
    for family in (("add", "sub", "mul", "div", "max", "min", "pow"), ("reduceMean", "reduceSum", "reduceMax")):
        if node.op in family:
            draft.nodes[place] = replace(node, op=draft.random.choice(family))


CHANGES: Final[tuple[Callable[[Draft], None], ...]] = (
    swap_operands,
    read_another,
    change_option,
    change_number,
    reshape_constant,
    show,
    read_once_more,
    put_between,
    leave_out,
    double,
    exchange,
)

Mutation: TypeAlias = tuple[Graph, tuple[str, ...]]


def mutated(graph: Graph, random: Random, changes: int, of: Sequence[Callable[[Draft], None]] = CHANGES) -> Mutation:
    """The graph after as many changes, and what they were; a change that the rules refuse is not made."""
    done: list[str] = []
    for _ in range(20 * changes):
        if not graph.nodes:
            break
        draft = Draft(graph, random)
        change = random.choice(of)
        change(draft)
        if (draft.nodes, draft.outputs, draft.constants) == (list(graph.nodes), graph.outputs, graph.constants):
            continue
        try:
            graph = remove_dead(draft.finished())
        except WebnnError:
            continue
        done.append(change.__name__)
        if len(done) == changes:
            break
    return graph, tuple(done)
