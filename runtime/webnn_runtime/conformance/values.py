"""Numbers and tensors of case files: what JSON lacks is written as a string, a single number fills."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Array, TensorType

__all__ = ["array_of", "decode", "type_of"]

_SPECIAL: Final = {"NaN": math.nan, "Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}
_BIG_INTEGER: Final = re.compile(r"[+-]?\d+n")


def decode(value: Any) -> Any:
    """Strings that stand for numbers as numbers, also inside lists."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, str):
        if value in _SPECIAL:
            return _SPECIAL[value]
        if _BIG_INTEGER.fullmatch(value):
            return int(value[:-1])
    return value


def type_of(descriptor: Mapping[str, Any]) -> TensorType:
    """A descriptor, whose form was checked when its file was read."""
    return TensorType(DataType(descriptor["dataType"]), tuple(descriptor["shape"]))


def array_of(name: str, tensor: Mapping[str, Any]) -> Array:
    """The elements of a tensor.

    Raises:
        FormatError: they are no numbers, or outside the range of the type.
    """
    kind, data = type_of(tensor["descriptor"]), decode(tensor["data"])
    dtype = kind.dtype.numpy
    try:
        with np.errstate(over="ignore"):
            if dtype == np.float16:
                # As the tests' authors do it: a JavaScript number becomes float32, then float16.
                values = np.asarray(data, np.float64).astype(np.float32).astype(dtype)
            else:
                values = np.asarray(data, dtype)
    except (ValueError, TypeError, OverflowError) as exc:
        raise FormatError(f"the data of tensor '{name}' does not make a {kind}: {exc}") from exc
    return values.reshape(kind.static_shape) if isinstance(data, list) else np.full(kind.static_shape, values)
