"""What somebody does who has not read the manual: one message that says what to do, and never a wrong answer."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.bench.texts import read_texts
from webnn_runtime.cli.app import app as webnn
from webnn_runtime.evaluation import Gate, GateMisuse
from webnn_runtime.format.errors import EmbedError
from webnn_translator.cli.convert import app as webnn_convert

ROOT = Path(__file__).resolve().parents[3]
SOURCES = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator"), *filter(None, sys.path)])


def in_a_process(module: str, *arguments: str, shell: str = "exec", **environment: str) -> subprocess.CompletedProcess:
    """`shell` is what a shell says before and after the command, which it knows as "$@"."""
    command = shell if '"$@"' in shell else f'{shell} "$@"'
    return subprocess.run(
        ["bash", "-c", command, "-", sys.executable, "-m", module, *arguments],
        env={**os.environ, "PYTHONPATH": SOURCES, **environment},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("switch", ["--backend", "--bakend"])
def test_a_command_that_is_called_wrongly_points_at_its_own_help(switch, run) -> None:
    ran = run("webnn", "embed", "model-webnn", "--json", switch)
    assert (ran.code, ran.json["command"]) == (2, "embed")
    assert ran.err.endswith("; see webnn embed --help\n")


@pytest.mark.parametrize(("package", "command"), [("webnn_runtime", "webnn"), ("webnn_translator", "webnn-convert")])
def test_a_package_is_its_command(package, command) -> None:
    assert in_a_process(package, "--version").stdout.decode().startswith(f"{command} 0.")


def test_a_locale_of_ascii_has_words_for_marks_and_no_traceback(bundle) -> None:
    locale = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    place = bundle.rename(bundle.with_name("größe"))
    ran = in_a_process("webnn_runtime.cli", "verify", str(place), **locale)
    assert (ran.returncode, ran.stderr.count(b"Traceback")) == (0, 0)
    assert ran.stdout.startswith(b"ok: every file has the SHA-256")
    assert b"/gr??" in ran.stdout


@pytest.mark.parametrize("locale", ["C.UTF-8", "en_US.UTF-8"])
def test_names_that_no_encoding_has_are_shown_with_marks(tmp_path, locale) -> None:
    folder = tmp_path / "n\udcff"
    folder.mkdir()
    case = {"kind": "validation", "name": "half \ud800", "inputs": {"x": {"dataType": "float32", "shape": [2]}}}
    asked = {"operator": "softmax", "arguments": [{"input": "x"}, {"axis": 0}]}
    (folder / "a.json").write_text(json.dumps({"tests": [case | asked]}), encoding="utf-8")
    page = tmp_path / "page.html"
    for switches in (["--html", str(page)], ["--json"]):
        ran = in_a_process("webnn_runtime.cli", "conformance", str(folder), *switches, LC_ALL=locale)
        assert (ran.returncode, ran.stderr.count(b"Traceback")) == (8, 0)
        assert b"half ?" in ran.stdout
    assert "half \\ud800" in page.read_text(encoding="utf-8")


def test_a_name_that_the_locale_does_not_have_is_refused_where_a_library_opens_it(dense, bundle) -> None:
    named = dense.rename(dense.with_name("größe.onnx"))
    locale = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = ("webnn_translator.cli", str(named), "-o", str(named.parent / "out"))
    ran = in_a_process(*command, **locale)
    assert (ran.returncode, ran.stderr.count(b"Traceback"), (named.parent / "out").exists()) == (4, 0, False)
    assert b"set PYTHONUTF8=1 or LC_ALL=C.UTF-8" in ran.stderr
    assert in_a_process("webnn_runtime.cli", "verify", str(bundle), "--source", str(named), **locale).returncode == 4
    assert in_a_process(*command, **locale | {"PYTHONUTF8": "1"}).returncode == 0


def test_a_graph_takes_as_much_memory_as_its_file_has(bundle) -> None:
    # 512 MiB of addresses: what Python itself and NumPy take is about half of that.
    ran = in_a_process(
        "webnn_runtime.cli", "inspect", str(bundle), shell="ulimit -v 524288; exec", OPENBLAS_NUM_THREADS="1"
    )
    assert (ran.returncode, ran.stderr.decode()) == (0, "")


def test_too_little_memory_is_a_message(run, bundle, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("webnn_runtime.cli.inspect.load_bundle", refuse)
    ran = run("webnn", "inspect", bundle)
    assert (ran.code, ran.err) == (1, "error: not enough memory; free some, or raise the limit of the process\n")


def test_nothing_is_reported_to_anybody() -> None:
    code = "import os, webnn_runtime; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    for given, kept in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": SOURCES, **given}
        ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == kept


def test_a_reader_that_goes_away_is_no_error() -> None:
    ran = in_a_process("webnn_translator.cli", "--list-ops", shell='"$@" | head -1; exit ${PIPESTATUS[0]}')
    assert (ran.returncode, ran.stdout.count(b"\n")) == (141, 1)
    assert b"rror" not in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the kernel has no full device")
def test_an_answer_that_finds_no_room_is_an_error_of_the_place(bundle) -> None:
    ran = in_a_process("webnn_runtime.cli", "inspect", str(bundle), "--json", shell='exec "$@" >/dev/full')
    assert (ran.returncode, ran.stderr.count(b"\n")) == (2, 1)
    assert b"stdout: cannot be written: No space left on device" in ran.stderr


@pytest.mark.parametrize("content", [b"a b\n\xff\xfe\n", b"a b\nc\xe9d\n"])
def test_a_line_that_is_not_utf8_is_refused_with_its_number(content, run, encoder, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content), "latin-1"))
    ran = run("webnn", "embed", encoder)
    assert (ran.code, ran.out) == (4, "")
    assert "stdin:2: not UTF-8 at byte" in ran.err


def test_stdin_is_utf8_whatever_the_locale_says(run, encoder, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO("\ufeffsun\r\nÉ\n".encode()), "ascii"))
    ran = run("webnn", "embed", encoder, "--json")
    assert ran.json["data"]["vectors"] == run("webnn", "embed", encoder, "sun", "É", "--json").json["data"]["vectors"]


def test_an_argument_that_is_not_utf8_is_refused(run, encoder) -> None:
    ran = run("webnn", "embed", encoder, "a", "b\udcff")
    assert (ran.code, ran.out) == (2, "")
    assert "text 1: not UTF-8 at byte 1" in ran.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embed", "X", "a", "--threads", "1000000"], "1024; see webnn embed --help"),
        (["embed", "X", "a", "--bogus"], "see webnn embed --help"),
        (["convert", "model.onnx"], "'convert' is a command of its own, webnn-convert; see webnn --help"),
        (["embed", "X", "a", "--prompt-name", "q"], "the model has no such prompt"),
        (["embed", "X", "a", "--truncate-dim", "1000"], "expected 1 to 6"),
        (["embed", "X", "a", "--backend", "numpy", "--compute", "int8"], "take backend='rust'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_with_what_would_be_right(arguments, message, run, encoder) -> None:
    ran = run("webnn", *[str(encoder) if one == "X" else one for one in arguments])
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err


@pytest.mark.parametrize("command", ["embed", "verify", "bench", "inspect", "emit-js"])
def test_what_is_not_there_is_not_found(command, run) -> None:
    ran = run("webnn", command, "no-such", *(["text"] if command == "embed" else []))
    assert (ran.code, ran.out) == (3, "")


@pytest.mark.parametrize("command", ["embed", "verify", "bench", "emit-js", "quantize"])
def test_a_model_in_place_of_a_bundle_is_answered_with_the_converter(command, run, dense) -> None:
    ran = run("webnn", command, dense, *(["text"] if command == "embed" else []))
    assert ran.code == 4
    assert "an ONNX file, not a bundle; webnn-convert makes a bundle of it" in ran.err


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("a-file", "is no folder"),
        ("a-file/below/out", "cannot create the folder: 'a-file' is a file; choose another place"),
        ("foreign", "holds no model.webnn"),
        (".", "no name for a new"),
    ],
)
def test_a_place_that_takes_no_bundle_is_refused_before_the_work(out, message, run, dense) -> None:
    (dense.parent / "a-file").write_text("mine")
    (dense.parent / "foreign").mkdir()
    (dense.parent / "foreign" / "mine").write_text("mine")
    ran = run("webnn-convert", dense, "-o", out, "--force")
    assert (ran.code, ran.out) == (2, "")
    assert message in ran.err
    assert "reading" not in ran.err


def lone_encoder(path: Path) -> Path:
    """A table of 14 words, by ids."""
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 6])
    table = numpy_helper.from_array(np.random.default_rng(0).standard_normal((14, 6)).astype(np.float32), "table")
    node = helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])
    graph = helper.make_graph([node], "g", [ids], [out], [table])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_lone_model_is_given_its_tokenizer(run, encoder, tmp_path) -> None:
    model = lone_encoder(tmp_path / "lone.onnx")
    assert run("webnn-convert", model, "-q").code == 0
    ran = run("webnn", "embed", tmp_path / "lone-webnn", "sun")
    assert ran.code == 4
    assert "webnn-convert --tokenizer FOLDER" in ran.err
    assert run("webnn-convert", model, "--tokenizer", encoder, "--force", "-q").code == 0
    assert run("webnn", "embed", tmp_path / "lone-webnn", "sun").code == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modules.json", b"[", "modules.json:1:2: not JSON"),
        ("modules.json", b'[{"type": "sentence_transformers.models.CNN", "path": ""}]', "modules.json: .*CNN"),
        ("1_Pooling/config.json", b"[]", "1_Pooling/config.json: holds a list"),
        ("tokenizer.json", b"{", "tokenizer.json: not a tokenizer"),
    ],
)
def test_files_that_make_no_embedder_are_told_when_a_model_is_converted(
    name, content, message, run, encoder, tmp_path
) -> None:
    """It took the first text to tell, which is long after the conversion and on another machine."""
    folder = tmp_path / "source"
    shutil.copytree(encoder, folder, ignore=shutil.ignore_patterns("model.*", "manifest.json"))
    lone_encoder(folder / "model.onnx")
    assert "takes no texts" not in run("webnn-convert", folder, "-o", "right").err
    (folder / name).write_bytes(content)
    ran = run("webnn-convert", folder, "-o", "wrong", "--json")
    (warning,) = ran.json["warnings"]
    assert ran.code == 0
    assert re.search(message, warning)
    assert "takes no texts: mend that beside the model, convert again" in warning
    assert "staging" not in ran.err
    assert run("webnn", "embed", "wrong", "sun").code == 4


def test_a_library_that_is_not_installed_is_no_fault_of_the_files(run, encoder, tmp_path, monkeypatch) -> None:
    shutil.copytree(encoder, tmp_path / "source", ignore=shutil.ignore_patterns("model.*", "manifest.json"))
    lone_encoder(tmp_path / "source" / "model.onnx")
    monkeypatch.setattr("webnn_translator.verify.texts.find_spec", lambda *_: None)
    monkeypatch.setattr("webnn_translator.verify.texts.tokenizer_of", lambda *_: pytest.fail("was asked for"))
    assert run("webnn-convert", "source", "-o", "out", "--json").json["warnings"] == []


def test_a_tokenizer_that_is_not_there_is_not_found(run, dense) -> None:
    ran = run("webnn-convert", dense, "--tokenizer", "owner/name")
    assert ran.code == 3
    assert "--tokenizer owner/name: there is no such folder, and no id of the Hub is taken here" in ran.err
    ran = run("webnn-convert", dense, "--tokenizer", dense.parent)
    assert ran.code == 3
    assert f"--tokenizer {dense.parent}: has no tokenizer.json; pass the folder of the model" in ran.err


def test_a_tokenizer_that_is_not_the_models_is_refused(run, encoder, dense) -> None:
    for folder, code in ((encoder, 2), (dense.parent / "nowhere", 3)):
        ran = run("webnn-convert", dense, "-o", "new", "--tokenizer", folder)
        assert (ran.code, (dense.parent / "new").exists()) == (code, False)
        assert f"--tokenizer {folder}" in ran.err


@pytest.mark.parametrize(
    "limits", [{"min_cosine": 2}, {"min_mean_cosine": float("nan")}, {"max_loss": float("inf")}], ids=str
)
def test_a_limit_that_means_nothing_is_refused(limits) -> None:
    with pytest.raises(GateMisuse, match="expected"):
        Gate(**limits)


@pytest.mark.parametrize("tool", [webnn, webnn_convert], ids=["webnn", "webnn-convert"])
def test_help_names_what_an_option_takes(tool) -> None:
    command = typer.main.get_command(tool)
    for one in getattr(command, "commands", {"": command}).values():
        # A summary that is longer than its line in the list of commands would be cut.
        assert one is command or not one.get_short_help_str(60).endswith("...")
        for parameter in one.params:
            is_flag = getattr(parameter, "is_flag", False)
            assert is_flag or parameter.metavar or parameter.param_type_name == "argument", parameter.name


def test_the_list_of_operators_says_what_each_does(run) -> None:
    notes = [entry["note"] for entry in run("webnn-convert", "--list-ops", "--json").json["data"]["operators"]]
    assert len(notes) > 200
    assert not [note for note in notes if not note or "below." in note or note.startswith(("The same,", "The same;"))]


def test_auto_is_no_backend_of_conformance(run, tmp_path) -> None:
    ran = run("webnn", "conformance", tmp_path, "--backend", "auto")
    assert (ran.code, ran.out) == (2, "")
    assert "would not say whose it is" in ran.err


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (None, FileNotFoundError, "there is no such file"),
        (b"", EmbedError, "holds no texts"),
        (b"\xff", EmbedError, "not UTF-8"),
    ],
)
def test_texts_for_a_benchmark_are_read_like_all_others(content, kind, message, tmp_path) -> None:
    path = tmp_path / "mine.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind, match=message):
        read_texts(path, None, None)
