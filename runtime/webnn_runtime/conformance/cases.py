"""Case files: one JSON document per operator, each test a small graph with inputs and expected outputs.

    document = {tests: [{name, graph: {inputs, operators, expectedOutputs}, tolerance?}]}
    tensor   = {data: number | [number...], descriptor: {shape, dataType}, constant?: true}
    operator = {name, arguments: [{argument: value}..., {options: {...}}], outputs: name | [name...]}

Numbers that JSON lacks are strings: "NaN", "Infinity", "-Infinity" and 64-bit integers such as "5n". A single
number as `data` fills the tensor.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn_runtime.conformance.tolerance import Tolerance, tolerance_of
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Array, Constant, Graph, Node, TensorType
from webnn_runtime.format.ops.kinds import Bool
from webnn_runtime.format.ops.node import find_spec

__all__ = ["Case", "load_cases"]

_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
_BIG_INTEGER: Final = re.compile(r"[+-]?\d+n")
# Of an output that is given as one repeated number only so many elements are compared.
_COMPARED_OF_FILL: Final = 1000


@dataclass(frozen=True, slots=True)
class Case:
    """One test of a case file; everything is decoded when it is asked for.

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

    @property
    def operators(self) -> tuple[str, ...]:
        """Names of the operators, in order."""
        return tuple(operator["name"] for operator in self.document["graph"]["operators"])

    def graph(self, *, all_constant: bool = False) -> Graph:
        """The case as a graph, with the tensors that the file marks, or all, as constants.

        Raises:
            GraphError: the operator table refuses it.
        """
        document = self.document["graph"]
        inputs: dict[str, TensorType] = {}
        constants: dict[str, Constant] = {}
        for name, tensor in document["inputs"].items():
            if all_constant or tensor.get("constant"):
                constants[name] = Constant(_type(tensor), _array(tensor), name)
            else:
                inputs[name] = _type(tensor)
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
        return {name: _array(self.document["graph"]["inputs"][name]) for name in graph.inputs}

    def expected(self) -> dict[str, Array]:
        """Expected outputs."""
        return {name: _array(tensor) for name, tensor in self.document["graph"]["expectedOutputs"].items()}

    def compared(self, name: str, actual: Array) -> Array:
        """The part of an output that counts."""
        data = self.document["graph"]["expectedOutputs"][name]["data"]
        return actual if isinstance(data, list) else actual.reshape(-1)[:_COMPARED_OF_FILL]

    def tolerance(self, graph: Graph) -> Tolerance:
        """The case's own tolerance, or else the published one of its operators."""
        own = self.document.get("tolerance")
        if own is None:
            return tolerance_of(graph)
        value = float(own["value"])
        return Tolerance(absolute=value) if own["type"] == "ATOL" else Tolerance(ulp=value)


def load_cases(folder: Path) -> Iterator[Case]:
    """Every case of every JSON file below a folder, at any depth, in order of their paths.

    Raises:
        FormatError: a file is not a case file.
    """
    for path in sorted(folder.rglob("*.json")):
        try:
            tests = json.loads(path.read_text(encoding="utf-8"))["tests"]
            for index, test in enumerate(tests):
                graph = test["graph"]
                graph["inputs"], graph["operators"], graph["expectedOutputs"]
                yield Case(path.relative_to(folder).with_suffix("").as_posix(), index, str(test["name"]), test)
        except (ValueError, KeyError, TypeError) as exc:
            raise FormatError(
                f"not a case file ({type(exc).__name__}: {exc}); it needs 'tests', each with 'name' and 'graph'",
                path=str(path),
            ) from exc


def _type(tensor: Mapping[str, Any]) -> TensorType:
    descriptor = tensor["descriptor"]
    return TensorType(DataType(descriptor["dataType"]), tuple(descriptor["shape"]))


def _array(tensor: Mapping[str, Any]) -> Array:
    kind, data = _type(tensor), _decode(tensor["data"])
    dtype = kind.dtype.numpy
    with np.errstate(over="ignore"):
        if dtype == np.float16:
            # As the tests' authors do it: a JavaScript number becomes float32, then float16.
            values = np.asarray(data, np.float64).astype(np.float32).astype(dtype)
        else:
            values = np.asarray(data, dtype)
    return values.reshape(kind.static_shape) if isinstance(data, list) else np.full(kind.static_shape, values)


def _node(operator: Mapping[str, Any]) -> Node:
    spec = find_spec(operator["name"])
    arguments: dict[str, Any] = {}
    for argument in operator["arguments"]:
        arguments.update(argument.get("options") or {} if "options" in argument else argument)
    operands: list[str | None] = []
    for operand in spec.operands:
        value = arguments.pop(operand.name, None)
        operands.extend(value if isinstance(value, list) else [value])
    outputs = operator["outputs"]
    names = tuple(outputs) if isinstance(outputs, list) else (outputs,)
    options = {name: _decode(value) for name, value in arguments.items()}
    for name, value in options.items():
        option = spec.option(name)
        # The files are JavaScript calls, where 0 and 1 will do for false and true.
        if option is not None and isinstance(option.kind, Bool) and value in (0, 1):
            options[name] = bool(value)
    return Node(spec.name, tuple(operands), options, names)


def _decode(value: Any) -> Any:
    """Strings that stand for numbers as numbers, also inside lists."""
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        if _BIG_INTEGER.fullmatch(value):
            return int(value[:-1])
    return value
