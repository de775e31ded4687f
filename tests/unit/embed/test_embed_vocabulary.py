"""Tokens that the graph does not know are refused: a gather would take the last row of its table for them."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed.feed import Feed
from webnn_runtime.embed.tokenizer import Padding, Tokens
from webnn_runtime.embed.vocabulary import table_rows
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import TensorType


@pytest.fixture
def graph(kit):
    """Looks up ids in tables of 16 and 15 rows, the second after a cast and a reshape, and segments in one of 2."""
    builder = GraphBuilder("encoder", dims=[DynamicDim("batch", 64), DynamicDim("length", 32)])
    ids, types, mask = (
        builder.input(name, DataType.INT64, kit.TEXT_SHAPE)
        for name in ("input_ids", "token_type_ids", "attention_mask")
    )
    large, small, segments = (
        builder.constant(np.zeros((rows, kit.HIDDEN), np.float32), name=f"t{rows}") for rows in (16, 15, 2)
    )
    same = builder.op("reshape", builder.op("cast", ids, type="int32"), newShape=kit.TEXT_SHAPE)
    rows = [builder.op("gather", table, at, axis=0) for table, at in ((large, ids), (small, same), (segments, types))]
    rows.append(builder.op("gather", builder.op("identity", mask), same, axis=0))
    return builder.build({"out": builder.op("add", builder.op("add", rows[0], rows[1]), rows[2]), "rest": rows[3]})


def test_the_smallest_table_of_each_input_counts(graph) -> None:
    assert table_rows(graph, graph.inputs) == {"input_ids": 15, "token_type_ids": 2}


def tokens(*ids: int, segment: int = 0) -> Tokens:
    return Tokens(np.array(ids, np.int32), np.full(len(ids), segment, np.int32))


@pytest.mark.parametrize("way", ["padded", "unpadded"])
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (tokens(3, 15), "'input_ids': a text has the number 15, and the graph knows 0 to 14; the tokenizer belongs to"),
        (tokens(3, segment=2), "'token_type_ids': a text has the number 2, and the graph knows 0 to 1"),
    ],
)
def test_a_number_beyond_its_table_is_refused(way, text, complaint, graph) -> None:
    feed = Feed.of(graph.inputs, graph.dims, rows=table_rows(graph, graph.inputs))
    texts = [tokens(1, 14, 2, segment=1), text]
    build = {
        "padded": lambda: feed.build(texts, Padding(0)),
        "unpadded": lambda: feed.build_texts(texts, Padding(0), dict.fromkeys(graph.inputs, DataType.INT64)),
    }[way]
    with pytest.raises(EmbedError, match=complaint):
        build()


def test_a_position_beyond_its_table_is_refused_and_that_of_padding_is_not(kit) -> None:
    names = ("input_ids", "attention_mask", "position_ids")
    feed = Feed.of(
        {name: TensorType(DataType.INT64, kit.TEXT_SHAPE) for name in names},
        {name: DynamicDim(name, 32) for name in ("batch", "length")},
        model_type="roberta",
        rows={"position_ids": 6},
    )
    assert feed.build([tokens(1), tokens(1, 2, 3)], Padding(2)).feeds["position_ids"].max() == 5
    with pytest.raises(EmbedError, match="'position_ids': a text has the number 6, and the graph knows 0 to 5"):
        feed.build([tokens(1), tokens(1, 2, 3, 4)], Padding(2))


def test_padding_beyond_the_table_is_masked_out_and_so_allowed(graph) -> None:
    feed = Feed.of(graph.inputs, graph.dims, rows=table_rows(graph, graph.inputs))
    assert feed.build([tokens(1, 14), tokens(2)], Padding(15)).feeds["input_ids"].tolist() == [[1, 14], [2, 15]]


def test_an_embedder_asks_its_graph(make, kit, graph, folder) -> None:
    model = kit.FakeEncoder()
    model.graph = graph
    kit.save_json(folder / "tokenizer_config.json", {"pad_token": "[PAD]", "additional_special_tokens": ["[Q]"]})
    embedder = make(model)
    assert embedder.encode(["rain"]).shape == (1, kit.HIDDEN)
    with pytest.raises(EmbedError, match=f"the number {len(kit.WORDS)}, and the graph knows 0 to 14"):
        embedder.encode(["rain", "[Q] sun"])
