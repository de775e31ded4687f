"""Every command that takes a bundle or a model takes its id on the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.cli import main as webnn
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dtypes import DataType
from webnn_translator.cli import main as webnn_convert

ROOT = Path(__file__).resolve().parents[3]
SOURCES = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator"), *filter(None, sys.path)])
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def run(hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """`run("webnn", ...)` in a folder of its own; the Hub has `me/graph`, a bundle, and `me/model`, an ONNX file."""
    builder = GraphBuilder("tiny")
    table = builder.constant(np.ones((40, 40), np.float32), name="table")
    hidden = builder.op("matmul", builder.input("x", DataType.FLOAT32, (2, 40)), table)
    folder = save_bundle(builder.build({"y": hidden}), tmp_path / "made")
    hub.repositories["me/graph"] = {file.name: file.read_bytes() for file in folder.iterdir()}
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 3])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])
    w = TensorProto(name="w", dims=[3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    w.external_data.add(key="location", value="model.onnx_data")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "add", [x], [y], [w])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = np.float32([3, 5, 7]).tobytes()
    hub.repositories["me/model"] = {"onnx/model.onnx": model.SerializeToString(), "onnx/model.onnx_data": data}
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)

    def call(command: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [command, *arguments])
        with pytest.raises(SystemExit) as exited:
            {"webnn": webnn, "webnn-convert": webnn_convert}[command]()
        shown = capsys.readouterr()
        return int(exited.value.code or 0), shown.out, shown.err

    return call


@pytest.mark.parametrize(
    ("arguments", "written"),
    [
        (["inspect", "me/graph"], []),
        (["inspect", "me/model"], []),
        (["verify", "me/graph"], []),
        (["compare", "me/graph", f"me/graph@{COMMIT}"], []),
        (["quantize", "me/graph", "--quantize", "float16"], ["graph-float16"]),
        (["emit-js", "me/graph@main", "-o", "graph.mjs"], ["graph.mjs"]),
        (["emit-html", "me/graph", "-o", "graph.html"], ["graph.html"]),
        (["explain", "me/model@main"], []),
    ],
    ids=" ".join,
)
def test_a_command_takes_an_id_and_writes_here(arguments, written, run, hub, tmp_path) -> None:
    code, out, err = run("webnn", *arguments, "--json")
    assert code == 0, err
    assert json.loads(out)["ok"] is True
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == written
    # To look at a model, its data beside the ONNX file are not needed.
    assert ("onnx/model.onnx_data" in hub.downloads) == (arguments[0] == "explain")


def test_a_conversion_is_called_after_the_model_and_not_its_revision(run, tmp_path) -> None:
    assert run("webnn-convert", "me/model@main", "--quiet")[:2] == (0, "model-webnn\n")
    manifest = json.loads((tmp_path / "here/model-webnn/manifest.json").read_text(encoding="utf-8"))
    source = manifest["x-webnn-runtime"]["source"]
    assert (source["repository"], source["revision"]) == ("me/model", COMMIT)


@pytest.mark.parametrize(
    ("command", "fix"), [("emit-js", "pass -o FILE"), ("emit-html", "pass -o FILE"), ("pack", "pack a copy of /")]
)
def test_nothing_is_written_into_the_cache(command, fix, run) -> None:
    code, _, err = run("webnn", command, "me/graph")
    assert code == 2
    assert f"me/graph: lies in the Hub's cache, where nothing is written; {fix}" in " ".join(err.split())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("me/gated", "restricted; accept its terms at"),
        ("me/graph@v9", "has no revision 'v9'"),
        ("me/graf", "no such folder here, and no such repository"),
        ("me/half", "the download did not finish"),
        ("graf", "no such folder, and not a Hub id"),
    ],
)
def test_what_is_not_to_be_had_is_one_message(model, message, run, hub) -> None:
    hub.repositories |= {"me/gated": hub.repositories["me/graph"], "me/half": hub.repositories["me/graph"]}
    hub.gated.add("me/gated")
    hub.broken.add("model.weights")
    code, _, err = run("webnn", "inspect", model)
    assert code == 3
    assert message in err


def test_a_token_of_the_environment_opens_what_is_gated_and_bars_are_for_terminals(run, hub, tmp_path) -> None:
    """In a process of its own, since huggingface_hub reads its environment when it is imported."""
    hub.gated.add("me/graph")
    home = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": hub.token, "PYTHONPATH": SOURCES}
    command = [sys.executable, "-m", "webnn_runtime", "inspect", "me/graph"]
    ran = subprocess.run(command, env={**os.environ, **home}, capture_output=True, text=True, check=True)
    assert "matmul" in ran.stdout
    assert ran.stderr == ""
