"""What a user of sentence-transformers passes: it works, or the error says what to do instead."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import pytest

from webnn_runtime import WebNNClassifier, WebNNEmbedder
from webnn_runtime.embed.foreign import CONSTRUCTOR, ENCODE
from webnn_runtime.format.errors import EmbedMisuse, HubMisuse


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"output_value": "token_embeddings"}, r"webnn_runtime\.load"),
        ({"output_value": None}, r"webnn_runtime\.load"),
        ({"device": "cuda"}, "device_type="),
        ({"pool": {"input": 1}}, "threads="),
        ({"chunk_size": 100}, "threads="),
        ({"max_length": 12}, "max_seq_length"),
        ({"sentences": ["a"]}, "first argument"),
        ({"normalise": True}, "did you mean normalize"),
        ({"qqq": 1}, "there are texts, batch_size"),
    ],
    ids=str,
)
def test_an_argument_of_others_is_answered_with_what_to_do(options, advice, make) -> None:
    with pytest.raises(TypeError, match=advice):
        make().encode(["a"], **options)


@pytest.mark.parametrize("name", ["sentences", "inputs"])
def test_texts_by_another_name_are_not_said_to_be_missing(name, make) -> None:
    embedder = make()
    for call in (embedder.encode, embedder.encode_query, embedder.encode_document):
        with pytest.raises(TypeError, match=f"no argument '{name}'; texts are the first argument"):
            call(**{name: ["a"]})
        with pytest.raises(TypeError, match="texts are NoneType; expected a str"):
            call()


def test_arguments_that_ask_for_what_happens_anyway_pass(make) -> None:
    options = {"output_value": "sentence_embedding", "device": None, "pool": None, "chunk_size": None}
    embedder = make(model_kwargs={}, device="cpu")
    for call in (embedder.encode, embedder.encode_query, embedder.encode_document):
        for asked in (options, {"device": "cpu"}, {"precision": None}):
            assert np.array_equal(call(["a"], **asked), embedder.encode(["a"]))


def test_a_device_is_asked_for_where_it_is_the_one_in_use(make) -> None:
    embedder = make(device_type="gpu")
    assert embedder.encode("a", device="gpu").shape == (6,)
    for other in ("cpu", "cuda", ["gpu"], np.array(["gpu", "gpu"])):
        with pytest.raises(TypeError, match="there is no argument 'device'; choose it by WebNNEmbedder"):
            embedder.encode("a", device=other)


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"cache_folder": "x"}, "cache_dir"),
        ({"trust_remote_code": True}, "never run"),
        ({"device": "cuda"}, "one of cpu, gpu, npu"),
        ({"model_kwargs": {"dtype": "float16"}}, "leave it out"),
        ({"device": -1}, "one of cpu, gpu, npu"),
        ({"bakend": "rust"}, "did you mean backend"),
        ({"normalize_embeddings": False}, "pass it to encode"),
        ({"providers": ["CPUExecutionProvider"]}, "backend= and device_type="),
    ],
    ids=str,
)
def test_the_constructor_answers_alike(options, advice) -> None:
    with pytest.raises(TypeError, match=advice):
        WebNNEmbedder("not/looked-at", **options)


@pytest.mark.parametrize("opened", [WebNNEmbedder, WebNNClassifier])
@pytest.mark.parametrize("name", ["model_name_or_path", "model_name"])
def test_a_model_by_another_name_is_not_said_to_be_missing(name, opened) -> None:
    with pytest.raises(TypeError, match=f"no argument '{name}'; call it model_id, or pass it first"):
        opened(**{name: "me/model"})
    with pytest.raises(HubMisuse, match="the model None is no name; pass an existing folder"):
        opened()


@pytest.mark.torch
def test_every_argument_that_sentence_transformers_has_is_understood(optional) -> None:
    theirs = optional("sentence_transformers").SentenceTransformer
    own = {WebNNEmbedder.encode: (theirs.encode, ENCODE), WebNNEmbedder.__init__: (theirs.__init__, CONSTRUCTOR)}
    for ours, (other, foreign) in own.items():
        known = {*inspect.signature(ours).parameters, *foreign, "kwargs"}
        assert set(inspect.signature(other).parameters) <= known


class Table:
    """As a DataFrame of pandas: what it gives one by one are the names of its columns."""

    ndim = 2

    def __iter__(self):
        return iter(["text", "label"])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (Table(), "texts are Table"),
        (np.array([["a", "b"]]), "texts are ndarray"),
        (None, "texts are NoneType"),
        (3, "texts are int"),
        (np.array("a"), "texts are ndarray"),
        ({"text": "a"}, "texts are dict"),
        ({"a"}, "texts are set"),
        (frozenset(["a"]), "texts are frozenset"),
        (b"ab", "is bytes"),
    ],
    ids=repr,
)
def test_texts_of_another_kind_are_named(texts, message, make) -> None:
    with pytest.raises(TypeError, match=f"encode: .*{message}"):
        make().encode(texts)


def test_a_prompt_that_is_no_text_is_named(make) -> None:
    with pytest.raises(TypeError, match="encode: prompt is int; expected str"):
        make().encode("a", prompt=3)


def test_a_string_alone_is_one_text_to_tokenize(make) -> None:
    embedder = make()
    assert embedder.tokenize("a b") == embedder.tokenize(["a b"])


@pytest.mark.parametrize(
    "options", [{"batch_size": 2.5}, {"batch_size": "3"}, {"truncate_dim": 1.5}, {"truncate_dim": "2"}], ids=str
)
def test_a_number_that_is_not_whole_is_refused(options, make) -> None:
    with pytest.raises(EmbedMisuse, match="expected"):
        make().encode(["a"], **options)


def test_the_integers_of_numpy_are_integers(make) -> None:
    assert make().encode(["a"], batch_size=np.int32(2), truncate_dim=np.int64(3)).shape == (1, 3)


@pytest.mark.parametrize("length", [5.5, "5"])
def test_a_length_that_is_not_whole_is_refused(length, make) -> None:
    embedder = make()
    with pytest.raises(EmbedMisuse, match="expected at least"):
        embedder.max_seq_length = length


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_copy_is_refused_with_what_to_do(copying, make) -> None:
    with pytest.raises(TypeError, match=r"another process opens its own: WebNNEmbedder\("):
        copying(make())


def test_the_size_of_a_vector_has_both_names(make) -> None:
    embedder = make()
    assert embedder.get_embedding_dimension() == embedder.get_sentence_embedding_dimension() == 6


def test_the_name_of_a_prompt_in_second_place_is_answered_with_its_argument(make) -> None:
    with pytest.raises(EmbedMisuse, match=r"batch_size='query'; .*; a prompt is chosen by prompt_name="):
        make().encode(["a"], "query")
