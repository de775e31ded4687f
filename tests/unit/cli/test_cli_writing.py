"""Places that take no files: one message, exit code 2, and nothing half-written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.format.staged_file import staged_file

ROOT = Path(__file__).resolve().parents[3]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])}
LIMIT = 64 << 10
# A folder below a file, and one in which the kernel lets nobody make anything.
NOWHERE = ["a-file/out", "/proc/out"]


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model with more weights than a file may have under the limit."""
    weights = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 256]) for name in "xy"]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "large", sides[:1], sides[1:], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    (tmp_path / "a-file").write_text("")
    return tmp_path


def on_a_full_disk(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """In a process whose files may not grow beyond the limit; Python is told as of a full disk."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
    )


def test_a_bundle_that_finds_no_room_leaves_nothing(large: Path, run: Callable[..., Any]) -> None:
    before = sorted(path.name for path in large.rglob("*"))
    done = on_a_full_disk(large, "webnn_translator.cli", "m.onnx", "-o", "out", "--no-verify")
    assert (done.returncode, done.stdout) == (2, "")
    assert "error: out: cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in large.rglob("*")) == before
    # What was there before is not touched by a replacement that fails.
    assert run("webnn-convert", "m.onnx", "-o", "out", "--no-verify", "--quiet").code == 0
    kept = {path.name: path.read_bytes() for path in (large / "out").iterdir()}
    done = on_a_full_disk(large, "webnn_translator.cli", "m.onnx", "-o", "out", "--no-verify", "--force")
    assert done.returncode == 2
    assert {path.name: path.read_bytes() for path in (large / "out").iterdir()} == kept
    assert sorted(path.name for path in large.iterdir()) == ["a-file", "m.onnx", "out"]


@pytest.mark.parametrize("place", NOWHERE)
def test_a_place_that_takes_no_files_is_named(large: Path, run: Callable[..., Any], place: str) -> None:
    assert run("webnn-convert", "m.onnx", "-o", "good", "--no-verify", "--quiet").code == 0
    for command in (
        ["webnn-convert", "m.onnx", "--no-verify", "-o", place],
        ["webnn", "quantize", "good", "--quantize", "float16", "-o", place],
        ["webnn", "emit-js", "good", "-o", f"{place}.mjs"],
        ["webnn", "emit-html", "good", "-o", f"{place}.html"],
    ):
        done = run(*command)
        assert done.code == 2, (command, done.err)
        assert f"error: {place}" in done.err
        assert "cannot " in done.err or "the folder 'a-file' is a file; choose another place" in done.err
    assert sorted(path.name for path in large.iterdir()) == ["a-file", "good", "m.onnx"]


def in_a_shell(folder: Path, module: str, *arguments: str, shell: str = "") -> subprocess.CompletedProcess[str]:
    """With streams as the shell leaves them."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {shell}', "sh", sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed_are_no_reason_to_fail(large: Path, closed: str) -> None:
    done = in_a_shell(large, "webnn_translator.cli", "m.onnx", "-o", "out", "--no-verify", shell=closed)
    assert done.returncode == 0, done.stderr
    # Without them the first files that are opened would get their numbers, and what is printed.
    assert in_a_shell(large, "webnn_runtime.cli", "verify", "out", shell=closed).returncode == 0
    assert in_a_shell(large, "webnn_runtime.cli", "inspect", "nowhere", shell=closed).returncode == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the kernel has no full device")
@pytest.mark.parametrize("arguments", [["--help"], ["inspect", "--help"], ["--version"]])
def test_a_help_that_finds_no_room_is_told_without_a_traceback(large: Path, arguments: list[str]) -> None:
    done = in_a_shell(large, "webnn_runtime.cli", *arguments, shell=">/dev/full")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: stdout: cannot be written: No space left on device; choose another place\n"


@pytest.mark.parametrize(
    ("module", "arguments", "code"),
    [
        ("webnn_runtime.cli", ["--help"], 141),
        ("webnn_runtime.cli", ["--version", "--json"], 141),
        ("webnn_runtime.cli", ["embed", "--json"], 2),
        ("webnn_runtime.cli", ["inspect", "nowhere", "--json"], 3),
        ("webnn_translator.cli", ["--dtype", "--json"], 2),
    ],
)
def test_what_nobody_reads_ends_a_command_by_its_code_and_its_message(
    module: str, arguments: list[str], code: int
) -> None:
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read()
    assert process.returncode == code
    assert [line[:7] for line in told.splitlines()] == ([] if code == 141 else ["error: "])


def test_what_is_no_file_is_not_replaced_by_one(large: Path, run: Callable[..., Any]) -> None:
    """Who may write to /dev would otherwise leave every program of the machine without /dev/null."""
    os.mkfifo(large / "pipe")
    (large / "cases").mkdir()
    assert run("webnn-convert", "m.onnx", "-o", "out", "--no-verify", "--quiet").code == 0
    for arguments in (["emit-html", "out", "-o"], ["emit-js", "out", "-o"], ["conformance", "cases", "--html"]):
        told = run("webnn", *arguments, "pipe")
        assert told.code == 2
        assert "error: pipe: is a device or a pipe; pass the name of a file" in told.err
    with pytest.raises(FileExistsError, match="it is there and is no file"), staged_file(large / "pipe") as staged:
        staged.write_bytes(b"x")
    assert (large / "pipe").is_fifo()
    assert not list(large.glob(".*"))
