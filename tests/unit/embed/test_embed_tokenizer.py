"""The tokenizer: what a text becomes, whatever was saved with it and whatever the text holds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from webnn_runtime.embed import tokenizer as module
from webnn_runtime.embed.tokenizer import Padding, TextTokenizer
from webnn_runtime.format.errors import EmbedError


def bake(folder, *, truncation: dict | None = None, padding: dict | None = None) -> None:
    """Save the folder's tokenizer again with truncation or padding switched on."""
    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    if truncation is not None:
        backend.enable_truncation(**truncation)
    if padding is not None:
        backend.enable_padding(**padding)
    backend.save(str(folder / "tokenizer.json"))


def ids(tokenizer: TextTokenizer, text: str, max_length: int | None = None) -> list[int]:
    return tokenizer.encode([text], max_length)[0].ids.tolist()


def test_special_tokens_surround_a_text(folder) -> None:
    assert ids(TextTokenizer.load(folder), "a b zzz") == [2, 4, 5, 1, 3]


def test_truncation_and_padding_saved_with_the_tokenizer_are_ignored(folder) -> None:
    bake(folder, truncation={"max_length": 3}, padding={"length": 12})
    assert ids(TextTokenizer.load(folder), "a b c d") == [2, 4, 5, 6, 7, 3]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("length", [3, 4, 5, 6, 7, 100])
def test_truncation_keeps_special_tokens_and_agrees_with_the_library(length, side, folder, kit) -> None:
    kit.save_tokenizer(folder, truncation_side=side)
    ours = TextTokenizer.load(folder).encode(["a b c d"], length)[0]
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.enable_truncation(length, direction=side)
    assert ours.ids.tolist() == theirs.encode("a b c d").ids
    assert ours.dropped == max(0, 6 - length)


def test_the_truncation_side_saved_in_the_tokenizer_is_used_without_a_configuration(folder) -> None:
    bake(folder, truncation={"max_length": 3, "direction": "left"})
    assert ids(TextTokenizer.load(folder), "a b c d", 4) == [2, 6, 7, 3]


@pytest.mark.parametrize(
    ("configured", "saved", "expected"),
    [
        ({"pad_token": "[PAD]"}, None, Padding(0, 0, "right")),
        ({"pad_token": {"content": "[UNK]", "lstrip": False}}, None, Padding(1, 0, "right")),
        ({"pad_token": "[PAD]", "padding_side": "left"}, None, Padding(0, 0, "left")),
        ({"pad_token": None}, {"pad_id": 7, "pad_type_id": 3, "direction": "left"}, Padding(7, 3, "left")),
        ({"pad_token": "[UNK]", "padding_side": "right"}, {"pad_id": 7, "direction": "left"}, Padding(1, 0, "right")),
        ({"pad_token": None}, None, Padding(None, 0, "right")),
    ],
)
def test_padding_comes_from_the_configuration_then_from_the_tokenizer(configured, saved, expected, folder, kit) -> None:
    kit.save_tokenizer(folder, **configured)
    bake(folder, padding=saved)
    assert TextTokenizer.load(folder).padding == expected


def test_the_padding_token_of_special_tokens_map_is_used(folder, kit) -> None:
    kit.save_tokenizer(folder, pad_token=None)
    kit.save_json(folder / "special_tokens_map.json", {"pad_token": "[UNK]"})
    assert TextTokenizer.load(folder).padding.id == 1


def test_the_padding_id_of_the_model_is_the_last_resort(folder, kit) -> None:
    kit.save_tokenizer(folder, pad_token=None)
    kit.save_json(folder / "config.json", {"pad_token_id": 5})
    assert TextTokenizer.load(folder).padding.id == 5


@pytest.mark.parametrize(
    ("configured", "complaint"),
    [
        ({"pad_token": "<pad>"}, "pad_token '<pad>' is not in the vocabulary"),
        ({"padding_side": "top"}, "'padding_side' is 'top'; expected left or right"),
        ({"truncation_side": 1}, "'truncation_side' is an integer; expected a string"),
    ],
)
def test_a_wrong_configuration_is_refused(configured, complaint, folder, kit) -> None:
    kit.save_tokenizer(folder, **configured)
    with pytest.raises(EmbedError, match=complaint):
        TextTokenizer.load(folder)


def test_lower_case_is_applied_when_the_model_asks_for_it(folder) -> None:
    spec = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(spec | {"normalizer": None}))
    assert ids(TextTokenizer.load(folder), "A") == [2, 1, 3]
    assert ids(TextTokenizer.load(folder, do_lower_case=True), "A") == [2, 4, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [2, 3]),
        (" \t\r\n", [2, 3]),
        ("\x00", [2, 1, 3]),
        ("a \ud800 b", [2, 4, 1, 5, 3]),
        ("\ude00\ud83d", [2, 1, 3]),
        ("a" * 1_000_000, [2, 1, 3]),
        ("[SEP] [PAD]", [2, 3, 0, 3]),
        ("e\u0301 \u05d0 \u4e2d", [2, 1, 1, 1, 3]),
    ],
    ids=["empty", "blank", "nul", "lone surrogate", "reversed pair", "1 MB word", "special", "scripts"],
)
def test_unusual_texts_have_tokens(text, expected, folder) -> None:
    assert ids(TextTokenizer.load(folder), text) == expected


def test_a_surrogate_pair_is_the_character_it_stands_for(folder) -> None:
    tokenizer = TextTokenizer.load(folder)
    assert ids(tokenizer, "\ud83d\ude00") == ids(tokenizer, "\U0001f600")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(st.characters(codec=None), max_size=20), max_size=8), limit=st.integers(3, 9))
def test_any_text_gives_at_most_the_limit_and_counts_what_it_dropped(texts, limit, folder) -> None:
    tokenizer = TextTokenizer.load(folder)
    whole = tokenizer.encode(texts, None)
    for full, cut in zip(whole, tokenizer.encode(texts, limit), strict=True):
        assert len(cut) == min(len(full), limit)
        assert cut.dropped == len(full) - len(cut)
        assert len(cut.types) == len(cut)


@pytest.mark.parametrize(
    ("prompt", "limit", "length"),
    [("query: ", None, 3), ("", None, 1), ("a", None, 2), ("query: ", 4, 3), ("query: a b c", 4, 3)],
)
def test_a_prompt_counts_with_the_special_token_before_it(prompt, limit, length, folder) -> None:
    assert TextTokenizer.load(folder).prompt_length(prompt, limit) == length


def test_many_threads_share_one_tokenizer(folder) -> None:
    tokenizer = TextTokenizer.load(folder)
    texts = ["a b c d e f"] * 50
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(lambda limit: [each.ids.tolist() for each in tokenizer.encode(texts, limit)], [3, 5, 8] * 20)
        )
    assert found[:3] * 20 == found
    assert found[0][0] == [2, 4, 3]


def test_more_texts_than_are_encoded_at_once_keep_their_order(folder, monkeypatch) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", 3)
    got = TextTokenizer.load(folder).encode(list("abcdefa"), None)
    assert [each.ids[1] for each in got] == [4, 5, 6, 7, 8, 9, 4]


def test_a_tokenizer_file_that_is_too_large_is_not_read(folder, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MAX_BYTES", 100)
    with pytest.raises(EmbedError, match=r"tokenizer\.json: \d+ bytes; at most 100 are read"):
        TextTokenizer.load(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model": {"type": "Nothing"}}'])
def test_a_broken_tokenizer_file_is_refused(text, folder) -> None:
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(EmbedError, match="not a tokenizer that this release of tokenizers reads"):
        TextTokenizer.load(folder)
