"""Cosine similarity and the comparison of two sets of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed import compare, compute_similarity
from webnn_runtime.embed.similarity import similarity, similarity_pairwise
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
        ("a text", X, "'a' holds no vectors of numbers"),
        (X, [[1, 2], [3]], "'b' holds no vectors of numbers"),
        (X, [1, 2, 3], "vectors of 2 and 3 features"),
        ([[X]], X, "argument 'a' has 3 dimensions"),
        (X, 1.0, "argument 'b' has 0"),
        ([1, 2j], X, r"'a' holds no vectors of numbers \(they are complex\)"),
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


A, B = [[3.0, 4.0], [0.0, 0.0]], [[4.0, 3.0], [6.0, 8.0], [-3.0, -4.0]]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ("cosine", [[0.96, 1, -1], [0, 0, 0]]),
        ("dot", [[24, 50, -25], [0, 0, 0]]),
        ("euclidean", [[-(2**0.5), -5, -10], [-5, -10, -5]]),
        ("manhattan", [[-2, -7, -14], [-7, -14, -7]]),
    ],
)
def test_a_model_compares_by_the_function_that_it_states(function, expected, make, kit, folder) -> None:
    kit.save_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": function})
    embedder = make()
    assert embedder.similarity_fn_name == function
    found = embedder.similarity(A, B)
    assert (found.dtype, found.shape) == (np.float32, (2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    # A vector alone is a row.
    np.testing.assert_array_equal(embedder.similarity(A[0], B[1]), found[:1, 1:2])


@pytest.mark.parametrize(
    ("function", "expected"),
    [("cosine", [0.96, 0]), ("dot", [24, 0]), ("euclidean", [-(2**0.5), -10]), ("manhattan", [-2, -14])],
)
def test_pairs_are_compared_row_by_row(function, expected, make) -> None:
    embedder = make(similarity_fn_name=function)
    assert embedder.similarity_fn_name == function
    found = embedder.similarity_pairwise(A, B[:2])
    assert (found.dtype, found.shape) == (np.float32, (2,))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(embedder.similarity_pairwise(A[0], B[0]), found[:1])
    with pytest.raises(EmbedError, match="similarity_pairwise: 2 and 3 vectors; expected as many of each"):
        similarity_pairwise(A, B, function)


def test_a_function_that_is_not_known_is_refused_at_once(make) -> None:
    with pytest.raises(EmbedError, match="similarity_fn_name: no function 'maxsim'; expected one of cosine, dot"):
        make(similarity_fn_name="maxsim")


def test_a_model_that_states_no_function_compares_by_the_cosine(make) -> None:
    assert make().similarity_fn_name == "cosine"


def test_a_function_that_is_not_known_is_refused_by_name(make, kit, folder) -> None:
    kit.save_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "maxsim"})
    with pytest.raises(EmbedError, match="no function 'maxsim'; expected one of cosine, dot"):
        make().similarity(A, B)
    with pytest.raises(EmbedError, match="vectors of 2 and 3 features"):
        similarity(A, [1.0, 2.0, 3.0])
