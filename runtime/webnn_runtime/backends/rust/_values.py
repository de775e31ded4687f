"""The values and calls of a graph that is being lowered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from webnn_runtime.backends.rust._calls import Attribute, Call, needed_calls
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, TensorType

__all__ = ["Values"]


class Values:
    """Calls in order, and the values they are about.

    Attributes:
        calls: in order.
        types: type of every value.
        constants: values that are known.
    """

    def __init__(self, graph: Graph) -> None:
        self.calls: list[Call] = []
        self.types: dict[str, TensorType] = dict(graph.types)
        self.constants: dict[str, Array] = {name: constant.values for name, constant in graph.constants.items()}

    def add(
        self,
        kind: str,
        operands: tuple[str | None, ...],
        result: str,
        attributes: Mapping[str, Attribute],
        pattern: str | None = None,
    ) -> None:
        """Add a call with one result, whose type is known."""
        self.calls.append(Call(kind, operands, (result,), attributes, pattern))

    def fresh(self, stem: str, kind: TensorType) -> str:
        """A new value; no identifier of a graph has a colon in it."""
        number = 0
        while f"{stem}:{number}" in self.types:
            number += 1
        self.types[f"{stem}:{number}"] = kind
        return f"{stem}:{number}"

    def constant(self, stem: str, array: Array) -> str:
        """A new constant."""
        name = self.fresh(stem, TensorType(DataType.from_numpy(array.dtype), array.shape))
        self.constants[name] = array
        return name

    def view(self, value: str, shape: tuple[Dim, ...]) -> str:
        """The same numbers under another shape."""
        kind = self.types[value]
        if kind.shape == shape:
            return value
        name = self.fresh(value, kind.with_shape(shape))
        self.calls.append(Call("view", (value,), (name,)))
        return name

    def transposed(self, value: str, permutation: tuple[int, ...]) -> str:
        """The same numbers with the axes in another order."""
        kind = self.types[value]
        name = self.fresh(value, kind.with_shape(tuple(kind.shape[axis] for axis in permutation)))
        self.add("transpose", (value,), name, {"permutation": ("ints", permutation)})
        return name

    def drop_unneeded(self, results: Iterable[str]) -> None:
        """Leave out calls without readers: patterns read past nodes that may then have none."""
        self.calls = needed_calls(self.calls, results)
