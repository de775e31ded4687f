"""`webnn-convert --quantize` and `webnn quantize`: what is written, what is said, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.format.bundle import load_bundle


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """relu(x @ w + b) @ v, large enough to be worth it."""
    rng = np.random.default_rng(3)
    weights = {"w": (64, 96), "b": (96,), "v": (96, 64)}
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
            helper.make_node("Add", ["p", "b"], ["s"], name="sum"),
            helper.make_node("Relu", ["s"], ["r"], name="bend"),
            helper.make_node("MatMul", ["r", "v"], ["y"], name="out"),
        ],
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 64])],
        [
            numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name)
            for name, shape in weights.items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "wide.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def extension(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())["x-webnn-runtime"]
    return found


@pytest.mark.parametrize(
    ("kind", "compute", "size"), [("int8", "int8", 13.5e3), ("float16", "exact", 25e3), ("int4", "exact", 8.5e3)]
)
def test_the_manifest_and_the_text_say_what_was_done(
    run: Callable[..., Any], wide: Path, kind: str, compute: str, size: float
) -> None:
    ran = run("webnn-convert", wide, "--quantize", kind)
    assert ran.code == 0
    assert "before it was quantised" in ran.out
    assert "cosine mean 0.9" in ran.out or "cosine mean 1.0" in ran.out
    folder = wide.parent / "wide-webnn"
    found = extension(folder)
    assert (found["quantization"]["kind"], found["quantization"]["compute"]) == (kind, compute)
    assert found["quantization"]["weights"] == {kind: 2}
    # The header is first: others know a text graph by the word that it begins with.
    head = f'webnn_graph "wide" v2 @quantized {{\n  # quantised ({kind}): 2 weights {kind}\n'
    assert (folder / "model.webnn").read_text().startswith(head)
    assert (folder / "model.weights").stat().st_size < size
    # Nothing in the manifest says that the quantised graph equals the source.
    certificate = found["certificate"]
    assert certificate["float"]["reference"].startswith("onnxruntime")
    assert certificate["agreement"]["reference"].endswith("on the quantised graph")
    assert 0.98 < certificate["loss"]["outputs"]["y"]["mean"] <= 1
    load_bundle(folder, verify=True)
    assert run("webnn", "verify", folder).code == 0
    assert f"{kind}, computed {compute}: mean cosine" in run("webnn", "inspect", folder).out


def test_a_bundle_is_quantised_as_its_source_would_be(run: Callable[..., Any], wide: Path) -> None:
    assert run("webnn-convert", wide, "--quiet").code == 0
    assert run("webnn-convert", wide, "--quantize", "int8", "-o", "direct", "--quiet").code == 0
    ran = run("webnn", "quantize", "wide-webnn", "--quantize", "int8", "--json")
    assert ran.code == 0
    data = ran.json["data"]
    assert data["quantization"]["weights"] == {"int8": 2}
    folder = wide.parent / "wide-webnn-int8"
    assert data["folder"] == folder.name
    for name in ("model.webnn", "model.weights", "manifest.json"):
        assert (folder / name).read_bytes() == (wide.parent / "direct" / name).read_bytes()
    again = run("webnn", "quantize", folder)
    assert again.code == 2
    assert "is quantised already (int8)" in again.err


@pytest.mark.parametrize(("inside", "named"), [("", "wide-webnn/model.webnn"), ("wide-webnn", ".")])
def test_a_bundle_is_quantised_to_the_folder_beside_it(
    inside: str, named: str, run: Callable[..., Any], wide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("webnn-convert", wide, "--quiet").code == 0
    monkeypatch.chdir(wide.parent / inside)
    ran = run("webnn", "quantize", named, "--quantize", "float16", "--quiet")
    assert ran.code == 0
    assert (wide.parent / "wide-webnn-float16" / "model.webnn").is_file()
    assert Path(ran.out.strip()).samefile(wide.parent / "wide-webnn-float16")


def test_what_travels_along_is_copied_but_not_what_was_learnt_of_the_float_vectors(
    run: Callable[..., Any], wide: Path
) -> None:
    assert run("webnn-convert", wide, "--no-verify").code == 0
    folder = wide.parent / "wide-webnn"
    (folder / "embedding_ranges.json").write_text("{}")
    (folder / "README.md").write_text("a model")
    (folder / "config.json").write_text("{}")
    assert run("webnn", "quantize", folder, "--quantize", "float16", "-o", "small").code == 0
    assert {path.name for path in (wide.parent / "small").iterdir()} == {
        *("model.webnn", "model.weights", "manifest.json", "README.md", "config.json"),
    }
    hashes = json.loads((wide.parent / "small" / "manifest.json").read_text())["x-webnn-runtime"]["sha256"]
    assert set(hashes["files"]) == {"config.json"}, "notes may change"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--per-channel"], "--per-channel says how to quantise; pass --quantize"),
        (["--target-cosine", "0.9"], "--target-cosine says how to quantise"),
        (["--weight-only"], "--weight-only says how to quantise"),
        (["--quantize", "int4", "--calibrate", "x.npz", "--tokenizer", "."], "the inputs of an .npz need none"),
        (["--quantize", "float16", "--no-per-channel"], "halves have no scale"),
        (["--quantize", "q4"], "one of int8, uint8, int4, float16, mixed"),
        (["--quantize", "int8", "--exclude", "none"], "matches no node or weight"),
        (["--dtype", "fp16"], "chosen with --quantize"),
    ],
)
def test_wrong_combinations_are_refused_with_the_reason(
    run: Callable[..., Any], wide: Path, arguments: list[str], message: str
) -> None:
    ran = run("webnn-convert", wide, *arguments)
    assert ran.code == 2
    assert message in ran.err
    assert [path.name for path in wide.parent.iterdir()] == ["wide.onnx"]


def test_a_failed_gate_writes_nothing(run: Callable[..., Any], wide: Path) -> None:
    ran = run("webnn-convert", wide, "--quantize", "int8", "--exclude", "w", "--target-cosine", "0.99999999", "--json")
    assert ran.code == 8
    assert ran.json["errors"][0]["code"] == "quality-gate"
    assert [path.name for path in wide.parent.iterdir()] == ["wide.onnx"]


def test_fixed_ranges_are_checked_from_one_rounding_to_the_next(run: Callable[..., Any], wide: Path) -> None:
    np.savez(wide.parent / "inputs.npz", x=np.random.default_rng(1).standard_normal((8, 4, 64)).astype(np.float32))
    ran = run("webnn-convert", wide, "--quantize", "int8", "--calibrate", "inputs.npz", "--json")
    assert ran.code == 0
    assert ran.json["data"]["quantization"]["fixedRanges"] == 2
    found = extension(wide.parent / "wide-webnn")
    assert found["quantization"]["options"]["activations"] == "fixed ranges"
    assert found["quantization"]["roundedBy"] == "file"
    assert "inputs.npz" not in json.dumps(found)
    assert found["certificate"]["agreement"]["roundings"] == 2
    assert run("webnn", "verify", "wide-webnn").code == 0


def test_a_quantised_bundle_is_verified_by_its_loss(run: Callable[..., Any], wide: Path) -> None:
    assert run("webnn-convert", wide, "--quantize", "int4", "--quiet").code == 0
    ran = run("webnn", "verify", "wide-webnn", "--source", wide)
    assert ran.code == 0
    assert "loses against wide.onnx what its certificate states" in ran.out.replace(str(wide.parent) + "/", "")
    assert "--tolerance" in run("webnn", "verify", "wide-webnn", "--source", wide, "--tolerance", "0.1").err
    text = (wide.parent / "wide-webnn" / "manifest.json").read_text()
    mean = extension(wide.parent / "wide-webnn")["certificate"]["loss"]["outputs"]["y"]["mean"]
    (wide.parent / "wide-webnn" / "manifest.json").write_text(text.replace(f'"mean": {mean}', '"mean": 0.99999'))
    worse = run("webnn", "verify", "wide-webnn", "--source", wide)
    assert worse.code == 7
    assert "the certificate states 0.999990" in worse.err
