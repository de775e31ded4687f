"""Pooling: hand values, agreement with sentence-transformers, and independence of padding."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from webnn_runtime.embed.pooling import POOLING_MODES, Pooling, parse_modes
from webnn_runtime.format.errors import EmbedError

TOKENS = np.array([[1, 10], [2, -20], [6, 40]], dtype=np.float32)
BY_HAND = {
    "cls": [1, 10],
    "max": [6, 40],
    "mean": [3, 10],
    "mean_sqrt_len_tokens": [9 / 3**0.5, 30 / 3**0.5],
    "weightedmean": [(1 + 4 + 18) / 6, (10 - 40 + 120) / 6],
    "lasttoken": [6, 40],
}


def test_every_mode_has_a_value_by_hand() -> None:
    assert set(BY_HAND) == set(POOLING_MODES)


@pytest.mark.parametrize("mode", POOLING_MODES)
def test_a_mode_gives_the_value_computed_by_hand(mode: str) -> None:
    got = Pooling((mode,))(TOKENS[None], [(0, 3)])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [BY_HAND[mode]], rtol=1e-6)


def test_modes_are_concatenated_in_order() -> None:
    got = Pooling(("max", "cls"))(TOKENS[None], [(0, 3)])
    assert got.tolist() == [[6, 40, 1, 10]]


@pytest.mark.parametrize("mode", POOLING_MODES)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_no_bit(mode: str, side: str) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.standard_normal((1, 5, 8)).astype(np.float32)
    junk = np.full((1, 40, 8), np.nan, dtype=np.float32)
    padded = np.concatenate([junk, tokens] if side == "left" else [tokens, junk], axis=1)
    span = (40, 45) if side == "left" else (0, 5)
    pooling = Pooling((mode,))
    assert pooling(padded, [span]).tobytes() == pooling(tokens, [(0, 5)]).tobytes()


@pytest.mark.parametrize("mode", ["mean", "mean_sqrt_len_tokens", "weightedmean"])
def test_means_over_no_tokens_are_zero(mode: str) -> None:
    assert Pooling((mode,))(TOKENS[None], [(1, 1)]).tolist() == [[0, 0]]


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken"])
def test_a_choice_among_no_tokens_is_refused(mode: str) -> None:
    with pytest.raises(EmbedError, match="needs at least one token"):
        Pooling((mode,))(TOKENS[None], [(1, 1)])


@pytest.mark.parametrize("modes", ["Mean", "mean+", "", [], "mean_tokens", 3, [["mean"]]])
def test_an_unknown_mode_is_refused_with_the_list_of_modes(modes: Any) -> None:
    with pytest.raises(EmbedError, match="the modes are cls, max, mean"):
        parse_modes(modes, where="pooling=")


@pytest.mark.torch
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("prompt_length", [0, 2])
@pytest.mark.parametrize("modes", [*[(mode,) for mode in POOLING_MODES], *itertools.combinations(POOLING_MODES, 3)])
def test_agrees_with_sentence_transformers_on_a_ragged_batch(modes, prompt_length, side, optional) -> None:
    torch = optional("torch")
    st = optional("sentence_transformers.sentence_transformer.modules")
    lengths = [9, 4, 3, 7]
    tokens = np.random.default_rng(3).standard_normal((4, 9, 5)).astype(np.float32)
    spans = [(0, n) if side == "right" else (9 - n, 9) for n in lengths]
    mask = np.zeros((4, 9), dtype=np.int64)
    for row, (start, stop) in zip(mask, spans, strict=True):
        row[start:stop] = 1

    theirs = st.Pooling(5, modes, include_prompt=False)(
        {
            "token_embeddings": torch.from_numpy(tokens),
            "attention_mask": torch.from_numpy(mask),
            "prompt_length": prompt_length,
        }
    )["sentence_embedding"].numpy()
    ours = Pooling(modes, include_prompt=False)(tokens, spans, prompt_length)

    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
