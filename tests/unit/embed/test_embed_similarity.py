"""Cosine similarity and the comparison of two sets of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed import compare, compute_similarity
from webnn_runtime.format.errors import EmbedError

X = [3.0, 4.0]
Y = [4.0, -3.0]


def test_two_vectors_give_a_float() -> None:
    got = compute_similarity(X, X)
    assert isinstance(got, float)
    assert got == pytest.approx(1.0)
    assert compute_similarity(X, Y) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (X, [X, Y], [1, 0]),
        ([X, Y], X, [1, 0]),
        ([X, Y], [Y, X, X], [[0, 1, 1], [1, 0, 0]]),
        ([[0, 0]], [X], [[0]]),
        (np.empty((0, 2)), [X], np.empty((0, 1))),
    ],
)
def test_every_vector_of_one_side_meets_every_vector_of_the_other(a, b, expected) -> None:
    got = compute_similarity(a, b)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("a", "b", "complaint"),
    [
        (X, [1, 2, 3], "vectors of 2 and 3 features"),
        ([[X]], X, "argument 'a' has 3 dimensions"),
        (X, 1.0, "argument 'b' has 0"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(a, b, complaint) -> None:
    with pytest.raises(EmbedError, match=complaint):
        compute_similarity(a, b)


def test_a_comparison_measures_each_pair_of_rows() -> None:
    got = compare([X, X], [X, Y])
    np.testing.assert_allclose(got.cosine, [1, 0], atol=1e-12)
    np.testing.assert_allclose(got.euclidean, [0, 50**0.5])
    np.testing.assert_allclose(got.mse, [0, 25])
    np.testing.assert_allclose(got.mae, [0, 4])
    assert (got.max_abs, got.min_cosine, got.average_cosine) == (7, pytest.approx(0, abs=1e-12), pytest.approx(0.5))


@pytest.mark.parametrize(("a", "b"), [([X], [X, Y]), (np.empty((0, 2)), np.empty((0, 2)))])
def test_sets_that_do_not_match_are_refused(a, b) -> None:
    with pytest.raises(EmbedError, match="they must be equal, not empty"):
        compare(a, b)
