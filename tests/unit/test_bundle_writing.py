"""Bundles written: complete or absent, the same bytes every time, and nothing replaced that is not ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import save_bundle, staged_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Graph

ROOT = Path(__file__).resolve().parents[2]


def make_graph(scale: float = 1.0) -> Graph:
    builder = GraphBuilder("demo", dims=[DynamicDim("batch")])
    x = builder.input("x", DataType.FLOAT32, (symbol("batch"), 3))
    weight = builder.constant(np.array([1, 2, 3], np.float32) * np.float32(scale), name="weight")
    return builder.build({"y": builder.op("mul", x, weight)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_bundle(make_graph(), tmp_path / "demo")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_that_travel_along_are_verified(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"[]")
    files: dict[str, Path | bytes] = {"tokenizer.json": b"{}", "1_Pooling/config.json": tmp_path / "config.json"}
    with staged_bundle(make_graph(), tmp_path / "demo", files=files) as staged:
        staged.annotate({"certificate": {}})
        folder = staged.commit()
    load_bundle(folder, verify=True)
    (folder / "later.json").write_bytes(b"{}")
    load_bundle(folder, verify=True)
    (folder / "tokenizer.json").write_bytes(b"{ }")
    load_bundle(folder)
    with pytest.raises(FormatError, match=r"tokenizer\.json: the file does not have the SHA-256"):
        load_bundle(folder, verify=True)
    (folder / "tokenizer.json").write_bytes(b"{}")
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(FormatError, match=r"1_Pooling.config\.json: came with the bundle, and is not there"):
        load_bundle(folder, verify=True)


def test_the_same_graph_is_the_same_bytes(tmp_path: Path) -> None:
    extra = {"source": {"repository": "me/model", "revision": None}}
    files: dict[str, Path | bytes] = {"tokenizer.json": b"{}", "1_Pooling/config.json": b"[]"}
    first = save_bundle(make_graph(), tmp_path / "one", manifest_extra=extra, files=files)
    second = save_bundle(make_graph(), tmp_path / "two", manifest_extra=dict(reversed(extra.items())), files=files)
    assert contents(first) == contents(second)
    assert contents(first)["1_Pooling/config.json"] == b"[]"
    again = save_bundle(load_bundle(first).graph, tmp_path / "three")
    assert contents(again)["model.webnn"] == contents(first)["model.webnn"]
    assert contents(again)["model.weights"] == contents(first)["model.weights"]


def test_files_are_copied(tmp_path: Path) -> None:
    (tmp_path / "vocab").write_bytes(b"words")
    folder = save_bundle(make_graph(), tmp_path / "b", files={"vocab.txt": tmp_path / "vocab"})
    assert (folder / "vocab.txt").read_bytes() == b"words"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", "model.webnn", "manifest.json", "c:x", "a\\b", "a\0"])
def test_a_file_that_would_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="file name"):
        save_bundle(make_graph(), tmp_path / "in" / "b", files={name: b""})
    assert list((tmp_path / "in").iterdir()) == []


def test_an_existing_folder_is_refused(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(
        FormatError, match=r"exists already; choose another folder, or replace it by --force \(force=True\)"
    ):
        save_bundle(make_graph(2), folder)
    assert contents(folder) == before


@pytest.mark.parametrize("force", [True, False])
def test_an_existing_file_is_never_replaced(tmp_path: Path, force: bool) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(FormatError, match="exists already"):
        save_bundle(make_graph(), tmp_path / "b", force=force)
    assert (tmp_path / "b").read_bytes() == b"mine"


def test_force_replaces_nothing_but_bundles_and_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").write_bytes(b"")
    (tmp_path / "link").symlink_to(save_bundle(make_graph(), tmp_path / "b"))
    for name in ("photos", "link"):
        with pytest.raises(FormatError, match="exists already and"):
            save_bundle(make_graph(), tmp_path / name, force=True)
    assert (tmp_path / "photos" / "one.jpg").exists()
    (tmp_path / "empty").mkdir()
    save_bundle(make_graph(), tmp_path / "empty", force=True)


@pytest.mark.parametrize("atomic", [True, False])
def test_force_replaces_while_the_old_one_is_still_in_use(
    folder: Path, monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    if not atomic:
        monkeypatch.setattr("webnn_runtime.format.staging._exchange", lambda *_: False)
    old = load_bundle(folder)
    save_bundle(make_graph(2), folder, force=True)
    assert load_bundle(folder).graph.constants["weight"].values.tolist() == [2, 4, 6]
    assert old.graph.constants["weight"].values.tolist() == [1, 2, 3]
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be written as JSON"):
        save_bundle(make_graph(), tmp_path / "b", manifest_extra={"x": object()})
    with pytest.raises(FormatError, match="gone: cannot be read: No such file"):
        save_bundle(make_graph(), tmp_path / "b", files={"gone": tmp_path / "gone"})
    with pytest.raises(KeyError), staged_bundle(make_graph(), tmp_path / "b") as staged:
        raise KeyError(staged.folder)
    with staged_bundle(make_graph(), tmp_path / "b"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_the_old_one(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(KeyError), staged_bundle(make_graph(2), folder, force=True):
        raise KeyError
    assert contents(folder) == before


def test_a_staged_bundle_is_checked_and_annotated_before_it_appears(tmp_path: Path) -> None:
    target = tmp_path / "b"
    with staged_bundle(make_graph(), target, manifest_extra={"source": 1}) as staged:
        assert load_bundle(staged.folder, verify=True).graph.name == "demo"
        assert not target.exists()
        staged.annotate({"certificate": {"verdict": "passed"}})
        assert staged.commit() == target
    assert load_bundle(target, verify=True).manifest.extension.more == {
        "certificate": {"verdict": "passed"},
        "source": 1,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


STAGE_AND_WAIT = """
import sys, time
sys.path.insert(0, {runtime!r})
from webnn_runtime.format.staging import StagedFolder
from pathlib import Path
with StagedFolder(Path({target!r}), force=True, sign="model.webnn") as staged:
    staged.write("model.webnn", b"half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("existing", [True, False])
def test_a_killed_writer_leaves_no_bundle_and_the_next_one_cleans_up(tmp_path: Path, existing: bool) -> None:
    target = tmp_path / "b"
    if existing:
        save_bundle(make_graph(), target)
    code = STAGE_AND_WAIT.format(runtime=str(ROOT / "runtime"), target=str(target))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        # A writer at work is left alone.
        save_bundle(make_graph(), target, force=True)
        assert len(list(tmp_path.iterdir())) == 2
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert load_bundle(target).graph.name == "demo"
    assert len(list(tmp_path.iterdir())) == 2
    save_bundle(make_graph(2), target, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_an_interrupted_swap_is_undone_by_the_next_writer(folder: Path) -> None:
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    hidden = folder.with_name(f".demo.webnn-staging-{int(process.stdout)}-00-old")
    folder.rename(hidden)
    with pytest.raises(FormatError, match="exists already"):
        save_bundle(make_graph(2), folder)
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


@pytest.mark.parametrize("target", ["file/b", "a\0b", "x" * 300])
def test_a_target_that_cannot_be_is_an_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FormatError, match="cannot create the folder"):
        save_bundle(make_graph(), tmp_path / target)


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        FormatError, match=f"^{tmp_path / 'b'}: .*cannot be written: No space left.*; choose another place"
    ):
        save_bundle(make_graph(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
