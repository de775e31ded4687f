"""The embedder on real bundles: named as existing tools name them, free or static, on each backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime import WebNNEmbedder
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import BackendError, EmbedError, FormatError

HIDDEN = 6
TEXTS = ["a b c", "", "d e f a b", "sun", "rain rain"]


def encoder(rows, length, dims=()):
    """Tokens attend to one another by their vectors; masked tokens are not seen."""
    builder = GraphBuilder("encoder", dims=dims)
    ids = builder.input("input_ids", DataType.INT64, (rows, length))
    mask = builder.input("attention_mask", DataType.INT64, (rows, length))
    rng = np.random.default_rng(5)
    table = builder.constant(rng.standard_normal((20, HIDDEN)).astype(np.float32), name="table")
    weight = builder.constant(rng.standard_normal((HIDDEN, HIDDEN)).astype(np.float32), name="weight")
    lowest = builder.constant(np.array(-1e9, dtype=np.float32), name="lowest")
    own = builder.op("gather", table, ids, axis=0)
    scores = builder.op("matmul", own, builder.op("transpose", own, permutation=[0, 2, 1]))
    seen = builder.op("reshape", builder.op("cast", mask, to="uint8"), new_shape=[rows, 1, length])
    scores = builder.op("where", seen, scores, lowest)
    mixed = builder.op("matmul", builder.op("softmax", scores, axis=2), own)
    hidden = builder.op("tanh", builder.op("matmul", builder.op("add", own, mixed), weight))
    return builder.build({"last_hidden_state": hidden})


def write(folder: Path, graph) -> Path:
    """Put a bundle of `graph` into a folder that has its tokenizer already."""
    for file in save_bundle(graph, folder / "staging").iterdir():
        file.rename(folder / file.name)
    return folder


@pytest.fixture
def bundle(folder) -> Path:
    dims = [DynamicDim("batch", 64), DynamicDim("length", 16)]
    return write(folder, encoder(symbol("batch"), symbol("length"), dims))


@pytest.fixture
def expected(bundle):
    return WebNNEmbedder(bundle, backend="numpy").encode(TEXTS)


def test_a_text_has_the_same_vector_alone_and_in_a_batch(bundle, backend) -> None:
    embedder = WebNNEmbedder(bundle, backend=backend.name)
    alone = np.stack([embedder.encode(text) for text in TEXTS])
    np.testing.assert_allclose(embedder.encode(TEXTS), alone, rtol=1e-5, atol=1e-6)


def test_every_backend_gives_the_same_vectors(bundle, expected, backend) -> None:
    np.testing.assert_allclose(
        WebNNEmbedder(bundle, backend=backend.name).encode(TEXTS), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_a_static_bundle_gives_the_vectors_of_a_free_one(
    rows, bundle, expected, kit, tmp_path_factory, backend
) -> None:
    static = tmp_path_factory.mktemp("static")
    kit.save_tokenizer(static)
    kit.save_modules(static, Pooling=kit.MEAN)
    write(static, encoder(rows, 8))
    embedder = WebNNEmbedder(static, backend=backend.name)
    assert embedder.max_seq_length == 8
    np.testing.assert_allclose(embedder.encode(TEXTS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "names",
    [
        ("model.webnn", "model.weights", "model.manifest.json"),
        ("mini.webnn", "mini.weights", "mini.manifest.json"),
        ("mini.webnn", "model.weights", "manifest.json"),
        ("mini.webnn", "other.weights", "another.manifest.json"),
    ],
)
def test_a_bundle_is_found_under_the_names_of_existing_tools(names, bundle, expected) -> None:
    for old, new in zip(("model.webnn", "model.weights", "manifest.json"), names, strict=True):
        (bundle / old).rename(bundle / new)
    assert WebNNEmbedder(bundle, backend="numpy").encode(TEXTS).tobytes() == expected.tobytes()
    assert WebNNEmbedder(bundle / names[0], backend="numpy").encode(TEXTS).tobytes() == expected.tobytes()


def test_a_bare_bundle_needs_tokenizer_and_pooling_by_name(bundle, expected, kit, tmp_path_factory) -> None:
    bare = tmp_path_factory.mktemp("bare")
    for name in ("model.webnn", "model.weights", "manifest.json"):
        (bundle / name).rename(bare / name)
    with pytest.raises(EmbedError, match="pass tokenizer_id="):
        WebNNEmbedder(bare, backend="numpy")
    with pytest.raises(EmbedError, match="pass pooling="):
        WebNNEmbedder(bare, backend="numpy", tokenizer_id=bundle)
    got = WebNNEmbedder(bare, backend="numpy", tokenizer_id=bundle, pooling="mean").encode(TEXTS)
    assert got.tobytes() == expected.tobytes()


def test_a_device_that_the_backend_has_not_is_an_error(bundle) -> None:
    with pytest.raises(BackendError, match="gpu"):
        WebNNEmbedder(bundle, backend="numpy", device_type="gpu")


def test_a_folder_without_a_graph_is_an_error(folder) -> None:
    with pytest.raises(FormatError, match=r"holds no \.webnn file"):
        WebNNEmbedder(folder)


def test_the_identity_follows_the_weights_on_disk(bundle, kit) -> None:
    before = WebNNEmbedder(bundle, backend="numpy").identity
    assert WebNNEmbedder(bundle, backend="numpy").identity == before
    data = bytearray((bundle / "model.weights").read_bytes())
    data[-1] ^= 1
    (bundle / "model.weights").write_bytes(data)
    assert WebNNEmbedder(bundle, backend="numpy").identity != before


@pytest.mark.parametrize("name", ["numpy"])
def test_embedding_loads_neither_onnx_nor_torch(name, bundle) -> None:
    code = (
        "import sys\n"
        "from webnn_runtime import WebNNEmbedder\n"
        f"vectors = WebNNEmbedder({str(bundle)!r}, backend={name!r}).encode(['a b', 'c'])\n"
        "assert vectors.shape == (2, 6)\n"
        "print(*sorted({module.partition('.')[0] for module in sys.modules} & "
        "{'onnx', 'onnxruntime', 'torch', 'transformers', 'sentence_transformers', 'huggingface_hub'}))\n"
    )
    runtime = Path(__file__).resolve().parents[3] / "runtime"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(runtime)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
