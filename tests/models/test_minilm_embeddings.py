"""Embeddings of the real all-MiniLM-L6-v2 equal those of transformers, on every backend."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime import WebNNEmbedder, load
from webnn_runtime.embed import TruncationWarning, compare

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]

SENTENCES = [
    "This is a sample sentence to encode",
    "The cat sits on the mat",
    "A feline rests on the carpet",
    "The weather is sunny today",
    "Python is a programming language",
]
UNUSUAL = ["", " ", "\x00", "\ud800", "\U0001f600", "\u4eca\u65e5\u306f", "x" * 1000, "a " * 200, "The cat\r\nsits"]
QUERY = "WeatherChannel Spain the weather is sunny and warm"
WEATHER = {
    "jabberwocky awaits: lets not be late lest the lillies bloom in the garden of eden": 0.008,
    "shipping forecast": 0.229,
    "buffalo weather forecast": 0.316,
    "weather forecast": 0.518,
    "spain weather forecast": 0.733,
    "weather forecast in Spain": 0.756,
}
LENGTHS = [1, 2, 3, 8, 31, 32, 33, 127, 128, 129, 255, 256, 257, 511, 512]
BATCHES = [1, 2, 7, 32, 33, 64]


@pytest.fixture(scope="module")
def embedder(minilm_bundle, backend) -> WebNNEmbedder:
    return WebNNEmbedder(minilm_bundle, backend=backend.name)


@pytest.fixture(scope="module")
def model(minilm_bundle, backend):
    return load(minilm_bundle, backend=backend.name)


def random_inputs(rows: int, length: int, *, ragged: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(rows * 1000 + length)
    ids = rng.integers(1000, 30000, (rows, length))
    mask = np.ones_like(ids)
    if ragged:
        for row, stop in enumerate(rng.integers(1, length + 1, rows)):
            ids[row, stop:], mask[row, stop:] = 0, 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


def test_the_five_sentences_equal_transformers(embedder, original) -> None:
    found = compare(embedder.encode(SENTENCES), original.encode(SENTENCES))
    assert found.average_cosine >= 0.999999
    assert found.max_abs <= 1e-5


def test_unusual_texts_equal_transformers(embedder, original) -> None:
    theirs = [text.replace("\ud800", "\ufffd") for text in UNUSUAL]
    np.testing.assert_allclose(embedder.encode(UNUSUAL), original.encode(theirs), atol=1e-5)


def test_the_weather_is_as_similar_as_in_transformers(embedder, original) -> None:
    ours = embedder.encode([QUERY, *WEATHER])
    theirs = original.encode([QUERY, *WEATHER])
    similarities = embedder.compute_similarity(ours[0], ours[1:])
    np.testing.assert_allclose(similarities, theirs[1:] @ theirs[0], atol=1e-5)
    assert [round(float(value), 3) for value in similarities] == list(WEATHER.values())


@pytest.mark.parametrize("length", LENGTHS)
def test_one_graph_takes_every_length(length, model, original) -> None:
    inputs = random_inputs(1, length)
    np.testing.assert_allclose(model.run(inputs)["last_hidden_state"], original.hidden(inputs), atol=1e-4)


@pytest.mark.parametrize("rows", BATCHES)
def test_one_graph_takes_every_batch(rows, model, original) -> None:
    inputs = random_inputs(rows, 9, ragged=True)
    seen = inputs["attention_mask"][..., None] == 1
    found, expected = model.run(inputs)["last_hidden_state"], original.hidden(inputs)
    np.testing.assert_allclose(np.where(seen, found, 0), np.where(seen, expected, 0), atol=1e-4)


@pytest.mark.parametrize("batch_size", BATCHES)
def test_a_padded_text_has_the_vector_it_has_alone(batch_size, embedder) -> None:
    texts = [" ".join(["sunny", "rain", "the"][: 1 + index % 3] * (1 + index % 5)) for index in range(batch_size)]
    distinct = sorted(set(texts))
    alone = {text: embedder.encode(text) for text in distinct}
    found = embedder.encode(texts, batch_size=batch_size)
    np.testing.assert_allclose(found, [alone[text] for text in texts], atol=2e-6)


def test_a_text_beyond_the_limit_is_cut_there_and_reported(embedder, original) -> None:
    text = "weather " * 300
    assert embedder.max_seq_length == 256
    with pytest.warns(TruncationWarning, match=r"longer than 256 tokens .*text 0 has 302"):
        found = embedder.encode([text])
    np.testing.assert_allclose(found, original.encode([text]), atol=1e-5)


def test_a_static_bundle_gives_the_same_vectors(minilm_static_bundle, embedder, backend) -> None:
    static = WebNNEmbedder(minilm_static_bundle, backend=backend.name)
    assert static.max_seq_length == 128
    np.testing.assert_allclose(static.encode(SENTENCES), embedder.encode(SENTENCES), atol=2e-6)


def test_eight_threads_get_what_one_gets(embedder) -> None:
    expected = embedder.encode(SENTENCES)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: embedder.encode(SENTENCES), range(8)):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_first_numbers_of_a_vector_are_known(embedder) -> None:
    """A golden that a person can check: the model shows these in any library."""
    golden = [0.00021127, 0.06401432, -0.01092589, 0.01032468, -0.00429082]
    np.testing.assert_allclose(embedder.encode("This is a sample sentence to encode")[:5], golden, atol=1e-5)


@pytest.mark.parametrize("name", ["numpy", pytest.param("rust", marks=pytest.mark.native)])
def test_embedding_loads_neither_onnx_nor_torch(name, minilm_bundle, optional) -> None:
    optional({"numpy": "numpy", "rust": "webnn_kernels"}[name])
    code = (
        "import sys\n"
        "from webnn_runtime import WebNNEmbedder\n"
        f"WebNNEmbedder({str(minilm_bundle)!r}, backend={name!r}).encode(['The cat sits on the mat', 'rain'])\n"
        "heavy = {'onnx', 'onnxruntime', 'torch', 'transformers', 'sentence_transformers', 'huggingface_hub'}\n"
        "print(*sorted({module.partition('.')[0] for module in sys.modules} & heavy))\n"
    )
    runtime = Path(__file__).resolve().parents[2] / "runtime"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(runtime)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_a_process_that_is_forked_after_use_still_embeds(minilm_bundle, backend) -> None:
    """Servers load a model and fork; tokenizer and backend both have threads by then."""
    code = (
        "import os, sys\n"
        "from webnn_runtime import WebNNEmbedder\n"
        f"embedder = WebNNEmbedder({str(minilm_bundle)!r}, backend={backend.name!r})\n"
        "expected = embedder.encode(['The cat sits on the mat', 'rain'])\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    found = embedder.encode(['The cat sits on the mat', 'rain'])\n"
        "    os._exit(0 if abs(found - expected).max() < 1e-6 else 3)\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    runtime = Path(__file__).resolve().parents[2] / "runtime"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(runtime)}, timeout=120, check=False
    )
    assert done.returncode == 0
