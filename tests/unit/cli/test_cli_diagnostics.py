"""`webnn inspect` and `webnn explain` on ONNX files, `webnn-convert --list-ops`: what a user learns of a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_translator.catalogue import catalogue
from webnn_translator.registry import find, operators

N = helper.make_node


def saved(path: Path, nodes: list[Any], **more: Any) -> Path:
    """A model of `x: float32[n, 3]`, with an output for each node that no other reads."""
    read = {name for node in nodes for name in node.input}
    outputs = [helper.make_empty_tensor_value_info(node.output[0]) for node in nodes if node.output[0] not in read]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])]
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("my.domain", 2)]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs), opset_imports=imports, ir_version=8)
    model.producer_name, model.producer_version = "tests", "3"
    for name, array in more.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    path.write_bytes(model.SerializeToString())
    return path


@pytest.fixture
def refused(tmp_path: Path) -> Path:
    """Two reasons, three nodes; a node behind each of two."""
    nodes = [
        N("NonZero", ["x"], ["a"], name="first"),
        N("Cast", ["a"], ["b"], name="behind", to=1),
        N("NonZero", ["x"], ["c"], name="second"),
        N("Strange", ["x", "w"], ["d"], name="third", domain="my.domain"),
        N("Relu", ["d"], ["e"], name="later"),
        N("Relu", ["x"], ["f"], name="fine"),
    ]
    return saved(tmp_path / "refused.onnx", nodes, w=np.ones((2, 5), np.float16))


def test_inspect_shows_a_model_that_cannot_be_converted(run: Callable[..., Any], refused: Path) -> None:
    ran = run("webnn", "inspect", refused)
    assert (ran.code, ran.err) == (0, "")
    for line in (
        "g: ONNX model of 6 nodes",
        "opsets     ai.onnx 17, my.domain 2",
        "producer   tests 3",
        "input      x: float32[n, 3]",
        "free       n: x[0]",
        "weights    1 tensors, 20 bytes (float16)",
        "largest    w: float16[2, 5], 20 bytes",
    ):
        assert line in ran.out
    assert re.search(r"my\.domain +Strange +1", ran.out)
    data = run("webnn", "inspect", refused, "--json").json["data"]
    assert data["operators"] == {"ai.onnx": {"NonZero": 2, "Relu": 2, "Cast": 1}, "my.domain": {"Strange": 1}}
    assert data["inputs"] == [{"name": "x", "type": "float32", "shape": ["n", 3]}]
    assert data["file_bytes"] == refused.stat().st_size
    quiet = run("webnn", "inspect", refused, "--quiet")
    assert "Strange" not in quiet.out
    assert "input      x" in quiet.out


def test_inspect_counts_the_nodes_inside_and_does_not_need_the_external_data(
    run: Callable[..., Any], tmp_path: Path
) -> None:
    branch = helper.make_graph([N("Neg", ["x"], ["o"])], "b", [], [helper.make_empty_tensor_value_info("o")])
    path = saved(tmp_path / "m.onnx", [N("If", ["c"], ["y"], then_branch=branch, else_branch=branch)], c=np.bool_(True))
    model = onnx.load(path)
    tensor = TensorProto(name="big", data_type=TensorProto.INT4, dims=[3, 2**40], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.initializer.append(tensor)
    path.write_bytes(model.SerializeToString())
    data = run("webnn", "inspect", path, "--json").json["data"]
    assert data["operators"]["ai.onnx"] == {"Neg": 2, "If": 1}
    assert data["largest"] == {"name": "big", "type": "int4", "shape": [3, 2**40], "bytes": 3 * 2**39}
    assert data["external_data"] == {"weights.bin": {"tensors": 1, "is_there": False}}
    assert "no such file beside the model" in run("webnn", "inspect", path).out


def test_inspect_takes_a_model_folder_and_a_graph_file_without_its_weights(
    run: Callable[..., Any], bundle: Path, dense: Path, tmp_path: Path
) -> None:
    (tmp_path / "hub" / "onnx").mkdir(parents=True)
    dense.rename(tmp_path / "hub" / "onnx" / "model.onnx")
    assert run("webnn", "inspect", tmp_path / "hub", "--json").json["data"]["format"] == "onnx"
    alone = tmp_path / "alone.webnn"
    alone.write_bytes((bundle / "model.webnn").read_bytes())
    answer = run("webnn", "inspect", alone, "--json").json
    assert answer["data"]["inputs"] == {"x": "f32[batch, 4]"}
    assert answer["data"]["types"] == {"float32": 60}
    assert "the graph alone" in answer["warnings"][0]


def test_a_conversion_that_is_refused_points_at_the_explanation(run: Callable[..., Any], refused: Path) -> None:
    ran = run("webnn-convert", refused)
    assert ran.code == 5
    assert ran.err.splitlines()[-1] == f"webnn explain {refused} says what would help"
    assert "webnn explain" not in run("webnn-convert", refused, "--dim", "nothing=1").err


def test_explain_groups_every_reason_and_says_what_was_not_examined(run: Callable[..., Any], refused: Path) -> None:
    ran = run("webnn", "explain", refused)
    assert ran.code == 5
    assert "2 x NonZero: " in ran.out
    assert "nodes: first, second" in ran.out
    assert "would help: the shape of its result depends on data" in ran.out
    assert "1 x my.domain.Strange: operators of the domain 'my.domain' are unknown" in ran.out
    assert "2 nodes were not examined, as they read what a refused node makes: behind, later" in ran.out
    assert "3 of 4 nodes examined cannot be expressed" in ran.err
    answer = run("webnn", "explain", refused, "--json").json
    assert (answer["ok"], answer["errors"][0]["code"]) == (False, "not-expressible")
    data = answer["data"]
    assert (data["convertible"], data["refused"], data["not_examined"]) == (False, 3, ["behind", "later"])
    assert [(group["op_type"], group["nodes"]) for group in data["groups"]] == [
        ("NonZero", ["first", "second"]),
        ("my.domain.Strange", ["third"]),
    ]
    assert all(group["advice"] for group in data["groups"])


def test_explain_names_the_flag_for_a_missing_dimension(run: Callable[..., Any], tmp_path: Path) -> None:
    values = [helper.make_empty_tensor_value_info(name) for name in ("i", "go", "s")]
    body = helper.make_graph([N("Relu", ["s"], ["o"])], "b", values, [])
    body.output.extend(map(helper.make_empty_tensor_value_info, ("go", "o")))
    nodes = [
        N("Shape", ["x"], ["s"], start=0, end=1),
        N("Squeeze", ["s"], ["rounds"]),
        N("Loop", ["rounds", "go", "x"], ["y"], body=body),
    ]
    path = saved(tmp_path / "m.onnx", nodes, go=np.bool_(True))
    ran = run("webnn", "explain", path, "--json")
    assert ran.code == 6
    assert ran.json["data"]["missing_dims"] == ["n"]
    assert "--dim n=VALUE" in ran.json["data"]["groups"][0]["advice"]
    assert run("webnn", "explain", path, "--dim", "n=4").code == 0


def test_explain_of_a_model_that_converts(run: Callable[..., Any], dense: Path) -> None:
    ran = run("webnn", "explain", dense, "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("converts: 3 ONNX nodes become")
    assert "free dimensions: batch" in ran.out
    assert sorted(path.name for path in dense.parent.iterdir()) == ["dense.onnx"]


@pytest.mark.parametrize(
    ("command", "arguments", "code"),
    [
        ("inspect", ["absent.onnx"], 3),
        ("inspect", ["."], 4),
        ("inspect", ["text.onnx"], 4),
        ("inspect", ["text.txt"], 4),
        ("explain", ["absent.onnx"], 3),
        ("explain", ["text.onnx"], 4),
        ("explain", ["."], 3),
        ("explain", ["refused.onnx", "--dim", "n"], 2),
        ("explain", ["refused.onnx", "--dim", "m=3"], 2),
        ("explain", [], 2),
    ],
)
def test_a_mistake_is_one_message_and_an_exit_code(
    run: Callable[..., Any], refused: Path, command: str, arguments: list[str], code: int
) -> None:
    for name in ("text.onnx", "text.txt"):
        (refused.parent / name).write_text("no model")
    ran = run("webnn", command, *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert [line.startswith("error: ") for line in ran.err.splitlines()][-1:] == [True]
    assert "Traceback" not in ran.err


def test_the_list_of_operators_is_the_registry(run: Callable[..., Any]) -> None:
    ran = run("webnn-convert", "--list-ops")
    assert ran.code == 0
    lines = {tuple(line.split()[:3]): line for line in ran.out.splitlines()}
    assert len(lines) == len(catalogue())
    assert ("ai.onnx", "Softmax", f"7-{onnx.defs.onnx_opset_version()}") in lines
    entries = {(one["domain"], one["operator"]): one for one in _listed(run)}
    assert {(domain or "ai.onnx", op) for domain, op in operators()} <= entries.keys()
    softmax = entries["ai.onnx", "Softmax"]
    assert (softmax["first"], softmax["last"], softmax["changes"]) == (7, onnx.defs.onnx_opset_version(), [13])
    assert entries["ai.onnx", "Upsample"]["last"] == 9
    assert all(one["note"] for one in entries.values())


def _listed(run: Callable[..., Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run("webnn-convert", "--list-ops", "--json").json["data"]["operators"]
    return found


def test_a_listed_range_is_one_the_registry_answers_for() -> None:
    for entry in catalogue():
        if entry.domain == "ai.onnx" and ("", entry.op_type) in operators():
            assert find("", entry.op_type, entry.first) is not None
            assert onnx.defs.has(entry.op_type, entry.first) or not onnx.defs.has(entry.op_type)
