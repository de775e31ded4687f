"""What is measured between two sets of vectors of the same texts, and between two rankings. Pure NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from webnn_runtime.embed.similarity import compare as compare_vectors
from webnn_runtime.format.errors import EmbedError

__all__ = ["CosineStatistics", "cosine_statistics", "neighbour_overlap", "spearman"]

Doubles = npt.NDArray[np.float64]
# Rows of the similarity matrix that are held at a time: 256 queries against 100,000 texts are 200 MB.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class CosineStatistics:
    """Cosine similarities of pairs of vectors.

    Attributes:
        count: number of pairs.
        mean: average.
        p01: first percentile, interpolated linearly between the two nearest.
        minimum: the worst pair.
        worst: its index.
    """

    count: int
    mean: float
    p01: float
    minimum: float
    worst: int

    def record(self) -> dict[str, float | int]:
        """As it stands in JSON."""
        return {"count": self.count, "mean": self.mean, "p01": self.p01, "minimum": self.minimum, "worst": self.worst}

    def __str__(self) -> str:
        return f"cosine mean {self.mean:.6f}, 1st percentile {self.p01:.6f}, minimum {self.minimum:.6f}"


def cosine_statistics(a: npt.ArrayLike, b: npt.ArrayLike) -> CosineStatistics:
    """How far the vectors of `b` point elsewhere than those of `a`, row by row.

    A vector of zeros has no direction: its cosine is 1 with another vector of zeros and 0 with anything else.

    Args:
        a: the reference, [rows, features].
        b: what is judged, of the same shape.

    Raises:
        EmbedError: the shapes differ, there is no row, or a value is not finite.
    """
    left, right = np.atleast_2d(np.asarray(a, np.float64)), np.atleast_2d(np.asarray(b, np.float64))
    cosine = compare_vectors(left, right).cosine
    if not np.isfinite(cosine).all():
        raise EmbedError(f"cosine_statistics: row {np.flatnonzero(~np.isfinite(cosine))[0]} holds values not finite")
    cosine = np.where(left.any(axis=1) | right.any(axis=1), cosine, 1.0)
    # Rounding may put the cosine of equal vectors a few units of the last place above 1.
    cosine = np.minimum(cosine, 1.0)
    worst = int(cosine.argmin())
    return CosineStatistics(
        len(cosine), float(cosine.mean()), float(np.percentile(cosine, 1)), float(cosine[worst]), worst
    )


def spearman(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their average rank.

    Raises:
        EmbedError: other than two sequences of equal length from 2 on, values that are not finite, or a sequence
            of equal values, which has no ranking.
    """
    left, right = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if left.ndim != 1 or left.shape != right.shape or len(left) < 2:
        raise EmbedError(
            f"spearman: shapes {list(left.shape)} and {list(right.shape)}; expected two equally long "
            "sequences of at least 2 numbers"
        )
    for name, values in (("first", left), ("second", right)):
        if not np.isfinite(values).all():
            raise EmbedError(f"spearman: the {name} sequence holds values that are not finite")
        if (values == values[0]).all():
            raise EmbedError(f"spearman: the {name} sequence holds one value only; a ranking needs different ones")
    x, y = (ranks - ranks.mean() for ranks in (_ranks(left), _ranks(right)))
    return float((x @ y) / np.sqrt((x @ x) * (y @ y)))


def neighbour_overlap(a: npt.ArrayLike, b: npt.ArrayLike, k: int = 10) -> float:
    """Average part of each vector's `k` nearest others that two sets of vectors of the same texts agree on.

    Nearness is cosine similarity; of equally near ones the first counts. With fewer than `k` others, all of
    them are asked for but one, so that there is something to agree on.

    Raises:
        EmbedError: the shapes differ, or there are fewer than 3 rows.
    """
    left, right = _unit(a), _unit(b)
    if left.shape != right.shape or len(left) < 3:
        raise EmbedError(
            f"neighbour_overlap: shapes {list(left.shape)} and {list(right.shape)}; "
            "expected equal ones of 3 rows or more"
        )
    k = min(k, len(left) - 2)
    shared = 0
    for start in range(0, len(left), _ROWS_AT_ONCE):
        nearest = [_nearest(each, start, k) for each in (left, right)]
        shared += sum(len(set(one) & set(two)) for one, two in zip(*(rows.tolist() for rows in nearest), strict=True))
    return shared / (k * len(left))


def _nearest(unit: Doubles, start: int, k: int) -> npt.NDArray[np.intp]:
    """The `k` nearest others of each row from `start` on, as many rows as are held at a time."""
    cosine = unit[start : start + _ROWS_AT_ONCE] @ unit.T
    rows = np.arange(len(cosine))
    cosine[rows, start + rows] = -np.inf
    return np.argsort(-cosine, axis=1, kind="stable")[:, :k]


def _unit(vectors: npt.ArrayLike) -> Doubles:
    rows = np.atleast_2d(np.asarray(vectors, np.float64))
    norms = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    unit: Doubles = rows / np.where(norms > 0, norms, 1.0)
    return unit


def _ranks(values: Doubles) -> Doubles:
    """Ranks from 1 on; equal values share the average of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: Doubles = (ends - (counts - 1) / 2.0)[inverse]
    return ranks
