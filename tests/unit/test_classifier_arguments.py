"""What a classifier is given has to be what it takes: the characters of a text are no texts."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

from webnn_runtime import WebNNClassifier, WebNNEmbedder
from webnn_runtime.embed.foreign import CLASSIFIER, CLASSIFY
from webnn_runtime.format.errors import EmbedError, WebnnError


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


def test_a_length_of_numpy_is_a_length(make_encoder) -> None:
    classifier = WebNNClassifier(make_encoder("cut", labels=("no", "yes")), backend="numpy", max_length=np.int64(5))
    assert json.loads(json.dumps(classifier.backend_info()))["max_length"] == 5


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


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"truncation": False}, "always cut to max_length"),
        ({"truncation": "only_first"}, "always cut to max_length"),
        ({"max_length": 12}, "pass it to WebNNClassifier"),
        ({"return_all_scores": True}, "pass top_k=None"),
        ({"activation_fn": len}, "function_to_apply="),
        ({"convert_to_tensor": True}, "gives an array"),
        ({"prompt": "query: "}, "put it before the texts"),
        ({"batchsize": 3}, r"did you mean batch_size\?"),
        ({"qqq": 3}, "there are inputs, "),
    ],
    ids=str,
)
def test_an_argument_of_others_is_answered_with_what_to_do(options, advice, classify) -> None:
    (name,) = options
    for call in (classify, classify.scores):
        with pytest.raises(TypeError, match=f"there is no argument '{name}'; .*{advice}"):
            call(["sun"], **options)


def test_arguments_that_ask_for_what_happens_anyway_pass(classify) -> None:
    options = {"truncation": True, "padding": True, "num_workers": None, "show_progress_bar": False, "device": "cpu"}
    assert classify(["sun", "rain"], **options) == classify(["sun", "rain"])
    np.testing.assert_array_equal(classify.scores(["sun"], **options), classify.scores(["sun"]))


@pytest.mark.parametrize("device", [-1, "cpu", None])
def test_the_cpu_may_be_asked_for_as_pipelines_ask(device, make_encoder) -> None:
    folder = make_encoder("labelled", labels=("no", "yes"))
    assert WebNNClassifier(folder, backend="numpy", device=device, model_kwargs={}).labels == ("no", "yes")
    with pytest.raises(TypeError, match="call it device_type"):
        WebNNClassifier(folder, backend="numpy", device=0)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"model": "x"}, "model_id"),
        ({"task": "ner"}, "leave it out"),
        ({"device": 0}, "device_type"),
        ({"tokenizer": "x"}, "tokenizer_id"),
        ({"max_seq_length": 5}, "call it max_length"),
        ({"top_k": 2}, "pass it to a call"),
        ({"treads": 1}, r"did you mean threads\?"),
    ],
    ids=str,
)
def test_the_constructor_answers_alike(options, advice) -> None:
    with pytest.raises(TypeError, match=f"^WebNNClassifier: there is no argument .*{advice}"):
        WebNNClassifier("not/looked-at", **options)


@pytest.mark.torch
def test_every_argument_of_cross_encoders_and_pipelines_is_understood(optional) -> None:
    encoder = optional("sentence_transformers").CrossEncoder
    pipeline = optional("transformers").TextClassificationPipeline
    expected = {
        WebNNClassifier.__init__: (encoder.__init__, CLASSIFIER),
        WebNNClassifier.__call__: (encoder.predict, CLASSIFY),
        WebNNClassifier.scores: (pipeline._sanitize_parameters, {"top_k": (), "tokenizer_kwargs": (), **CLASSIFY}),
    }
    for ours, (theirs, foreign) in expected.items():
        known = {*inspect.signature(ours).parameters, *foreign, "kwargs", "backend"}
        assert set(inspect.signature(theirs).parameters) <= known


@pytest.mark.native
def test_memory_of_a_run_is_bounded_as_for_an_embedder(make_encoder, optional) -> None:
    optional("webnn_kernels")
    folder = make_encoder("bounded", labels=("no", "yes"))
    texts = ["sun rain cat dog"] * 60
    whole = WebNNClassifier(folder, backend="rust")
    bounded = WebNNClassifier(folder, backend="rust", max_memory=20_000)
    np.testing.assert_array_equal(bounded.scores(texts), whole.scores(texts))
    with pytest.raises(WebnnError, match="bytes are needed for values; 1 are allowed"):
        WebNNClassifier(folder, backend="rust", max_memory=1).scores(texts)
