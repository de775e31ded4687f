"""Texts on a backend that needs no padding: what it is fed, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from webnn_runtime.embed.batches import plan_unpadded
from webnn_runtime.embed.pooling import Pooling
from webnn_runtime.embed.stages import Normalize
from webnn_runtime.embed.tokenizer import Tokens
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import TensorType

TEXTS = ["a b c", "sun", "", "a b c d e f", "rain"]


class Runner:
    """Runs each text alone, on the encoder that it belongs to."""

    def __init__(self, encoder, outputs, pooling=None, normalize=False):
        self.encoder, self.outputs, self.runs = encoder, list(outputs), []
        self.pooling, self.normalize = pooling, normalize
        self.inputs = {name: kind.dtype for name, kind in encoder.inputs.items() if name != "attention_mask"}

    def run(self, inputs, lengths):
        self.runs.append((dict(inputs), list(lengths)))
        parts, start = [], 0
        for length in lengths:
            rows = {name: array[None, start : start + length] for name, array in inputs.items()}
            mask = {"attention_mask": np.ones((1, length), np.int64)} if "attention_mask" in self.encoder.inputs else {}
            parts.append(self.encoder.run(rows | mask)[self.outputs[0]][0])
            start += length
        if self.pooling is not None:
            vectors = Pooling((self.pooling,)).of_texts(parts, parts[0].shape[1])
            return {self.outputs[0]: Normalize()(vectors) if self.normalize else vectors}
        return {self.outputs[0]: np.concatenate(parts) if parts[0].ndim == 2 else np.stack(parts)}


def unpadded(encoder, pools=()):
    """An encoder that has a runner, which pools by these modes."""
    runners = []

    def texts(outputs=None, pooling=None, *, normalize=False):
        if pooling is not None and pooling not in pools:
            return None
        runners.append(Runner(encoder, outputs, pooling, normalize))
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


@pytest.mark.parametrize(("modules", "normalizes"), [({}, False), ({"Normalize": {}}, True)])
@pytest.mark.parametrize("mode", ["mean", "lasttoken"])
def test_a_runner_that_pools_is_asked_to_and_gives_the_same_vectors(mode, modules, normalizes, make, kit, folder):
    kit.save_modules(folder, Pooling=kit.MEAN, **modules)
    encoder, runners = unpadded(kit.FakeEncoder(), pools=(mode,))
    given = [text for text in TEXTS if text]
    found = make(encoder, pooling=mode).encode(given)
    assert [(runner.pooling, runner.normalize) for runner in runners] == [(mode, normalizes)]
    assert len(runners[0].runs) == 1
    apart, others = unpadded(kit.FakeEncoder())
    assert found.tobytes() == make(apart, pooling=mode).encode(given).tobytes()
    assert [(runner.pooling, runner.normalize) for runner in others] == [(None, False)]


def test_a_module_between_pooling_and_length_one_keeps_its_place(make, kit, folder):
    kit.save_modules(folder, Pooling=kit.MEAN, LayerNorm={"dimension": kit.HIDDEN}, Normalize={})
    weights = {"norm.weight": np.arange(kit.HIDDEN, dtype=np.float32), "norm.bias": np.ones(kit.HIDDEN, np.float32)}
    save_file(weights, folder / "2_LayerNorm" / "model.safetensors")
    encoder, runners = unpadded(kit.FakeEncoder(), pools=("mean",))
    found = make(encoder).encode(TEXTS)
    assert [(runner.pooling, runner.normalize) for runner in runners] == [("mean", False)]
    assert found.tobytes() == make(unpadded(kit.FakeEncoder())[0]).encode(TEXTS).tobytes()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_a_text_without_tokens_is_not_pooled_as_one_of_padding(make, kit, folder):
    kit.save_modules(folder, Pooling=kit.MEAN, Normalize={})
    found = []
    for pools in ((), ("mean",)):
        pipeline = make(unpadded(kit.FakeEncoder(), pools)[0])._pipeline
        given = pipeline.tokenizer.encode(["a b c", "sun"], 16)
        empty = Tokens(np.zeros(0, np.int32), np.zeros(0, np.int32))
        found.append(pipeline.embed([given[0], empty, given[1]], batch_size=8))
        assert not pipeline.embed([empty], batch_size=8).any()
    assert found[0].tobytes() == found[1].tobytes()
    assert found[0].any(axis=1).tolist() == [True, False, True]


@pytest.mark.parametrize("pools", [(), ("cls",)])
def test_a_text_without_tokens_has_no_first_one(pools, make, kit):
    pipeline = make(unpadded(kit.FakeEncoder(), pools)[0], pooling="cls")._pipeline
    with pytest.raises(EmbedError, match="pooling 'cls' needs at least one token"):
        pipeline.embed([Tokens(np.zeros(0, np.int32), np.zeros(0, np.int32))], batch_size=8)


def test_a_prompt_that_does_not_count_is_left_out_of_the_tokens(make, kit, folder):
    kit.save_modules(folder, Pooling=kit.MEAN | {"include_prompt": False})
    encoder, runners = unpadded(kit.FakeEncoder(), pools=("mean",))
    make(encoder).encode(["sun"], prompt="a b ")
    assert [runner.pooling for runner in runners] == [None]


def test_places_begin_anew_with_each_text(make, kit, folder):
    kit.save_json(folder / "config.json", {"model_type": "xlm-roberta", "max_position_embeddings": 32})
    names = ("input_ids", "attention_mask", "position_ids")
    encoder, runners = unpadded(kit.FakeEncoder(inputs={n: TensorType(DataType.INT64, kit.TEXT_SHAPE) for n in names}))
    make(encoder).encode(["a b", "sun"])
    ((feeds, _),) = runners[0].runs
    assert feeds["position_ids"].tolist() == [1, 2, 3, 4, 1, 2, 3]


def test_a_runner_that_does_without_more_than_the_mask_is_left_aside(make, kit):
    encoder, runners = unpadded(kit.FakeEncoder(), pools=("mean",))
    whole = encoder.texts

    def texts(*arguments, **options):
        runner = whole(*arguments, **options)
        del runner.inputs["token_type_ids"]
        return runner

    encoder.texts = texts
    assert make(encoder).encode(TEXTS).tobytes() == make(kit.FakeEncoder()).encode(TEXTS).tobytes()
    assert [runner.runs for runner in runners] == [[]]


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
