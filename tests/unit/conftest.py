"""Small bundles that embed or classify, complete with tokenizer, and a smaller ONNX file."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e", "f", "sun", "rain", "cat", "dog"]
HIDDEN = 6
POOLING = {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def _tokenizer(words: Sequence[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


@pytest.fixture(scope="session")
def word_tokenizer() -> Callable[[Sequence[str]], Tokenizer]:
    """Words -> a tokenizer that makes [CLS] text [SEP] of them; the words begin with the four special ones."""
    return _tokenizer


def _bytes(value: object) -> bytes:
    return json.dumps(value).encode()


@pytest.fixture(scope="session")
def tiny_model() -> bytes:
    """An ONNX file: x + 1, of three numbers."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])],
        [numpy_helper.from_array(np.ones(3, np.float32), "w")],
    )
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    return content


@pytest.fixture
def make_encoder(tmp_path: Path) -> Callable[..., Path]:
    """Write a bundle: one layer of attention over a table of words.

    `noise` is added to the weights; `steps` rounds the weight to so many whole steps and stores it as int8, in the
    form that quantised bundles have; `labels` makes a classifier of it.
    """

    def make(name: str, *, noise: float = 0.0, steps: int = 0, labels: tuple[str, ...] = (), **extra: Any) -> Path:
        rng = np.random.default_rng(5)
        table, weight = (rng.standard_normal((rows, HIDDEN)).astype(np.float32) for rows in (20, HIDDEN))
        head = rng.standard_normal((HIDDEN, max(len(labels), 1))).astype(np.float32)
        weight = weight + np.float32(noise) * rng.standard_normal(weight.shape).astype(np.float32)
        rows, length = symbol("batch"), symbol("length")
        builder = GraphBuilder("encoder", dims=[DynamicDim("batch", 64), DynamicDim("length", 16)])
        ids = builder.input("input_ids", DataType.INT64, (rows, length))
        mask = builder.input("attention_mask", DataType.INT64, (rows, length))
        if steps:
            scale = (np.abs(weight).max(axis=0, keepdims=True) / steps).astype(np.float32)
            stored = builder.constant(np.round(weight / scale).astype(np.int8), name="weight")
            zero = builder.constant(np.zeros_like(scale, np.int8), name="weight_zero")
            product = builder.op("dequantizeLinear", stored, builder.constant(scale, name="weight_scale"), zero)
        else:
            product = builder.constant(weight, name="weight")
        own = builder.op("gather", builder.constant(table, name="table"), ids, axis=0)
        scores = builder.op("matmul", own, builder.op("transpose", own, permutation=[0, 2, 1]))
        seen = builder.op("reshape", builder.op("cast", mask, to="uint8"), new_shape=[rows, 1, length])
        lowest = builder.constant(np.array(-1e9, dtype=np.float32), name="lowest")
        mixed = builder.op("matmul", builder.op("softmax", builder.op("where", seen, scores, lowest), axis=2), own)
        hidden = builder.op("tanh", builder.op("matmul", builder.op("add", own, mixed), product))
        files = {
            "tokenizer.json": _tokenizer(WORDS).to_str().encode(),
            "tokenizer_config.json": _bytes({"pad_token": "[PAD]", "model_max_length": 16}),
        }
        if labels:
            mean = builder.op("reduceMean", hidden, axes=[1], keep_dimensions=False)
            outputs = {"logits": builder.op("matmul", mean, builder.constant(head, name="head"))}
            files["config.json"] = _bytes({"id2label": dict(enumerate(labels))})
        else:
            outputs = {"last_hidden_state": hidden}
            files |= {"modules.json": _bytes(MODULES), "1_Pooling/config.json": _bytes(POOLING)}
        return save_bundle(builder.build(outputs), tmp_path / name, files=files, manifest_extra=extra or None)

    return make


@pytest.fixture
def encoder(make_encoder: Callable[..., Path]) -> Path:
    """A bundle that embeds, with vectors of 6 features."""
    return make_encoder("encoder")
