"""Whether contenders agree about the answer; asked before anything is timed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.bench.errors import WrongAnswer

__all__ = ["Agreement", "compare", "require_agreement"]

# Of the largest value: float32 encoders of 12 layers differ by 1e-6 to 1e-5 between libraries.
_TOLERANCE: Final = 1e-4
# An integer bundle against a float32 rival is another model; below this it would be a wrong one.
_QUANTISED_COSINE: Final = 0.9


@dataclass(frozen=True, slots=True)
class Agreement:
    """How near two answers are.

    Attributes:
        max_abs: largest difference of two numbers.
        scale: largest absolute value of the expected answer.
        min_cosine: smallest cosine of two rows.
        mean_cosine: mean of them.
    """

    max_abs: float
    scale: float
    min_cosine: float
    mean_cosine: float

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"max_abs": self.max_abs, "min_cosine": self.min_cosine, "mean_cosine": self.mean_cosine}


def compare(found: Sequence[npt.NDArray[Any]], expected: Sequence[npt.NDArray[Any]]) -> Agreement | None:
    """How near `found` is to `expected`; None where shapes differ or a number is not finite in one of them only."""
    max_abs, scale = 0.0, 0.0
    every: list[npt.NDArray[np.float64]] = []
    if len(found) != len(expected):
        return None
    for left, right in zip(found, expected, strict=True):
        if left.shape != right.shape:
            return None
        one, other = (
            np.asarray(each, np.float64).reshape(-1, each.shape[-1] if each.ndim else 1) for each in (left, right)
        )
        if not np.array_equal(np.isfinite(one), np.isfinite(other)):
            return None
        one, other = np.nan_to_num(one), np.nan_to_num(other)
        if not one.size:
            continue
        max_abs = max(max_abs, float(np.abs(one - other).max()))
        scale = max(scale, float(np.abs(other).max()))
        norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
        # Two rows of nothing but zeros are equal.
        cosines = np.where(
            norms > 0, (one * other).sum(axis=1) / np.where(norms > 0, norms, 1), (one == other).all(axis=1)
        )
        every.append(cosines)
    whole = np.concatenate(every) if every else np.ones(1)
    return Agreement(max_abs, scale, float(whole.min()), float(whole.mean()))


def require_agreement(
    who: str,
    case: str,
    found: Sequence[npt.NDArray[Any]],
    expected: Sequence[npt.NDArray[Any]],
    *,
    against: str,
    is_quantised: bool = False,
) -> Agreement:
    """How near the answer of `who` is to that of `against`.

    Raises:
        WrongAnswer: too far away.
    """
    agreement = compare(found, expected)
    where = f"case {case}: the answer of {who} is not that of {against}"
    if agreement is None:
        shapes = [[list(each.shape) for each in answers[:1]] for answers in (found, expected)]
        raise WrongAnswer(f"{where}: shape {shapes[0]} and {shapes[1]}, or values that are not finite")
    if is_quantised:
        if agreement.min_cosine < _QUANTISED_COSINE:
            raise WrongAnswer(f"{where}: cosine {agreement.min_cosine:.4f}; expected at least {_QUANTISED_COSINE}")
    elif agreement.max_abs > _TOLERANCE * agreement.scale:
        raise WrongAnswer(
            f"{where}: they differ by {agreement.max_abs:.2g} of {agreement.scale:.2g}; expected at most "
            f"{_TOLERANCE:g} of it"
        )
    return agreement
