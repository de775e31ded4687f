"""Where values of named dimensions may be given, and which of them counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper


def saved(path: Path, metadata: str | None = None) -> Path:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "length", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", "length", 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, {"freeDimensionOverrides": metadata, "other": "no JSON"})
    onnx.save(model, path)
    return path


def test_the_option_outranks_the_file_the_sidecar_and_the_metadata(run: Callable[..., Any], tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx", '{"batch": 7, "length": 6}')
    convert = ("webnn-convert", model, "--json", "--force", "-o", tmp_path / "out")
    assert run(*convert).json["data"]["inputs"] == {"x": "f32[7, 6, 2]"}
    (tmp_path / "m.dims.json").write_text('{"batch": 5}')
    assert run(*convert).json["data"]["inputs"] == {"x": "f32[5, 6, 2]"}
    file = tmp_path / "dims.json"
    file.write_text('{"freeDimensionOverrides": {"length": 4, "batch": 3}}')
    assert run(*convert, "--dims-file", file).json["data"]["inputs"] == {"x": "f32[3, 4, 2]"}
    done = run(*convert, "--dims-file", file, "--dim", "batch=2").json["data"]
    assert done["inputs"] == {"x": "f32[2, 4, 2]"}
    wanted = {"batch": {"size": 2, "from": "--dim"}, "length": {"size": 4, "from": "dims.json"}}
    assert done["boundDimensions"] == wanted
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["x-webnn-runtime"]["boundDimensions"] == wanted


@pytest.mark.parametrize(
    ("content", "code", "complaint"),
    [
        ('{"lenght": 3}', 2, "no dimension 'lenght'; it has: batch, length"),
        ('{"batch": 0}', 4, "dimension 'batch' is 0"),
        ('{"batch": true}', 4, "is True"),
        ('{"batch": 1.5}', 4, "is 1.5"),
        ('{"batch": "1"}', 4, "'batch' is 1; 1 to"),
        ("[1, 2]", 4, "no object of names and sizes"),
        ('{"batch": 1, "batch": 2}', 4, "occurs twice"),
        ('{"freeDimensionOverrides": {}, "batch": 1}', 4, "beside other keys"),
        ("{", 4, "not JSON"),
    ],
)
@pytest.mark.parametrize("where", ["file", "sidecar", "metadata"])
def test_values_that_do_not_fit_are_refused(
    where: str, content: str, code: int, complaint: str, run: Callable[..., Any], tmp_path: Path
) -> None:
    model = saved(tmp_path / "m.onnx", content if where == "metadata" else None)
    name = "m.dims.json" if where == "sidecar" else "given.json"
    (tmp_path / name).write_text(content if where != "metadata" else "{}")
    options = ("--dims-file", tmp_path / name) if where == "file" else ()
    ran = run("webnn-convert", model, *options)
    assert ran.code == code
    assert complaint in ran.err
    assert not (tmp_path / "m-webnn").exists()


def test_a_file_that_is_not_there_is_not_found(run: Callable[..., Any], tmp_path: Path) -> None:
    ran = run("webnn-convert", saved(tmp_path / "m.onnx"), "--dims-file", "absent.json")
    assert (ran.code, ran.err.count('a JSON file like {"batch": 1}')) == (3, 1)


def test_dimensions_without_a_name_are_called_after_their_place(run: Callable[..., Any], tmp_path: Path) -> None:
    path = saved(tmp_path / "m.onnx")
    model = onnx.load(path)
    unnamed, negative = model.graph.input[0].type.tensor_type.shape.dim[:2]
    unnamed.Clear()
    negative.dim_value = -1
    onnx.save(model, path)
    done = run("webnn-convert", path, "--json", "--dim", "x_dim_1=4").json["data"]
    assert done["inputs"] == {"x": "f32[x_dim_0, 4, 2]"}


def test_explain_takes_what_convert_takes(run: Callable[..., Any], tmp_path: Path) -> None:
    model = saved(tmp_path / "m.onnx")
    file = tmp_path / "dims.json"
    file.write_text('{"length": 4}')
    told = run("webnn", "explain", model, "--dims-file", file, "--int64", "int32")
    assert "free dimensions: batch" in told.out
    assert "length" not in told.out
    told = run("webnn", "explain", model, "--bind", "x=1,2,3,4")
    assert told.code == 2
    assert "[batch, length, 2], which 4 values do not fill; pass --dim batch=VALUE --dim length=VALUE as" in told.err
    assert run("webnn", "explain", model, "--bind", "x=1,2,3,4", "--dim", "batch=1").code == 0
    for wrong in ("x", "=1", "x=one", "x="):
        assert "write it as --bind INPUT=VALUE" in run("webnn-convert", model, "--bind", wrong).err
    assert "given twice" in run("webnn-convert", model, "--bind", "x=1", "--bind", "x=true").err


def test_the_cache_of_a_decoder_that_embeds_is_emptied_unless_kept(run: Callable[..., Any], tmp_path: Path) -> None:
    past = "past_key_values.0.key"
    kinds = {"input_ids": ["batch", "length"], past: ["batch", "past"], "last_hidden_state": None}
    kinds["present.0.key"] = None
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in kinds.items()]
    nodes = [
        helper.make_node("Relu", ["input_ids"], ["last_hidden_state"]),
        helper.make_node("Concat", [past, "last_hidden_state"], ["present.0.key"], axis=1),
    ]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:])
    model = tmp_path / "m.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), model)
    explained = run("webnn", "explain", model)
    assert "the cache is empty (an embedder: its output is last_hidden_state): past = 0" in " ".join(
        explained.err.split()
    )
    assert "free dimensions: batch, length, past" in run("webnn", "explain", model, "--cache", "keep").out
    done = run("webnn-convert", model, "-o", tmp_path / "out", "--json").json["data"]
    assert done["inputs"] == {"input_ids": "f32[batch, length]"}
    assert done["boundDimensions"] == {"past": {"size": 0, "from": "the empty cache"}}
    wrong = run("webnn-convert", model, "--cache", "no")
    assert (wrong.code, "--cache no: auto, empty or keep" in wrong.err) == (2, True)
    both = run("webnn-convert", model, "--cache", "empty", "--dim", "past=3", "-o", tmp_path / "no")
    assert (both.code, "makes past = 0, and it is given another size" in both.err) == (2, True)
