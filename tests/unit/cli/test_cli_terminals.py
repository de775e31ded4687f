"""What a terminal shows: marks that it has no signs for, and no escapes where none are wanted."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from rich.table import Table

from webnn_runtime.cli.report import Report

ROOT = Path(__file__).resolve().parents[3]
SOURCES = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator"), *filter(None, sys.path)])


def on_a_terminal(*arguments: str, **environment: str) -> bytes:
    """Everything that a command writes where stdout and stderr are one terminal."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {**os.environ, "PYTHONPATH": SOURCES, "TERM": "xterm-256color", **environment}
    environment.pop("FORCE_COLOR", None)
    command = [sys.executable, "-m", "webnn_runtime.cli", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # how Linux ends a terminal that nobody writes to any more
                break
            if not chunk:
                break
            shown += chunk
    os.close(ours)
    assert process.returncode is not None
    return shown


@pytest.mark.parametrize(("wanted", "has_escapes"), [({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color_leaves_no_dim_and_no_bold_either(wanted, has_escapes, bundle) -> None:
    shown = on_a_terminal("verify", str(bundle), **wanted)
    assert b"without --source" in shown
    assert (b"\x1b[" in shown) == has_escapes


def test_many_texts_show_how_far_they_are_and_few_do_not(encoder, make_encoder, tmp_path) -> None:
    texts = ["sun rain cat"] * 501
    out = str(tmp_path / "out.npy")
    assert b"501/501" in on_a_terminal("embed", str(encoder), *texts, "-o", out)
    for arguments in ((*texts, "--quiet"), texts[:500]):
        assert b"Embedding" not in on_a_terminal("embed", str(encoder), *arguments, "-o", out)
    (tmp_path / "texts.txt").write_text("\n".join(f"{word} cat" for word in ("sun", "rain") for _ in range(251)))
    labelled = str(make_encoder("labelled", labels=("no", "yes")))
    assert b"Classifying: 100%" in on_a_terminal("classify", labelled, *texts, "--json")
    assert b"Classifying" not in on_a_terminal("classify", labelled, *texts[:500], "--json")
    # Lines that come while others are computed are a bar by themselves.
    assert b"Classifying" not in on_a_terminal("classify", labelled, *texts)
    assert b"502/502" in on_a_terminal("calibrate", str(encoder), str(tmp_path / "texts.txt"))


def test_an_encoding_without_signs_tells_passed_from_failed(monkeypatch) -> None:
    written = BytesIO()
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(written, encoding="ascii"))
    report = Report("verify")
    for line in ("✓ one", "✗ two", "– three", "ü four…"):
        report.detail(line)
    sys.stdout.flush()
    assert written.getvalue() == b"ok: one\nfailed: two\n- three\n? four...\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("place", ["> /dev/full", "> >(exec true)", ">&-"])
def test_a_stderr_that_takes_nothing_costs_no_answer(place, bundle) -> None:
    """The result is there, and a failure keeps its exit code."""
    command = f"{sys.executable} -m webnn_runtime.cli"
    expected = ((f"verify {bundle}", 0, b"hashes and canaries are right"), ("verify absent", 3, b""))
    for arguments, code, shown in expected:
        line = f"{command} {arguments} 2{place}"
        ran = subprocess.run(
            ["bash", "-c", line], env={**os.environ, "PYTHONPATH": SOURCES}, stdout=subprocess.PIPE, check=False
        )
        assert (ran.returncode, shown in ran.stdout) == (code, True)


def test_names_in_tables_are_shown_as_they_are(capsys) -> None:
    table = Table("name")
    table.add_row("layer[/0] :heart:")
    Report("inspect").table(table)
    assert "layer[/0] :heart:" in capsys.readouterr().out
