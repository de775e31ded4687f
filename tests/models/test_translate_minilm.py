"""The real all-MiniLM-L6-v2, through four exporters: translated with free dimensions, equal to ONNX Runtime."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.passes.simplify import simplify
from webnn_translator.translate import translate

pytestmark = pytest.mark.torch

# Nodes per variant: a change here is a change of what every backend has to recognise.
NODES = {"ts-eager": 214, "ts-sdpa": 232, "dynamo": 250, "int8": 290}
# The same after the clean-ups.
SIMPLIFIED = {"ts-eager": 190, "ts-sdpa": 208, "dynamo": 226, "int8": 266}


@pytest.fixture(scope="module", params=NODES)
def translated(request, minilm_exports):
    path = minilm_exports(request.param) / "onnx" / "model.onnx"
    return request.param, path, translate(onnx.load(path), name="minilm")


def feed(translation, batch, length):
    rng = np.random.default_rng(batch * 1000 + length)
    mask = np.ones((batch, length), np.int64)
    mask[0, (length + 1) // 2 :] = 0
    arrays = {
        "input_ids": rng.integers(0, 30522, (batch, length)),
        "attention_mask": mask,
        "token_type_ids": np.zeros((batch, length), np.int64),
    }
    return arrays, {translation.input_names[name]: array for name, array in arrays.items()}


def test_every_shape_ladder_is_gone_and_both_dimensions_stay_free(translated) -> None:
    variant, _, translation = translated
    counts = Counter(node.op for node in translation.graph.nodes)
    assert sum(counts.values()) == NODES[variant]
    assert counts["matmul"] == 48
    assert counts["layerNormalization"] == 13
    assert not {"cumulativeSum", "gatherND", "equal", "reduceSum", "tile"} & counts.keys()
    batch, length = translation.dims
    assert batch.max_size is None
    assert length.max_size == 512


def test_clean_ups_leave_one_operator_for_each_activation(translated) -> None:
    variant, _, translation = translated
    graph, _ = simplify(translation.graph)
    counts = Counter(node.op for node in graph.nodes)
    assert sum(counts.values()) == SIMPLIFIED[variant]
    assert (counts["gelu"], counts["erf"]) == (6, 0)
    feeds = feed(translation, 2, 9)[1]
    before, after = (get_backend("numpy").compile(each).run(feeds) for each in (translation.graph, graph))
    np.testing.assert_allclose(after["last_hidden_state"], before["last_hidden_state"], rtol=0, atol=1e-5)


def test_quantised_weights_stay_in_the_file_as_they_are(translated) -> None:
    variant, _, translation = translated
    held = sum(constant.values.nbytes for constant in translation.graph.constants.values())
    assert held < (24e6 if variant == "int8" else 92e6)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (2, 7), (3, 19), (1, 128)])
@pytest.mark.parametrize("name", ["numpy", "onnxruntime"])
def test_the_translation_is_equal_to_the_source(translated, batch, length, name, optional) -> None:
    _, path, translation = translated
    arrays, carried = feed(translation, batch, length)
    wanted = optional("onnxruntime").InferenceSession(str(path)).run(None, arrays)[0]
    found = get_backend(name).compile(translation.graph).run(carried)["last_hidden_state"]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-5)
