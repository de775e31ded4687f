"""A case of a case file that computes nothing: a call on the builder that must be refused, or give a descriptor.

Its document is {kind: "validation", name, inputs, before?, operator, arguments, options?, output?}, with

    inputs = {name: {dataType, shape, constant?: true, builder?: "other"}}
    before = [operator...]          calls that come first, in the form of a computing case
    output = descriptor | [descriptor...]

With `output` the call must succeed, and its results must have what the descriptors say: `dataType`, `shape` or both.
Without, it must raise a `TypeError`, whose message has `[label]` if the options hold a label. `operator` may
also be `input` (arguments `name`, `dataType`, `shape`) or `constant` (`dataType` with `shape` and
`buffer: {type, byteLength}`, or with `value`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn_runtime.api import ML, MLGraphBuilder, MLOperand, MLTypeError
from webnn_runtime.api.errors import with_label
from webnn_runtime.backends.base import Backend
from webnn_runtime.conformance.cases import Located, flat_arguments
from webnn_runtime.conformance.values import decode, type_of
from webnn_runtime.format.errors import FormatError, WebnnError
from webnn_runtime.format.ops.node import find_spec

__all__ = ["SOURCES", "ValidationCase"]

# Methods of the builder that make an operand out of none.
SOURCES: Final = frozenset({"input", "constant"})

# JavaScript's views of a buffer and what they are here; a plain buffer is bytes.
_VIEWS: Final = {
    "Float32Array": np.float32,
    "Float16Array": np.float16,
    "Int32Array": np.int32,
    "Uint32Array": np.uint32,
    "BigInt64Array": np.int64,
    "BigUint64Array": np.uint64,
    "Int16Array": np.int16,
    "Uint16Array": np.uint16,
    "Int8Array": np.int8,
    "Uint8Array": np.uint8,
}


class ValidationCase(Located):
    """A call that the builder must answer with a certain descriptor, or refuse."""

    __slots__ = ()

    @property
    def operators(self) -> tuple[str, ...]:
        """Name of the operator under test."""
        return (self.document["operator"],)

    def complaint(self, backend: Backend) -> str | None:
        """What is wrong with the builder's answer; None if it is right.

        Raises:
            FormatError: the case names what it does not have.
        """
        with ML().create_context(backend=backend.name) as context:
            builder, other = MLGraphBuilder(context), MLGraphBuilder(context)
            try:
                call = self._prepared(builder, other)
            except FormatError:
                raise
            except WebnnError as exc:
                return f"not even the operands can be made: {type(exc).__name__}: {exc}"
            expected = self.document.get("output")
            try:
                result = call()
            except MLTypeError as exc:
                if expected is not None:
                    return f"refused: {exc}"
                # As the specification has it: in brackets, and with "?" for what cannot be printed.
                label = with_label("", str(flat_arguments(self._operator).get("label") or "")).strip()
                return None if label in str(exc) else f"the message lacks {label}: {exc}"
            except WebnnError as exc:
                return f"{type(exc).__name__} instead of a TypeError: {exc}"
        return _difference(result, expected)

    @property
    def _operator(self) -> dict[str, Any]:
        """The call under test in the form of those before it."""
        options = self.document.get("options")
        arguments = [*self.document["arguments"], *([{"options": options}] if options else [])]
        return {"name": self.document["operator"], "arguments": arguments}

    def _prepared(self, builder: MLGraphBuilder, other: MLGraphBuilder) -> Any:
        """The call under test, with all its operands made."""
        values: dict[str, object] = {}
        for name, tensor in self.document["inputs"].items():
            owner = other if tensor.get("builder") == "other" else builder
            if tensor.get("constant"):
                zeros = np.zeros(tensor["shape"], type_of(tensor).dtype.numpy)
                values[name] = owner.constant(zeros, tensor["shape"], tensor["dataType"])
            else:
                values[name] = owner.input(name, tensor["shape"], tensor["dataType"])
        for operator in self.document.get("before", ()):
            results = _call(builder, operator, values)()
            outputs = operator["outputs"]
            named = zip(outputs, results, strict=False) if isinstance(outputs, list) else [(outputs, results)]
            values.update(named)
        return _call(builder, self._operator, values)


def _call(builder: MLGraphBuilder, operator: Mapping[str, Any], values: Mapping[str, object]) -> Any:
    """A call on the builder with names replaced by operands; nothing happens before it is called."""
    name, arguments = operator["name"], flat_arguments(operator)
    if name == "input":
        return lambda: builder.input(arguments.get("name"), arguments.get("shape"), arguments.get("dataType"))  # type: ignore[arg-type]  # wrong arguments are what is tested
    if name == "constant":
        return lambda: builder.constant(_constant(arguments), arguments.get("shape"), arguments.get("dataType"))
    spec = find_spec(name)
    operands = {row.name for row in spec.operands}
    given = {
        key: _operand(name, value, values) if key in operands else decode(value) for key, value in arguments.items()
    }
    return lambda: getattr(builder, spec.name)(**given)


def _operand(operator: str, value: Any, values: Mapping[str, object]) -> Any:
    if isinstance(value, list):
        return [_operand(operator, item, values) for item in value]
    if not isinstance(value, str):
        return value
    if value not in values:
        raise FormatError(f"{operator} names the tensor '{value}', which the case does not have")
    return values[value]


def _constant(arguments: Mapping[str, Any]) -> Any:
    if "value" in arguments:
        return decode(arguments["value"])
    buffer = arguments["buffer"]
    raw = bytes(buffer["byteLength"])
    return np.frombuffer(raw, _VIEWS[buffer["type"]]) if buffer["type"] in _VIEWS else raw


def _difference(result: object, expected: Any) -> str | None:
    """Results against descriptors that say their type, their shape, or both."""
    if expected is None:
        return "accepted; it is to be refused with a TypeError"
    results = result if isinstance(result, list) else [result]
    wanted = expected if isinstance(expected, list) else [expected]
    if isinstance(result, list) != isinstance(expected, list) or len(results) != len(wanted):
        return f"{len(results)} results, expected {len(wanted)}"
    for operand, descriptor in zip(results, wanted, strict=True):
        assert isinstance(operand, MLOperand)
        found = {"dataType": operand.data_type, "shape": list(operand.shape)}
        for key, value in descriptor.items():
            if found[key] != value:
                return f"{key} {found[key]}, expected {value}"
    return None
