"""What is known about one ONNX value while its model is translated.

A value becomes a WebNN operand only when something has to compute with it. Until then it may be an array,
a list of dimension expressions, a grid of positions, or quantised weights; shape ladders end there and never
reach the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim, SymbolicDim
from webnn_runtime.format.graph import Array
from webnn_translator.elements import Elem
from webnn_translator.symbolic import Affine, Items

__all__ = ["Absent", "Columns", "Content", "Known", "OnnxValue", "Quantised", "Symbols", "Tensor", "TensorList"]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """A constant; its shape may be smaller than the tensor's, which it broadcasts to.

    Attributes:
        array: values in the ONNX type.
        name: name for the weights, if it has one of its own.
    """

    array: Array
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Symbols:
    """Every element is a dimension expression; the shape is static and equals the tensor's.

    Attributes:
        items: the expressions, of floats their numerators.
        denominator: of a float tensor, a power of two; 1 for integers.
        needs: what float32 has to hold exactly for this to be true.
    """

    items: Items
    denominator: int = 1
    needs: tuple[Dim, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Grids side by side along the last axis: the index tuples of GatherND."""

    parts: tuple[Affine, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Quantised:
    """Constant weights `(values - zero_point) * scale`, kept quantised.

    Attributes:
        values: 8-bit or 4-bit integers; the tensor's shape.
        kind: their element type.
        scale: same rank; every dimension divides that of `values`.
        zero_point: same shape as `scale`.
        name: name for the weights.
    """

    values: Array
    kind: Elem
    scale: Array
    zero_point: Array
    name: str = ""


# A `Value` may be smaller than the tensor, which it broadcasts to: an Expand is carried out only where a
# consumer needs every element.
Content: TypeAlias = "Value | Known | Symbols | Affine | Columns | Quantised"


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An ONNX value.

    Attributes:
        elem: element type.
        shape: dimensions.
        content: what it is made of.
    """

    elem: Elem
    shape: tuple[Dim, ...]
    content: Content

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        """Whether every dimension is an integer."""
        return not any(isinstance(dim, SymbolicDim) for dim in self.shape)

    def __str__(self) -> str:
        return f"{self.elem.text}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True, eq=False)
class TensorList:
    """An ONNX sequence whose members are known one by one; only the members can reach the graph.

    Attributes:
        elem: element type of every member.
        items: the members; their shapes may differ.
    """

    elem: Elem
    items: tuple[Tensor, ...]

    def __str__(self) -> str:
        return f"a sequence of {len(self.items)} {self.elem.text} tensors"


@dataclass(frozen=True, slots=True, eq=False)
class Absent:
    """An ONNX optional without an element; one with an element is that element."""

    def __str__(self) -> str:
        return "an empty optional"


OnnxValue: TypeAlias = "Tensor | TensorList | Absent"
