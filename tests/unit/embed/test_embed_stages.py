"""Dense, LayerNorm and Normalize: hand values, agreement with torch, and independence of the batch."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed.stages import ACTIVATIONS, Dense, LayerNorm, Normalize

RNG = np.random.default_rng(11)
WEIGHT = RNG.standard_normal((4, 6)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)
STAGES = {
    "Dense": Dense(WEIGHT, BIAS, "Tanh"),
    "LayerNorm": LayerNorm(RNG.standard_normal(6).astype(np.float32), RNG.standard_normal(6).astype(np.float32)),
    "Normalize": Normalize(),
}


def test_dense_is_activation_of_a_linear_map() -> None:
    dense = Dense(np.array([[1, 2], [0, -1]], dtype=np.float32), np.array([1, 0], dtype=np.float32), "ReLU")
    assert dense(np.array([[3, 4]], dtype=np.float32)).tolist() == [[12, 0]]


def test_dense_adds_its_residual_after_the_activation() -> None:
    dense = Dense(np.array([[-1.0]], dtype=np.float32), None, "ReLU", "identity")
    assert dense(np.array([[5]], dtype=np.float32)).tolist() == [[5]]


def test_normalize_gives_length_one_and_leaves_zeros_alone() -> None:
    got = Normalize()(np.array([[3, 4], [0, 0]], dtype=np.float32))
    np.testing.assert_array_equal(got, np.array([[0.6, 0.8], [0, 0]], dtype=np.float32))


def test_normalize_does_not_overflow_on_large_vectors() -> None:
    got = Normalize()(np.full((1, 4), 3e38, dtype=np.float32))
    np.testing.assert_allclose(got, 0.5)


@pytest.mark.parametrize("name", STAGES)
def test_a_row_has_the_same_bits_in_any_batch(name: str) -> None:
    rows = RNG.standard_normal((37, 6)).astype(np.float32)
    together = STAGES[name](rows)
    alone = np.concatenate([STAGES[name](row[None]) for row in rows])
    assert together.tobytes() == alone.tobytes()


@pytest.mark.parametrize("name", STAGES)
def test_no_rows_stay_no_rows(name: str) -> None:
    assert len(STAGES[name](np.empty((0, 6), dtype=np.float32))) == 0


@pytest.mark.torch
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_those_of_torch(activation: str, optional) -> None:
    torch = optional("torch")
    x = np.concatenate([np.linspace(-30, 30, 101), [-800, 800]]).astype(np.float32)
    theirs = getattr(torch.nn, activation)()(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ACTIVATIONS[activation](x.astype(np.float64)), theirs, rtol=2e-5, atol=1e-6)


@pytest.mark.torch
def test_layer_norm_is_that_of_torch(optional) -> None:
    torch = optional("torch")
    norm = STAGES["LayerNorm"]
    x = RNG.standard_normal((5, 6)).astype(np.float32) * 100
    weight, bias = (torch.from_numpy(values) for values in (norm.weight, norm.bias))
    theirs = torch.nn.functional.layer_norm(torch.from_numpy(x), (6,), weight, bias).numpy()
    np.testing.assert_allclose(norm(x), theirs, rtol=1e-5, atol=1e-6)
