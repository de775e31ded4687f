"""Texts on a backend that needs no padding: what it is fed, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.embed.batches import plan_unpadded
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType

TEXTS = ["a b c", "sun", "", "a b c d e f", "rain"]


class Runner:
    """Runs each text alone, on the encoder that it belongs to."""

    def __init__(self, encoder, outputs):
        self.encoder, self.outputs, self.runs = encoder, list(outputs), []
        self.inputs = {name: kind.dtype for name, kind in encoder.inputs.items() if name != "attention_mask"}

    def run(self, inputs, lengths):
        self.runs.append((dict(inputs), list(lengths)))
        parts, start = [], 0
        for length in lengths:
            rows = {name: array[None, start : start + length] for name, array in inputs.items()}
            mask = {"attention_mask": np.ones((1, length), np.int64)} if "attention_mask" in self.encoder.inputs else {}
            parts.append(self.encoder.run(rows | mask)[self.outputs[0]][0])
            start += length
        return {self.outputs[0]: np.concatenate(parts) if parts[0].ndim == 2 else np.stack(parts)}


def unpadded(encoder):
    """An encoder that has a runner."""
    runners = []

    def texts(outputs=None):
        runners.append(Runner(encoder, outputs))
        return runners[-1]

    encoder.texts = texts
    return encoder, runners


@pytest.mark.parametrize("output", ["last_hidden_state", "sentence_embedding"])
def test_vectors_are_those_of_padded_texts(output, make, kit):
    shape = (*kit.TEXT_SHAPE, kit.HIDDEN) if output == "last_hidden_state" else (kit.TEXT_SHAPE[0], kit.HIDDEN)
    outputs = {output: TensorType(DataType.FLOAT32, shape)}
    encoder, runners = unpadded(kit.FakeEncoder(outputs=outputs))
    found = make(encoder).encode(TEXTS, batch_size=2)
    np.testing.assert_allclose(found, make(kit.FakeEncoder(outputs=outputs)).encode(TEXTS), atol=1e-6)
    ((feeds, lengths),) = runners[0].runs
    assert runners[0].outputs == [output]
    assert set(feeds) == {"input_ids", "token_type_ids"}
    assert lengths == [8, 5, 3, 3, 2]
    assert all(array.shape == (21,) for array in feeds.values())


def test_places_begin_anew_with_each_text(make, kit, folder):
    kit.save_json(folder / "config.json", {"model_type": "xlm-roberta", "max_position_embeddings": 32})
    names = ("input_ids", "attention_mask", "position_ids")
    encoder, runners = unpadded(kit.FakeEncoder(inputs={n: TensorType(DataType.INT64, kit.TEXT_SHAPE) for n in names}))
    make(encoder).encode(["a b", "sun"])
    ((feeds, _),) = runners[0].runs
    assert feeds["position_ids"].tolist() == [1, 2, 3, 4, 1, 2, 3]


def test_a_graph_of_a_fixed_length_is_padded(make, kit):
    shape = (kit.TEXT_SHAPE[0], 16)
    inputs = {name: TensorType(DataType.INT64, shape) for name in ("input_ids", "attention_mask")}
    outputs = {"last_hidden_state": TensorType(DataType.FLOAT32, (*shape, kit.HIDDEN))}
    encoder, runners = unpadded(kit.FakeEncoder(inputs=inputs, outputs=outputs))
    make(encoder).encode(TEXTS[:2])
    assert runners == []


def test_runs_hold_a_number_of_tokens_and_every_text_once():
    lengths = [5, 900, 3, 3000, 7, 2500, 10_000]
    assert list(plan_unpadded(lengths, 4096)) == [[6], [3], [5, 1, 4, 0, 2]]
    assert list(plan_unpadded([])) == []
