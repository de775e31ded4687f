"""Inputs that are given a value once and for all: they become constants, and what depends on them is decided.

A sampling rate that a model compares with two numbers, the sizes that it resizes to, a flag: with a value, WebNN can
express what it could not with an input.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.format.dims import Dim, parse_dim
from webnn_runtime.format.errors import ManifestError
from webnn_runtime.format.graph import Array
from webnn_translator._errors import InputError
from webnn_translator.elements import Elem

if TYPE_CHECKING:
    import onnx

__all__ = ["GivenInput", "bind_inputs", "empty_record", "is_bindable", "read_empty", "read_given"]


@dataclass(frozen=True, slots=True)
class GivenInput:
    """The value of an input.

    Attributes:
        array: as the model has it, in type and shape.
    """

    array: Array

    def record(self) -> dict[str, object]:
        """Its entry in the manifest."""
        return {
            "dataType": str(self.array.dtype),
            "shape": list(self.array.shape),
            "values": self.array.ravel().tolist(),
        }


def bind_inputs(model: onnx.ModelProto, values: Mapping[str, Sequence[float]]) -> dict[str, GivenInput]:
    """Make constants of inputs; the model is changed.

    Args:
        model: the model.
        values: input name -> its elements in order; a single one fills any fixed shape.

    Raises:
        InputError: no such input, or it cannot have this value.
    """
    from onnx import numpy_helper

    held = {tensor.name for tensor in model.graph.initializer}
    declared = {value.name: value for value in model.graph.input if value.name not in held}
    found = {}
    for name, numbers in values.items():
        if name not in declared:
            raise InputError(f"the model has no input '{name}' to bind; its inputs: {', '.join(declared) or 'none'}")
        found[name] = GivenInput(_array(name, declared[name], numbers))
        model.graph.initializer.append(numpy_helper.from_array(found[name].array, name))
    return found


def is_bindable(elem: Elem) -> bool:
    """Whether an input of this type can be given a value."""
    return int(elem) in _TYPES


def read_given(record: object) -> dict[str, Array]:
    """Input name -> value, of the manifest's entry.

    Raises:
        ManifestError: it is not one that `GivenInput.record` made.
    """
    try:
        entries: Mapping[str, Any] = record if isinstance(record, Mapping) else {}
        return {
            name: np.asarray(entry["values"], np.dtype(entry["dataType"])).reshape(entry["shape"])
            for name, entry in entries.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise ManifestError("the bound inputs are malformed; convert the model again") from exc


def empty_record(shapes: Mapping[str, Sequence[Dim]]) -> dict[str, object]:
    """The manifest's entry of inputs without elements: name -> shape, named dimensions as text."""
    return {name: [dim if isinstance(dim, int) else str(dim) for dim in shape] for name, shape in shapes.items()}


def read_empty(record: object) -> dict[str, tuple[Dim, ...]]:
    """Input name -> shape, of the manifest's entry.

    Raises:
        ManifestError: it is not one that `empty_record` made.
    """
    try:
        entries: Mapping[str, Any] = record if isinstance(record, Mapping) else {}
        return {
            name: tuple(parse_dim(dim) if isinstance(dim, str) else int(dim) for dim in shape)
            for name, shape in entries.items()
        }
    except (TypeError, ValueError, OverflowError) as exc:
        raise ManifestError("the inputs without elements are malformed; convert the model again") from exc


def _array(name: str, declared: onnx.ValueInfoProto, numbers: Sequence[float]) -> Array:
    kind = declared.type.tensor_type
    if not declared.type.HasField("tensor_type") or kind.elem_type not in _TYPES:
        raise InputError(f"input '{name}' is no tensor of numbers, so no number can be bound to it")
    dtype = np.dtype(_TYPES[kind.elem_type])
    with np.errstate(all="ignore"):
        given = np.asarray(numbers, np.float64)
        elements = given.astype(dtype)
    if dtype.kind != "f" and not np.array_equal(elements.astype(np.float64), given):
        raise InputError(f"input '{name}' is {dtype}, which cannot hold {', '.join(f'{one:g}' for one in numbers)}")
    if not kind.HasField("shape"):
        return elements.reshape(()) if elements.size == 1 else elements
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
    try:
        # A single number fills a shape; one dimension may follow from how many there are.
        return np.full(dims, elements) if elements.size == 1 and -1 not in dims else elements.reshape(dims)
    except ValueError as exc:
        shown = ", ".join(
            dim.dim_param or "?" if size < 0 else str(size) for dim, size in zip(kind.shape.dim, dims, strict=True)
        )
        raise InputError(
            f"input '{name}' has the shape [{shown}], which {elements.size} values do not fill; {_filling(dims)}"
        ) from exc


def _filling(dims: Sequence[int]) -> str:
    """How many numbers a shape takes."""
    known = math.prod(dim for dim in dims if dim >= 0)
    if -1 not in dims:
        return "pass one" if known == 1 else f"pass {known}, or one for all of them"
    if dims.count(-1) == 1:
        return f"pass a multiple of {known}"
    return "the model leaves these sizes open: write them into it first, as onnx.tools.update_model_dims does"


_TYPES: Final = {
    int(Elem.FLOAT): "float32",
    int(Elem.DOUBLE): "float64",
    int(Elem.FLOAT16): "float16",
    int(Elem.INT64): "int64",
    int(Elem.INT32): "int32",
    int(Elem.INT16): "int16",
    int(Elem.INT8): "int8",
    int(Elem.UINT8): "uint8",
    int(Elem.BOOL): "bool",
}
