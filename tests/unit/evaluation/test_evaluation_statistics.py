"""Statistics of quality, held against scipy, definitions and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.evaluation import cosine_statistics, neighbour_overlap, spearman
from webnn_runtime.format.errors import EmbedError


def test_cosines_of_pairs_worked_out_by_hand() -> None:
    a = [[1, 0], [0, 2], [3, 4], [0, 0], [0, 0]]
    b = [[2, 0], [0, -1], [4, 3], [0, 0], [0, 1]]
    found = cosine_statistics(a, b)
    # 1, -1, 24/25, 1 (both without direction), 0
    assert found.count == 5
    assert found.mean == pytest.approx((1 - 1 + 0.96 + 1 + 0) / 5)
    assert (found.minimum, found.worst) == (-1.0, 1)
    # Linear between the worst (-1) and the next (0): 1% of the way through 4 gaps.
    assert found.p01 == pytest.approx(-1 + 0.04)
    assert found.record()["minimum"] == -1.0


def test_equal_vectors_have_cosine_one_and_never_more() -> None:
    a = np.random.default_rng(0).standard_normal((200, 31)).astype(np.float32)
    found = cosine_statistics(a, a)
    assert found.minimum == pytest.approx(1, abs=1e-15)
    assert found.mean <= 1


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([[1, 2]], [[1, 2, 3]], "shapes"),
        (np.empty((0, 3)), np.empty((0, 3)), "shapes"),
        ([[1, 2], [np.nan, 1]], [[1, 2], [1, 1]], "row 1 holds values not finite"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(a, b, message) -> None:
    with pytest.raises(EmbedError, match=message):
        cosine_statistics(a, b)


@pytest.mark.torch
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("levels", [3, 20, None])
def test_rank_correlation_is_that_of_scipy(seed, levels, optional) -> None:
    stats = optional("scipy.stats")
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(60)
    b = a + rng.standard_normal(60)
    if levels is not None:
        # Few levels make many ties.
        b = np.round(b * levels / 4)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_rank_correlation_worked_out_by_hand() -> None:
    # 1 - 6 * sum(d^2) / (n (n^2 - 1)) without ties: d = (0, 1, -1, 0), n = 4
    assert spearman([10, 20, 30, 40], [1, 3, 2, 100]) == pytest.approx(1 - 6 * 2 / 60)
    assert spearman([1, 2, 3], [-1, -2, -3]) == pytest.approx(-1)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1, 2], [1, 2, 3], "equally long"),
        ([1], [1], "at least 2"),
        ([1, 1, 1], [1, 2, 3], "the first sequence holds one value only"),
        ([1, 2, 3], [0, np.inf, 1], "the second sequence holds values that are not finite"),
    ],
)
def test_sequences_without_a_ranking_are_refused(a, b, message) -> None:
    with pytest.raises(EmbedError, match=message):
        spearman(a, b)


@pytest.mark.parametrize("count", [12, 300, 600])
def test_overlap_of_neighbours_is_its_definition(count) -> None:
    rng = np.random.default_rng(count)
    a = rng.standard_normal((count, 8))
    b = a + 0.2 * rng.standard_normal((count, 8))

    def nearest(vectors, row):
        cosine = (vectors * vectors[row]).sum(axis=1) / np.linalg.norm(vectors, axis=1)
        best = sorted(range(count), key=lambda index: -cosine[index])
        return {index for index in best[:11] if index != row}

    expected = np.mean([len(nearest(a, row) & nearest(b, row)) / 10 for row in range(count)])
    assert neighbour_overlap(a, b) == pytest.approx(expected)
    assert neighbour_overlap(a, 3 * a) == 1


def test_few_vectors_are_asked_for_fewer_neighbours() -> None:
    # Three vectors: the nearest one of two others each.
    a = np.array([[1, 0], [1, 0.1], [0, 1]])
    b = np.array([[1, 0], [0, 1], [1, 0.1]])
    # 0 -> 1 against 2, 1 -> 0 against 2, 2 -> 1 against 0
    assert neighbour_overlap(a, b) == 0
    with pytest.raises(EmbedError, match="3 rows or more"):
        neighbour_overlap(a[:2], b[:2])
