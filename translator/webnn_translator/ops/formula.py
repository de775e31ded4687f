"""Formulas of element-wise operators, for decompositions: numbers stand for constants of one element type."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from webnn_runtime.format.dims import Dim, SymbolicDim
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Tensor

__all__ = ["Formula", "Term", "positions"]

Term: TypeAlias = "Tensor | float | int"
_COMPARISONS = ("equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "isNaN", "isInfinite")
_VERDICTS = frozenset((*_COMPARISONS, "logicalAnd", "logicalOr", "logicalXor", "logicalNot"))


class Formula:
    """`f("add", x, 1)` is the tensor x + 1.

    Attributes:
        elem: element type of the numbers that are written in place of tensors.
    """

    def __init__(self, ctx: Context, elem: Elem) -> None:
        self.ctx = ctx
        self.elem = elem

    def __call__(self, op: str, *terms: Term) -> Tensor:
        """A WebNN operator that works element by element, with broadcasting."""
        tensors = [term if isinstance(term, Tensor) else self.ctx.scalar(term, self.elem) for term in terms]
        elem = Elem.BOOL if op in _VERDICTS else tensors[-1].elem
        return self.ctx.elementwise(op, *tensors, elem=elem)

    def sum(self, *terms: Term) -> Tensor:
        """The first plus the second, plus the third, and so on."""
        total, *rest = terms
        for term in rest:
            total = self("add", total, term)
        return total if isinstance(total, Tensor) else self.ctx.scalar(total, self.elem)

    def product(self, *terms: Term) -> Tensor:
        """The first times the second, times the third, and so on."""
        total, *rest = terms
        for term in rest:
            total = self("mul", total, term)
        return total if isinstance(total, Tensor) else self.ctx.scalar(total, self.elem)

    def polynomial(self, x: Tensor, coefficients: Sequence[float]) -> Tensor:
        """Horner's scheme; coefficients from the highest power down."""
        total: Term = coefficients[0]
        for coefficient in coefficients[1:]:
            total = self("add", self("mul", total, x), coefficient)
        assert isinstance(total, Tensor)
        return total

    def clamp(self, x: Tensor, low: Term, high: Term) -> Tensor:
        """X limited to low..high."""
        return self("min", self("max", x, low), high)

    def reduce(self, op: str, x: Tensor, axes: Sequence[int], *, keep: bool = False) -> Tensor:
        """A WebNN reduction; nothing over no axes."""
        if not axes:
            return x
        return self.ctx.computed(x.elem, op, self.ctx.full(x), axes=tuple(axes), keepDimensions=keep)

    def size(self, dim: Dim) -> Tensor:
        """The value of a dimension, in this element type."""
        if not isinstance(dim, SymbolicDim):
            return self.ctx.scalar(dim, self.elem)
        value = self.ctx.emit.cast(self.ctx.dim_value(dim), self.ctx.carrier(self.elem))
        return self.ctx.tensor(value, self.elem)


def positions(dim: Dim, axis: int, rank: int, elem: Elem = Elem.INT64) -> Tensor:
    """0, 1, ..., dim - 1 along one axis of a tensor of this rank; the other axes have size 1."""
    shape: list[Dim] = [1] * rank
    shape[axis] = dim
    return Tensor(elem, tuple(shape), Affine(0, tuple(1 if k == axis else 0 for k in range(rank))))
