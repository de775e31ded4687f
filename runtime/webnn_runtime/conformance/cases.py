"""A case of a case file that computes: a small graph with inputs and expected outputs.

Its document is {name, graph: {inputs, operators, expectedOutputs}, tolerance?}, with

    tensor   = {data: number | [number...], descriptor: {shape, dataType}, constant?: true}
    operator = {name, arguments: [{argument: value}..., {options: {...}}], outputs: name | [name...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from webnn_runtime.conformance.tolerance import Tolerance, tolerance_of
from webnn_runtime.conformance.values import array_of, decode, type_of
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Array, Constant, Graph, Node, TensorType
from webnn_runtime.format.ops.kinds import Bool
from webnn_runtime.format.ops.node import find_spec

__all__ = ["Case", "Located", "flat_arguments"]

# Of an output that is given as one repeated number only so many elements are compared.
_COMPARED_OF_FILL: Final = 1000


@dataclass(frozen=True, slots=True)
class Located:
    """A test and its place.

    Attributes:
        source: file below the folder, without its ending.
        index: place in the file.
        name: what the file calls it.
        document: the test as the file holds it.
    """

    source: str
    index: int
    name: str
    document: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Stable and unique: `wpt/add:3`."""
        return f"{self.source}:{self.index}"


class Case(Located):
    """A graph with inputs and expected outputs; everything is decoded when it is asked for."""

    __slots__ = ()

    @property
    def operators(self) -> tuple[str, ...]:
        """Names of the operators, in order."""
        return tuple(operator["name"] for operator in self.document["graph"]["operators"])

    def graph(self, *, all_constant: bool = False) -> Graph:
        """The case as a graph, with the tensors that the file marks, or all, as constants.

        Raises:
            GraphError: the operator table refuses it.
            FormatError: data or names that are not what the schema says.
        """
        document = self.document["graph"]
        inputs: dict[str, TensorType] = {}
        constants: dict[str, Constant] = {}
        for name, tensor in document["inputs"].items():
            if all_constant or tensor.get("constant"):
                constants[name] = Constant(type_of(tensor["descriptor"]), array_of(name, tensor), name)
            else:
                inputs[name] = type_of(tensor["descriptor"])
        return Graph.create(
            "conformance",
            dims={},
            inputs=inputs,
            constants=constants,
            nodes=tuple(_node(operator) for operator in document["operators"]),
            outputs={name: name for name in document["expectedOutputs"]},
        )

    def feeds(self, graph: Graph) -> dict[str, Array]:
        """Arrays for the inputs that `graph` has."""
        return {name: array_of(name, self.document["graph"]["inputs"][name]) for name in graph.inputs}

    def expected(self) -> dict[str, Array]:
        """Expected outputs."""
        return {name: array_of(name, tensor) for name, tensor in self.document["graph"]["expectedOutputs"].items()}

    def compared(self, name: str, actual: Array) -> Array:
        """The part of an output that counts."""
        data = self.document["graph"]["expectedOutputs"][name]["data"]
        return actual if isinstance(data, list) else actual.reshape(-1)[:_COMPARED_OF_FILL]

    def tolerance(self, graph: Graph) -> Tolerance:
        """The case's own tolerance, or else the published one of its operators."""
        own = self.document.get("tolerance")
        if own is None:
            return tolerance_of(graph)
        value = float(decode(own["value"]))
        return Tolerance(absolute=value) if own["type"] == "ATOL" else Tolerance(ulp=value)


def flat_arguments(operator: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments and options of one operator by name, as the file has them."""
    arguments: dict[str, Any] = {}
    for argument in operator["arguments"]:
        arguments.update(argument.get("options") or {} if "options" in argument else argument)
    return arguments


def _node(operator: Mapping[str, Any]) -> Node:
    spec = find_spec(operator["name"])
    arguments = flat_arguments(operator)
    operands: list[str | None] = []
    for row in spec.operands:
        value = arguments.pop(row.name, None)
        for name in value if isinstance(value, list) else [value]:
            if not (name is None or isinstance(name, str)):
                raise FormatError(f"operand '{row.name}' of {spec.name} is {name!r}; give the name of a tensor")
            operands.append(name)
    outputs = operator["outputs"]
    names = tuple(outputs) if isinstance(outputs, list) else (outputs,)
    options = {name: decode(value) for name, value in arguments.items()}
    label = str(options.pop("label", ""))
    for name, value in options.items():
        option = spec.option(name)
        # The files are JavaScript calls, where 0 and 1 will do for false and true.
        if option is not None and isinstance(option.kind, Bool) and value in (0, 1):
            options[name] = bool(value)
    return Node(spec.name, tuple(operands), options, names, label)
