"""Builds graphs call by call; every call is checked and typed at once.

    builder = GraphBuilder("demo", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("batch"), 8))
    y = builder.op("softmax", x, axis=1)
    graph = builder.build({"y": y})

Options are given in the WebNN spelling or its snake_case.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import SupportsIndex

import numpy as np

from webnn_runtime.format.binding import plain_array
from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, names_of
from webnn_runtime.format.dtypes import DataType, cast_number
from webnn_runtime.format.errors import GraphError, OperandError, OptionError
from webnn_runtime.format.graph import Array, Constant, DimCheck, Graph, Node, TensorType, frozen_array
from webnn_runtime.format.ops.limits import MAX_TENSORS
from webnn_runtime.format.ops.node import find_spec, infer_node
from webnn_runtime.format.ops.spec import OpSpec, snake_case
from webnn_runtime.format.records import dataclass, replace

__all__ = ["GraphBuilder", "Value"]


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A handle to an operand of one builder.

    Attributes:
        name: value name in the graph.
        type: data type and shape.
        owner: the builder it belongs to.
    """

    name: str
    type: TensorType
    owner: GraphBuilder

    @property
    def dtype(self) -> DataType:
        """Data type."""
        return self.type.dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Dimensions."""
        return self.type.shape

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return self.type.rank

    def __repr__(self) -> str:
        return f"Value({self.name}: {self.type})"


class GraphBuilder:
    """Collects inputs, constants and nodes of one graph."""

    def __init__(self, name: str = "graph", dims: Iterable[DynamicDim] = ()) -> None:
        self.name = name
        self.dims: dict[str, DynamicDim] = {}
        self._inputs: dict[str, TensorType] = {}
        self._constants: dict[str, Constant] = {}
        self._nodes: list[Node] = []
        self._types: dict[str, TensorType] = {}
        self._checks: list[DimCheck] = []
        self._next_id: dict[str, int] = {}
        for dim in dims:
            self.add_dim(dim)

    @property
    def checks(self) -> tuple[DimCheck, ...]:
        """What the nodes so far leave to the run."""
        return tuple(self._checks)

    def add_dim(self, dim: DynamicDim) -> None:
        """Declare a named dimension, or narrow the range of a known one.

        Raises:
            ValueError: the ranges have nothing in common.
        """
        known = self.dims.get(dim.name, dim)
        self.dims[dim.name] = DynamicDim(dim.name, min(known.max_size, dim.max_size), max(known.min_size, dim.min_size))

    def input(self, name: str, dtype: DataType, shape: Sequence[Dim]) -> Value:
        """Declare a graph input.

        Raises:
            OperandError: the name is empty or taken.
        """
        self._claim(name)
        self._inputs[name] = self._types[name] = TensorType(dtype, tuple(shape))
        return Value(name, self._types[name], self)

    def constant(
        self,
        array: Array | float | int,
        dtype: DataType | None = None,
        *,
        name: str | None = None,
    ) -> Value:
        """Add a constant; scalars are written into the graph file, all others into the weights.

        Args:
            array: values; a Python number needs `dtype`, and is rounded and limited as WebNN says.
            dtype: type; taken from the array when absent. int4 and uint4 must be named.
            name: value name and weights key; generated when absent.

        Raises:
            OperandError: the name is taken, or the array's type is none of WebNN's or not `dtype`.
        """
        if isinstance(array, (np.ndarray, np.generic)):
            array = plain_array("a constant", np.asanyarray(array))
        elif dtype is None:
            raise OperandError("a constant from a Python number needs a data type")
        else:
            array = np.asarray(cast_number(array, dtype), dtype.numpy)
        dtype = _constant_type(array, dtype)
        name = self._claim(name) if name is not None else self.fresh("const")
        kind = TensorType(dtype, tuple(array.shape))
        key = name if array.ndim else None
        self._constants[name] = Constant(kind, frozen_array(array.astype(dtype.numpy, copy=False)), key)
        self._types[name] = kind
        return Value(name, kind, self)

    def op(
        self,
        op: str,
        *operands: Value | None,
        name: str | None = None,
        label: str = "",
        **options: object,
    ) -> Value:
        """Add a node with one result.

        Raises:
            GraphError: the operator does not allow this.
        """
        results = self.op_many(op, *operands, names=(name,) if name is not None else None, label=label, **options)
        if len(results) != 1:
            raise OperandError(f"{op} has {len(results)} results; use op_many", op=op)
        return results[0]

    def op_many(
        self,
        op: str,
        *operands: Value | None,
        names: Sequence[str] | None = None,
        label: str = "",
        **options: object,
    ) -> tuple[Value, ...]:
        """Add a node with any number of results.

        Raises:
            GraphError: the operator does not allow this.
        """
        spec = find_spec(op)
        for operand in operands:
            if operand is not None and operand.owner is not self:
                raise OperandError(f"operand '{operand.name}' belongs to another builder", op=op)
        wire: dict[str, object] = {}
        for key, option in options.items():
            wire_name = _wire_name(spec, key)
            if wire_name in wire:
                raise OptionError(f"{op} option '{wire_name}' is given twice", op=op)
            wire[wire_name] = option
        node = Node(op, tuple(operand.name if operand else None for operand in operands), wire, ("?",), label)  # type: ignore[arg-type]  # infer_node reads raw options
        # Names are claimed only after the node proved valid, so that a refused call leaves no trace.
        count = len(names) if names is not None else _result_count(spec, wire)
        for taken in names or ():
            if taken in self._types or not taken:
                raise OperandError(f"value name '{taken}' is empty or already taken", op=op)
        outputs = tuple(names) if names is not None else tuple(self._peek(op, index) for index in range(count))
        checks: list[DimCheck] = []
        whole, kinds = infer_node(replace(node, outputs=outputs), self._types, self.dims, checks)
        self._checks.extend(checks)
        self._nodes.append(whole)
        for value, kind in zip(outputs, kinds, strict=True):
            self._types[value] = kind
        return tuple(Value(value, kind, self) for value, kind in zip(outputs, kinds, strict=True))

    def build(self, outputs: Mapping[str, Value]) -> Graph:
        """The graph of everything the outputs depend on.

        The value behind an output gets the output's name; an identity is added where it is an input or a
        constant, or has another output's name already. Other values make room by taking a new name,
        except inputs: where an output has an input's name, only `Graph.outputs` says so.

        Unreachable inputs, constants and nodes are left out, and so are named dimensions that nothing
        uses. An input stays when only its shape can say how large a dimension in an option is.

        Raises:
            GraphError: no outputs, an empty name, or a value of another builder.
        """
        if not outputs:
            raise GraphError("the graph has no outputs; name at least one")
        for name, value in outputs.items():
            if not name:
                raise OperandError("an output needs a name that is not empty")
            if value.owner is not self:
                raise OperandError(f"output value '{value.name}' belongs to another builder")
        live, nodes = self._reachable(value.name for value in outputs.values())
        inputs = self._kept_inputs(live, nodes)
        constants = {name: constant for name, constant in self._constants.items() if name in live}
        renamed, found = self._name_outputs(outputs, inputs, constants, nodes)
        kept = [
            replace(
                node,
                inputs=tuple(renamed.get(value, value) if value is not None else None for value in node.inputs),
                outputs=tuple(renamed.get(value, value) for value in node.outputs),
            )
            for node in nodes
        ]
        copies = [
            Node("identity", (renamed.get(value.name, value.name),), {}, (found[name],))
            for name, value in outputs.items()
            if found[name] != renamed.get(value.name, value.name)
        ]
        names = {name for kind in inputs.values() for name in kind.names} | _names_in_options(nodes)
        return Graph.create(
            self.name,
            dims={name: dim for name, dim in self.dims.items() if name in names},
            inputs=inputs,
            constants={renamed.get(name, name): _renamed(name, constants[name], renamed) for name in constants},
            nodes=(*kept, *copies),
            outputs=found,
        )

    def constant_array(self, value: Value) -> Array | None:
        """Values of `value` when it is a constant, else None."""
        constant = self._constants.get(value.name)
        return constant.values if constant is not None else None

    def fresh(self, stem: str) -> str:
        """A value name that is not taken: the stem itself, or the stem with a number."""
        stem = re.sub(r"\W", "_", stem, flags=re.ASCII) or "value"
        if stem not in self._types:
            return stem
        number = self._next_id.get(stem, 0)
        while True:
            number += 1
            name = f"{stem}_{number}"
            if name not in self._types:
                self._next_id[stem] = number
                return name

    def _peek(self, op: str, index: int) -> str:
        base = self.fresh(snake_case(op))
        return base if index == 0 else self.fresh(f"{base}_{index}")

    def _claim(self, name: str) -> str:
        if not name:
            raise OperandError("a value needs a name that is not empty")
        if name in self._types:
            raise OperandError(f"value name '{name}' is already taken")
        return name

    def _reachable(self, values: Iterable[str]) -> tuple[set[str], list[Node]]:
        """Names of the values that `values` depend on, and the nodes that make them, in order."""
        live, kept = set(values), []
        for node in reversed(self._nodes):
            if live.intersection(node.outputs):
                kept.append(node)
                live.update(value for value in node.inputs if value is not None)
        return live, kept[::-1]

    def _kept_inputs(self, live: set[str], nodes: Sequence[Node]) -> dict[str, TensorType]:
        """Reachable inputs, and others whose shape alone binds a dimension that an option uses."""
        kept = {name for name in self._inputs if name in live}
        bound = {dim for name in kept for dim in self._inputs[name].names}
        for dim in sorted(_names_in_options(nodes) - bound):
            # A dimension that is the bare name binds it for certain; an expression may not.
            holders = [name for name, kind in self._inputs.items() if dim in {str(size) for size in kind.shape}]
            holders += [name for name, kind in self._inputs.items() if dim in kind.names]
            kept.update(holders[:1])
        return {name: kind for name, kind in self._inputs.items() if name in kept}

    def _name_outputs(
        self,
        outputs: Mapping[str, Value],
        inputs: Mapping[str, TensorType],
        constants: Mapping[str, Constant],
        nodes: Sequence[Node],
    ) -> tuple[dict[str, str], dict[str, str]]:
        """New names of values, and for each output the name of its value."""
        produced = {value for node in nodes for value in node.outputs}
        taken = {*inputs, *constants, *produced, *outputs}
        renamed: dict[str, str] = {}
        found: dict[str, str] = {}
        # A value that has the right name already keeps it; then the first output of a value names it.
        for name, value in sorted(outputs.items(), key=lambda item: item[0] != item[1].name):
            if value.name in produced and value.name not in renamed and name not in inputs:
                found[name] = renamed[value.name] = name
        for name in (*constants, *produced):
            if name in outputs and name not in renamed and name not in inputs:
                renamed[name] = _unused(name, taken)
        for name, value in outputs.items():
            if name in found:
                continue
            if name not in inputs:
                found[name] = name
            elif value.name in produced:
                found[name] = renamed.get(value.name, value.name)
            else:
                found[name] = _unused(name, taken)
        return renamed, {name: found[name] for name in outputs}


def _constant_type(array: Array, dtype: DataType | None) -> DataType:
    try:
        own = DataType.from_numpy(array.dtype)
    except KeyError as exc:
        raise OperandError(f"constant of type {array.dtype}, which WebNN does not have; convert it") from exc
    if dtype is None:
        return own
    if own.numpy != dtype.numpy:
        raise OperandError(
            f"constant of type {array.dtype} where {dtype.value} is asked for; convert it with astype('{dtype.numpy}')"
        )
    if dtype.bits < own.bits and array.size:
        low, high = dtype.bounds
        if array.min() < low or array.max() > high:
            raise OperandError(f"constant of {dtype.value} holds values outside {low} to {high}")
    return dtype


def _unused(name: str, taken: set[str]) -> str:
    number = 1
    while f"{name}_{number}" in taken:
        number += 1
    taken.add(f"{name}_{number}")
    return f"{name}_{number}"


def _renamed(name: str, constant: Constant, renamed: Mapping[str, str]) -> Constant:
    # The weights key follows the value name, which is what files hold.
    return replace(constant, key=renamed[name]) if name in renamed and constant.key == name else constant


def _names_in_options(nodes: Iterable[Node]) -> set[str]:
    found: set[str] = set()
    for node in nodes:
        for value in node.options.values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, SymbolicDim):
                    found |= names_of(item)
    return found


def _wire_name(spec: OpSpec, key: str) -> str:
    for option in spec.options:
        for name in (option.name, *option.aliases):
            if key == snake_case(name):
                return name
    return key  # WebNN's spelling, or unknown: infer_node says which


def _result_count(spec: OpSpec, options: Mapping[str, object]) -> int:
    """Number of results, which only `split` and the recurrent operators take from their options."""
    if not any(result.variadic for result in spec.results):
        optional = sum(1 for result in spec.results if result.optional)
        return len(spec.results) - (optional if not options.get("returnSequence") else 0)
    splits = options.get("splits")
    # Of what is no count, and of too large a one, infer_node says so.
    count = 1
    if isinstance(splits, (list, tuple)):
        count = len(splits)
    elif isinstance(splits, SupportsIndex):
        count = splits.__index__()
    return min(max(count, 1), MAX_TENSORS + 1)
