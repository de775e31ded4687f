"""One classifier against another on the same texts: labels, and how far scores are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from webnn_runtime.evaluation.statistics import spearman
from webnn_runtime.evaluation.texts import digest_of, listed_texts
from webnn_runtime.evaluation.timing import Speed, interleaved
from webnn_runtime.format.errors import EmbedError

__all__ = ["Classifier", "ClassifierQuality", "compare_classifiers"]

_TIMED_TEXTS = 64


class Classifier(Protocol):
    """What is measured: `WebNNClassifier`, or anything alike."""

    @property
    def labels(self) -> Sequence[str]:
        """Names of the labels, in the order of scores."""

    def scores(self, inputs: Sequence[str], **options: Any) -> npt.NDArray[Any]:
        """Scores [texts, labels]."""


@dataclass(frozen=True, slots=True)
class ClassifierQuality:
    """What was found.

    Attributes:
        texts: number of texts.
        texts_sha256: which texts, see `digest_of`.
        agreement: part of the texts whose best label is the same; None where there is one label, which is always
            the best.
        rank_correlation: Spearman's of the scores of one label; None where there are more, or where the reference
            scores all texts alike.
        max_difference: largest difference of a score.
        mean_difference: average difference over all scores.
        worst: index of the text with the largest difference.
        changed: label of the reference -> label of the candidate -> number of texts, where they differ.
        speed: None when not asked for.
    """

    texts: int
    texts_sha256: str
    agreement: float | None
    rank_correlation: float | None
    max_difference: float
    mean_difference: float
    worst: int
    changed: dict[str, dict[str, int]]
    speed: Speed | None

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "texts": self.texts,
            "textsSha256": self.texts_sha256,
            "agreement": self.agreement,
            "rankCorrelation": self.rank_correlation,
            "maxDifference": self.max_difference,
            "meanDifference": self.mean_difference,
            "worst": self.worst,
            "changed": self.changed,
            "speed": None if self.speed is None else self.speed.record(),
        }


def compare_classifiers(
    candidate: Classifier, reference: Classifier, texts: Sequence[str], *, rounds: int = 0, **options: Any
) -> ClassifierQuality:
    """Measure a candidate against a reference, usually the same model in float32.

    Args:
        candidate: what is judged.
        reference: what is right.
        texts: to classify.
        rounds: rounds of timing, 0 for none.
        options: arguments of `scores`.

    Raises:
        EmbedError: the labels differ, there are no texts, or scores are not finite.
    """
    given = listed_texts("compare_classifiers", texts)
    if list(candidate.labels) != list(reference.labels):
        raise EmbedError(
            f"the reference has the labels {', '.join(reference.labels)[:200]} and the candidate "
            f"{', '.join(candidate.labels)[:200]}; they are different models"
        )
    expected = np.asarray(reference.scores(given, **options), np.float64)
    found = np.asarray(candidate.scores(given, **options), np.float64)
    for whose, scores in (("reference", expected), ("candidate", found)):
        if not np.isfinite(scores).all():
            raise EmbedError(f"compare_classifiers: scores of the {whose} are not finite")
    gaps = np.abs(found - expected)
    # What scores one thing, as rerankers do, is asked for an order; its best label never changes.
    is_ranking = len(reference.labels) == 1
    best = expected.argmax(axis=1), found.argmax(axis=1)
    changed: dict[str, dict[str, int]] = {}
    for right, got in zip(*(rows.tolist() for rows in best), strict=True):
        if right != got:
            of = changed.setdefault(reference.labels[right], {})
            of[reference.labels[got]] = of.get(reference.labels[got], 0) + 1
    speed = None
    if rounds > 0:
        timed = given[:: -(-len(given) // _TIMED_TEXTS)]
        speed = interleaved(
            lambda: candidate.scores(timed, **options),
            lambda: reference.scores(timed, **options),
            texts=len(timed),
            rounds=rounds,
        )
    return ClassifierQuality(
        len(given),
        digest_of(given),
        None if is_ranking else float((best[0] == best[1]).mean()),
        _rank_correlation(expected[:, 0], found[:, 0]) if is_ranking else None,
        float(gaps.max()),
        float(gaps.mean()),
        int(gaps.max(axis=1).argmax()),
        changed,
        speed,
    )


def _rank_correlation(expected: npt.NDArray[np.float64], found: npt.NDArray[np.float64]) -> float | None:
    if np.ptp(expected) == 0:
        return None
    # One score for everything keeps nothing of an order.
    return spearman(expected, found) if np.ptp(found) > 0 else 0.0
