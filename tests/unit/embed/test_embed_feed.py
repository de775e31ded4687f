"""Feeding a graph exactly what it declares, and finding the output that holds embeddings."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed.counted import is_only_counted
from webnn_runtime.embed.feed import Feed, Output, choose_output
from webnn_runtime.embed.tokenizer import Padding, Tokens
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import MAX_DIM, DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import TensorType

NAMES = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
FREE = (symbol("batch"), symbol("length"))
DIMS = {"batch": DynamicDim("batch", 64), "length": DynamicDim("length", 16)}
PAD = Padding(9)


def feed(*names: str, shape=FREE, dtype=DataType.INT64, dims=DIMS, **options) -> Feed:
    return Feed.of({name: TensorType(dtype, shape) for name in names}, dims, **options)


def tokens(*ids: int) -> Tokens:
    return Tokens(np.array(ids, dtype=np.int32), np.arange(len(ids), dtype=np.int32))


def test_each_input_is_built_and_padded_on_the_right() -> None:
    batch = feed(*NAMES).build([tokens(5, 6, 7), tokens(8)], PAD)
    assert {name: array.tolist() for name, array in batch.feeds.items()} == {
        "input_ids": [[5, 6, 7], [8, 9, 9]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "token_type_ids": [[0, 1, 2], [0, 0, 0]],
        "position_ids": [[0, 1, 2], [0, 0, 0]],
    }
    assert (batch.spans, batch.length) == ([(0, 3), (0, 1)], 3)


def test_padding_on_the_left_moves_text_and_not_its_positions() -> None:
    batch = feed(*NAMES).build([tokens(5, 6, 7), tokens(7, 8)], Padding(9, 4, "left"))
    assert batch.feeds["input_ids"].tolist() == [[5, 6, 7], [9, 7, 8]]
    assert batch.feeds["attention_mask"].tolist() == [[1, 1, 1], [0, 1, 1]]
    assert batch.feeds["token_type_ids"].tolist() == [[0, 1, 2], [4, 0, 1]]
    assert batch.feeds["position_ids"].tolist() == [[0, 1, 2], [0, 0, 1]]
    assert batch.spans == [(0, 3), (1, 3)]


def test_a_graph_that_only_counts_tokens_is_padded_on_the_right() -> None:
    batch = feed(*NAMES, pads_right=True).build([tokens(5, 6, 7), tokens(7, 8)], Padding(9, 4, "left"))
    assert batch.feeds["input_ids"].tolist() == [[5, 6, 7], [7, 8, 9]]
    assert batch.feeds["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert batch.spans == [(0, 3), (0, 2)]


@pytest.mark.parametrize("reading", ["counted", "batch", "read", "both", "given out", "unread"])
def test_whether_a_mask_is_only_counted_is_seen_in_the_graph(reading: str) -> None:
    builder = GraphBuilder("g", dims=list(DIMS.values()))
    mask = builder.input("attention_mask", DataType.INT64, FREE)
    ids = builder.input("input_ids", DataType.INT64, FREE)
    wide = builder.op("cast", mask, to=DataType.FLOAT32)
    axis = 0 if reading == "batch" else 1
    outputs = {"ids": builder.op("neg", ids)}
    if reading in ("counted", "batch", "both", "given out"):
        outputs["sum"] = builder.op("reduceSum", wide, axes=(axis,), keepDimensions=False)
    if reading in ("read", "both"):
        outputs["read"] = builder.op("neg", wide)
    if reading == "given out":
        outputs["mask"] = wide
    assert is_only_counted(builder.build(outputs)) is (reading == "counted")


def test_positions_follow_the_padding_id_where_the_architecture_counts_so() -> None:
    batch = feed(*NAMES, model_type="roberta").build([tokens(5, 6), tokens(7)], Padding(1))
    assert batch.feeds["position_ids"].tolist() == [[2, 3], [2, 1]]


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_nothing_is_fed_that_the_graph_does_not_declare(count: int) -> None:
    names = NAMES[:count]
    assert set(feed(*names).build([tokens(5)], PAD).feeds) == set(names)


@pytest.mark.parametrize("dtype", [DataType.INT32, DataType.INT64, DataType.UINT32])
def test_inputs_have_the_declared_type(dtype: DataType) -> None:
    batch = feed(*NAMES, dtype=dtype).build([tokens(5)], PAD)
    assert {array.dtype for array in batch.feeds.values()} == {dtype.numpy}


def test_a_mask_may_be_a_float() -> None:
    kinds = {"input_ids": TensorType(DataType.INT64, FREE), "attention_mask": TensorType(DataType.FLOAT32, FREE)}
    assert Feed.of(kinds, DIMS).build([tokens(5)], PAD).feeds["attention_mask"].dtype == np.float32


def test_a_fixed_shape_is_filled_with_padding_and_copies_of_the_last_text() -> None:
    batch = feed("input_ids", "attention_mask", shape=(3, 4)).build([tokens(5, 6), tokens(7)], PAD)
    assert batch.feeds["input_ids"].tolist() == [[5, 6, 9, 9], [7, 9, 9, 9], [7, 9, 9, 9]]
    assert batch.feeds["attention_mask"].sum(axis=1).tolist() == [2, 1, 1]
    assert batch.spans == [(0, 2), (0, 1)]


def test_the_smallest_size_of_a_named_dimension_is_respected() -> None:
    dims = {"batch": DynamicDim("batch", 64, 2), "length": DynamicDim("length", 16, 4)}
    assert feed("input_ids", "attention_mask", dims=dims).build([tokens(5)], PAD).feeds["input_ids"].shape == (2, 4)


def test_the_limit_is_the_largest_length_of_the_graph() -> None:
    assert feed("input_ids").limit.tokens == 16
    assert feed("input_ids", shape=(1, 128)).limit.tokens == 128
    assert feed("input_ids", dims=DIMS | {"length": DynamicDim("length", MAX_DIM)}).limit.tokens is None


def test_a_text_without_tokens_is_a_row_of_padding_that_is_attended_to() -> None:
    batch = feed("input_ids", "attention_mask").build([tokens()], PAD)
    assert batch.feeds["input_ids"].tolist() == [[9]]
    assert batch.feeds["attention_mask"].tolist() == [[1]]
    assert batch.spans == [(0, 0)]


@pytest.mark.parametrize(
    ("kinds", "complaint"),
    [
        ({}, "there is no input 'input_ids': the graph takes nothing"),
        ({"attention_mask": ("int64", FREE)}, "there is no input 'input_ids': the graph takes attention_mask"),
        ({"input_ids": ("int64", FREE), "pixels": ("float32", FREE)}, "input 'pixels' is not known"),
        ({"input_ids": ("int64", (1,))}, r"input 'input_ids' is i64\[1\]; expected int32 or int64"),
        ({"input_ids": ("float32", FREE)}, "input 'input_ids' is f32"),
        ({"input_ids": ("int8", FREE)}, "input 'input_ids' is i8"),
        ({"input_ids": ("int64", (1, 4)), "attention_mask": ("int64", (1, 8))}, "their shapes must be equal"),
    ],
)
def test_a_graph_that_does_not_take_token_ids_is_refused(kinds, complaint) -> None:
    types = {name: TensorType(DataType(dtype), shape) for name, (dtype, shape) in kinds.items()}
    with pytest.raises(EmbedError, match=complaint):
        Feed.of(types, DIMS)


def test_padding_needs_a_mask() -> None:
    with pytest.raises(EmbedError, match="fixed length of 4 tokens and no input 'attention_mask'"):
        feed("input_ids", shape=(1, 4)).build([tokens(5)], PAD)


def test_padding_needs_a_padding_token() -> None:
    with pytest.raises(EmbedError, match="the tokenizer has none; state 'pad_token'"):
        feed("input_ids", "attention_mask").build([tokens(5), tokens(5, 6)], Padding(None))


def test_texts_of_one_length_need_no_padding_token() -> None:
    batch = feed("input_ids", "attention_mask").build([tokens(5, 6), tokens(7, 8)], Padding(None))
    assert batch.feeds["input_ids"].tolist() == [[5, 6], [7, 8]]


def outputs(**ranks: int) -> dict[str, TensorType]:
    return {name: TensorType(DataType.FLOAT32, (*FREE, 6)[-rank:]) for name, rank in ranks.items()}


@pytest.mark.parametrize(
    ("ranks", "name", "expected"),
    [
        ({"last_hidden_state": 3}, None, Output("last_hidden_state", False, 6)),
        ({"last_hidden_state": 3, "pooler_output": 2}, None, Output("last_hidden_state", False, 6)),
        ({"token_embeddings": 3, "sentence_embedding": 2}, None, Output("sentence_embedding", True, 6)),
        ({"last_hidden_state": 3, "token_embeddings": 3}, None, Output("token_embeddings", False, 6)),
        ({"sentence_embedding": 3}, None, Output("sentence_embedding", False, 6)),
        ({"output_0": 3}, None, Output("output_0", False, 6)),
        ({"output_0": 3, "output_1": 3}, "output_1", Output("output_1", False, 6)),
        ({"pooled": 2}, "pooled", Output("pooled", True, 6)),
    ],
)
def test_the_output_is_chosen_by_name_and_rank(ranks, name, expected) -> None:
    assert choose_output(outputs(**ranks), name=name, want_tokens=False) == expected


def test_token_vectors_are_taken_when_they_are_asked_for() -> None:
    both = outputs(token_embeddings=3, sentence_embedding=2)
    assert choose_output(both, name=None, want_tokens=True).name == "token_embeddings"


@pytest.mark.parametrize(
    ("ranks", "name"),
    [({"pooler_output": 2}, None), ({"x": 3, "y": 3}, None), ({"x": 3}, "y"), ({"x": 1}, "x")],
)
def test_an_output_that_is_not_clear_is_refused_with_a_list(ranks, name) -> None:
    with pytest.raises(EmbedError, match=r"the graph's outputs are '.*' f32\[.*output"):
        choose_output(outputs(**ranks), name=name, want_tokens=False)


def test_an_output_of_integers_is_never_an_embedding() -> None:
    with pytest.raises(EmbedError, match="it is not clear"):
        choose_output({"last_hidden_state": TensorType(DataType.INT8, (*FREE, 6))}, name=None, want_tokens=False)


def test_an_output_of_unknown_size_is_refused() -> None:
    kind = TensorType(DataType.FLOAT32, (*FREE, symbol("batch")))
    with pytest.raises(EmbedError, match="the size of its vectors must be a number"):
        choose_output({"last_hidden_state": kind}, name=None, want_tokens=False)
