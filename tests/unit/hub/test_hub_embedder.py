"""An embedder straight from the Hub: a bare static bundle, its tokenizer from another repository, then offline."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from webnn_runtime import WebNNEmbedder
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat"]


@pytest.fixture
def published(hub, tmp_path):
    """Graph, weights and manifest in one repository, the model they were made from in another."""
    builder = GraphBuilder("tiny")
    ids = builder.input("input_ids", DataType.INT32, (1, 8))
    mask = builder.input("attention_mask", DataType.INT32, (1, 8))
    table = builder.constant(np.eye(7, 4, k=-3, dtype=np.float32), name="table")
    seen = builder.op("reshape", builder.op("cast", mask, to="float32"), new_shape=[1, 8, 1])
    hidden = builder.op("mul", builder.op("gather", table, ids, axis=0), seen)
    graph = builder.build({"last_hidden_state": hidden})
    bundle = save_bundle(graph, tmp_path / "bundle")
    hub.repositories["me/static"] = {file.name: file.read_bytes() for file in bundle.iterdir()}

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    hub.repositories["me/original"] = {
        "tokenizer.json": tokenizer.to_str().encode(),
        "tokenizer_config.json": b'{"pad_token": "[PAD]", "model_max_length": 512}',
        "sentence_bert_config.json": b'{"max_seq_length": 256}',
        "model.safetensors": bytes(1000),
    }
    return {"backend": "numpy", "tokenizer_id": "me/original", "pooling": "mean"}


def test_a_bare_static_bundle_embeds_with_a_tokenizer_from_elsewhere(published, hub) -> None:
    embedder = WebNNEmbedder("me/static", **published)
    # [CLS] has a row of zeros, [SEP] the first unit vector, and the words the next ones.
    np.testing.assert_allclose(
        embedder.encode(["the cat", "sat"], normalize=False), [[0.25, 0.25, 0.25, 0], [1 / 3, 0, 0, 1 / 3]], rtol=1e-6
    )
    assert embedder.max_seq_length == 8
    assert embedder.backend_info()["revision"] == "0123456789abcdef0123456789abcdef01234567"
    assert "model.safetensors" not in hub.downloads


def test_once_fetched_it_needs_no_network(published, hub) -> None:
    online = WebNNEmbedder("me/static", **published).encode("the cat")
    hub.requests.clear()
    offline = WebNNEmbedder("me/static", **published, local_files_only=True)
    assert offline.encode("the cat").tobytes() == online.tobytes()
    assert hub.requests == []


def test_what_is_missing_is_asked_for_by_name(published) -> None:
    with pytest.raises(EmbedError, match=r"^me/static: .*has no tokenizer\.json; pass tokenizer_id="):
        WebNNEmbedder("me/static", backend="numpy")
    with pytest.raises(EmbedError, match=r"^me/static: .*has no modules\.json.*pass pooling="):
        WebNNEmbedder("me/static", backend="numpy", tokenizer_id="me/original")
