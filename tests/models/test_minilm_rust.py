"""The real all-MiniLM-L6-v2 on the native engine: everything hot is fused, right, and the same to the bit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from measure_quantizing import paragraphs

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.embed import WebNNEmbedder, compare
from webnn_runtime.format.dtypes import DataType

pytestmark = [pytest.mark.native, pytest.mark.torch, pytest.mark.timeout(600)]

FUSED = {
    "attention+mask": 6,
    "embedding+layerNormalization": 1,
    "layerNormalization": 12,
    "linear x3+bias": 6,
    "linear+bias+gelu": 6,
    "linear+bias+residual": 12,
}


@pytest.fixture(scope="module", params=["ts-eager", "ts-sdpa", "dynamo", "int8"])
def model(request, minilm_exports, optional):
    """An export, as ONNX Runtime and as the native engine run it."""
    from webnn_translator.translate import translate

    optional("webnn_kernels")
    from webnn_runtime.backends.rust import BACKEND

    path = minilm_exports(request.param) / "onnx" / "model.onnx"
    graph = translate(optional("onnx").load(path)).graph
    session = optional("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    return session, graph, BACKEND


def tokens(batch, length, seed=0):
    random = np.random.default_rng(seed)
    mask = np.ones((batch, length), np.int64)
    for row in range(1, batch):
        mask[row, random.integers(1, length + 1) :] = 0
    ids = np.where(mask, random.integers(1000, 30000, (batch, length)), 0)
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def test_every_export_is_fused_alike_and_equals_onnx_runtime(model):
    session, graph, backend = model
    executable = backend.compile(graph, CompileOptions(threads=2))
    facts = executable.describe()
    # The weights of the int8 export are kept as they are.
    is_kept = any(constant.type.dtype is DataType.INT8 for constant in graph.constants.values())
    layer = "linear(int8 weights)" if is_kept else "linear"
    assert facts["fused"] == {name.replace("linear", layer): count for name, count in FUSED.items()}
    assert facts["unpadded"] is True
    for batch, length in [(1, 1), (1, 10), (3, 17), (5, 128), (1, 512)]:
        feeds = {name: array for name, array in tokens(batch, length).items() if name in graph.inputs}
        (expected,) = session.run(None, feeds)
        (found,) = executable.run(feeds).values()
        kept = tokens(batch, length)["attention_mask"] != 0
        np.testing.assert_allclose(found[kept], expected[kept], atol=1e-5)


def test_a_text_has_the_same_bits_alone_in_a_batch_padded_and_on_any_threads(model):
    _, graph, backend = model
    one, three = (backend.compile(graph, CompileOptions(threads=threads)) for threads in (1, 3))
    batch = tokens(6, 40, seed=5)
    (together,) = three.run(batch).values()
    assert one.run(batch)[next(iter(graph.outputs))].tobytes() == together.tobytes()
    for row in range(6):
        length = int(batch["attention_mask"][row].sum())
        (alone,) = one.run({name: array[row : row + 1, :length].copy() for name, array in batch.items()}).values()
        assert alone[0].tobytes() == together[row, :length].tobytes(), f"row {row} of {length} tokens"
    lengths = batch["attention_mask"].sum(axis=1).tolist()
    kept = batch["attention_mask"] != 0
    runner = three.texts()
    (unpadded,) = runner.run({name: batch[name][kept] for name in runner.inputs}, lengths).values()
    assert unpadded.tobytes() == together[kept].tobytes()


def test_a_vector_has_the_same_bits_alone_in_any_batch_order_and_number_of_threads(minilm_bundle, optional):
    optional("webnn_kernels")
    random = np.random.default_rng(7)
    words = "rivers carry water from mountains to the sea and nobody asks why they should"
    texts = [" ".join(random.choice(words.split(), size)) for size in random.integers(1, 25, 60)]
    order = random.permutation(60)
    found = {}
    for threads in (1, 2, 4):
        embed = WebNNEmbedder(minilm_bundle, backend="rust", threads=threads).encode
        found[threads, "alone"] = np.stack([embed(text) for text in texts])
        for size in (7, 32, 64):
            found[threads, size] = np.concatenate([embed(texts[at : at + size]) for at in range(0, 60, size)])
        found[threads, "shuffled"] = np.empty_like(found[threads, 7])
        found[threads, "shuffled"][order] = embed([texts[index] for index in order])
    assert {key: vectors.tobytes() for key, vectors in found.items()} == dict.fromkeys(
        found, found[1, "alone"].tobytes()
    )


SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "endurance.py"


def test_every_instruction_set_keeps_the_promises_that_long_runs_measure(isa, minilm_bundle, original, tmp_path):
    """As `scripts/endurance.py` does for 1,000 texts and 512 paragraphs: the same bytes, and transformers' numbers."""
    out = tmp_path / "vectors.npy"
    sources = [SCRIPT.parents[1] / "runtime", SCRIPT.parents[1] / "translator", *filter(None, sys.path)]
    environment = os.environ | {"WEBNN_KERNELS_ISA": isa, "PYTHONPATH": os.pathsep.join(map(str, sources))}
    for arguments in (["bits", minilm_bundle, "9", "--max-words", "8"], ["vectors", minilm_bundle, "6", "--out", out]):
        subprocess.run([sys.executable, SCRIPT, *arguments], check=True, capture_output=True, env=environment)
    every = paragraphs()
    found = compare(np.load(out), original.encode(every[:: len(every) // 6][:6]))
    assert found.average_cosine >= 0.9999995
    assert found.max_abs <= 5e-6
