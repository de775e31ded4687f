"""From the dimensions an ONNX input declares to named dimensions of the graph."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from webnn_runtime.format.dims import MAX_DIM, Dim, DynamicDim, names_of, parse_dim, substitute, symbol
from webnn_translator._errors import DimensionError, InvalidModel
from webnn_translator.naming import Names

if TYPE_CHECKING:
    import onnx

__all__ = ["DimTable", "NamedDim", "is_dim_name"]


@dataclass(frozen=True, slots=True)
class NamedDim:
    """A dimension that stays free in the result.

    Attributes:
        name: name in the graph.
        source: name in the ONNX file, or the place of a dimension without one.
        max_size: largest value; None when nothing bounds it.
        min_size: smallest value.
        why: where the bound comes from; empty without one.
    """

    name: str
    source: str
    max_size: int | None
    min_size: int
    why: str = ""


class DimTable:
    """Reads the shapes of a model's inputs; equal names are one dimension."""

    def __init__(
        self,
        inputs: list[onnx.ValueInfoProto],
        dims: Mapping[str, int],
        max_dims: Mapping[str, int],
        min_dims: Mapping[str, int],
    ) -> None:
        self._names = Names()
        self.sources: dict[str, str] = {}
        self._by_source: dict[str, str] = {}
        self.shapes: dict[str, tuple[Dim, ...]] = {}
        plain = {
            dim.dim_param
            for value in inputs
            for dim in value.type.tensor_type.shape.dim
            if re.fullmatch(r"[A-Za-z_]\w*", dim.dim_param, re.ASCII)
        }
        for value in inputs:
            if not value.type.tensor_type.HasField("shape"):
                raise InvalidModel(
                    f"input '{value.name}' has no shape, not even a rank; export it with one, with names for free sizes"
                )
            self.shapes[value.name] = tuple(
                self._read(dim, value.name, axis, plain) for axis, dim in enumerate(value.type.tensor_type.shape.dim)
            )
        self.bound: dict[str, int] = {}
        for name, size in dims.items():
            if self.bound.setdefault(self._known(name), size) != size:
                raise DimensionError(f"dimension {name} is given twice, in two spellings with two values")
        maxima = {self._known(name): size for name, size in max_dims.items()}
        for name, size in self.bound.items():
            # Bound to 0, inputs have no elements, and are folded away.
            if not 0 <= size <= MAX_DIM:
                raise DimensionError(f"dimension {name} = {size}; 0 to {MAX_DIM} are valid")
        for name, size in maxima.items():
            if not 1 <= size <= MAX_DIM:
                raise DimensionError(f"the maximum of dimension {name} is {size}; 1 to {MAX_DIM} are valid")
        for name in self.bound.keys() & maxima.keys():
            if self.bound[name] > maxima[name]:
                raise DimensionError(f"dimension {name} = {self.bound[name]} is above its maximum {maxima[name]}")
        self.maxima = maxima
        self.minima = {self._known(name): size for name, size in min_dims.items()}
        for name, size in self.minima.items():
            most = maxima.get(name, MAX_DIM)
            if not 0 <= size <= most:
                raise DimensionError(f"the minimum of dimension {name} is {size}; 0 to its maximum, {most}, are valid")
            if self.bound.get(name, size) < size:
                raise DimensionError(f"dimension {name} = {self.bound[name]} is below its minimum {size}")
        self.shapes = {
            value: tuple(substitute(dim, self.bound) for dim in shape) for value, shape in self.shapes.items()
        }

    def free(self) -> list[DynamicDim]:
        """The dimensions without a value, in order of appearance."""
        used = {name for shape in self.shapes.values() for dim in shape for name in names_of(dim)}
        return [
            DynamicDim(name, self.maxima.get(name, MAX_DIM), self.minima.get(name, 1))
            for name in self.sources
            if name in used
        ]

    def describe(self, ranges: Mapping[str, DynamicDim], derived: Mapping[str, str]) -> tuple[NamedDim, ...]:
        """The free dimensions with what became known of them."""
        found = []
        for dim in self.free():
            known = ranges.get(dim.name)
            if known is None:
                continue  # nothing in the graph depends on it
            why = derived.get(dim.name) or ("given" if dim.name in self.maxima else "")
            high = None if known.is_unbounded else known.max_size
            found.append(NamedDim(dim.name, self.sources[dim.name], high, known.min_size, why))
        return tuple(found)

    def narrowed(self, found: Sequence[NamedDim]) -> Iterator[str]:
        """What was asked for with a limit that the model does not allow, and what has a name and one size."""
        for dim in found:
            high = MAX_DIM if dim.max_size is None else dim.max_size
            low, most = self.minima.get(dim.name, dim.min_size), self.maxima.get(dim.name, high)
            if dim.min_size > low or high < most:
                yield f"dimension '{dim.name}' takes {dim.min_size} to {high}, not {low} to {most}; {dim.why}"
            elif dim.min_size == high and dim.name not in self.maxima:
                yield f"dimension '{dim.name}' has a name in the file and takes {high} only; {dim.why}"

    def _read(self, dim: onnx.TensorShapeProto.Dimension, value: str, axis: int, plain: set[str]) -> Dim:
        if dim.dim_value > 0:
            return int(dim.dim_value)
        if not is_dim_name(dim.dim_param):
            # 0 and -1 are how some exporters write "unknown", and "?" how others do: two of those need not be equal.
            return symbol(self._new(f"{value}[{axis}]", f"{value}_dim_{axis}"))
        text = dim.dim_param
        if text not in plain:
            # "past_length + length": an expression of dimensions that the inputs also have alone.
            try:
                expression = parse_dim(text)
            except ValueError:
                expression = 0
            names = names_of(expression)
            if names and names <= plain:
                return substitute(expression, {name: symbol(self._new(name, name)) for name in sorted(names)})
        return symbol(self._new(text, text))

    def _new(self, source: str, text: str) -> str:
        if source not in self._by_source:
            name = self._names.unique(text, exact=True)
            self._by_source[source] = name
            self.sources[name] = source
        return self._by_source[source]

    def _known(self, name: str) -> str:
        if name in self._by_source:
            return self._by_source[name]
        if name in self.sources:
            return name
        known = ", ".join(self.sources) or "none"
        raise DimensionError(f"the model has no dimension '{name}'; it has: {known}")


def is_dim_name(text: str) -> bool:
    """Whether what a file has in place of a size is a name, and not one of the ways to write "unknown"."""
    return re.search(r"\w", text) is not None and text not in ("-1", "None")
