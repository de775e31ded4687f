"""`webnn inspect` on a bundle: what was decided when it was converted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.cli import conversion
from webnn_runtime.cli.conversion import conversion_lines
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.manifest import Extension


@pytest.fixture
def decoder(tmp_path: Path) -> Path:
    """A decoder with a cache that only makes vectors, and a rate that it is told."""
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Gather", ["table", "input_ids"], ["x"]),
        node("Unsqueeze", ["x", "one"], ["keys"]),
        node("Concat", ["past_key_values.0.key", "keys"], ["present.0.key"], axis=2),
        node("Cast", ["rate"], ["factor"], to=TensorProto.FLOAT),
        node("Mul", ["x", "factor"], ["last_hidden_state"]),
    ]
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch", "length"]),
        value("past_key_values.0.key", TensorProto.FLOAT, ["batch", 1, "past", 4]),
        value("rate", TensorProto.DOUBLE, []),
    ]
    outputs = [
        value("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 4]),
        value("present.0.key", TensorProto.FLOAT, ["batch", 1, "total", 4]),
    ]
    constants = {"table": np.arange(20, dtype=np.float32).reshape(5, 4), "one": np.asarray([1])}
    tensors = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "decoder", inputs, outputs, tensors), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 10
    onnx.save(model, tmp_path / "decoder.onnx")
    return tmp_path / "decoder.onnx"


def test_weights_without_a_manifest_are_counted(
    run: Callable[..., Any], bundle: Path, optional: Callable[..., Any]
) -> None:
    before = run("webnn", "inspect", bundle, "--json").json["data"]
    tensors = {c.key: np.array(c.values) for c in load_bundle(bundle).graph.constants.values() if c.key is not None}
    optional("safetensors.numpy").save_file(tensors, str(bundle / "model.safetensors"))
    for name in ("model.weights", "manifest.json"):
        (bundle / name).unlink()
    after = run("webnn", "inspect", bundle, "--json").json["data"]
    assert after["tensors"] == before["tensors"] == len(tensors)
    assert after["weights_bytes"] == before["weights_bytes"] > 0


def test_values_in_the_graph_file_are_counted(run: Callable[..., Any], tmp_path: Path) -> None:
    text = 'webnn_graph "g" v1 { inputs { x: f32[3]; } consts { c: f32[3] @scalar(2.0); } '
    text += "nodes { y = mul(x, c); } outputs { y; } }"
    (tmp_path / "g.webnn").write_text(text, encoding="utf-8")
    assert "weights    0 tensors, 0 bytes, and 12 in the graph file (float32)" in run("webnn", "inspect", tmp_path).out
    assert run("webnn", "inspect", tmp_path, "--json").json["data"]["inline_bytes"] == 12


def test_inspect_tells_what_was_decided_at_conversion(run: Callable[..., Any], decoder: Path, tmp_path: Path) -> None:
    flags = ("--dim", "batch=2", "--bind", "rate=0.5", "-o", tmp_path / "out")
    assert run("webnn-convert", decoder, *flags).code == 0
    shown = [" ".join(line.split()) for line in run("webnn", "inspect", tmp_path / "out").out.splitlines()]
    assert "bound batch = 2, from --dim" in shown
    assert "bound rate = 0.5" in shown
    why = "an embedder: its output is last_hidden_state"
    assert f"cache empty, past = 0: {why}; left out: present.0.key" in shown
    assert "left out inputs without elements: past_key_values.0.key" in shown
    record = run("webnn", "inspect", tmp_path / "out", "--json").json["data"]["conversion"]
    assert record["emptyCache"] == {"dimension": "past", "why": why, "leftOut": ["present.0.key"]}
    assert record["boundInputs"]["rate"]["values"] == [0.5]


def test_inspect_tells_why_a_size_has_limits(run: Callable[..., Any], tmp_path: Path) -> None:
    value = helper.make_tensor_value_info
    shortened = helper.make_node("Pad", ["x", "pads"], ["y"])
    inputs = [value("x", TensorProto.FLOAT, ["batch", "n"])]
    outputs = [value("y", TensorProto.FLOAT, ["batch", "m"])]
    pads = [numpy_helper.from_array(np.asarray([0, 0, 0, -3]), "pads")]
    model = helper.make_model(
        helper.make_graph([shortened], "g", inputs, outputs, pads), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 10
    onnx.save(model, tmp_path / "m.onnx")
    assert run("webnn-convert", tmp_path / "m.onnx", "--max-dim", "batch=8", "-o", tmp_path / "out").code == 0
    limits = {"batch": "given", "n": "at least 4: a Pad leaves n - 3 elements"}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["x-webnn-runtime"]["dimensionLimits"] == limits
    shown = [" ".join(line.split()) for line in run("webnn", "inspect", tmp_path / "out").out.splitlines()]
    assert {f"limit {name}: {why}" for name, why in limits.items()} <= set(shown)


def test_the_page_of_the_format_has_every_decision() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "format.md").read_text(encoding="utf-8")
    table = page.partition("\n| key | holds |\n")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[1:-1]]
    documented = {name.strip(" `") for row in rows for name in row.split(",")}
    assert documented == {*Extension().to_json(), "int4", *conversion._KEYS}


def test_what_is_long_is_shown_in_part_and_what_is_malformed_is_not() -> None:
    record = {
        "outputLabels": {"scores": list(range(20)), "others": 3},
        "emptyOutputs": ["present"],
        "floatStates": ["cells"],
        "typeMappings": {"double": "carried by float32"},
        "sourceTypes": "none",
        "boundInputs": {"rate": [1]},
        "dimensionLimits": ["batch"],
        "emptyCache": [],
    }
    assert list(conversion_lines(record)) == [
        ("left out", "outputs without elements: present"),
        ("float32", "data and states of quantised LSTMs, which are not rounded: cells"),
        ("labels", "of the columns of scores: 0, 1, 2, 3, 4, 5, 6, 7, and 12 more"),
        ("type", "double: carried by float32"),
    ]
