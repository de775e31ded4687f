"""What a classifier is given has to be what it takes: the characters of a text are no texts."""

from __future__ import annotations

import json

import numpy as np
import pytest

from webnn_runtime import WebNNClassifier, WebNNEmbedder
from webnn_runtime.format.errors import EmbedError


@pytest.fixture
def classify(make_encoder) -> WebNNClassifier:
    return WebNNClassifier(make_encoder("labelled", labels=("no", "yes")), backend="numpy")


@pytest.mark.parametrize(
    "lone", ["sun", ("sun", "rain"), {"text": "sun", "text_pair": "rain"}], ids=["text", "tuple", "pair"]
)
def test_scores_of_one_text_need_a_list(lone, classify) -> None:
    with pytest.raises(TypeError, match="put it into a list"):
        classify.scores(lone)
    best = classify(lone)
    entry = best[0] if isinstance(best, list) else best
    assert np.isclose(classify.scores([lone]).max(), entry["score"])


def test_what_is_no_text_is_told_what_would_be_one(classify) -> None:
    for call in (classify, classify.scores):
        with pytest.raises(TypeError, match="are NoneType; expected a text, a pair, or a list of them"):
            call(None)


@pytest.mark.parametrize("inputs", [{"sun", "rain"}, frozenset({"sun"}), b"sun", bytearray(b"sun")])
def test_what_has_no_order_or_holds_numbers_is_no_list_of_texts(inputs, classify) -> None:
    for call in (classify, classify.scores):
        with pytest.raises(TypeError, match=f"are {type(inputs).__name__}; expected a text, a pair, or a list of them"):
            call(inputs)


def test_the_names_of_the_columns_of_a_table_are_no_texts(classify) -> None:
    table = np.array([["sun", "rain"]])
    for call in (classify, classify.scores):
        with pytest.raises(TypeError, match="are ndarray; expected a text, a pair, or a list of them"):
            call(table)
    assert classify.scores(table[0]).shape == (2, 2)


@pytest.mark.parametrize("batch_size", [0, 1.5, "8"])
def test_a_batch_is_a_whole_number_of_texts(batch_size, classify) -> None:
    with pytest.raises(EmbedError, match=f"batch_size={batch_size!r}: expected a whole number"):
        classify(["sun"], batch_size=batch_size)


@pytest.mark.parametrize("length", [2, 3.0, "8", True])
def test_a_length_leaves_room_for_more_than_special_tokens(length, make_encoder) -> None:
    folder = make_encoder("short", labels=("no", "yes"))
    with pytest.raises(EmbedError, match=f"max_length={length!r}: expected at least 3"):
        WebNNClassifier(folder, backend="numpy", max_length=length)


def test_an_unknown_reaction_to_truncation_is_refused_later_too(classify) -> None:
    with pytest.raises(EmbedError, match="on_truncation='raise': expected one of warn, error, ignore"):
        classify.on_truncation = "raise"
    assert classify.on_truncation == "warn"


def test_an_embedder_is_no_classifier(make_encoder) -> None:
    with pytest.raises(EmbedError, match=r"/vectors: the graph's outputs .* this is no classifier; .* webnn embed"):
        WebNNClassifier(make_encoder("vectors"), backend="numpy")


def test_a_classifier_is_no_embedder(make_encoder) -> None:
    folder = make_encoder("labelled", labels=("no", "yes"))
    with pytest.raises(EmbedError, match=r"/labelled: .*'logits' f32\[batch, 2\]: a classifier; .* webnn classify"):
        WebNNEmbedder(folder, backend="numpy", pooling="mean")


def test_a_default_prompt_that_would_be_left_out_is_refused(make_encoder) -> None:
    folder = make_encoder("prompted", labels=("no", "yes"))
    place = folder / "config_sentence_transformers.json"
    settings = {"model_type": "CrossEncoder", "prompts": {"query": "", "rank": "rank: "}, "default_prompt_name": "rank"}
    place.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(EmbedError, match="the default prompt 'rank' goes before texts in sentence-transformers"):
        WebNNClassifier(folder, backend="numpy")
    place.write_text(json.dumps(settings | {"default_prompt_name": "query"}), encoding="utf-8")
    assert WebNNClassifier(folder, backend="numpy").labels == ("no", "yes")
