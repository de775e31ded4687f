"""A small encoder in NumPy, a small tokenizer and a model folder, for the tests of the embedder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from webnn_runtime.embed import WebNNEmbedder, embedder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HIDDEN = 6
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "f", "query", "passage", ":", "sun", "rain"]
DIMS = {"batch": DynamicDim("batch", 64), "length": DynamicDim("length", 32)}
TEXT_SHAPE = (symbol("batch"), symbol("length"))


class FakeEncoder:
    """Stands in for a loaded model: each token sees itself, its position and the mean of what is not masked.

    Like a real encoder it gives a text the same vectors however far it is padded, but only if the mask is right.
    """

    def __init__(
        self,
        inputs: Mapping[str, TensorType] | None = None,
        outputs: Mapping[str, TensorType] | None = None,
        dims: Mapping[str, DynamicDim] = DIMS,
    ) -> None:
        names = ("input_ids", "attention_mask", "token_type_ids")
        self.inputs = inputs or {name: TensorType(DataType.INT64, TEXT_SHAPE) for name in names}
        self.outputs = outputs or {"last_hidden_state": TensorType(DataType.FLOAT32, (*TEXT_SHAPE, HIDDEN))}
        self.graph = SimpleNamespace(dims=dims, nodes=())
        self.table = np.random.default_rng(7).standard_normal((1000, HIDDEN)).astype(np.float32)
        self.calls: list[dict[str, np.ndarray]] = []

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert set(inputs) == set(self.inputs)
        for name, array in inputs.items():
            assert array.dtype == self.inputs[name].dtype.numpy
        self.calls.append(dict(inputs))
        ids = inputs["input_ids"]
        mask = inputs.get("attention_mask", np.ones_like(ids)).astype(np.float32)
        own = self.table[ids]
        if "token_type_ids" in inputs:
            own = own + inputs["token_type_ids"][..., None].astype(np.float32)
        seen = (own * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        tokens = np.tanh(own + seen[:, None, :]).astype(np.float32)
        found = {"last_hidden_state": tokens, "token_embeddings": tokens, "pooler_output": tokens[:, 0] * 100}
        found["sentence_embedding"] = (tokens * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return {name: found[name] for name in self.outputs if name in found}

    def texts(self, outputs=None, pooling=None, *, normalize=False):
        del outputs, pooling, normalize

    def describe(self) -> dict[str, object]:
        return {"backend": "fake", "device": "cpu"}


@pytest.fixture
def save_tokenizer(word_tokenizer: Callable[..., Tokenizer]) -> Callable[..., Tokenizer]:
    """Write a word tokenizer into a folder; more arguments go to tokenizer_config.json."""

    def save(folder: Path, **settings: Any) -> Tokenizer:
        tokenizer = word_tokenizer(WORDS)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        save_json(folder / "tokenizer_config.json", {"pad_token": "[PAD]", "model_max_length": 16} | settings)
        return tokenizer

    return save


def save_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def save_modules(folder: Path, **modules: Mapping[str, Any]) -> None:
    """Write modules.json with a Transformer and `modules`, and the settings of each."""
    entries = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    for number, (name, settings) in enumerate(modules.items(), start=1):
        path = f"{number}_{name}"
        entries.append(
            {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{name}"}
        )
        save_json(folder / path / "config.json", settings)
    save_json(folder / "modules.json", entries)


MEAN = {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}


@pytest.fixture
def folder(tmp_path: Path, save_tokenizer: Callable[..., Tokenizer]) -> Path:
    """A folder as a converted model leaves it, mean pooling, without Normalize."""
    save_tokenizer(tmp_path)
    save_modules(tmp_path, Pooling=MEAN)
    return tmp_path


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Callable[..., WebNNEmbedder]:
    """Make an embedder of `folder` around a model; arguments go to WebNNEmbedder."""

    def make(model: FakeEncoder | None = None, model_id: Path | None = None, **arguments: Any) -> WebNNEmbedder:
        monkeypatch.setattr(embedder, "_open_model", lambda *_, **__: model or FakeEncoder())
        return WebNNEmbedder(model_id or folder, **arguments)

    return make


@pytest.fixture
def kit(save_tokenizer: Callable[..., Tokenizer]) -> SimpleNamespace:
    """What this file defines, for tests that write their own folders and models."""
    return SimpleNamespace(
        FakeEncoder=FakeEncoder,
        HIDDEN=HIDDEN,
        MEAN=MEAN,
        TEXT_SHAPE=TEXT_SHAPE,
        WORDS=WORDS,
        save_json=save_json,
        save_modules=save_modules,
        save_tokenizer=save_tokenizer,
    )
