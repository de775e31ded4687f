"""`webnn-convert`: where it writes, what it says where, and how it fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import webnn_runtime
from webnn_runtime.format.bundle import load_bundle
from webnn_translator import bundling
from webnn_translator.translate import Translation, translate

SOURCES = Path(webnn_runtime.__file__).resolve().parents[2]


def test_a_bundle_is_named_after_its_model_and_holds_its_certificate(run: Callable[..., Any], dense: Path) -> None:
    ran = run("webnn-convert", dense)
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "dense-webnn"
    loaded = load_bundle(dense.parent / "dense-webnn", verify=True)
    more = loaded.manifest.extension.more
    assert more["certificate"]["verdict"] == "passed"
    assert more["source"]["file"] == "dense.onnx"
    assert more["canaries"]
    ticks = [line for line in ran.out.splitlines() if line.startswith("✓ y on ")]
    assert {"numpy", "onnxruntime"} <= {line.split()[3].rstrip(":") for line in ticks}
    assert "✗" not in ran.out


def test_quiet_prints_the_folder_and_nothing_else(run: Callable[..., Any], dense: Path) -> None:
    ran = run("webnn-convert", dense, "--quiet", "-o", "here/it")
    assert (ran.code, ran.out, ran.err) == (0, "here/it\n", "")


def test_json_is_one_object_on_stdout(run: Callable[..., Any], dense: Path) -> None:
    ran = run("webnn-convert", dense, "--json", "--max-dim", "batch=8")
    answer = ran.json
    assert set(answer) == {"schema_version", "command", "ok", "data", "warnings", "errors"}
    assert (answer["schema_version"], answer["command"], answer["ok"]) == (1, "webnn-convert", True)
    assert answer["data"]["inputs"] == {"x": "f32[batch, 4]"}
    assert answer["data"]["dimensions"] == {"batch": 8}
    assert answer["data"]["certificate"]["verdict"] == "passed"
    assert answer["data"]["certificate"]["notCheckedAtMaximum"] == []


def test_all_dimensions_bound_give_a_static_graph(run: Callable[..., Any], dense: Path) -> None:
    assert run("webnn-convert", dense, "--dim", "batch=2", "--name", "net").code == 0
    folder = dense.parent / "dense-webnn"
    assert (folder / "model.webnn").read_text().startswith('webnn_graph "net" v1')
    assert load_bundle(folder).graph.is_static


def test_an_existing_folder_is_kept_unless_force_is_given(run: Callable[..., Any], dense: Path) -> None:
    kept = dense.parent / "dense-webnn" / "mine.txt"
    kept.parent.mkdir()
    kept.write_text("mine")
    refused = run("webnn-convert", dense)
    assert refused.code == 2
    assert "--force" in refused.err
    # Even then only a bundle is replaced, not any folder somebody mistyped.
    assert "holds no model.webnn" in run("webnn-convert", dense, "--force").err
    assert kept.read_text() == "mine"
    (kept.parent / "model.webnn").write_text("an older one")
    assert run("webnn-convert", dense, "--force").code == 0
    assert not kept.exists()


def test_without_the_check_the_bundle_says_so(run: Callable[..., Any], dense: Path) -> None:
    ran = run("webnn-convert", dense, "--no-verify", "--json")
    assert ran.json["data"]["certificate"] is None
    assert "not verified" in ran.json["warnings"][0]
    assert "certificate" not in load_bundle(dense.parent / "dense-webnn").manifest.extension.more


def test_converting_twice_gives_the_same_bytes(run: Callable[..., Any], dense: Path) -> None:
    for folder in ("one", "two"):
        assert run("webnn-convert", dense, "-o", folder).code == 0
    for name in ("model.webnn", "model.weights", "manifest.json"):
        assert (dense.parent / "one" / name).read_bytes() == (dense.parent / "two" / name).read_bytes()


def wrong_translation(model: Any, **options: Any) -> Translation:
    """A translator with a mistake: the bias is too small."""
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * np.float32(0.9), "b"))
    return translate(model, **options)


def test_a_failed_check_leaves_no_bundle(run: Callable[..., Any], dense: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "translate", wrong_translation)
    ran = run("webnn-convert", dense, "--json")
    assert ran.code == 7
    (error,) = ran.json["errors"]
    assert error["code"] == "check-failed"
    assert error["certificate"]["verdict"] == "failed"
    assert [path.name for path in dense.parent.iterdir()] == ["dense.onnx"]


def test_a_failed_check_leaves_the_folder_that_was_to_be_replaced(
    run: Callable[..., Any], bundle: Path, dense: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (bundle / "manifest.json").read_bytes()
    monkeypatch.setattr(bundling, "translate", wrong_translation)
    assert run("webnn-convert", dense, "--force").code == 7
    assert (bundle / "manifest.json").read_bytes() == before


def test_a_looser_tolerance_is_a_flag_and_shows(
    run: Callable[..., Any], dense: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "translate", wrong_translation)
    ran = run("webnn-convert", dense, "--tolerance", "0.5", "--json")
    assert ran.code == 0
    assert ran.json["data"]["certificate"]["toleranceLoosened"] is True


def broken(path: Path) -> Path:
    path.write_bytes(b"\xff" * 30)
    return path


def of_one_node(path: Path, op: str, domain: str = "") -> Path:
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], domain=domain, name="odd")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def test_the_manifest_keeps_the_names_that_identifiers_replaced(run: Callable[..., Any], tmp_path: Path) -> None:
    weight = helper.make_tensor("layer.0/weight", TensorProto.FLOAT, [2, 2], [1, 2, 3, 4])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x:0", "layer.0/weight"], ["y:0"])],
        "named",
        [helper.make_tensor_value_info("x:0", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y:0", TensorProto.FLOAT, ["n", 2])],
        [weight],
    )
    path = tmp_path / "named.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    )
    assert run("webnn-convert", path).code == 0
    bundle = load_bundle(tmp_path / "named-webnn")
    assert dict(bundle.names) == {"layer_0_weight": "layer.0/weight", "x_0": "x:0", "y_0": "y:0"}


@pytest.mark.parametrize(
    "arguments", [["--dim", "foo=3"], ["--max-dim", "foo=3"], ["--dim", "batch=5", "--max-dim", "batch=4"]]
)
def test_a_dimension_that_does_not_fit_the_model_is_a_usage_error(
    run: Callable[..., Any], dense: Path, arguments: list[str]
) -> None:
    ran = run("webnn-convert", dense, *arguments)
    assert ran.code == 2
    assert "foo" in ran.err or "above its maximum" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "word", "message"),
    [
        (["absent.onnx"], 3, "not-found", "no such file"),
        (["./absent"], 3, "not-found", "no such folder"),
        ([broken], 4, "malformed", "not an ONNX model"),
        ([lambda path: of_one_node(path, "Strange", "my.domain")], 5, "not-expressible", "Strange"),
        ([], 2, "usage", "pass one model"),
        (["a.onnx", "--model_id", "b"], 2, "usage", "pass one model"),
        (["a.onnx", "-o", "x", "--output_parent_dir", "y"], 2, "usage", "pass one of them"),
        (["a.onnx", "--dim", "batch"], 2, "usage", "--dim NAME=VALUE"),
        (["a.onnx", "--dim", "batch=-1"], 2, "usage", "--dim NAME=VALUE"),
        (["a.onnx", "--dim", "b=1", "--dim", "b=2"], 2, "usage", "given twice"),
        (["a.onnx", "--device", "cuda"], 2, "usage", "leave --device out"),
        (["a.onnx", "--tolerance", "2"], 2, "usage", "between 0 and 1"),
        (["a.onnx", "--quantize"], 2, "usage", "--quantize int8|uint8|int4|float16|mixed"),
        (["a.onnx", "--dtype=q8"], 2, "usage", "chosen with --quantize int8|uint8|int4|float16|mixed"),
        (["a.onnx", "--unheard-of"], 2, "usage", "--unheard-of"),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(
    run: Callable[..., Any], tmp_path: Path, arguments: list[Any], code: int, word: str, message: str
) -> None:
    given = [argument(tmp_path / "model.onnx") if callable(argument) else argument for argument in arguments]
    plain = run("webnn-convert", *given)
    assert plain.code == code
    assert message in plain.err
    assert "Traceback" not in plain.err
    assert plain.out == ""
    answer = run("webnn-convert", *given, "--json").json
    assert answer["ok"] is False
    assert answer["errors"][0]["code"] == word
    assert message in answer["errors"][0]["message"]
    assert not list(tmp_path.glob("*-webnn"))


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        (["--model_id", "dense.onnx"], "dense-webnn"),
        (["dense.onnx", "--output_parent_dir", "deep/er"], "deep/er/dense-webnn"),
        (["dense.onnx", "--skip_validation", "--optimize", "--device", "cpu"], "dense-webnn"),
        (["--input", "dense.onnx", "--output", "out", "--override-dim", "batch=3"], "out"),
    ],
)
def test_the_switches_of_older_scripts_work(
    run: Callable[..., Any], dense: Path, arguments: list[str], folder: str
) -> None:
    ran = run("webnn-convert", *arguments)
    assert (ran.code, ran.out.splitlines()[-1]) == (0, folder)
    assert (dense.parent / folder / "model.webnn").is_file()


def test_too_little_memory_for_the_reference_is_no_fault_of_the_file(run, dense, monkeypatch) -> None:
    import onnxruntime

    def exhausted(*_: object, **__: object) -> None:
        raise RuntimeError(
            "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc"
        )

    monkeypatch.setattr(onnxruntime, "InferenceSession", exhausted)
    ran = run("webnn-convert", dense, "--json")
    assert ran.code == 1
    assert ran.json["errors"][0]["message"] == "not enough memory; free some, or raise the limit of the process"
    assert not (dense.parent / "dense-webnn").exists()


def test_no_colour_when_asked_for_none(dense: Path) -> None:
    done = _process(dense, "absent.onnx", FORCE_COLOR=None, NO_COLOR="1")
    _, err = done.communicate()
    assert b"\x1b[" not in err


# Names of functions that a conversion passes through, in order: killed as each is entered.
STAGES = ["read_onnx", "translate", "staged_bundle", "check_bundle", "annotate", "commit"]
KILLER = """
import os, signal, sys
stage = sys.argv.pop(1)
def trace(frame, event, argument):
    if event == "call" and frame.f_code.co_name == stage:
        os.kill(os.getpid(), signal.SIGKILL)
