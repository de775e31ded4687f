"""Which tokens a static embedding gets: the rules of the library that saved it, or of the one that is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from webnn_runtime.embed import TruncationWarning, WebNNEmbedder
from webnn_runtime.embed.static import find_static, load_static, tokenizer_of
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.graph import TensorType

STATIC = "sentence_transformers.models.StaticEmbedding"


class MeanOfRows:
    """Stands in for a graph: the mean of a table's rows over what is not masked, and 0 where all is."""

    def __init__(self, kit: SimpleNamespace) -> None:
        encoder = kit.FakeEncoder()
        self.graph, self.table = encoder.graph, encoder.table
        self.inputs = {name: TensorType(DataType.INT64, kit.TEXT_SHAPE) for name in ("input_ids", "attention_mask")}
        self.outputs = {"sentence_embedding": TensorType(DataType.FLOAT32, (kit.TEXT_SHAPE[0], kit.HIDDEN))}

    def run(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        mask = inputs["attention_mask"][..., None]
        total = (self.table[inputs["input_ids"]] * mask).sum(axis=1)
        return {"sentence_embedding": (total / np.maximum(mask.sum(axis=1), 1)).astype(np.float32)}

    def texts(self, outputs: object = None, pooling: object = None, *, normalize: bool = False) -> None:
        del outputs, pooling, normalize

    def describe(self) -> dict[str, object]:
        return {"backend": "fake"}


@pytest.fixture
def save(tmp_path: Path, kit: SimpleNamespace) -> Callable[..., Path]:
    """Write a folder that model2vec saved, or sentence-transformers, or both can read."""

    def save(*libraries: str, place: str = ".", truncation: int | None = None, **config: Any) -> Path:
        # Settings that neither library looks at.
        tokenizer = kit.save_tokenizer(tmp_path / place, model_max_length=3, do_lower_case=False)
        if truncation is not None:
            tokenizer.enable_truncation(truncation, direction="left")
            tokenizer.save(str(tmp_path / place / "tokenizer.json"))
        if "model2vec" in libraries:
            kit.save_json(tmp_path / "config.json", {"model_type": "model2vec"} | config)
        if "sentence-transformers" in libraries:
            kit.save_json(tmp_path / "modules.json", [{"path": place, "type": STATIC}])
        return tmp_path

    return save


@pytest.fixture
def embed(make: Callable[..., WebNNEmbedder], kit: SimpleNamespace) -> Callable[..., WebNNEmbedder]:
    return lambda folder, **arguments: make(MeanOfRows(kit), model_id=folder, **arguments)


# In the words of the tests' tokenizer, "zzz" is unknown; 1 is its number.
TEXT, ALL, KNOWN = "a zzz b", [4, 1, 5], [4, 5]


@pytest.mark.parametrize(
    ("libraries", "asked", "ids"),
    [
        (["model2vec"], None, KNOWN),
        (["sentence-transformers"], None, ALL),
        (["model2vec", "sentence-transformers"], None, KNOWN),
        (["model2vec", "sentence-transformers"], "model2vec", KNOWN),
        (["model2vec", "sentence-transformers"], "sentence-transformers", ALL),
    ],
)
def test_the_library_that_saved_a_folder_has_the_word(libraries, asked, ids, save, embed) -> None:
    embedder = embed(save(*libraries), library=asked)
    assert embedder.tokenize([TEXT, "", "[CLS] zzz"]) == [ids, [], [2] if ids == KNOWN else [2, 1]]
    assert embedder.backend_info()["library"] == (asked or libraries[0])


def test_the_rules_are_part_of_what_identifies_a_tokenizer(save) -> None:
    folder = save("model2vec", "sentence-transformers")
    digests = set()
    for library in (None, "model2vec", "sentence-transformers"):
        static = find_static(folder, library)
        assert static is not None
        digests.add(load_static(static, folder)[0].digest)
    assert len(digests) == 2


@pytest.mark.parametrize(
    ("libraries", "asked", "complaint"),
    [
        (
            ["model2vec"],
            "sentence-transformers",
            "are no static embedding of sentence-transformers; they are one of mod",
        ),
        (["sentence-transformers"], "model2vec", "are no static embedding of model2vec; they are one of sentence-"),
        ([], "model2vec", "the argument is for static embeddings alone"),
        ([], "word2vec", "library='word2vec': expected one of sentence-transformers, model2vec"),
    ],
)
def test_rules_that_the_files_do_not_name_are_refused(libraries, asked, complaint, save, embed) -> None:
    with pytest.raises(EmbedMisuse, match=complaint):
        embed(save(*libraries), library=asked)


def test_a_text_without_tokens_has_the_vector_0_among_others_and_alone(save, embed) -> None:
    embedder = embed(save("model2vec"))
    assert not embedder.encode(["", "a", "zzz"], normalize=False)[[0, 2]].any()
    assert not embedder.encode("zzz").any()
    assert embedder.encode("a").any()


@pytest.mark.parametrize(
    ("config", "limit", "origin"),
    [
        ({}, 512, "model2vec's own, as config.json names none"),
        ({"max_length": 3}, 3, "max_length in config.json"),
        ({"max_length": None}, None, "max_length in config.json"),
    ],
)
def test_the_length_of_model2vec(config, limit, origin, save) -> None:
    folder = save("model2vec", **config)
    static = find_static(folder)
    assert static is not None
    found = load_static(static, folder)[1].limit
    assert (found.tokens, found.origin) == (limit, origin)


def test_model2vec_cuts_characters_first_and_drops_unknown_tokens_last(save, embed) -> None:
    embedder = embed(save("model2vec", max_length=2), on_truncation="warn")
    # Words of the vocabulary have 3 characters at the median, so that 2 tokens are at most 6 of them.
    assert embedder.tokenize(["a b c", "zzz a b", "a     b", "a    b"]) == [[4, 5], [4], [4], [4, 5]]
    with pytest.warns(TruncationWarning, match=r"2 of 4 texts are longer than 2 tokens .*; text 1 has 3"):
        embedder.encode(["a b", "a b c", "a     b", "a         "])


def test_sentence_transformers_cuts_where_the_tokenizer_says(save, embed) -> None:
    embedder = embed(save("sentence-transformers", truncation=2), on_truncation="ignore")
    assert (embedder.max_seq_length, embedder.tokenize(["a b c"])) == (2, [[5, 6]])
    info = embedder.backend_info()
    assert info["max_seq_length_origin"] == "truncation in tokenizer.json"


def test_a_module_in_a_folder_of_its_own_is_found(save, embed) -> None:
    folder = save("sentence-transformers", place="0_StaticEmbedding")
    assert embed(folder).tokenize([TEXT]) == [ALL]
    tokenizer = tokenizer_of(folder)
    assert tokenizer is not None
    assert tokenizer.encode([TEXT], None)[0].ids.tolist() == ALL


def test_a_folder_without_a_tokenizer_has_none(tmp_path: Path, kit) -> None:
    kit.save_json(tmp_path / "modules.json", [{"path": "0_StaticEmbedding", "type": STATIC}])
    assert tokenizer_of(tmp_path) is None


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"max_length": 0}, "'max_length' is 0; expected a positive number of tokens, or null"),
        ({"max_length": "512"}, "'max_length' is a string; expected an integer"),
        ({"model_type": 5}, "'model_type' is an integer; expected a string"),
    ],
)
def test_settings_of_another_kind_are_refused(config, complaint, save, embed) -> None:
    with pytest.raises(EmbedError, match=complaint):
        embed(save("model2vec", **config))


def test_a_graph_of_token_vectors_is_not_taken_for_a_static_embedding(save, make) -> None:
    with pytest.raises(EmbedError, match="the modules are StaticEmbedding; expected StaticEmbedding, whose graph has"):
        make(model_id=save("sentence-transformers"))


def test_the_settings_of_another_model_are_left_alone(tmp_path: Path, kit) -> None:
    kit.save_json(tmp_path / "config.json", {"model_type": "bert"})
    kit.save_json(tmp_path / "modules.json", json.loads('[{"path": "", "type": "my.StaticEmbedding"}]'))
    assert find_static(tmp_path) is None
