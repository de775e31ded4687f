"""One embedder against another on the same texts: direction of vectors, neighbours, judgement of pairs, speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from webnn_runtime.embed.similarity import compare as compare_vectors
from webnn_runtime.evaluation.statistics import CosineStatistics, cosine_statistics, neighbour_overlap, spearman
from webnn_runtime.evaluation.texts import ScoredPairs, digest_of, listed_texts
from webnn_runtime.evaluation.timing import Speed, interleaved
from webnn_runtime.format.errors import EmbedError

__all__ = ["NEIGHBOURS", "Correlation", "Embedder", "EmbedderQuality", "compare_embedders", "correlation_of"]

NEIGHBOURS = 10
# Enough for a steady time, and few enough for a slow backend: texts of all lengths, evenly picked.
_TIMED_TEXTS = 64

Encode = Callable[[Sequence[str]], npt.NDArray[Any]]
Progress = Callable[[int, int, str], None]


class Embedder(Protocol):
    """What is measured: `WebNNEmbedder`, or anything with its `encode`."""

    def encode(self, texts: Sequence[str], **options: Any) -> npt.NDArray[Any]:
        """Vectors [texts, features]."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's correlation of similarities with people's scores.

    Attributes:
        pairs: number of pairs.
        skipped: pairs of the file that have no score.
        candidate: the candidate's correlation.
        reference: the reference's; None without one.
        sha256: which pairs and scores, see `digest_of`.
    """

    pairs: int
    skipped: int
    candidate: float
    reference: float | None
    sha256: str = ""

    @property
    def loss(self) -> float | None:
        """What the candidate has less than the reference; below 0 it has more."""
        return None if self.reference is None else self.reference - self.candidate

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "pairs": self.pairs,
            "skipped": self.skipped,
            "sha256": self.sha256,
            "spearman": self.candidate,
            "referenceSpearman": self.reference,
            "loss": self.loss,
        }


@dataclass(frozen=True, slots=True)
class EmbedderQuality:
    """What was found.

    Attributes:
        texts: number of texts.
        texts_sha256: which texts, see `digest_of`.
        cosine: candidate's vectors to the reference's; None without a reference.
        overlap: part of the nearest neighbours that both agree on; None without a reference, or with under 3 texts.
        correlation: with people's scores; None without pairs.
        speed: None without a reference, or when not asked for.
    """

    texts: int
    texts_sha256: str
    cosine: CosineStatistics | None
    overlap: float | None
    correlation: Correlation | None
    speed: Speed | None

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "texts": self.texts,
            "textsSha256": self.texts_sha256,
            "cosine": None if self.cosine is None else self.cosine.record(),
            "overlapAt10": self.overlap,
            "pairs": None if self.correlation is None else self.correlation.record(),
            "speed": None if self.speed is None else self.speed.record(),
        }


def compare_embedders(
    candidate: Embedder,
    reference: Embedder | None,
    texts: Sequence[str],
    *,
    pairs: ScoredPairs | None = None,
    rounds: int = 0,
    progress: Progress | None = None,
    **options: Any,
) -> EmbedderQuality:
    """Measure a candidate.

    Args:
        candidate: what is judged.
        reference: what is right, usually the same model in float32; None judges by the pairs alone.
        texts: to compare vectors on; equal ones count once for neighbours.
        pairs: scored pairs of sentences.
        rounds: rounds of timing, 0 for none.
        progress: called with steps done, steps in all, and what comes next.
        options: arguments of `encode`.

    Raises:
        EmbedError: the two give vectors of different sizes, or there are no texts.
    """
    given = listed_texts("compare_embedders", texts)
    own, other = _encoder(candidate, options), None if reference is None else _encoder(reference, options)
    steps = _Steps(2 * (other is not None) + (1 + (other is not None)) * (pairs is not None) + (rounds > 0), progress)
    cosine = overlap = speed = None
    if other is not None:
        expected = steps.do("vectors of the reference", lambda: other(given))
        vectors = steps.do("vectors of the candidate", lambda: own(given))
        if vectors.shape != expected.shape:
            raise EmbedError(
                f"the reference gives vectors of {expected.shape[1]} features and the candidate of {vectors.shape[1]}; "
                "they are different models"
            )
        cosine = cosine_statistics(expected, vectors)
        # Equal texts are each other's nearest neighbours, in an order that only rounding decides.
        first = sorted({text: index for index, text in reversed(list(enumerate(given)))}.values())
        overlap = neighbour_overlap(expected[first], vectors[first], NEIGHBOURS) if len(first) > 2 else None
    correlation = None
    if pairs is not None:
        judged = steps.do("pairs by the candidate", lambda: correlation_of(own, pairs))
        truth = None if other is None else steps.do("pairs by the reference", lambda: correlation_of(other, pairs))
        digest = digest_of([*pairs.first, *pairs.second, *map(repr, pairs.scores)])
        correlation = Correlation(len(pairs.scores), pairs.skipped, judged, truth, digest)
    if other is not None and rounds > 0:
        timed = given[:: -(-len(given) // _TIMED_TEXTS)]
        speed = steps.do(
            "timing",
            lambda: interleaved(lambda: own(timed), lambda: other(timed), texts=len(timed), rounds=rounds),
        )
    return EmbedderQuality(len(given), digest_of(given), cosine, overlap, correlation, speed)


def correlation_of(encode: Encode, pairs: ScoredPairs) -> float:
    """Spearman's correlation of the cosine similarities of pairs with their scores.

    Raises:
        EmbedError: all scores, or all similarities, are equal.
    """
    unique = list(dict.fromkeys([*pairs.first, *pairs.second]))
    where = {text: row for row, text in enumerate(unique)}
    vectors = np.asarray(encode(unique), np.float64)
    first, second = ([where[text] for text in side] for side in (pairs.first, pairs.second))
    # A vector's cosine with itself is 1 but for the last bits, which are no order: such pairs share a rank.
    return spearman(compare_vectors(vectors[first], vectors[second]).cosine.round(12), pairs.scores)


def _encoder(embedder: Embedder, options: dict[str, Any]) -> Encode:
    return lambda texts: embedder.encode(texts, **options)


class _Steps:
    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress, self._done = total, progress, 0

    def do(self, what: str, work: Callable[[], Any]) -> Any:
        if self._progress is not None:
            self._progress(self._done, self._total, what)
        result = work()
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._total, what)
        return result
