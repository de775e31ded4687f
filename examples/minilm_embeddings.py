"""Embed five sentences with all-MiniLM-L6-v2 as a WebNN bundle, and compare with transformers.

    python examples/minilm_embeddings.py --model-id all-MiniLM-L6-v2-webnn --backend rust

The bundle is, in this order: `--model-id`, the folder in MINILM_LOCAL_MODEL_DIR, the hub id in
MINILM_MODEL_ID, or the hub repository tarekziade/all-MiniLM-L6-v2-webnn. The other side of the
comparison is `--transformers-model` (a folder or hub id); it needs torch and transformers. Without them the
example compares with ONNX Runtime instead and says what to install.

The exit code is 0 only if the average cosine is above 0.99999.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime import WebNNEmbedder, WebnnError
from webnn_runtime.embed import Comparison, compare
from webnn_runtime.hub import resolve

__all__ = ["SENTENCES", "TransformersEmbedder", "WebNNEmbedder", "compare_embeddings", "main", "open_embedder"]

SENTENCES: Final = (
    "This is a sample sentence to encode",
    "The cat sits on the mat",
    "A feline rests on the carpet",
    "The weather is sunny today",
    "Python is a programming language",
)
DEFAULT_BUNDLE: Final = "tarekziade/all-MiniLM-L6-v2-webnn"
DEFAULT_TRANSFORMERS_MODEL: Final = "sentence-transformers/all-MiniLM-L6-v2"
REQUIRED_COSINE: Final = 0.99999
INSTALL_TORCH: Final = 'pip install "webnn-runtime[export]"'

Vectors = npt.NDArray[np.float32]


class TransformersEmbedder:
    """Mean-pooled, normalised vectors from the original model in PyTorch.

    Args:
        model_id: folder or hub id of the original model.

    Raises:
        ModuleNotFoundError: torch or transformers is missing.
    """

    def __init__(self, model_id: str = DEFAULT_TRANSFORMERS_MODEL) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(model_id)
        self.model = AutoModel.from_pretrained(model_id).eval()
        self.max_seq_length = _max_seq_length(model_id)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors of the texts, float32 [texts, hidden]."""
        import torch

        batch = self.tokenizer(
            list(texts), padding=True, truncation=True, max_length=self.max_seq_length, return_tensors="pt"
        )
        with torch.no_grad():
            hidden = self.model(**batch).last_hidden_state
        weights = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        unit: Vectors = torch.nn.functional.normalize(pooled, dim=1).numpy()
        return unit


def compare_embeddings(ours: npt.ArrayLike, theirs: npt.ArrayLike) -> Comparison:
    """Cosine, distance, squared and absolute error of vectors of the same texts, text by text.

    Raises:
        WebnnError: the shapes differ.
    """
    return compare(ours, theirs)


def open_embedder(source: str, *, backend: str, device: str, tokenizer: str) -> WebNNEmbedder:
    """The bundle as an embedder.

    A bundle that holds nothing but graph and weights, as older tools write it, says neither which tokenizer
    nor which pooling belongs to it; here they are known, because the model is.
    """
    folder = resolve(source).path
    known: dict[str, Any] = {}
    if not (folder / "tokenizer.json").is_file():
        known["tokenizer_id"] = tokenizer
    if not (folder / "modules.json").is_file():
        known["pooling"] = "mean"
    return WebNNEmbedder(model_id=source, device_type=device, backend=backend, **known)


def bundle_source(model_id: str | None) -> str:
    """Which bundle to use: the argument, then the environment, then the default repository."""
    return model_id or os.environ.get("MINILM_LOCAL_MODEL_DIR") or os.environ.get("MINILM_MODEL_ID") or DEFAULT_BUNDLE


def print_vectors(embedder: WebNNEmbedder, vectors: Vectors) -> None:
    """Shape, first values, norm, and the cosine matrix of the sentences with themselves."""
    print(f"\nshape: {vectors.shape}")
    print(f"first ten values of S1: {np.array2string(vectors[0, :10], precision=6, separator=', ')}")
    print(f"norm of S1: {np.linalg.norm(vectors[0]):.6f}")
    print("\ncosine similarity")
    print("      " + "".join(f"{f'S{column + 1}':>9}" for column in range(len(vectors))))
    for row, similarities in enumerate(np.asarray(embedder.compute_similarity(vectors, vectors))):
        print(f"  {f'S{row + 1}':<4}" + "".join(f"{value:9.4f}" for value in similarities))
    for index, sentence in enumerate(SENTENCES):
        print(f"  S{index + 1}: {sentence}")


