"""What is measured between two embedders and two classifiers, against definitions written out."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from webnn_runtime.evaluation import (
    Gate,
    GateMisuse,
    ScoredPairs,
    compare_classifiers,
    compare_embedders,
    cosine_statistics,
    interleaved,
    neighbour_overlap,
)
from webnn_runtime.evaluation.embedders import correlation_of
from webnn_runtime.evaluation.statistics import spearman
from webnn_runtime.format.errors import EmbedError

TEXTS = [f"text {number}" for number in range(40)]


class Table:
    """An embedder that looks vectors up; noise stands for what quantising costs."""

    def __init__(self, features: int = 12, noise: float = 0.0) -> None:
        self.features = features
        self.noise = noise
        self.options: list[dict] = []

    def encode(self, texts, **options):
        self.options.append(options)
        rows = []
        for text in texts:
            rng = np.random.default_rng(list(text.encode()))
            rows.append(rng.standard_normal(self.features) + self.noise * rng.standard_normal(self.features))
        return np.array(rows, np.float32)


PAIRS = ScoredPairs(TEXTS[:30], TEXTS[10:40], np.random.default_rng(1).integers(0, 6, 30).astype(float).tolist(), 2)


def test_everything_is_measured_on_the_texts_given() -> None:
    right, judged = Table(), Table(noise=0.3)
    seen = []
    found = compare_embedders(judged, right, TEXTS, pairs=PAIRS, progress=lambda *step: seen.append(step), batch_size=7)
    a, b = right.encode(TEXTS), judged.encode(TEXTS)
    assert found.cosine == cosine_statistics(a, b)
    assert found.overlap == neighbour_overlap(a, b)
    assert (found.texts, found.speed) == (40, None)
    assert found.correlation is not None
    assert (found.correlation.pairs, found.correlation.skipped) == (30, 2)
    assert found.correlation.loss == found.correlation.reference - found.correlation.candidate
    assert {tuple(options.items()) for options in judged.options[:-1]} == {(("batch_size", 7),)}
    assert seen[-1][:2] == (4, 4)
    record = found.record()
    assert record["overlapAt10"] == found.overlap
    assert record["pairs"]["loss"] == found.correlation.loss


@pytest.mark.torch
def test_the_correlation_is_that_of_the_libraries(optional) -> None:
    spearmanr = optional("scipy.stats").spearmanr
    cosine = optional("sentence_transformers.util").pairwise_cos_sim
    embedder = Table(noise=0.5)
    vectors = [embedder.encode(side) for side in (PAIRS.first, PAIRS.second)]
    expected = spearmanr(PAIRS.scores, cosine(*vectors).numpy()).statistic
    assert correlation_of(embedder.encode, PAIRS) == pytest.approx(expected, abs=1e-9)


def test_pairs_of_one_sentence_twice_share_a_rank() -> None:
    """Their cosines are 1 but for the last bits, which would order them by chance."""
    pairs = ScoredPairs([*TEXTS, *TEXTS[:20]], [*TEXTS, *TEXTS[20:]], [*np.arange(40.0), *np.arange(-20.0, 0)])
    embedder = Table(features=384)
    a, b = (embedder.encode(side).astype(np.float64) for side in (pairs.first, pairs.second))
    cosines = np.sum(a * b, axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    cosines[:40] = 1
    assert correlation_of(embedder.encode, pairs) == pytest.approx(spearman(cosines, pairs.scores), abs=1e-12)


def test_pairs_are_told_apart_by_their_digest() -> None:
    def digest(pairs: ScoredPairs) -> str:
        found = compare_embedders(Table(), None, TEXTS, pairs=pairs)
        assert found.correlation is not None
        return found.correlation.record()["sha256"]

    other = ScoredPairs(PAIRS.first, PAIRS.second, [*PAIRS.scores[:-1], PAIRS.scores[-1] + 1])
    assert digest(PAIRS) == digest(ScoredPairs(*map(list, (PAIRS.first, PAIRS.second, PAIRS.scores))))
    assert digest(PAIRS) != digest(other)


def test_without_a_reference_only_pairs_judge() -> None:
    found = compare_embedders(Table(), None, TEXTS, pairs=PAIRS, rounds=3)
    assert (found.cosine, found.overlap, found.speed) == (None, None, None)
    assert found.correlation is not None
    assert (found.correlation.reference, found.correlation.loss) == (None, None)


def test_equal_texts_count_once_for_neighbours() -> None:
    right, judged = Table(), Table(noise=0.3)
    once, often = (compare_embedders(judged, right, texts) for texts in (TEXTS, TEXTS + TEXTS[:9] * 3))
    assert once.overlap == often.overlap
    assert compare_embedders(judged, right, ["a", "b", "a"]).overlap is None


def test_other_models_are_not_compared() -> None:
    with pytest.raises(EmbedError, match="reference gives vectors of 12 features and the candidate of 8"):
        compare_embedders(Table(8), Table(12), TEXTS)
    with pytest.raises(EmbedError, match="no texts"):
        compare_embedders(Table(), Table(), [])


class Clock:
    """Time that passes only when something runs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: list[float]):
        turns = count()

        def run() -> None:
            self.order.append(name)
            self.now += seconds[next(turns)]

        return run


