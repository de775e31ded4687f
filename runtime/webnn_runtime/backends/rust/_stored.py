"""Layers whose weights stay in few bits: which arithmetic they get, and how the engine is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn_runtime.backends.rust._calls import Attribute
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.stored_weights import StoredWeights
from webnn_runtime.passes.uses import Uses

__all__ = ["OWN_RANGES", "FixedRange", "StoredLayers", "floats_for"]

# What layers are called whose rows are quantised by their own range, which is arithmetic that the graph does not state.
OWN_RANGES: Final = "linear(integers)"
# Sums over more elements may not fit into 32 bits: 255 * 255 each.
_MOST_INNER: Final = 33_025


@dataclass(frozen=True, slots=True)
class FixedRange:
    """What a graph says about the integers of a layer's rows.

    Attributes:
        source: the value before it is quantised.
        scale: size of a step.
        zero: the integer, of 0 to 255, that stands for 0.
    """

    source: str
    scale: float
    zero: int


class StoredLayers:
    """Adds layers with stored weights to the calls."""

    def __init__(self, uses: Uses, values: Values, compute: str) -> None:
        self._uses = uses
        self._values = values
        self._compute = compute

    def add(
        self,
        weights: StoredWeights,
        source: str,
        bias: str | None,
        residual: str | None,
        factor: str | None,
        result: str,
        activation: str,
        label: str,
    ) -> None:
        """Add `activation(source @ weights + bias) * factor + residual`."""
        attributes: dict[str, Attribute] = {"activation": ("text", activation)}
        can_sum = weights.is_per_column and weights.shape[0] <= _MOST_INNER
        fixed = self._fixed_range(source) if can_sum else None
        if fixed is not None:
            source, kind = fixed.source, "integerLayer"
            attributes |= {"scale": ("float", fixed.scale), "zero": ("int", fixed.zero)}
            label = label.replace("linear", "linear(integers, fixed ranges)", 1)
        elif can_sum and self._compute == "int8":
            kind = "integerLayer"
            label = label.replace("linear", OWN_RANGES, 1)
        else:
            kind = "storedLayer"
            label = label.replace("linear", f"linear({weights.dtype.value} weights)", 1)
        data, transposed = weights.data, False
        if not data.flags.c_contiguous and data.T.flags.c_contiguous:
            data, transposed = data.T, True
        attributes["transposed"] = ("bool", transposed)
        operands = (
            source,
            self._constant(f"{result}.weights", data, weights.dtype),
            None if weights.scale is None else self._constant(f"{result}.scale", weights.scale, DataType.FLOAT32),
            self._zeros(result, weights),
            bias,
            residual,
            factor,
        )
        self._values.add(kind, operands, result, attributes, label)

    def _zeros(self, result: str, weights: StoredWeights) -> str | None:
        if weights.zero is None or not weights.zero.any():
            return None
        return self._constant(f"{result}.zero", weights.zero, weights.dtype)

    def _constant(self, stem: str, array: Array, dtype: DataType) -> str:
        """A constant of a type that the array alone does not tell: 4-bit integers are bytes."""
        name = self._values.fresh(stem, TensorType(dtype, array.shape))
        self._values.constants[name] = np.ascontiguousarray(array)
        return name

    def _fixed_range(self, source: str) -> FixedRange | None:
        """The range of `dequantizeLinear(quantizeLinear(x))` with one constant scale and zero point."""
        back = self._uses.maker(source, "dequantizeLinear")
        there = self._uses.maker(back.inputs[0], "quantizeLinear") if back is not None else None
        if back is None or there is None or there.inputs[0] is None:
            return None
        kind = self._values.types[there.name].dtype
        numbers = [self._one(value) for value in (*there.inputs[1:], *back.inputs[1:])]
        scale, zero = numbers[0], numbers[1]
        if scale is None or zero is None or numbers[2:] != [scale, zero]:
            return None
        if (
            kind not in (DataType.INT8, DataType.UINT8)
            or self._values.types[there.inputs[0]].dtype is not DataType.FLOAT32
        ):
            return None
        # Signed integers are moved by 128 together with their zero point.
        moved = int(zero) + (128 if kind is DataType.INT8 else 0)
        return FixedRange(there.inputs[0], scale, moved)

    def _one(self, value: str | None) -> float | None:
        """The number that all elements of a constant are."""
        array = self._uses.constant(value)
        if array is None or array.size == 0 or not (array == array.flat[0]).all():
            return None
        return float(array.flat[0])


def floats_for(stored: Mapping[str, StoredWeights], values: Values) -> None:
    """Spell out, as float32 constants, the matrices that something else than a stored layer still reads."""
    read = {value for call in values.calls for value in call.reads}
    for name in stored.keys() & read:
        values.constants[name] = stored[name].floats()