def print_comparison(comparison: Comparison, other: str) -> None:
    """Differences per sentence and overall, and the verdict."""
    print(f"\ncompared with {other}")
    print(f"  {'':<8}{'cosine':>12}{'euclidean':>12}{'MSE':>12}{'MAE':>12}")
    rows = np.stack([comparison.cosine, comparison.euclidean, comparison.mse, comparison.mae], axis=1)
    for name, values in [*((f"S{index + 1}", row) for index, row in enumerate(rows)), ("overall", rows.mean(axis=0))]:
        print(f"  {name:<8}{values[0]:>12.8f}" + "".join(f"{value:>12.3e}" for value in values[1:]))
    print(f"  largest difference of a component: {comparison.max_abs:.3e}")
    verdict = "PASS" if is_equal(comparison) else "FAIL"
    print(f"\n{verdict}: average cosine {comparison.average_cosine:.8f}, required above {REQUIRED_COSINE}")


def is_equal(comparison: Comparison) -> bool:
    """Whether the average cosine is above the limit."""
    return comparison.average_cosine > REQUIRED_COSINE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; returns the exit code."""
    options = _parser().parse_args(arguments)
    if options.debug:
        logging.basicConfig(format="%(name)s: %(message)s")
        logging.getLogger("webnn_runtime").setLevel(logging.DEBUG)
    source = bundle_source(options.model_id)
    try:
        embedder = open_embedder(
            source, backend=options.backend, device=options.device, tokenizer=options.transformers_model
        )
        _print_configuration(embedder, source, options)
        vectors = embedder.encode(SENTENCES)
        print_vectors(embedder, vectors)
        other, reference = _reference(source, options)
    # transformers reports a model that it cannot find or fetch as an OSError.
    except (WebnnError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    comparison = compare_embeddings(vectors, reference)
    print_comparison(comparison, other)
    return 0 if is_equal(comparison) else 1


def _print_configuration(embedder: WebNNEmbedder, source: str, options: argparse.Namespace) -> None:
    info = embedder.backend_info()
    print("configuration")
    print(f"  model:     {source}")
    print(f"  backend:   {info['backend']} (asked for: {options.backend})")
    print(f"  device:    {info.get('device', options.device)}")
    print(f"  threads:   {info.get('threads')}")
    print(f"  dimension: {embedder.get_sentence_embedding_dimension()}")
    print(f"  maximum:   {embedder.max_seq_length} tokens")
    if options.debug:
        print("backend selection")
        print("  " + json.dumps(info, indent=2, default=str).replace("\n", "\n  "))


def _reference(source: str, options: argparse.Namespace) -> tuple[str, Vectors]:
    original = options.transformers_model
    missing = [name for name in ("torch", "transformers") if importlib.util.find_spec(name) is None]
    if not missing:
        return f"transformers ({original})", TransformersEmbedder(original).encode(SENTENCES)
    print(f"\n{' and '.join(missing)} not installed; to compare with the original model: {INSTALL_TORCH}")
    print("comparing with ONNX Runtime on the same bundle instead")
    embedder = open_embedder(source, backend="onnxruntime", device="cpu", tokenizer=original)
    return "ONNX Runtime", embedder.encode(SENTENCES)


def _max_seq_length(model_id: str) -> int:
    """The limit that sentence-transformers uses for the model; 256 for the default one."""
    settings = Path(model_id) / "sentence_bert_config.json"
    if settings.is_file():
        return int(json.loads(settings.read_text(encoding="utf-8"))["max_seq_length"])
    return 256


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-id", help="bundle folder or hub id")
    parser.add_argument(
        "--transformers-model",
        default=os.environ.get("MINILM_TRANSFORMERS_MODEL", DEFAULT_TRANSFORMERS_MODEL),
        help="folder or hub id of the original model (also MINILM_TRANSFORMERS_MODEL)",
    )
    parser.add_argument("--backend", default="auto", help="auto, rust, onnxruntime or numpy")
    parser.add_argument("--device", default="cpu", help="cpu, or gpu where the backend has one")
    parser.add_argument("--debug", action="store_true", help="show how the backend was chosen and what runs where")
    return parser


if __name__ == "__main__":
    # Piped into `head`, this ends as other programs do; Windows has no such signal.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
