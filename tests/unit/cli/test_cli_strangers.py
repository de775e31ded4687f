"""Files that are something else than their name says, and names that are none: the answer says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from onnx import TensorProto, helper

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 90261512\n"
HEADER = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
STRANGERS = {
    "pointer": (POINTER, "git lfs pull"),
    "page": (b"\n<!DOCTYPE html>\n<html>", "/resolve/"),
    "zip": (b"PK\x03\x04" + bytes(60), "torch.onnx"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(60), "tf2onnx"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(60), "tf2onnx"),
    "gzip": (b"\x1f\x8b\x08" + bytes(60), "unpack it"),
    "weights": (b"WGWT\x01\0\0\0" + bytes(60), "pass the bundle's folder"),
    "safetensors": (len(HEADER).to_bytes(8, "little") + HEADER + bytes(4), "pass the model's folder"),
    "empty": (b"", "download or export it again"),
}


@pytest.mark.parametrize("name", STRANGERS)
@pytest.mark.parametrize("tool", ["webnn-convert", "webnn verify"])
def test_a_file_of_another_kind_is_called_what_it_is(tool, name, run, tmp_path) -> None:
    content, remedy = STRANGERS[name]
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    ran = run(*tool.split(), path)
    assert (ran.code, ran.out) == (4, "")
    assert remedy in ran.err


@pytest.mark.parametrize(
    ("elem_type", "size", "code", "message"),
    [
        (TensorProto.STRING, 2, 5, "has element type string"),
        (TensorProto.FLOAT, 0, 7, "the source model itself does not run at x_dim_0"),
        (TensorProto.FLOAT8E5M2, 2, 7, "type tensor(float8e5m2), which NumPy lacks"),
    ],
)
def test_what_is_no_fault_of_a_file_is_not_called_malformed(elem_type, size, code, message, run, tmp_path) -> None:
    x, y = (helper.make_tensor_value_info(name, elem_type, [size]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    ran = run("webnn-convert", tmp_path / "model.onnx", "-o", "out")
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err
    assert not (tmp_path / "out").exists()


def test_operators_that_only_gpus_have_are_no_fault_of_the_file(run, tmp_path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 4]) for name in "xy")
    bias = helper.make_tensor("bias", TensorProto.FLOAT, [4], [1, 2, 3, 4])
    node = helper.make_node("BiasAdd", ["x", "bias", "x"], ["y"], domain="com.microsoft")
    graph = helper.make_graph([node], "g", [x], [y], [bias])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    ran = run("webnn-convert", tmp_path / "model.onnx", "-o", "out")
    assert (ran.code, ran.out) == (7, "")
    assert "its CPU cannot run the source" in ran.err
    assert "export without that operator, or write it unchecked with --no-verify" in ran.err
    assert not (tmp_path / "out").exists()
    assert run("webnn-convert", tmp_path / "model.onnx", "-o", "out", "--no-verify").code == 0


def test_bfloat16_is_checked_against_the_source_in_float32(run, tmp_path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.BFLOAT16, [2, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "x"], ["y"])], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    ran = run("webnn-convert", tmp_path / "model.onnx", "-o", "out")
    assert ran.code == 0
    assert "checking against the source with float32 for bfloat16" in ran.err
    certificate = json.loads((tmp_path / "out" / "manifest.json").read_text())["x-webnn-runtime"]["certificate"]
    assert certificate["verdict"] == "passed"
    assert certificate["reference"].endswith(", float32 for bfloat16")
    assert run("webnn", "verify", "out", "--source", tmp_path / "model.onnx").code == 0


def test_a_text_graph_is_no_model_to_convert(run, bundle) -> None:
    for path, code in ((bundle, 2), (bundle / "model.webnn", 4)):
        ran = run("webnn-convert", path)
        assert ran.code == code
        assert "already" in ran.err


@pytest.mark.parametrize(
    ("content", "message"), [(POINTER, "git lfs pull"), (b"WGWT\x01\0\0\0", "truncated: it has 8")]
)
def test_weights_that_did_not_arrive_are_told_from_damaged_ones(content, message, run, bundle) -> None:
    (bundle / "model.weights").write_bytes(content)
    ran = run("webnn", "verify", bundle)
    assert ran.code == 4
    assert message in ran.err
    assert "; " in ran.err


def test_a_damaged_graph_keeps_its_place(run, bundle) -> None:
    graph = bundle / "model.webnn"
    graph.write_text(graph.read_text().replace("inputs", "input"))
    ran = run("webnn", "inspect", bundle)
    assert ran.code == 4
    assert "model.webnn:" in ran.err
    assert "this is" not in ran.err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.webnn", "model.webnn:1:1: the file starts with a byte order mark; remove it"),
        ("manifest.json", "manifest.json: begins with a byte order mark, which JSON may not; save it as UTF-8 without"),
    ],
)
def test_a_byte_order_mark_is_told_from_another_kind_of_file(name, message, run, bundle) -> None:
    (bundle / name).write_bytes(b"\xef\xbb\xbf" + (bundle / name).read_bytes())
    ran = run("webnn", "inspect", bundle)
    assert ran.code == 4
    assert message in ran.err


@pytest.mark.parametrize("command", ["verify", "inspect", "embed", "pack", "compare"])
def test_an_empty_name_is_not_the_current_folder(command, run, bundle, monkeypatch) -> None:
    monkeypatch.chdir(bundle)
    ran = run("webnn", command, "", *(["x"] if command in ("embed", "compare") else []))
    assert ran.code in (2, 3)
    assert "name is empty; pass" in ran.err


def test_a_folder_is_told_from_a_file(run, dense, encoder, tmp_path) -> None:
    (tmp_path / "model.onnx").mkdir()
    for arguments, message in (
        (("webnn-convert", tmp_path / "model.onnx"), "a folder with the name of a file"),
        (("webnn", "conformance", dense), "a file, not a folder"),
        (("webnn", "calibrate", encoder, tmp_path), "a folder, not a file"),
    ):
        ran = run(*arguments)
        assert ran.code == 3
        assert message in ran.err


@pytest.mark.parametrize(
    ("out", "message"),
    [(".", "is a folder"), ("nowhere/x.svg", "'nowhere' is not there"), ("dense.onnx/x.svg", "is a file")],
)
@pytest.mark.parametrize("command", ["embed", "calibrate", "emit-js", "emit-html", "conformance", "bench"])
def test_a_place_that_takes_no_file_is_refused_before_the_work(command, out, message, run, bundle, encoder) -> None:
    (bundle.parent / "texts.txt").write_text("sun\nrain\n")
    (bundle.parent / "x.svg").mkdir()
    given = {
        "embed": [encoder, "sun", "-o"],
        "calibrate": [encoder, "texts.txt", "-o"],
        "conformance": ["no-such", "--html"],
        "bench": ["no-such", "--plot"],
    }
    out = "x.svg" if (out, command) == (".", "bench") else out
    ran = run("webnn", command, *given.get(command, [bundle, "-o"]), out)
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    # One message: nothing had begun.
    assert ran.err.count("\n") == 1


def test_a_dash_is_stdin(run, encoder, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"sun\nrain\n")))
    ran = run("webnn", "embed", encoder, "-", "--json")
    assert (
        ran.json["data"]["vectors"] == run("webnn", "embed", encoder, "sun", "rain", "--json").json["data"]["vectors"]
    )


@pytest.mark.skipif(not Path("/dev/stdin").exists(), reason="the system has no /dev/stdin")
def test_a_dash_for_a_file_of_texts_is_stdin(encoder, tmp_path) -> None:
    code = "import sys; from webnn_runtime.cli.app import main; sys.argv[0] = 'webnn'; main()"
    arguments = ["calibrate", str(encoder), "-", "-o", str(tmp_path / "ranges.json"), "--json"]
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        input="sun\nrain\n",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, '"texts": 2' in ran.stdout) == (0, True), ran.stderr


@pytest.mark.parametrize("command", ["webnn", "webnn-convert"])
def test_shells_complete_what_is_begun(command) -> None:
    module = {"webnn": "webnn_runtime", "webnn-convert": "webnn_translator"}[command]
    typed, wanted = {"webnn": ("webnn emb", "embed"), "webnn-convert": ("webnn-convert --target", "--target-cosine")}[
        command
    ]
    environment = {
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        f"_{command.upper().replace('-', '_')}_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": "1",
    }
    code = f"import sys; from {module}.cli import main; sys.argv = [{command!r}]; main()"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert ran.stdout.split() == [wanted], ran.stderr


def test_what_the_system_refuses_has_the_form_of_all_errors(run, bundle, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "a.onnx")

    monkeypatch.setattr("webnn_runtime.cli.inspect.find_bundle", refuse)
    ran = run("webnn", "inspect", bundle)
    assert (ran.code, ran.err) == (3, "error: a.onnx: Permission denied; check the path and its permissions\n")


def test_a_bundle_that_takes_no_record_is_refused_before_the_measuring(run, encoder, monkeypatch) -> None:
    monkeypatch.setattr("webnn_runtime.cli.written.os.access", lambda *_: False)
    ran = run("webnn", "eval", encoder, "--reference", encoder, "--record")
    assert (ran.code, ran.out) == (2, "")
    assert "cannot be written" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("command", ["webnn-convert", "quantize", "calibrate"])
def test_a_folder_that_takes_nothing_is_refused_before_the_work(command, run, dense, encoder, monkeypatch) -> None:
    """Also where no place is named: conversions and texts may take minutes."""
    (dense.parent / "texts.txt").write_text("sun\nrain\n")
    monkeypatch.setattr("webnn_runtime.format.staging.os.access", lambda _, mode: not mode & os.W_OK)
    given = {
        "webnn-convert": ["webnn-convert", dense],
        "quantize": ["webnn", "quantize", encoder, "--quantize", "int8"],
        "calibrate": ["webnn", "calibrate", encoder, "texts.txt"],
    }
    ran = run(*given[command])
    assert (ran.code, ran.out) == (2, "")
    assert "written" in ran.err
    assert "; choose another place" in ran.err
    assert ran.err.count("\n") == 1