sys.setprofile(trace)
from webnn_translator.cli import main
main()
"""


def _process(dense: Path, *arguments: str, code: str | None = None, **environment: str | None) -> Any:
    path = os.pathsep.join([str(SOURCES / "runtime"), str(SOURCES / "translator")])
    variables = {key: value for key, value in (os.environ | environment).items() if value is not None}
    return subprocess.Popen(
        [sys.executable, *(["-c", code] if code else ["-m", "webnn_translator.cli"]), *arguments],
        cwd=dense.parent,
        env=variables | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("stage", STAGES)
def test_a_conversion_that_is_killed_leaves_no_bundle(run: Callable[..., Any], dense: Path, stage: str) -> None:
    done = _process(dense, stage, "dense.onnx", code=KILLER)
    done.communicate()
    assert done.returncode == -signal.SIGKILL
    visible = [path.name for path in dense.parent.iterdir() if not path.name.startswith(".")]
    assert visible == ["dense.onnx"]
    # The next conversion clears away what the killed one left behind.
    assert run("webnn-convert", dense, "--quiet").code == 0
    assert sorted(path.name for path in dense.parent.iterdir()) == ["dense-webnn", "dense.onnx"]
    assert json.loads((dense.parent / "dense-webnn" / "manifest.json").read_text())


def test_an_interrupted_conversion_says_so_and_leaves_nothing(dense: Path) -> None:
    # A shell that starts a job in the background has it ignore the signal, and whatever the job starts.
    listening = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code = listening + KILLER.replace("SIGKILL", "SIGINT")
    done = _process(dense, "translate", "dense.onnx", code=code)
    _, err = done.communicate()
    assert done.returncode == 130
    assert b"Traceback" not in err
    assert [path.name for path in dense.parent.iterdir()] == ["dense.onnx"]


def test_an_empty_name_is_not_taken_for_none(run: Callable[..., Any], dense: Path) -> None:
    ran = run("webnn-convert", dense, "--name", "")
    assert (ran.code, ran.out) == (2, "")
    assert "--name ''" in ran.err
    assert [path.name for path in dense.parent.iterdir()] == ["dense.onnx"]


@pytest.mark.parametrize("own", [False, True])
def test_a_tokenizer_that_is_not_there_is_told_before_the_work(run: Callable[..., Any], dense: Path, own: bool) -> None:
    if own:
        (dense.parent / "tokenizer.json").write_text("{}")
    ran = run("webnn-convert", dense, "--tokenizer", dense.parent / "elsewhere")
    assert ran.code == 3
    assert "elsewhere: there is no such folder" in ran.err
    assert "translating" not in ran.err


def test_a_tokenizer_that_is_not_used_is_told(run: Callable[..., Any], dense: Path) -> None:
    (dense.parent / "other").mkdir()
    for folder in (dense.parent, dense.parent / "other"):
        (folder / "tokenizer.json").write_text("{}")
    beside = run("webnn-convert", dense, "--no-verify", "-o", "a", "--tokenizer", dense.parent)
    other = run("webnn-convert", dense, "--no-verify", "-o", "b", "--tokenizer", dense.parent / "other")
    assert [each.code for each in (beside, other)] == [0, 0]
    assert "is not used" not in beside.err
    assert "is not used: the model has its own" in other.err
