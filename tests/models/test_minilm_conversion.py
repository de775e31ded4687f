"""Every export of the real all-MiniLM-L6-v2 converts, and the check of the conversion finds it equal to its source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from webnn_runtime.format.bundle import load_bundle
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.verify import recheck_bundle

# A conversion takes ten seconds on two idle cores, and the first use of an export as long again.
pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
BACKENDS = {"numpy", "onnxruntime", "rust"}


@pytest.fixture(scope="module", autouse=True)
def every_backend(optional: Callable[[str], object]) -> None:
    optional("webnn_kernels")


@pytest.mark.parametrize("variant", ["ts-eager", "ts-sdpa", "dynamo", "int8"])
def test_an_export_converts_and_verifies(variant: str, minilm_exports: Callable[[str], Path], tmp_path: Path) -> None:
    done = convert_model(str(minilm_exports(variant)), tmp_path / "bundle")
    certificate = done.certificate
    assert certificate is not None
    assert certificate.passed
    assert certificate.inputs == "tokens"
    assert {verdict.backend for verdict in certificate.verdicts} == BACKENDS
    # Ten times tighter than what is required: float32 rounding, and nothing else.
    assert max(verdict.worst.max_abs / verdict.worst.largest for verdict in certificate.verdicts) < 1e-5
    assert min(verdict.worst.min_cosine for verdict in certificate.verdicts) > 0.9999999

    graph = load_bundle(tmp_path / "bundle", verify=True).graph
    assert list(graph.inputs) == ["input_ids", "attention_mask", "token_type_ids"]
    assert list(graph.outputs) == ["last_hidden_state"]
    batch, length = graph.dims.values()
    assert batch.is_unbounded
    assert length.max_size == 512
    sizes = {(tuple(point.bindings.values()), point.padded) for point in certificate.grid}
    assert {((1, 1), False), ((2, 7), True), ((1, 512), False), ((1, 512), True)} <= sizes
    assert list(certificate.unchecked_maxima) == [batch.name]

    again = recheck_bundle(tmp_path / "bundle")
    assert again.passed
    assert {result.backend for result in again.results} == BACKENDS


def test_a_bound_graph_is_v1_and_verifies(minilm_exports: Callable[[str], Path], tmp_path: Path) -> None:
    dims = {"batch_size": 1, "sequence_length": 128}
    done = convert_model(str(minilm_exports("dynamo")), tmp_path / "bundle", ConvertOptions(dims=dims))
    assert done.certificate is not None
    assert done.certificate.passed
    assert list(done.certificate.unchecked_maxima) == []
    assert {point.padded for point in done.certificate.grid} == {False, True}
    assert " v1 {" in (tmp_path / "bundle" / "model.webnn").read_text(encoding="utf-8").partition("\n")[0]


def test_what_the_embedder_needs_travels_along(minilm_exports: Callable[[str], Path], tmp_path: Path) -> None:
    convert_model(str(minilm_exports("ts-eager")), tmp_path / "bundle", ConvertOptions(is_verified=False))
    held = {path.relative_to(tmp_path / "bundle").as_posix() for path in (tmp_path / "bundle").rglob("*")}
    assert {"tokenizer.json", "tokenizer_config.json", "modules.json", "1_Pooling/config.json", "config.json"} <= held
    assert not [name for name in held if name.endswith((".onnx", ".safetensors", ".bin", "vocab.txt"))]
