"""The same model through other exporters, and with int8 weights, embeds like its source."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime import WebNNEmbedder
from webnn_runtime.embed import compare

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]

SENTENCES = ["This is a sample sentence to encode", "The cat sits on the mat", "rain", "", "the weather " * 40]


@pytest.mark.parametrize("variant", ["ts-eager", "dynamo"])
def test_each_exporter_gives_the_vectors_of_transformers(variant, minilm_variant, original, backend) -> None:
    found = WebNNEmbedder(minilm_variant(variant), backend=backend.name).encode(SENTENCES)
    assert compare(found, original.encode(SENTENCES)).max_abs <= 1e-5


def test_int8_weights_give_the_vectors_of_onnx_runtime_on_the_source(
    minilm_exports, minilm_variant, original, backend, optional
) -> None:
    source = minilm_exports("int8") / "onnx" / "model.onnx"
    session = optional("onnxruntime").InferenceSession(source, providers=["CPUExecutionProvider"])
    wanted = [each.name for each in session.get_inputs()]
    rows = []
    for text in SENTENCES:
        tokens = original.tokenizer(text, truncation=True, max_length=256, return_tensors="np")
        hidden = session.run(None, {name: tokens[name] for name in wanted})[0][0]
        mean = hidden.mean(axis=0, dtype=np.float64)
        rows.append(mean / np.linalg.norm(mean))
    found = WebNNEmbedder(minilm_variant("int8"), backend=backend.name).encode(SENTENCES)
    assert compare(found, rows).max_abs <= 1e-5
    assert compare(found, original.encode(SENTENCES)).min_cosine >= 0.95
