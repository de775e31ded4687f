"""How far two arrays are apart, and whether that is close enough. Pure NumPy; knows no backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array

__all__ = [
    "DEFAULT_TOLERANCE",
    "HALF_TOLERANCE",
    "Difference",
    "Ties",
    "compare",
    "compare_chosen",
    "compare_rounded",
    "tick",
    "worst",
]

# Of the output's largest value: for graphs that compute in float32, and for those that compute in float16, where one
# rounding is 5e-4 and ONNX Runtime rounds at other places than we do; an encoder of 6 layers comes to 9e-4.
DEFAULT_TOLERANCE: Final = 1e-4
HALF_TOLERANCE: Final = 1e-2
# An output that is zero throughout leaves no scale; rounding near zero is then measured against this.
_SMALLEST_SCALE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Difference:
    """One output of one run, or the worst of many.

    Attributes:
        max_abs: largest absolute difference.
        largest: largest absolute value of the reference.
        mean_cosine: mean cosine of the vectors along the last axis; 1 for integers that are equal.
        min_cosine: the smallest of them.
        passed: whether every difference lies within the tolerance.
        reason: what is wrong beyond a large difference: shapes, types, values that are not finite.
    """

    max_abs: float
    largest: float
    mean_cosine: float
    min_cosine: float
    passed: bool
    reason: str = ""

    def __str__(self) -> str:
        if self.reason:
            return self.reason
        return f"largest difference {self.max_abs:.2g} of {self.largest:.3g}, cosine at least {self.min_cosine:.7f}"


def compare(expected: Array, actual: Array, tolerance: float, *, scale: float = 0.0) -> Difference:
    """Compare one output; integers have to be equal, floats within `tolerance` of the largest value.

    Args:
        expected: the reference.
        actual: what is judged.
        tolerance: largest difference, as a part of the largest value.
        scale: a largest value to measure against where that of `expected` is smaller, because it is only a part of
            the output, or because the output could be larger.
    """
    if expected.shape != actual.shape:
        return _hopeless(f"shape {list(actual.shape)}, expected {list(expected.shape)}")
    if expected.size == 0:
        return Difference(0.0, 0.0, 1.0, 1.0, passed=True)
    is_float = np.issubdtype(expected.dtype, np.floating)
    if is_float != np.issubdtype(actual.dtype, np.floating):
        return _hopeless(f"type {actual.dtype}, expected {expected.dtype}")
    left, right = _unlimited(expected), _unlimited(actual)
    finite = np.isfinite(left)
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True) or not np.isfinite(right[finite]).all():
        return _hopeless("values that are not finite are in other places")
    left, right = np.where(finite, left, 0.0), np.where(finite, right, 0.0)
    max_abs, largest = float(np.abs(left - right).max()), float(np.abs(left).max())
    mean_cosine, min_cosine = _cosines(left, right)
    limit = tolerance * max(largest, scale, _SMALLEST_SCALE) if is_float else 0.0
    return Difference(max_abs, largest, mean_cosine, min_cosine, passed=max_abs <= limit)


@dataclass(frozen=True, slots=True)
class Ties:
    """What two sides decide differently, and each of them rightly within the tolerance.

    Attributes:
        values: how many were compared: values that are rounded, or places that are chosen.
        ties: how many of them lie between two steps and fell to either side, or have the score of the other's place.
        farthest: the largest distance of one of those from the middle between its steps, in steps, or of two scores.
    """

    values: int = 0
    ties: int = 0
    farthest: float = 0.0

    def __add__(self, other: Ties) -> Ties:
        return Ties(self.values + other.values, self.ties + other.ties, max(self.farthest, other.farthest))


def compare_rounded(expected: Array, actual: Array, unrounded: Array, tolerance: float) -> tuple[Difference, Ties]:
    """Compare whole steps: where they differ, the value that was rounded has to lie in the middle between them.

    Args:
        expected: the reference's steps.
        actual: ours.
        unrounded: what ours were rounded from.
        tolerance: how far from the middle it may lie, as a part of the largest value that was rounded.
    """
    if expected.shape != actual.shape:
        return _hopeless(f"shape {list(actual.shape)}, expected {list(expected.shape)}"), Ties()
    left, right, from_ = (array.astype(np.float64) for array in (expected, actual, unrounded))
    largest = float(np.abs(left).max(initial=0.0))
    other = left != right
    if not other.any():
        return Difference(0.0, largest, 1.0, 1.0, passed=True), Ties(expected.size)
    steps = float(np.abs(left - right).max())
    farthest = float(np.abs(from_ - (left + right) / 2)[other].max())
    is_tie = steps <= 1 and farthest <= tolerance * max(float(np.abs(from_).max()), 1.0)
    mean, least = _cosines(left, right)
    reason = "" if is_tie else f"rounds to other steps: {steps:g} apart, {farthest:.3g} from the middle between them"
    found = Difference(steps, largest, mean, least, passed=is_tie, reason=reason)
    return found, Ties(expected.size, int(other.sum()), farthest)


def compare_chosen(
    expected: Array, actual: Array, scores: Array, axis: int, tolerance: float, *, is_sorted: bool = True
) -> tuple[Difference, Ties]:
    """Compare chosen places: where they differ, the scores there have to be equal but for the tolerance.

    Args:
        expected: the reference's places along the axis, best first.
        actual: ours.
        scores: by which ours were chosen.
        axis: along which the places count.
        tolerance: how far two scores may be apart, as a part of the largest one that is finite.
        is_sorted: whether the reference's are in order; else only what was chosen counts.
    """
    if expected.shape != actual.shape:
        return _hopeless(f"shape {list(actual.shape)}, expected {list(expected.shape)}"), Ties()
    known = scores.astype(np.float64)
    size = known.shape[axis]
    for side, places in (("the reference", expected), ("the graph", actual)):
        if ((places < -size) | (places >= size)).any() or _has_twins(places % size, axis):
            return _hopeless(f"{side} chose a place twice, or one that is not there"), Ties()
    left, right = (np.take_along_axis(known, places.astype(np.int64), axis) for places in (expected, actual))
    other = expected != actual
    if not is_sorted:
        left, right, other = np.sort(left, axis), np.sort(right, axis), np.sort(expected, axis) != np.sort(actual, axis)
    largest = float(np.abs(known[np.isfinite(known)]).max(initial=0.0))
    # Equal infinities are apart by no number, and by nothing.
    apart = np.where(left == right, 0.0, np.abs(left - np.where(left == right, 0.0, right)))
    farthest = float(apart.max(initial=0.0))
    is_tie = farthest <= tolerance * max(largest, _SMALLEST_SCALE)
    reason = "" if is_tie else f"chooses other places, whose scores are {farthest:.3g} apart"
    found = Difference(farthest, largest, 1.0, 1.0, passed=is_tie, reason=reason)
    return found, Ties(expected.size, int(other.sum()), farthest)


def _has_twins(places: Array, axis: int) -> bool:
    ordered = np.sort(places, axis)
    return bool((np.diff(ordered, axis=axis) == 0).any())


def _unlimited(array: Array) -> Array:
    """In double, with the largest numbers of a float type as infinities: runtimes mask with either."""
    wide = array.astype(np.float64)
    if array.dtype.kind != "f":
        return wide
    return np.where(np.abs(wide) >= float(np.finfo(array.dtype).max), np.copysign(np.inf, wide), wide)


def worst(differences: list[Difference]) -> Difference:
    """One line for many runs: the largest difference, the mean of the means, the smallest cosine.

    `largest` is the scale of the run whose difference was largest.
    """
    top = max(differences, key=lambda one: one.max_abs)
    return Difference(
        top.max_abs,
        top.largest,
        sum(one.mean_cosine for one in differences) / len(differences),
        min(one.min_cosine for one in differences),
        passed=all(one.passed for one in differences),
        reason=next((one.reason for one in differences if one.reason), ""),
    )


def tick(difference: Difference) -> str:
    """One character for people."""
    return "✓" if difference.passed else "✗"


def _hopeless(reason: str) -> Difference:
    return Difference(float("inf"), 0.0, 0.0, 0.0, passed=False, reason=reason)


def _cosines(left: Array, right: Array) -> tuple[float, float]:
    rows = left.reshape(-1, left.shape[-1] if left.ndim else 1)
    others = right.reshape(rows.shape)
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(others, axis=1)
    # A zero vector has no direction: equal to another zero vector, orthogonal to anything else.
    both_zero = ~rows.any(axis=1) & ~others.any(axis=1)
    products = (rows * others).sum(axis=1)
    cosines = np.where(both_zero, 1.0, products / np.where(norms == 0, 1.0, norms))
    return float(cosines.mean()), float(cosines.min())
