"""`webnn inspect` and `webnn verify`: what they tell about a bundle, and what they notice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper


def edit_manifest(bundle: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    change(manifest["x-webnn-runtime"])
    path.write_text(json.dumps(manifest), encoding="utf-8")


def test_inspect_shows_what_a_bundle_takes_and_gives(run: Callable[..., Any], bundle: Path) -> None:
    ran = run("webnn", "inspect", bundle)
    assert ran.code == 0
    for line in ("input      x: f32[batch, 4]", "output     y: f32[batch, 3]", "check      passed"):
        assert line in ran.out
    data = run("webnn", "inspect", bundle, "--json").json["data"]
    assert data["source"]["file"] == "dense.onnx"
    assert (data["tensors"], data["weights_bytes"]) == (2, 60)
    assert data["static"] is False


def test_verify_without_the_source_checks_hashes_and_canaries_and_says_so(
    run: Callable[..., Any], bundle: Path
) -> None:
    ran = run("webnn", "verify", bundle)
    assert ran.code == 0
    assert "the source was not consulted" in ran.out
    data = run("webnn", "verify", bundle, "--json").json["data"]
    assert (data["method"], data["verdict"]) == ("hashes and canaries", "passed")
    assert {result["backend"] for result in data["results"]} >= {"numpy", "onnxruntime"}


def test_verify_with_the_source_repeats_the_check(run: Callable[..., Any], bundle: Path, dense: Path) -> None:
    ran = run("webnn", "verify", bundle, "--source", dense, "--json")
    assert ran.code == 0
    assert ran.json["data"]["method"] == "source"
    assert ran.json["data"]["certificate"]["verdict"] == "passed"
    assert ran.json["warnings"] == []


def test_verify_notices_another_source(run: Callable[..., Any], bundle: Path, dense: Path) -> None:
    model = onnx.load(dense)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(np.full(3, 9, np.float32), "b"))
    onnx.save(model, dense)
    ran = run("webnn", "verify", bundle, "--source", dense, "--json")
    assert ran.code == 7
    assert ran.json["errors"][0]["certificate"]["verdict"] == "failed"
    assert "not byte for byte" in ran.json["warnings"][0]


@pytest.mark.parametrize("name", ["model.webnn", "model.weights"])
def test_verify_notices_a_changed_file(run: Callable[..., Any], bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[-2] ^= 1 if name == "model.weights" else 0
    (bundle / name).write_bytes(bytes(content) if name == "model.weights" else bytes(content) + b"\n")
    ran = run("webnn", "verify", bundle)
    assert ran.code == 4
    assert "SHA-256" in ran.err
    assert name in ran.err


def test_verify_names_what_it_has_no_hash_of(run: Callable[..., Any], bundle: Path) -> None:
    """A tokenizer that was cut short was called right as well."""
    assert "✓ every file has the SHA-256 of the manifest\n" in run("webnn", "verify", bundle).out
    (bundle / "tokenizer.json").write_text("{")
    assert "of the manifest; it states none for tokenizer.json\n" in run("webnn", "verify", bundle).out


def test_verify_notices_numbers_that_changed(run: Callable[..., Any], bundle: Path) -> None:
    def damage(extension: dict[str, Any]) -> None:
        extension["canaries"][0]["outputs"]["y"]["values"][0] += 0.5

    edit_manifest(bundle, damage)
    ran = run("webnn", "verify", bundle)
    assert ran.code == 7
    assert "canary of 'y'" in ran.err


def test_verify_of_an_unchecked_bundle_says_that_it_is_one(run: Callable[..., Any], dense: Path) -> None:
    assert run("webnn-convert", dense, "--no-verify", "--quiet").code == 0
    ran = run("webnn", "verify", dense.parent / "dense-webnn")
    assert ran.code == 0
    assert "without a numeric check" in ran.err
    assert "certificate of the conversion: none" in ran.out


@pytest.mark.parametrize(
    "damage",
    [
        lambda extension: extension.update(certificate=3),
        lambda extension: extension.update(canaries={}),
        lambda extension: extension["certificate"].update(tolerance="much"),
        lambda extension: extension["canaries"].append(7),
        lambda extension: extension["canaries"].append({"inputs": {"x": {"shape": [2**62], "values": []}}}),
    ],
)
def test_verify_of_a_malformed_manifest_is_one_error(
    run: Callable[..., Any], bundle: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    edit_manifest(bundle, damage)
    ran = run("webnn", "verify", bundle)
    assert ran.code == 4
    assert "malformed" in ran.err or "between 0 and 1" in ran.err


@pytest.mark.parametrize("command", ["inspect", "verify", "embed"])
def test_a_missing_bundle_is_not_found(run: Callable[..., Any], command: str) -> None:
    ran = run("webnn", command, "./absent", *(["text"] if command == "embed" else []), "--json")
    assert ran.code == 3
    assert ran.json["command"] == command
    assert ran.json["errors"][0]["code"] == "not-found"


def test_an_unknown_command_is_wrong_usage(run: Callable[..., Any]) -> None:
    ran = run("webnn", "frobnicate")
    assert ran.code == 2
    assert "frobnicate" in ran.err


def test_no_command_shows_the_commands(run: Callable[..., Any]) -> None:
    ran = run("webnn")
    assert (ran.code, ran.err) == (2, "")
    for command in ("verify", "inspect", "embed"):
        assert command in ran.out


@pytest.mark.parametrize("command", ["webnn", "webnn-convert"])
def test_version_and_help_are_answers(run: Callable[..., Any], command: str) -> None:
    assert run(command, "--version").out.startswith(f"{command} 0.")
    shown = run(command, "--help")
    assert shown.code == 0
    assert "Usage" in shown.out
