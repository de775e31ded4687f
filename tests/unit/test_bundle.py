"""Bundles: complete or absent, the same bytes every time, and found under every name the family uses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle, save_bundle, staged_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import FormatError, ManifestError, ParseError, WeightsError
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.json_graph import print_json_graph
from webnn_runtime.format.names import safe_graph
from webnn_runtime.model import load

ROOT = Path(__file__).resolve().parents[2]


def make_graph(scale: float = 1.0) -> Graph:
    builder = GraphBuilder("demo", dims=[DynamicDim("batch"), DynamicDim("unused", 3)])
    z = builder.input("z:0", DataType.FLOAT32, (symbol("batch"), 3))
    a = builder.input("a", DataType.FLOAT32, (symbol("batch"), 3))
    weight = builder.constant(np.array([1, 2, 3], np.float32) * np.float32(scale), name="layer.0/weight")
    total = builder.op("add", builder.op("mul", z, weight), a)
    return builder.build({"y": builder.op("neg", total), "x.out": total})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_bundle(make_graph(), tmp_path / "demo")


def test_a_bundle_comes_back_with_order_names_and_values(folder: Path) -> None:
    bundle = load_bundle(folder, verify=True)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.webnn", "model.weights"]
    assert list(bundle.graph.inputs) == ["z_0", "a"]
    assert list(bundle.graph.outputs) == ["y", "x_out"]
    assert bundle.names == {"z_0": "z:0", "x_out": "x.out", "layer_0_weight": "layer.0/weight"}
    assert bundle.graph.constants["layer_0_weight"].values.tolist() == [1, 2, 3]
    assert bundle.manifest.extension.unbounded == ("batch",)
    assert bundle.manifest.extension.tool.startswith("webnn-runtime ")
    safe, _ = safe_graph(make_graph())
    assert (bundle.graph.nodes, bundle.graph.types) == (safe.nodes, safe.types)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


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
    with pytest.raises(FormatError, match="exists already; choose another folder, or force"):
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
    assert load_bundle(folder).graph.constants["layer_0_weight"].values.tolist() == [2, 4, 6]
    assert old.graph.constants["layer_0_weight"].values.tolist() == [1, 2, 3]
    assert [path.name for path in folder.parent.iterdir()] == ["demo"]


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="cannot be written as JSON"):
        save_bundle(make_graph(), tmp_path / "b", manifest_extra={"x": object()})
    with pytest.raises(FormatError, match="'gone' cannot be written"):
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


def rename(folder: Path, **names: str) -> Path:
    for old, new in names.items():
        before = {"graph": "model.webnn", "weights": "model.weights", "manifest": "manifest.json"}[old]
        (folder / before).rename(folder / new)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"graph": "e.webnn"},
        {"graph": "e.webnn", "weights": "e.weights"},
        {"graph": "e.webnn", "weights": "e.weights", "manifest": "e.manifest.json"},
        {"graph": "e.webnn", "weights": "other.weights", "manifest": "third.manifest.json"},
        {"graph": "all-MiniLM.v2.webnn", "weights": "all-MiniLM.v2.weights", "manifest": "all-MiniLM.v2.manifest.json"},
    ],
)
def test_companions_are_found_under_all_conventions(folder: Path, names: dict[str, str]) -> None:
    rename(folder, **names)
    by_folder = load_bundle(folder, verify=True)
    by_file = load_bundle(folder / names.get("graph", "model.webnn"), verify=True)
    assert by_folder.graph == by_file.graph


def test_names_after_the_graph_win_over_fixed_ones(folder: Path) -> None:
    rename(folder, graph="e.webnn", weights="e.weights", manifest="e.manifest.json")
    (folder / "model.weights").write_bytes(b"of another graph")
    (folder / "manifest.json").write_bytes(b"of another graph")
    (folder / "model.safetensors").write_bytes(b"of the source model")
    assert load_bundle(folder).weights_path == folder / "e.weights"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda f: (f / "model.weights").unlink(), WeightsError, "there are none; they are called model.weights"),
        (lambda f: (f / "manifest.json").unlink(), ManifestError, "no manifest for 'model.weights'"),
        (lambda f: (f / "model.webnn").unlink(), FormatError, "holds no .webnn file"),
        (
            lambda f: [rename(f, graph="a.webnn"), (f / "b.webnn").write_bytes(b"")],
            FormatError,
            "2 files could be the graph: a.webnn, b.webnn; give the path of one",
        ),
        (
            lambda f: [rename(f, weights="a.weights"), (f / "b.weights").write_bytes(b"")],
            WeightsError,
            "2 files could be the weights file",
        ),
        (
            lambda f: [rename(f, manifest="a.manifest.json"), (f / "b.manifest.json").write_bytes(b"")],
            ManifestError,
            "2 files could be the manifest",
        ),
        (lambda f: edit(f, lambda m: m["tensors"].clear()), FormatError, "'sha256.tensors' names"),
        (
            lambda f: edit(f, lambda m: m["x-webnn-runtime"].update(inputs=["a"])),
            ManifestError,
            "'inputs' are a, but the graph has a, z_0",
        ),
    ],
)
def test_what_is_missing_or_ambiguous_is_an_error(
    folder: Path, change: Callable[[Path], object], error: type[FormatError], message: str
) -> None:
    change(folder)
    with pytest.raises(error) as caught:
        load_bundle(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)


def edit(folder: Path, change: Callable[[Any], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    change(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("path", ["nothing/here", "a\0b"])
def test_a_path_that_leads_nowhere_is_an_error(tmp_path: Path, path: str) -> None:
    with pytest.raises(FormatError):
        load_bundle(tmp_path / path)


def without_our_key(folder: Path, **keys: str) -> None:
    def change(manifest: Any) -> None:
        del manifest["x-webnn-runtime"]
        for old, new in keys.items():
            manifest["tensors"][new] = manifest["tensors"].pop(old)

    edit(folder, change)


def test_a_bundle_of_another_tool_is_read_in_its_own_order(folder: Path) -> None:
    without_our_key(folder)
    bundle = load_bundle(folder)
    assert list(bundle.graph.inputs) == ["a", "z_0"]
    with pytest.raises(ManifestError, match="no hashes to compare with"):
        bundle.verify()


def test_a_key_in_the_source_spelling_is_found_if_it_is_unique(folder: Path) -> None:
    without_our_key(folder, layer_0_weight="layer.0.weight")
    assert load_bundle(folder).graph.constants["layer_0_weight"].values.tolist() == [1, 2, 3]


def test_a_key_that_could_be_two_is_an_error(folder: Path) -> None:
    without_our_key(folder, layer_0_weight="layer.0.weight")

    def twice(manifest: Any) -> None:
        first = manifest["tensors"]["layer.0.weight"]
        manifest["tensors"]["layer/0/weight"] = {**first, "byteOffset": 8 + first["byteLength"]}

    edit(folder, twice)
    (folder / "model.weights").write_bytes((folder / "model.weights").read_bytes() + b"\0" * 12)
    with pytest.raises(WeightsError, match=r"could be any of layer\.0\.weight, layer/0/weight"):
        load_bundle(folder)


def test_a_key_that_is_not_there_is_an_error(folder: Path) -> None:
    without_our_key(folder, layer_0_weight="other")
    with pytest.raises(WeightsError, match="needs tensor 'layer_0_weight', which is not in the file"):
        load_bundle(folder)


def test_safetensors_serve_where_no_weights_are(folder: Path) -> None:
    data = (folder / "model.weights").read_bytes()[8:]
    header = json.dumps({"layer.0.weight": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}).encode()
    for name in ("model.weights", "manifest.json"):
        (folder / name).unlink()
    (folder / "anything.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
    assert load_bundle(folder).graph.constants["layer_0_weight"].values.tolist() == [1, 2, 3]


def test_several_safetensors_matter_only_where_they_are_needed(folder: Path) -> None:
    for name in ("part-1.safetensors", "part-2.safetensors"):
        (folder / name).write_bytes(b"")
    load_bundle(folder)
    (folder / "model.weights").unlink()
    with pytest.raises(WeightsError, match=r"several files could hold the weights: part-1\.safetensors"):
        load_bundle(folder)


@pytest.mark.parametrize("target", ["file/b", "a\0b", "x" * 300])
def test_a_target_that_cannot_be_is_an_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FormatError, match="cannot create the folder"):
        save_bundle(make_graph(), tmp_path / target)


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FormatError, match="cannot be written: No space left"):
        save_bundle(make_graph(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.webnn", "model.json"])
def test_a_json_graph_with_inline_values_needs_no_companions(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(print_json_graph(make_graph(), inline=True))
    bundle = load_bundle(tmp_path)
    assert bundle.graph.constants["layer.0/weight"].values.tolist() == [1, 2, 3]
    assert dict(bundle.graph.outputs) == {"y": "y", "x.out": "x.out"}
    assert bundle.weights_path is None


@pytest.mark.parametrize("name", ["model.webnn", "model.weights"])
def test_verify_sees_a_changed_byte(folder: Path, name: str) -> None:
    data = bytearray((folder / name).read_bytes())
    data[-1] ^= 1 if name == "model.weights" else ord("\n") ^ ord(" ")
    (folder / name).write_bytes(data)
    load_bundle(folder)
    with pytest.raises(FormatError, match="SHA-256"):
        load_bundle(folder, verify=True)


def test_errors_carry_file_and_place(folder: Path) -> None:
    (folder / "model.webnn").write_text('webnn_graph "g" v1 {\n  oops')
    with pytest.raises(ParseError) as caught:
        load_bundle(folder)
    assert str(caught.value).startswith(f"{folder / 'model.webnn'}:2:3: ")


def test_opening_reads_no_weights(tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (2, 4096))
    for index in range(3):
        x = builder.op("matmul", x, builder.constant(np.zeros((4096, 4096), np.float32), name=f"w{index}"))
    folder = save_bundle(builder.build({"y": x}), tmp_path / "b")
    load_bundle(folder)
    start = time.perf_counter()
    bundle = load_bundle(folder)
    # Reading 200 MB would take longer, even from memory.
    assert time.perf_counter() - start < 0.02
    assert bundle.graph.constants["w2"].values.shape == (4096, 4096)


def test_a_model_runs_and_knows_both_kinds_of_names(folder: Path) -> None:
    model = load(folder, backend="numpy")
    one, two = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    results = model.run({"z:0": one, "a": two})
    assert list(results) == list(model.outputs) == ["y", "x_out"]
    assert list(model.inputs) == ["z_0", "a"]
    assert results["y"].tolist() == [[-3, -4, -5]] * 2
    assert model.run({"z_0": one, "a": two})["x_out"].tolist() == [[3, 4, 5]] * 2
    assert model.describe()["backend"] == "numpy"
    assert model.manifest.extension.inputs == ("z_0", "a")


def test_a_model_refuses_an_input_given_twice(folder: Path) -> None:
    from webnn_runtime.format.errors import OperandError

    one = np.ones((2, 3), np.float32)
    with pytest.raises(OperandError, match="'z_0' is given twice"):
        load(folder, backend="numpy").run({"z:0": one, "z_0": one, "a": one})
