"""Many texts on stdin: what is done is printed while others are still to come, and files are written as they grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.cli import texts
from webnn_runtime.cli.texts import Portion, placed
from webnn_runtime.embed import WebNNEmbedder
from webnn_runtime.format.errors import EmbedMisuse

ROOT = Path(__file__).resolve().parents[3]
WORDS = ["sun", "rain", "a b", "c d e", ""]
MANY = [WORDS[index % len(WORDS)] for index in range(1200)]


@pytest.fixture
def given(monkeypatch):
    """Put lines, or bytes, onto stdin, of which 512 run together."""
    monkeypatch.setattr(texts, "_TOGETHER", 512)

    def give(lines) -> None:
        content = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
        monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(content), "utf-8"))

    return give


@pytest.mark.parametrize("command", ["embed", "classify"])
def test_what_is_done_is_printed_while_others_are_to_come(command, make_encoder) -> None:
    bundle = make_encoder("model", labels=("no", "yes") if command == "classify" else ())
    paths = os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator"), *filter(None, sys.path)])
    with subprocess.Popen(
        [sys.executable, "-m", "webnn_runtime.cli", command, str(bundle), "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"sun\n" * 2100)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())
        process.stdin.close()
        rest = process.stdout.read()
    assert (process.returncode, rest.count(b"\n")) == (0, 2099)


@pytest.mark.parametrize("count", [0, 1, 511, 512, 513, 1200])
def test_portions_give_what_all_texts_at_once_give(count, given, run, encoder, tmp_path) -> None:
    expected = WebNNEmbedder(encoder).encode(MANY[:count])
    given(MANY[:count])
    ran = run("webnn", "embed", encoder)
    assert [json.loads(line) for line in ran.out.splitlines()] == [
        [float(f"{value:.9g}") for value in row] for row in expected
    ]
    given(MANY[:count])
    ran = run("webnn", "embed", encoder, "-o", "out.npy", "--json")
    assert ran.json["data"] == {
        "count": count,
        "dimension": 6,
        "precision": "float32",
        "file": "out.npy",
    }
    written = BytesIO()
    np.save(written, expected)
    assert (tmp_path / "out.npy").read_bytes() == written.getvalue()


def test_labels_come_in_portions_too(given, run, make_encoder) -> None:
    # rich has signs for these names.
    bundle = make_encoder("labelled", labels=(":heart:", ":smile:"))
    given(MANY)
    lines = [json.loads(line) for line in run("webnn", "classify", bundle).out.splitlines()]
    assert {line["label"] for line in lines} <= {":heart:", ":smile:"}
    given(MANY)
    assert run("webnn", "classify", bundle, "--json").json["data"]["results"] == lines
    given(["sun\train"] * 600 + ["sun"])
    ran = run("webnn", "classify", bundle, "--pairs")
    assert (ran.code, ran.out.count("\n")) == (2, 512)
    assert "text 600 is not two texts" in ran.err


@pytest.mark.parametrize("command", ["embed", "classify"])
def test_the_name_of_a_file_is_a_text_and_is_told_from_its_lines(command, run, make_encoder, tmp_path) -> None:
    bundle = make_encoder("model", labels=("no", "yes") if command == "classify" else ())
    (tmp_path / "sun.txt").write_text("rain\n")
    ran = run("webnn", command, bundle, "rain", "sun.txt", "--json")
    assert (ran.code, ran.json["data"]["count"]) == (0, 2)
    assert ran.json["warnings"] == [
        "'sun.txt' is taken for a text, and is the name of a file; for the lines in it: - < 'sun.txt'"
    ]
    assert run("webnn", command, bundle, "rain", "sun", "--json").json["warnings"] == []


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="the system has no /dev/null")
def test_no_file_is_written_beside_a_device(run, encoder, tmp_path) -> None:
    (tmp_path / "device").symlink_to("/dev/null")
    ran = run("webnn", "embed", encoder, "sun", "-o", "device")
    assert (ran.code, "device: is a device or a pipe" in ran.err) == (2, True)
    assert not (tmp_path / "device.npy").exists()


def test_texts_that_were_cut_are_counted_once(given, run, encoder) -> None:
    given(["sun " * 40, *MANY, "rain " * 40])
    ran = run("webnn", "embed", encoder, "--json")
    assert ran.json["warnings"] == [
        "2 of 1202 texts are longer than 16 tokens (model_max_length in tokenizer_config.json); "
        "what is beyond was left out"
    ]


def test_a_line_that_cannot_be_read_leaves_what_was_done_and_no_file(given, run, encoder, tmp_path) -> None:
    content = b"sun\n" * 600 + b"\xff\n"
    given(content)
    ran = run("webnn", "embed", encoder)
    assert (ran.code, ran.out.count("\n")) == (4, 512)
    assert "stdin:601: not UTF-8" in ran.err
    given(content)
    assert run("webnn", "embed", encoder, "-o", "out.npy").code == 4
    given(content)
    assert run("webnn", "embed", encoder, "--json").json["data"] == {}
    assert [path for path in tmp_path.iterdir() if "out.npy" in path.name] == []


def test_an_error_says_which_portion_it_counts_in() -> None:
    with pytest.raises(EmbedMisuse, match=r"^text 3: wrong$"), placed(Portion(0, ["a"])):
        raise EmbedMisuse("text 3: wrong")
    with pytest.raises(EmbedMisuse, match=r"^counted from text 512 on, text 3: wrong$"), placed(Portion(512, ["a"])):
        raise EmbedMisuse("text 3: wrong")
