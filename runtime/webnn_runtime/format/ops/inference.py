"""What a shape rule may ask: equality, order and broadcasting of dimensions.

Where the ranges of the names decide, a rule passes or fails at build. Where they do not, the condition
is recorded as a `DimCheck` and decided at run: nothing is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webnn_runtime.format.dims import (
    MAX_DIM,
    MAX_RANK,
    Dim,
    DynamicDim,
    bounds,
    is_at_least,
    is_equal,
    product,
    simplest_sides,
)
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import DimCheck
from webnn_runtime.format.records import dataclass

__all__ = ["Inference", "shape_text"]

Shape = tuple[Dim, ...]


def shape_text(shape: Sequence[Dim]) -> str:
    """`[batch, 384]`, for messages."""
    return f"[{', '.join(str(dim) for dim in shape)}]"


@dataclass(frozen=True, slots=True)
class Inference:
    """Context of one node's shape rule.

    Attributes:
        node: name of the node.
        op: operator name.
        dims: named dimensions and their ranges.
        checks: receives the conditions that only the run can decide.
    """

    node: str
    op: str
    dims: Mapping[str, DynamicDim]
    checks: list[DimCheck]

    def error(self, message: str) -> ShapeError:
        """A `ShapeError` that names the node and the operator; raise it."""
        return ShapeError(f"{self.op}: {message}", node=self.node, op=self.op)

    def equal(self, left: Dim, right: Dim, what: str) -> Dim:
        """Demand left == right; returns the simpler side, and the left one of two names.

        Raises:
            ShapeError: they differ for all values of the names.
        """
        verdict = is_equal(left, right, self.dims)
        if verdict is False:
            raise self.error(f"{what} differ, {left} and {right}")
        if verdict is None:
            self._leave_to_the_run(left, "==", right, what)
        return right if isinstance(right, int) else left

    def at_least(self, left: Dim, right: Dim, what: str) -> None:
        """Demand left >= right; `what` completes "... is too small".

        Raises:
            ShapeError: it is smaller for all values of the names.
        """
        verdict = is_at_least(left, right, self.dims)
        if verdict is False:
            raise self.error(f"{what} is {left}; it must be at least {right}")
        if verdict is None:
            self._leave_to_the_run(left, ">=", right, what)

    def multiple_of(self, dim: Dim, factor: Dim, what: str) -> None:
        """Demand that `factor` divides `dim`; `what` is a noun for `dim`.

        Raises:
            ShapeError: it leaves a remainder for all values of the names.
        """
        rest = dim % factor
        if is_equal(rest, 0, self.dims) is False:
            raise self.error(f"{what} is {dim}; it must be a multiple of {factor}")
        self.equal(rest, 0, f"remainder of {what} divided by {factor}, and 0")

    def same_shape(self, left: Shape, right: Shape, what: str) -> Shape:
        """Demand equal ranks and dimensions.

        Raises:
            ShapeError: they differ.
        """
        if len(left) != len(right):
            raise self.error(f"{what} differ, {shape_text(left)} and {shape_text(right)}")
        return tuple(self.equal(a, b, what) for a, b in zip(left, right, strict=True))

    def broadcast(self, *shapes: Shape) -> Shape:
        """Bidirectional broadcasting, as NumPy's.

        Two dimensions that are not known to be equal must be equal at run: a name that happens to be 1
        is not stretched, since the shape of the result was promised without it.

        Raises:
            ShapeError: the shapes do not broadcast.
        """
        rank = max(len(shape) for shape in shapes)
        result: list[Dim] = [1] * rank
        for shape in shapes:
            for offset in range(1, len(shape) + 1):
                dim, known = shape[-offset], result[-offset]
                if known == 1:
                    result[-offset] = dim
                elif dim != 1:
                    if is_equal(dim, known, self.dims) is False:
                        listed = " and ".join(shape_text(shape) for shape in shapes)
                        raise self.error(f"shapes {listed} do not broadcast: {known} and {dim}")
                    result[-offset] = self.equal(known, dim, "broadcast dimensions")
        return tuple(result)

    def broadcast_to(self, source: Shape, target: Shape, what: str) -> Shape:
        """Unidirectional broadcasting: `source` stretches, `target` stays.

        Raises:
            ShapeError: `source` does not stretch to `target`.
        """
        if len(source) > len(target):
            raise self.error(f"{what} {shape_text(source)} has a higher rank than {shape_text(target)}")
        for dim, goal in zip(reversed(source), reversed(target), strict=False):
            if dim != 1:
                if is_equal(dim, goal, self.dims) is False:
                    raise self.error(f"{what} {shape_text(source)} does not broadcast to {shape_text(target)}")
                self.equal(dim, goal, what)
        return target

    def valid(self, shape: Shape) -> Shape:
        """Demand that every dimension is one WebNN allows (a v2 name may allow 0).

        Raises:
            ShapeError: a dimension is always below its minimum, or above the maximum, or there are too many.
        """
        if len(shape) > MAX_RANK:
            raise self.error(f"the result has {len(shape)} dimensions; at most {MAX_RANK} are valid")
        for dim in shape:
            if isinstance(dim, int):
                if not 1 <= dim <= MAX_DIM:
                    raise self.error(f"result {shape_text(shape)} has dimension {dim}; 1 to {MAX_DIM} are valid")
                continue
            low, high = bounds(dim, self.dims)
            if high < 0:
                raise self.error(f"result {shape_text(shape)} has dimension {dim}, which is always negative")
            if low < 0 and not self._is_implied(dim):
                self.at_least(dim, 0, f"dimension {dim} of the result")
            elif low > MAX_DIM:
                raise self.error(f"result {shape_text(shape)} has dimension {dim}, which is always above {MAX_DIM}")
        if bounds(product(shape), self.dims)[0] > MAX_DIM:
            raise self.error(f"result {shape_text(shape)} has more than {MAX_DIM} elements")
        return shape

    def _leave_to_the_run(self, left: Dim, relation: str, right: Dim, what: str) -> None:
        left, right = simplest_sides(left, right, self.dims)
        # One condition per graph: the layers of a model repeat theirs.
        for check in self.checks:
            if (check.left, check.relation, check.right) == (left, relation, right):
                return
        self.checks.append(DimCheck(self.node, left, relation, right, f"{self.op}: {what}"))

    def _is_implied(self, dim: Dim) -> bool:
        """Whether a condition already left to the run shows dim >= 0."""
        return any(
            check.relation == ">=" and is_at_least(dim, check.left - check.right, self.dims) is True
            for check in self.checks
        )
