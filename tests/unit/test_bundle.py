"""Bundles read: found under every name the family uses, whole, and with errors that say where."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import (
    FormatError,
    ManifestError,
    MissingFile,
    OperandError,
    ParseError,
    WeightsError,
)
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
    found = load_bundle(folder)
    constant = found.graph.constants["layer_0_weight"]
    assert constant.values.tolist() == [1, 2, 3]
    assert constant.key in found.manifest.tensors, "whoever wants the bytes finds them"


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


def test_verify_misses_weights_that_the_graph_can_do_without(tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (2,))
    folder = save_bundle(builder.build({"y": builder.op("relu", x)}), tmp_path / "b")
    (folder / "model.weights").unlink()
    load_bundle(folder)
    with pytest.raises(WeightsError, match="the hash of weights that are not there"):
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


@pytest.mark.parametrize("path", [None, b"demo", 3, ["demo"]])
def test_what_is_no_path_is_refused_with_what_would_be(path: object) -> None:
    with pytest.raises(FormatError, match="is no path; give a bundle's folder"):
        load(path)


@pytest.mark.parametrize("path", ["sentence-transformers/all-MiniLM-L6-v2", "owner/name"])
def test_an_id_of_the_hub_is_answered_with_who_takes_it(path: str) -> None:
    with pytest.raises(
        MissingFile, match=rf"{path}: no such .*, or of a Hub id what webnn_runtime\.hub\.resolve\(id\)"
    ):
        load(path)


@pytest.mark.parametrize("path", ["nothing", "./a/b", "/a/b", "a/b/c", "a/model.webnn", Path("a/b")])
def test_a_path_is_no_id_of_the_hub(path: str | Path) -> None:
    with pytest.raises(MissingFile, match=r"its \.webnn file$"):
        load(path)


def test_a_model_takes_no_attributes_that_would_change_nothing(folder: Path) -> None:
    model: Any = load(folder, backend="numpy")
    with pytest.raises(AttributeError, match="max_seq_length"):
        model.max_seq_length = 128


def test_a_pooling_mode_that_does_not_exist_is_refused(folder: Path) -> None:
    model = load(folder, backend="numpy")
    assert model.texts(pooling="weightedmean") is None
    with pytest.raises(OperandError, match="texts: no pooling mode 'meen'; the modes are cls, max, mean"):
        model.texts(pooling="meen")
