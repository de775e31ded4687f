"""Each example runs as a user runs it, and fails when the numbers differ."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
PATHS = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])


def load_example(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example():
    return load_example("minilm_embeddings")


def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    known = os.environ | {"PYTHONPATH": str(ROOT / "runtime"), "HF_HUB_OFFLINE": "1"} | environment
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *arguments]
    return subprocess.run(command, env=known, capture_output=True, text=True, check=False)


def test_minilm_embeddings_prints_the_comparison_and_passes(minilm, minilm_bundle, backend, optional) -> None:
    optional("torch")
    done = run(
        "minilm_embeddings",
        *("--model-id", str(minilm_bundle), "--transformers-model", str(minilm), "--backend", backend.name, "--debug"),
    )
    assert done.returncode == 0, done.stderr
    for part in (
        "configuration",
        "shape: (5, 384)",
        "first ten values",
        "norm of S1: 1.000000",
        "S5",
        "euclidean",
        "PASS",
    ):
        assert part in done.stdout
    assert f"backend:   {backend.name}" in done.stdout
    assert "backend selection" in done.stdout


def test_weather_similarity_prints_both_columns_and_passes(minilm_bundle, backend) -> None:
    done = run("weather_similarity", "--model-id", str(minilm_bundle), "--backend", backend.name)
    assert done.returncode == 0, done.stderr
    for part in ("float32", "published", "  0.756    0.756      0.744", "equal to the float32 column"):
        assert part in done.stdout
    assert "NOT equal" not in done.stdout


@pytest.mark.parametrize("name", ["minilm_embeddings", "weather_similarity"])
def test_a_missing_bundle_is_one_line_and_exit_code_1(name) -> None:
    done = run(name, "--model-id", "nothing-here")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: nothing-here: no such folder")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "model", "code"),
    [
        ("minilm_embeddings", "--model-id", -signal.SIGPIPE),
        ("weather_similarity", "--model-id", -signal.SIGPIPE),
        ("browser_embeddings", "--port=0", 141),
    ],
)
def test_a_reader_that_goes_away_ends_an_example_without_a_word(name, model, code, minilm, minilm_bundle) -> None:
    known = os.environ | {"PYTHONPATH": PATHS, "HF_HUB_OFFLINE": "1", "MINILM_TRANSFORMERS_MODEL": str(minilm)}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), model, str(minilm_bundle)]
    with subprocess.Popen(command, env=known, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert (process.returncode, told) == (code, "")


def test_vectors_that_differ_fail(example, minilm, minilm_bundle, monkeypatch, capsys, optional) -> None:
    optional("torch")
    theirs = example.TransformersEmbedder.encode
    monkeypatch.setattr(
        example.TransformersEmbedder, "encode", lambda self, texts: np.roll(theirs(self, texts), 1, axis=0)
    )
    arguments = ["--model-id", str(minilm_bundle), "--transformers-model", str(minilm)]
    assert example.main(arguments) == 1
    assert "FAIL: average cosine" in capsys.readouterr().out


def test_without_torch_it_says_what_to_install_and_compares_with_onnx_runtime(
    example, minilm_bundle, monkeypatch, capsys, optional
) -> None:
    optional("onnxruntime")
    find = importlib.util.find_spec
    hidden = ("torch", "transformers")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in hidden else find(name))
    assert example.main(["--model-id", str(minilm_bundle), "--backend", "numpy"]) == 0
    printed = capsys.readouterr().out
    assert (
        'torch and transformers not installed; to compare with the original model: pip install "webnn-runtime[export]"'
        in printed
    )
    assert "compared with ONNX Runtime" in printed


@pytest.mark.parametrize(
    ("argument", "environment", "expected"),
    [
        ("a", {"MINILM_LOCAL_MODEL_DIR": "b", "MINILM_MODEL_ID": "c/c"}, "a"),
        (None, {"MINILM_LOCAL_MODEL_DIR": "b", "MINILM_MODEL_ID": "c/c"}, "b"),
        (None, {"MINILM_MODEL_ID": "c/c"}, "c/c"),
        (None, {}, "tarekziade/all-MiniLM-L6-v2-webnn"),
    ],
)
def test_the_bundle_comes_from_the_argument_then_the_environment(
    argument, environment, expected, example, monkeypatch
) -> None:
    for name in ("MINILM_LOCAL_MODEL_DIR", "MINILM_MODEL_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert example.bundle_source(argument) == expected


def test_a_bundle_without_tokenizer_and_modules_is_completed(example, minilm, minilm_bundle, tmp_path) -> None:
    """Existing tools publish graph, weights and manifest, and nothing else."""
    for name in ("model.webnn", "model.weights", "manifest.json"):
        (tmp_path / name).symlink_to(minilm_bundle / name)
    embedder = example.open_embedder(str(tmp_path), backend="auto", device="cpu", tokenizer=str(minilm))
    whole = example.WebNNEmbedder(minilm_bundle)
    found = example.compare_embeddings(embedder.encode(example.SENTENCES), whole.encode(example.SENTENCES))
    assert found.max_abs == 0


def test_transformers_embedder_equals_sentence_transformers(example, minilm, optional) -> None:
    theirs = optional("sentence_transformers").SentenceTransformer(str(minilm), device="cpu", local_files_only=True)
    texts = [*example.SENTENCES, "", "weather " * 300]
    ours = example.TransformersEmbedder(str(minilm))
    np.testing.assert_allclose(ours.encode(texts), theirs.encode(texts), atol=1e-6)