def test_contenders_take_turns_and_a_busy_moment_does_not_count() -> None:
    clock = Clock()
    # In the second round the machine is ten times as slow.
    own, other = clock.work("own", [1, 10, 1]), clock.work("other", [3, 30, 2])
    speed = interleaved(own, other, texts=6, rounds=3, clock=clock)
    assert clock.order == ["own", "other", "other", "own", "own", "other"]
    assert (speed.seconds, speed.reference_seconds, speed.ratio) == (1, 3, 3)
    assert speed.record()["textsPerSecond"] == 6
    with pytest.raises(EmbedError, match="0 rounds"):
        interleaved(own, other, texts=6, rounds=0)


class Scores:
    """A classifier with scores by text."""

    def __init__(self, rows, labels=("bad", "good")) -> None:
        self.rows = rows
        self.labels = labels

    def scores(self, inputs, **_):
        return np.array([self.rows[text] for text in inputs], np.float32)


def test_classifiers_are_compared_by_label_and_score() -> None:
    right = Scores({"a": [0.75, 0.25], "b": [0.5, 0.5], "c": [0.25, 0.75], "d": [0, 1]})
    judged = Scores({"a": [0.25, 0.75], "b": [0.5, 0.5], "c": [0.5, 0.5], "d": [0, 1]})
    found = compare_classifiers(judged, right, ["a", "b", "c", "d"])
    assert (found.agreement, found.changed) == (0.5, {"bad": {"good": 1}, "good": {"bad": 1}})
    assert (found.max_difference, found.worst, found.mean_difference) == (0.5, 0, 1.5 / 8)
    with pytest.raises(EmbedError, match="labels bad, good and the candidate yes, no"):
        compare_classifiers(Scores({}, ("yes", "no")), right, ["a"])
    assert Gate(max_loss=0.5).misses(found) == []
    assert Gate(max_loss=0.4).misses(found) == ["part of texts with another label 0.5, at most 0.4 is allowed"]
    with pytest.raises(GateMisuse, match="for embedders"):
        Gate(min_cosine=0.9).misses(found)


def test_one_label_is_judged_by_the_order_of_the_scores() -> None:
    """The best of one label is always the same: a gate on it would let everything pass."""
    texts = ["a", "b", "c", "d"]

    def scorer(*scores: float) -> Scores:
        return Scores({text: [score] for text, score in zip(texts, scores, strict=True)}, ("relevant",))

    right = scorer(0.1, 0.2, 0.4, 0.9)
    found = compare_classifiers(scorer(0.1, 0.4, 0.2, 0.9), right, texts)
    assert (found.agreement, found.rank_correlation) == (None, pytest.approx(0.8))
    assert Gate(max_loss=0.25).misses(found) == []
    (missed,) = Gate(max_loss=0.1).misses(found)
    assert missed.startswith("loss of rank correlation 0.2")
    assert compare_classifiers(scorer(*[0.5] * 4), right, texts).rank_correlation == 0
    alike = compare_classifiers(right, scorer(*[0.5] * 4), texts)
    assert (alike.rank_correlation, Gate().misses(alike)) == (None, [])
    with pytest.raises(GateMisuse, match="scores apart"):
        Gate(max_loss=0.1).misses(alike)
    with pytest.raises(EmbedError, match="candidate are not finite"):
        compare_classifiers(scorer(0, 1, np.nan, 2), right, texts)


def test_limits_on_embedders() -> None:
    right, judged = Table(), Table(noise=0.3)
    found = compare_embedders(judged, right, TEXTS, pairs=PAIRS)
    assert found.cosine is not None
    assert found.correlation is not None
    at_limit = Gate(found.cosine.minimum, found.cosine.mean, max(found.correlation.loss, 0))
    assert at_limit.misses(found) == []
    missed = Gate(0.9999, 0.9999, found.correlation.loss - 1e-6).misses(found)
    assert [text.split(" 0.")[0] for text in missed[:2]] == ["smallest cosine", "mean cosine"]
    assert missed[2].startswith("loss of correlation")
    alone = compare_embedders(judged, None, TEXTS, pairs=PAIRS)
    with pytest.raises(GateMisuse, match="pass --reference"):
        Gate(min_cosine=0.9).misses(alone)
    with pytest.raises(GateMisuse, match="pass --pairs and --reference"):
        Gate(max_loss=0.1).misses(compare_embedders(judged, right, TEXTS))


def test_a_miss_shows_how_near_the_value_is() -> None:
    """Six digits of 0.99999995 are 1.000000, which is no less than 1."""
    found = compare_embedders(Table(noise=1e-4), Table(), TEXTS)
    assert found.cosine is not None
    assert f"{found.cosine.minimum:.6f}" == "1.000000"
    (missed,) = Gate(min_cosine=1.0).misses(found)
    assert missed == f"smallest cosine {found.cosine.minimum:.12g}, at least 1.0 is asked for"
