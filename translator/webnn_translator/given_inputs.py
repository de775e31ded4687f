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
from webnn_translator.dimensions import is_dim_name
from webnn_translator.elements import Elem

if TYPE_CHECKING:
    import onnx

__all__ = ["GivenInput", "bind_inputs", "empty_record", "is_bindable", "read_empty", "read_given", "settled_dims"]


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


def bind_inputs(
    model: onnx.ModelProto, values: Mapping[str, Sequence[float]], dims: Mapping[str, int] | None = None
) -> dict[str, GivenInput]:
    """Make constants of inputs; the model is changed.

    Args:
        model: the model.
        values: input name -> its elements in order; a single one fills any fixed shape.
        dims: values of named dimensions, which fix shapes as well.

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
        found[name] = GivenInput(_array(name, declared[name], numbers, dims or {}))
        model.graph.initializer.append(numpy_helper.from_array(found[name].array, name))
    return found


def settled_dims(
    model: onnx.ModelProto, bound: Mapping[str, GivenInput], dims: Mapping[str, int]
) -> dict[str, tuple[int, str]]:
    """The dimensions of the inputs that are left: those with a value, and those that bound inputs decide.

    Args:
        model: as `bind_inputs` left it.
        bound: what that returned.
        dims: values of named dimensions.

    Returns:
        Dimension -> its size, and the bound input that decided it or no text.

    Raises:
        InputError: two bound inputs have it in two sizes.
    """
    held = {tensor.name for tensor in model.graph.initializer}
    decided: dict[str, tuple[int, str]] = {}
    left = set()
    for value in model.graph.input:
        names = _names(value)  # fixed dimensions have none
        if value.name not in held:
            left.update(names)
        elif value.name in bound:
            for name, size in zip(names, bound[value.name].array.shape, strict=False):
                other, by = decided.setdefault(name, (size, value.name))
                if name and other != size:
                    raise InputError(f"dimension {name} is {other} in input '{by}' and {size} in '{value.name}'")
    return {name: found for name, found in decided.items() if name and name in left and name not in dims} | {
        name: (size, "") for name, size in dims.items() if name in left or name not in decided
    }


def _names(value: onnx.ValueInfoProto) -> list[str]:
    """Of the dimensions of an input, as `DimTable` gives them; of fixed ones no text."""
    return [
        "" if dim.dim_value > 0 else dim.dim_param if is_dim_name(dim.dim_param) else f"{value.name}_dim_{axis}"
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
    ]


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


def _array(name: str, declared: onnx.ValueInfoProto, numbers: Sequence[float], sizes: Mapping[str, int]) -> Array:
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
    names = _names(declared)
    dims = [sizes.get(one, -1) if one else int(dim.dim_value) for dim, one in zip(kind.shape.dim, names, strict=True)]
    try:
        # A single number fills a shape; one dimension may follow from how many there are.
        return np.full(dims, elements) if elements.size == 1 and -1 not in dims else elements.reshape(dims)
    except ValueError as exc:
        shown = ", ".join(one if size < 0 else str(size) for one, size in zip(names, dims, strict=True))
        free = [one for one, size in zip(names, dims, strict=True) if size < 0]
        raise InputError(
            f"input '{name}' has the shape [{shown}], which {elements.size} values do not fill; {_filling(dims, free)}"
        ) from exc


def _filling(dims: Sequence[int], free: Sequence[str]) -> str:
    """How many numbers a shape takes."""
    known = math.prod(dim for dim in dims if dim >= 0)
    if not free:
        return "pass one" if known == 1 else f"pass {known}, or one for all of them"
    if len(free) == 1:
        return f"pass a multiple of {known}"
    return f"pass {' '.join(f'--dim {one}=VALUE' for one in free)} as well"


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
