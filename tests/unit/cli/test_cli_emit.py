"""`webnn emit-js` and `webnn emit-html`: the files they write, and what they leave alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_the_module_goes_into_the_bundle_and_knows_its_weights(run: Callable[..., Any], bundle: Path) -> None:
    ran = run("webnn", "emit-js", bundle, "--types", "--json")
    assert ran.code == 0
    data = ran.json["data"]
    module = bundle / "model.mjs"
    assert data["module"] == str(module)
    assert data["types"] == str(bundle / "model.d.mts")
    assert (data["dimensions"], data["weights"]) == (["batch"], "model.weights")
    weights = (bundle / "model.weights").read_bytes()
    text = module.read_text(encoding="utf-8")
    assert f'"byteLength": {len(weights)}, "sha256": "{hashlib.sha256(weights).hexdigest()}"' in text
    assert 'export type DimensionName = "batch";' in (bundle / "model.d.mts").read_text(encoding="utf-8")
    assert run("webnn", "verify", bundle).code == 0, "a bundle with a module is still that bundle"
    assert run("webnn", "emit-js", bundle).code == 0, "its own file may be replaced"
    assert module.read_text(encoding="utf-8") == text


def test_weights_under_the_names_of_another_tool_are_in_the_module(run: Callable[..., Any], bundle: Path) -> None:
    own = run("webnn", "emit-js", bundle)
    assert own.code == 0
    module = (bundle / "model.mjs").read_text(encoding="utf-8")
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    del manifest["x-webnn-runtime"]
    manifest["tensors"] = {f"layer.{key}": entry for key, entry in manifest["tensors"].items()}
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    graph = (bundle / "model.webnn").read_text(encoding="utf-8")
    (bundle / "model.webnn").write_text(graph.replace('@weights("', '@weights("layer_'), encoding="utf-8")
    assert run("webnn", "emit-js", bundle).code == 0
    assert [line for line in (bundle / "model.mjs").read_text(encoding="utf-8").splitlines() if "weight(" in line] == [
        line for line in module.splitlines() if "weight(" in line
    ]


def test_bound_dimensions_are_numbers_in_the_module(run: Callable[..., Any], bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "fixed.mjs"
    ran = run("webnn", "emit-js", bundle, "-o", out, "--dim", "batch=2")
    assert ran.code == 0
    assert "looks for model.weights beside itself" in ran.err
    text = out.read_text(encoding="utf-8")
    assert 'input("x", "float32", [2, 4])' in text
    assert "dimensions: {}" in text


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--dim", "batch"], "write it as --dim NAME=VALUE"),
        (["--dim", f"batch={'9' * 5000}"], "write it as --dim NAME=VALUE"),
        (["--dim", "batch=2", "--dim", "batch=3"], "--dim batch is given twice, as 2 and 3; pass it once"),
        (["--dim", "height=3"], "the graph has no dimension 'height'"),
        (["--dim", "batch=0"], "the graph allows 1 to"),
        (["-o", "out.txt", "--types"], "finds the types of .mjs and .js files only"),
    ],
)
def test_wrong_usage_writes_nothing(
    run: Callable[..., Any], bundle: Path, tmp_path: Path, options: list[str], complaint: str
) -> None:
    before = sorted(tmp_path.rglob("*"))
    ran = run("webnn", "emit-js", bundle, *options)
    assert ran.code == 2
    assert complaint in ran.err
    assert sorted(tmp_path.rglob("*")) == before


def test_files_of_others_are_not_replaced(run: Callable[..., Any], bundle: Path, tmp_path: Path) -> None:
    own = tmp_path / "app.mjs"
    own.write_text("export {};", encoding="utf-8")
    ran = run("webnn", "emit-js", bundle, "-o", own)
    assert ran.code == 2
    assert "was not written by this command" in ran.err
    assert own.read_text(encoding="utf-8") == "export {};"
    types = tmp_path / "mine.d.mts"
    types.write_text("export {};", encoding="utf-8")
    ran = run("webnn", "emit-js", bundle, "-o", tmp_path / "mine.mjs", "--types")
    assert ran.code == 2
    assert "mine.d.mts: is there and was not written by this command" in ran.err
    assert not (tmp_path / "mine.mjs").exists()
    assert run("webnn", "emit-js", tmp_path / "none").code == 3
    assert run("webnn", "emit-js", bundle, "-o", tmp_path / "no" / "folder.mjs").code == 2


def test_the_page_goes_into_the_bundle_and_says_where_it_comes_from(run: Callable[..., Any], bundle: Path) -> None:
    ran = run("webnn", "emit-html", bundle, "--json")
    assert ran.code == 0
    page = bundle / "model.html"
    assert ran.json["data"] == {"page": str(page), "operators": 3}
    text = page.read_text(encoding="utf-8")
    assert '"source":"dense.onnx"' in text
    assert len(text) < 100_000
    assert run("webnn", "emit-html", bundle).code == 0
    assert run("webnn", "verify", bundle).code == 0


def test_a_page_of_somebody_else_is_not_replaced(run: Callable[..., Any], bundle: Path, tmp_path: Path) -> None:
    own = tmp_path / "index.html"
    own.write_text("<!doctype html><p>mine", encoding="utf-8")
    assert run("webnn", "emit-html", bundle, "-o", own).code == 2
    assert own.read_text(encoding="utf-8") == "<!doctype html><p>mine"
