"""The real all-MiniLM-L6-v2, converted, and its vectors in torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from webnn_runtime.backends import Backend, get_backend

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")]),
    "HF_HUB_OFFLINE": "1",
}


# Every backend, whatever the operator cases leave out: whole models are what they are for.
BACKENDS = {"numpy": "numpy", "onnxruntime": "onnxruntime", "rust": "webnn_kernels"}


@pytest.fixture(scope="session", params=BACKENDS)
def backend(request: pytest.FixtureRequest, optional: Callable[[str], Any]) -> Backend:
    """Each backend in turn; one without its library is skipped as `optional` says."""
    optional(BACKENDS[request.param])
    return get_backend(request.param)


@pytest.fixture(scope="session")
def libraries(optional: Callable[[str], Any]) -> SimpleNamespace:
    """What saves models as sentence-transformers lays them out."""
    return SimpleNamespace(
        torch=optional("torch"),
        transformers=optional("transformers"),
        st=optional("sentence_transformers.sentence_transformer.modules"),
        SentenceTransformer=optional("sentence_transformers").SentenceTransformer,
    )


def _run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, check=False, env=ENVIRONMENT, capture_output=True, text=True)


_webnn_convert = partial(_run_module, "webnn_translator.cli")


def _convert(source: Path, out: Path, *options: str) -> Path:
    _webnn_convert(str(source), "-o", str(out), "--no-verify", *options).check_returncode()
    return out


@pytest.fixture(scope="session")
def webnn_convert() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command with arguments; nothing is raised where it fails."""
    return _webnn_convert


@pytest.fixture(scope="session")
def webnn() -> Callable[..., subprocess.CompletedProcess[str]]:
    """The same for `webnn`."""
    return partial(_run_module, "webnn_runtime.cli")


@pytest.fixture(scope="session")
def minilm_bundle(minilm_exports: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with batch and length free."""
    return _convert(minilm_exports("ts-sdpa"), tmp_path_factory.mktemp("free") / "all-MiniLM-L6-v2-webnn")


@pytest.fixture(scope="session")
def minilm_static_bundle(minilm_exports: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of batch 1 and 128 tokens, as older tools publish it."""
    dims = ["--dim", "batch_size=1", "--dim", "sequence_length=128"]
    return _convert(minilm_exports("ts-sdpa"), tmp_path_factory.mktemp("static") / "all-MiniLM-L6-v2-webnn", *dims)


@pytest.fixture(scope="session")
def minilm_variant(
    minilm_exports: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """The name of an export -> its bundle, converted once."""
    folder = tmp_path_factory.mktemp("variants")
    return cache(lambda variant: _convert(minilm_exports(variant), folder / variant))


class Torch:
    """The original model in torch."""

    def __init__(self, folder: Path, transformers: Any, torch: Any) -> None:
        self.torch = torch
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModel.from_pretrained(folder).eval()

    def hidden(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        """Token vectors of a batch."""
        with self.torch.no_grad():
            return self.model(**{name: self.torch.from_numpy(array) for name, array in inputs.items()})[0].numpy()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Mean-pooled vectors of length 1; one text at a time, so without padding."""
        rows = []
        for text in texts:
            tokens = self.tokenizer(text, truncation=True, max_length=256, return_tensors="np")
            mean = self.hidden(dict(tokens))[0].mean(axis=0, dtype=np.float64)
            rows.append(mean / np.linalg.norm(mean))
        return np.array(rows, dtype=np.float32)


@pytest.fixture(scope="session")
def original(minilm: Path, optional: Callable[[str], Any]) -> Torch:
    """What every backend has to equal."""
    return Torch(minilm, optional("transformers"), optional("torch"))
