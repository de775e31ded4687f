"""Exit codes are one table, and looking a code up imports nothing."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from webnn_runtime import __version__
from webnn_runtime.cli.exits import TABLE, ExitCode, Misuse, exit_code_of
from webnn_runtime.format.errors import EmbedMisuse, FormatError, MissingFile
from webnn_translator._errors import DynamicShape, TranslateError, UnsupportedType

ROOT = Path(__file__).resolve().parents[3]
SOURCES = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])
# What only translating, verifying and measuring need.
HEAVY = ("onnx", "onnxruntime", "tokenizers", "webnn_translator.verify", "webnn_runtime.bench.run")


def classes() -> list[type[BaseException]]:
    found = []
    for kind, _ in TABLE:
        if isinstance(kind, str):
            module, _, name = kind.rpartition(".")
            kind = getattr(importlib.import_module(module), name)
        found.append(kind)
    return found


def test_every_class_of_the_table_is_where_it_is_said_to_be() -> None:
    for kind, (named, _) in zip(classes(), TABLE, strict=True):
        assert issubclass(kind, BaseException)
        # One that is only imported there would be missed while its own module alone is loaded.
        assert isinstance(named, type) or named == f"{kind.__module__}.{kind.__name__}"


def test_no_row_hides_a_later_one() -> None:
    found = classes()
    for place, kind in enumerate(found):
        assert not any(issubclass(kind, earlier) for earlier in found[:place])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DynamicShape({"batch": "x"}), ExitCode.DIMENSIONS_MISSING),
        (UnsupportedType("x"), ExitCode.NOT_EXPRESSIBLE),
        (TranslateError("x"), ExitCode.NOT_EXPRESSIBLE),
        (MissingFile("x"), ExitCode.NOT_FOUND),
        (FormatError("x"), ExitCode.MALFORMED),
        (EmbedMisuse("x"), ExitCode.USAGE),
        (Misuse("x"), ExitCode.USAGE),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (ValueError("x"), ExitCode.UNEXPECTED),
    ],
)
def test_a_class_has_the_code_of_its_nearest_row(error, code) -> None:
    assert exit_code_of(error) == code


def test_a_mistake_is_told_without_what_only_a_translation_needs() -> None:
    code = f"""
import sys
from webnn_runtime.cli.app import app
from webnn_runtime.cli.report import run_app
sys.argv[1:] = ["embed", "nothing-here", "a"]
print(run_app(app, "webnn"), *(name for name in {HEAVY!r} if name in sys.modules))
"""
    environment = os.environ | {"PYTHONPATH": SOURCES}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["3"]


@pytest.mark.parametrize("command", ["webnn", "webnn-convert"])
@pytest.mark.parametrize("arguments", [["--version", "--json"], ["--json", "--version"]])
def test_a_version_is_json_where_json_is_asked_for(command, arguments, run) -> None:
    ran = run(command, *arguments)
    assert (ran.code, ran.err) == (0, "")
    assert (ran.json["command"], ran.json["ok"], ran.json["data"]) == (command, True, {"version": __version__})
    assert run(command, "--version").out == f"{command} {__version__}\n"


@pytest.mark.parametrize("arguments", [["--json"], ["--json", "inspect", "x"]])
def test_json_before_a_command_is_refused_in_json(arguments, run) -> None:
    ran = run("webnn", *arguments)
    (error,) = ran.json["errors"]
    assert (ran.code, error["code"]) == (2, "usage")
    assert error["message"] == "--json goes behind a command, or beside --version; see webnn --help"
