"""One ONNX node as a lowering rule sees it: resolved inputs, decoded attributes, no protobuf."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx

from webnn_translator._errors import Refused
from webnn_translator.tensor import OnnxValue, Tensor, TensorList

__all__ = ["Attributes", "OnnxNode", "decode_attributes"]


class Attributes(Mapping[str, Any]):
    """Decoded attributes that remember which of them were asked for: none may be passed over.

    Attributes:
        asked: names that were looked up, whether they are written or not.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


@dataclass(frozen=True, slots=True)
class OnnxNode:
    """A node of the model.

    Attributes:
        name: its name, or that of its first output.
        op_type: operator.
        domain: operator domain; "" is ai.onnx.
        version: operator set version of that domain in the model.
        inputs: one value per input; None where an optional one is not given.
        outputs: output names; "" where an optional one is not asked for.
        attributes: decoded values; an attribute that is not written is not in here.
    """

    name: str
    op_type: str
    domain: str
    version: int
    inputs: tuple[OnnxValue | None, ...]
    outputs: tuple[str, ...]
    attributes: Attributes

    def input(self, index: int) -> Tensor:
        """A required input.

        Raises:
            Refused: it is absent.
        """
        found = self.optional(index)
        if found is None:
            raise Refused(f"input {index} is missing; the model is not valid")
        return found

    def optional(self, index: int) -> Tensor | None:
        """An optional input; None when it is absent.

        Raises:
            Refused: it is no tensor.
        """
        found = self.value(index)
        if found is not None and not isinstance(found, Tensor):
            raise Refused(f"input {index} is {found}, not a tensor; the model is not valid")
        return found

    def value(self, index: int) -> OnnxValue | None:
        """An input of any kind; None when it is not given."""
        return self.inputs[index] if index < len(self.inputs) else None

    def sequence(self, index: int) -> TensorList:
        """A required input that is a sequence.

        Raises:
            Refused: it is none.
        """
        found = self.value(index)
        if not isinstance(found, TensorList):
            raise Refused(f"input {index} is {found or 'missing'}, not a sequence; the model is not valid")
        return found

    @property
    def operands(self) -> tuple[Tensor, ...]:
        """All inputs of an operator with any number of them.

        Raises:
            Refused: one is absent, or there are none.
        """
        if not self.inputs:
            raise Refused("it has no inputs; the model is not valid")
        return tuple(self.input(index) for index in range(len(self.inputs)))

    def wants(self, index: int) -> bool:
        """Whether an output is asked for."""
        return index < len(self.outputs) and bool(self.outputs[index])

    def has(self, name: str) -> bool:
        """Whether an attribute is written; one that is written as 0 is."""
        return name in self.attributes

    def ignore(self, *names: str) -> None:
        """Attributes that cannot change a result here."""
        self.attributes.asked.update(names)

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer attribute; required when there is no default."""
        value = self._get(name, int, default)
        assert isinstance(value, int)
        return value

    def flag(self, name: str, default: int) -> bool:
        """An integer attribute that is 0 or 1: runtimes read other numbers in two ways.

        Raises:
            Refused: another number.
        """
        value = self.integer(name, default)
        if value not in (0, 1):
            raise Refused(f"attribute {name} is {value}; it has to be 0 or 1")
        return value == 1

    def number(self, name: str, default: float | None = None) -> float:
        """A float attribute; required when there is no default."""
        value = self._get(name, float, default)
        assert isinstance(value, float)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """A string attribute; required when there is no default."""
        value = self._get(name, str, default)
        assert isinstance(value, str)
        return value

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """A list of integers; required when there is no default."""
        value = self._get(name, list, default)
        return tuple(int(item) for item in value)

    def numbers(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """A list of floats; required when there is no default."""
        value = self._get(name, list, default)
        return tuple(float(item) for item in value)

    def choice(self, name: str, default: str, *allowed: str) -> str:
        """A string attribute out of a few.

        Raises:
            Refused: another one.
        """
        value = self.text(name, default)
        if value not in allowed:
            raise Refused(f"attribute {name} is '{value}'; supported: {', '.join(allowed)}")
        return value

    def _get(self, name: str, kind: type, default: Any) -> Any:
        if name not in self.attributes:
            if default is None:
                raise Refused(f"attribute {name} is missing; the model is not valid")
            return default
        value = self.attributes[name]
        if not isinstance(value, kind):
            raise Refused(f"attribute {name} is a {type(value).__name__}; the model is not valid")
        return value


def decode_attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Attribute name -> int, float, str, list, or the protobuf of a tensor or a graph.

    Raises:
        Refused: an attribute occurs twice, or refers to a function's.
    """
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.name in found:
            raise Refused(f"attribute {attribute.name} is written twice; the model is not valid")
        if attribute.ref_attr_name:
            raise Refused(f"attribute {attribute.name} refers to '{attribute.ref_attr_name}' outside of a function")
        value = onnx.helper.get_attribute_value(attribute)
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, Sequence) and not isinstance(value, str):
            value = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value]
        found[attribute.name] = value
    return found
