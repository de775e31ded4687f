"""The identity of a model: the same for equal vectors, another where anything changes them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim
from webnn_runtime.format.dtypes import DataType


@pytest.fixture
def graph_model(kit):
    """A fake encoder over a real graph, whose one constant is `value`."""

    def build(value: float):
        dims = [DynamicDim("batch", 64), DynamicDim("length", 32)]
        builder = GraphBuilder("encoder", dims=dims)
        ids = builder.input("input_ids", DataType.INT64, kit.TEXT_SHAPE)
        table = builder.constant(np.full((20, 6), value, dtype=np.float32), name="table")
        model = kit.FakeEncoder({"input_ids": ids.type})
        model.graph = builder.build({"last_hidden_state": builder.op("gather", table, ids, axis=0)})
        return model

    return build


def test_the_identity_is_the_same_for_the_same_files(make, graph_model) -> None:
    identities = {make(graph_model(1.0)).identity for _ in range(2)}
    assert len(identities) == 1
    assert len(identities.pop()) == 64


def test_the_identity_follows_a_changed_limit(make, graph_model) -> None:
    embedder = make(graph_model(1.0))
    before = embedder.identity
    embedder.max_seq_length = 5
    assert embedder.identity != before


def test_a_limit_of_numpy_is_a_limit(make, graph_model) -> None:
    embedder, same = make(graph_model(1.0), max_seq_length=np.int64(5)), make(graph_model(1.0), max_seq_length=5)
    assert embedder.identity == same.identity
    assert json.loads(json.dumps(embedder.backend_info()))["max_seq_length"] == 5


@pytest.mark.parametrize(
    "change", ["weights", "pooling", "length", "tokenizer", "prompts", "stages", "padding", "size"]
)
def test_the_identity_changes_with_whatever_changes_a_vector(change, make, graph_model, kit, folder) -> None:
    before = make(graph_model(1.0)).identity
    arguments = {"pooling": {"pooling": "cls"}, "length": {"max_seq_length": 5}}.get(change, {})
    if change == "tokenizer":
        text = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(text.replace('"sun"', '"son"'))
    elif change == "prompts":
        kit.save_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "q"}})
    elif change == "stages":
        kit.save_modules(folder, Pooling=kit.MEAN, Normalize={})
    elif change == "size":
        kit.save_json(folder / "config_sentence_transformers.json", {"truncate_dim": 3})
    elif change == "padding":
        kit.save_tokenizer(folder, padding_side="left")
    assert make(graph_model(2.0 if change == "weights" else 1.0), **arguments).identity != before


def test_what_a_caller_gives_counts_as_what_the_files_state(make, graph_model, kit, folder) -> None:
    arguments = {"prompts": {"query": "q"}, "default_prompt_name": "query", "truncate_dim": 3}
    given = make(graph_model(1.0), **arguments).identity
    assert given != make(graph_model(1.0)).identity
    kit.save_json(folder / "config_sentence_transformers.json", arguments)
    assert make(graph_model(1.0)).identity == given
