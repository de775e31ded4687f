"""Calls as a plan of the engine: values and dimensions get the numbers that its builder knows them by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from webnn_runtime.backends.rust._calls import Call
from webnn_runtime.format.dims import Dim, rebuild
from webnn_runtime.format.graph import Array, TensorType

if TYPE_CHECKING:
    from webnn_kernels import Engine, Plan

__all__ = ["Assembly", "bytes_of"]

# The signs of the engine's expressions; no dimension has such a name.
_SIGNS: Final = {"+": "+", "*": "*", "//": "//", "min": "<", "max": ">"}


class Assembly:
    """One plan being built.

    Attributes:
        reads: inputs in order.
        made: results of calls in order.
        calls: in order.
        steps: number of the step that makes a value, by its first result's name.
    """

    def __init__(
        self,
        engine: Engine,
        names: Sequence[str],
        types: Mapping[str, TensorType],
        constants: Mapping[str, Array],
    ) -> None:
        from webnn_kernels import PlanBuilder

        self.builder: Final = PlanBuilder(engine, names)
        self.reads: list[str] = []
        self.made: list[str] = []
        self.calls: list[Call] = []
        self.steps: dict[str, int] = {}
        self._types = types
        self._constants = constants
        self._dims: dict[Dim, int] = {}
        self._values: dict[str, int] = {}

    def add(self, call: Call) -> None:
        """Add a call.

        Raises:
            NotImplementedError: the engine has no kernel for it.
        """
        types = self._types
        if call.kind == "view":
            made = [self.builder.alias(self.value(call.reads[0]), self._shape(types[call.results[0]]))]
        else:
            operands = [None if value is None else self.value(value) for value in call.operands]
            results = [(types[value].dtype.value, self._shape(types[value])) for value in call.results]
            made = self.builder.step(call.kind, operands, self._attributes(call), results, call.origin)
            self._count(call)
        self._keep(call, made)

    def add_again(self, call: Call, plan: Plan, step: int) -> None:
        """Add a call that is a step of another plan already, sharing the constants that this one has taken over."""
        taken = plan.taken(step)
        operands = [
            None if value is None or position in taken else self.value(value)
            for position, value in enumerate(call.operands)
        ]
        results = [(self._types[value].dtype.value, self._shape(self._types[value])) for value in call.results]
        made = self.builder.again(plan, step, operands, results)
        self._count(call)
        self._keep(call, made)

    def build(self, results: Sequence[str], max_memory: int | None) -> Plan:
        """The finished plan, the values of whose runs take at most `max_memory` bytes."""
        return self.builder.build([self._values[value] for value in results], max_memory)

    def value(self, name: str) -> int:
        """The number of a value; one that is new is an input or a constant."""
        if name not in self._values:
            kind = self._types[name]
            array = self._constants.get(name)
            if array is None:
                self._values[name] = self.builder.input(kind.dtype.value, self._shape(kind))
                self.reads.append(name)
            else:
                data = bytes_of(array).view()
                data.flags.writeable = False
                self._values[name] = self.builder.constant(kind.dtype.value, self._shape(kind), data)
        return self._values[name]

    def dim(self, dim: Dim) -> int:
        """The number of a dimension."""
        if dim not in self._dims:
            self._dims[dim] = self.builder.dimension(_tokens(dim))
        return self._dims[dim]

    def _count(self, call: Call) -> None:
        self.steps[call.results[0]] = len(self.steps)

    def _keep(self, call: Call, made: Sequence[int]) -> None:
        self._values.update(zip(call.results, made, strict=True))
        self.made.extend(call.results)
        self.calls.append(call)

    def _attributes(self, call: Call) -> dict[str, tuple[str, object]]:
        return {
            name: (tag, [self.dim(dim) for dim in value] if tag == "dims" else value)  # type: ignore[attr-defined]
            for name, (tag, value) in call.attributes.items()
        }

    def _shape(self, kind: TensorType) -> list[int]:
        return [self.dim(dim) for dim in kind.shape]


def bytes_of(array: Array) -> Array:
    """The bytes of an array in C order; a copy where they are not adjacent."""
    flags = array.flags
    if not (flags.c_contiguous and flags.aligned):
        array = np.require(array, requirements=("C", "A"))
    return (array if array.ndim == 1 else array.reshape(-1)).view(np.uint8)


def _tokens(dim: Dim) -> list[int | str]:
    """An expression in postfix order."""

    def integer(value: int) -> list[int | str]:
        return [value]

    def name(name: str) -> list[int | str]:
        return [name]

    def combine(sign: str, left: list[int | str], right: list[int | str]) -> list[int | str]:
        return [*left, *right, _SIGNS[sign]]

    return rebuild(dim, integer=integer, name=name, combine=combine)
