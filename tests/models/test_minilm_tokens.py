"""Tokens of the real all-MiniLM-L6-v2 are those of transformers, around every length that some file calls a limit."""

from __future__ import annotations

import json

import pytest

from webnn_runtime.embed.settings import read_transformer
from webnn_runtime.embed.tokenizer import TextTokenizer

pytestmark = pytest.mark.torch

# tokenizer.json says 128, sentence_bert_config.json 256, the position table 512.
AROUND_LIMITS = [0, 1, 2, 3, 8, *(n + d for n in (32, 128, 256, 512) for d in (-3, -2, -1, 0, 1)), 2560]
TEXTS = {
    "emoji": "I \u2764\ufe0f \U0001f1ea\U0001f1f8 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "accents": "e\u0301te\u0301 \u00e9t\u00e9 \u0130stanbul na\u00efve",
    "cjk": "\u4eca\u65e5\u306f\u3044\u3044\u5929\u6c17\u3067\u3059 \uc548\ub155",
    "rtl": "\u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0637\u0642\u0633",
    "controls": "a\x00b\r\nc\td\u200be\ufeff",
    "special": "[CLS] [SEP] [MASK] [PAD] [UNK]",
    "long word": "x" * 5000,
    "punctuation": "wait... what?! (no-one's) $5.00/\u20ac5,00",
}


@pytest.fixture(scope="module")
def pair(minilm, optional):
    ours = TextTokenizer.load(minilm)
    theirs = optional("transformers").AutoTokenizer.from_pretrained(minilm)
    return ours, lambda text, limit: theirs(text, truncation=True, max_length=limit)["input_ids"]


@pytest.mark.parametrize("limit", [128, 256, 512])
@pytest.mark.parametrize("words", AROUND_LIMITS)
def test_a_text_is_cut_at_the_limit_that_is_given(words, limit, pair) -> None:
    ours, theirs = pair
    text = " ".join(["weather"] * words)
    found = ours.encode([text], limit)[0]
    assert found.ids.tolist() == theirs(text, limit)
    assert len(found) == min(words + 2, limit)
    assert found.dropped == max(0, words + 2 - limit)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("limit", [5, 256])
def test_unusual_texts_have_the_tokens_of_transformers(text, limit, pair) -> None:
    ours, theirs = pair
    assert ours.encode([text], limit)[0].ids.tolist() == theirs(text, limit)


def test_the_limit_is_that_of_sentence_transformers_and_not_what_the_tokenizer_was_saved_with(minilm) -> None:
    assert json.loads((minilm / "tokenizer.json").read_text())["truncation"]["max_length"] == 128
    settings = read_transformer([minilm])
    assert (settings.limit.tokens, settings.table.tokens) == (256, 512)
