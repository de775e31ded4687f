"""Layers whose weights stay in few bits: which arithmetic they get, and how the engine is given them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from webnn_runtime.backends.rust._calls import Attribute
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Node, TensorType
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.stored_weights import MOST_INNER, StoredWeights
from webnn_runtime.passes.uses import Uses

__all__ = ["OWN_RANGES", "StatedRange", "StoredLayers", "floats_for"]

# What layers are called whose rows are quantised by their own range, which is arithmetic that the graph does not state.
OWN_RANGES: Final = "linear(integers)"
# Steps of a size with which floats that are whole steps divide into whole numbers again.
_STEPS: Final = (1e-30, 1e30)


@dataclass(frozen=True, slots=True)
class StatedRange:
    """What a graph says about the integers of a layer's rows.

    Attributes:
        source: the value before it is quantised.
        scale: size of a step; the value that holds it where it is computed.
        zero: the integer, of 0 to 255, that stands for 0; the value that holds it where one of the two is computed.
    """

    source: str
    scale: float | str
    zero: int | str


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
        can_sum = weights.is_per_column and weights.shape[0] <= MOST_INNER
        stated = self._stated_range(source) if can_sum else None
        ranges: tuple[str | None, ...] = ()
        if stated is not None and isinstance(stated.zero, str):
            source, kind = stated.source, "integerLayer"
            ranges = (self._step(result, stated.scale), stated.zero)
            label = label.replace("linear", "linear(integers, ranges at run time)", 1)
        elif stated is not None:
            source, kind = stated.source, "integerLayer"
            attributes |= {"scale": ("float", stated.scale), "zero": ("int", stated.zero)}
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
            *ranges,
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

    def _step(self, result: str, scale: float | str) -> str:
        """The value that holds the size of a step."""
        if isinstance(scale, str):
            return scale
        return self._constant(f"{result}.step", np.full(1, scale, np.float32), DataType.FLOAT32)

    def _stated_range(self, source: str) -> StatedRange | None:
        """The range of `dequantizeLinear(x)` with one scale and zero point, and of the `quantizeLinear` before it."""
        back, types = self._uses.maker(source, "dequantizeLinear"), self._values.types
        kind = types[str(back.inputs[0])].dtype if back is not None else None
        if back is None or kind not in (DataType.INT8, DataType.UINT8):
            return None
        floats = self._before_quantising(back)
        scale, zero = (self._one(value) for value in back.inputs[1:])
        if scale is not None and not _STEPS[0] < scale < _STEPS[1]:
            return None
        if scale is not None and zero is not None:
            # Signed integers are moved by 128 together with their zero point.
            moved = int(zero) + (128 if kind is DataType.INT8 else 0)
            return StatedRange(floats or source, scale, moved)
        step, point = (str(value) for value in back.inputs[1:])
        is_one = all(types[value].shape.count(1) == types[value].rank for value in (step, point))
        if kind is not DataType.UINT8 or not is_one or (scale is None and floats is None):
            return None
        return StatedRange(floats or source, step if scale is None else scale, point)

    def _before_quantising(self, back: Node) -> str | None:
        """What `back` undoes the quantising of, by the same scale and zero point."""
        there = self._uses.maker(back.inputs[0], "quantizeLinear")
        if there is None or self._values.types[str(there.inputs[0])].dtype is not DataType.FLOAT32:
            return None
        numbers = [[self._one(value) for value in node.inputs[1:]] for node in (there, back)]
        is_same = there.inputs[1:] == back.inputs[1:] or (None not in numbers[0] and numbers[0] == numbers[1])
        return there.inputs[0] if is_same else None

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
