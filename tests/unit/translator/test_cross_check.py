"""onnx's shape inference and the file's own statements, against the shapes that were derived."""

from __future__ import annotations

import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from webnn_translator._errors import InvalidModel, TranslateError
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.elements import Elem
from webnn_translator.sources import cross_check as module
from webnn_translator.sources.cross_check import cross_check
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32


@pytest.fixture
def model(build):
    nodes = [N("Transpose", ["x"], ["t"], perm=[1, 0]), N("MatMul", ["x", "w"], ["m"]), N("MatMul", ["t", "m"], ["y"])]
    return build(nodes, {"x": (F, ("n", 4))}, constants={"w": np.ones((4, 512), F)})


def test_what_is_derived_is_what_onnx_infers(model) -> None:
    assert cross_check(model, translate(model).values) == []
    assert cross_check(model, translate(model, dims={"n": 7}).values) == []


@pytest.mark.parametrize(
    "wrong", [(Elem.FLOAT, (5, 512)), (Elem.FLOAT, (4, 512, 1)), (Elem.INT32, (4, 512)), (Elem.FLOAT, (4, 511))]
)
def test_a_shape_that_onnx_infers_otherwise_is_an_error_that_names_it(wrong, model) -> None:
    values = dict(translate(model).values) | {"y": wrong}
    with pytest.raises(TranslateError, match=r"value 'y' is .* here, but onnx infers float\[4, 512\]"):
        cross_check(model, values)


def stated(model, name, dims, elem=TensorProto.FLOAT):
    model.graph.value_info.append(helper.make_tensor_value_info(name, elem, dims))
    return model


def test_a_statement_that_is_out_of_date_is_said_where_onnx_agrees_with_us(model) -> None:
    (line,) = cross_check(stated(model, "t", [9, "k"]), translate(model).values)
    assert "out of date" in line
    assert "'t'" in line


@pytest.mark.parametrize("dims", [[4, "n"], ["a", "b"], [0, -1], [4, 128]])
def test_a_statement_that_leaves_it_open_or_was_bound_is_none(dims, model) -> None:
    assert cross_check(stated(model, "t", dims), translate(model).values) == []


def test_a_statement_that_nobody_confirms_is_an_error(model, monkeypatch) -> None:
    monkeypatch.setattr(module, "_infer", lambda _: ())
    with pytest.raises(InvalidModel, match=r"value 't' is float\[4, n\], but the file states float\[9, 2\]"):
        cross_check(stated(model, "t", [9, 2]), translate(model).values)


def test_a_statement_about_an_output_that_the_run_refutes_is_said(model, tmp_path, monkeypatch) -> None:
    """As files of older exporters state them; ONNX Runtime runs these, and its results have the shape that counts."""
    monkeypatch.setattr(module, "_infer", lambda _: ())
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "n"]))
    model.graph.node.append(N("Unsqueeze", ["y", "axis"], ["z"]))
    model.graph.initializer.append(helper.make_tensor("axis", TensorProto.INT64, [1], [0]))
    model.graph.output[0].name = "z"
    onnx.save(model, tmp_path / "m.onnx")
    told: list[str] = []
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", note=told.append)
    assert any("the file states float[1, n] for 'z', which is float[1, 4, 512]" in line for line in told)
    assert done.certificate is not None
    assert done.certificate.passed
    with pytest.raises(InvalidModel, match=r"value 'z' is float\[1, 4, 512\], but the file states float\[1, n\]"):
        convert_model(str(tmp_path / "m.onnx"), tmp_path / "other", ConvertOptions(is_verified=False))


@pytest.mark.parametrize(
    "child", ["import os; os.abort()", "import sys; sys.stdout.write('no model')", "raise OSError"]
)
def test_an_inference_that_crashes_is_no_opinion(child, model, monkeypatch) -> None:
    monkeypatch.setattr(module, "_CHILD", child)
    values = dict(translate(model).values) | {"y": (Elem.FLOAT, (1,))}
    assert cross_check(model, values) == []


def test_an_inference_that_does_not_end_is_ended(model, monkeypatch) -> None:
    monkeypatch.setattr(module, "_CHILD", "while True: pass")
    monkeypatch.setattr(module, "_SECONDS", 0.2)
    began = time.monotonic()
    assert cross_check(model, translate(model).values) == []
    assert time.monotonic() - began < 20


def test_a_conversion_asks_for_the_second_opinion(model, tmp_path, monkeypatch) -> None:
    stated(model, "t", [9, 2])
    onnx.save(model, tmp_path / "m.onnx")
    told: list[str] = []
    convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", note=told.append)
    assert any("out of date" in line for line in told)
    monkeypatch.setattr(module, "_infer", lambda _: ())
    with pytest.raises(InvalidModel):
        convert_model(str(tmp_path / "m.onnx"), tmp_path / "other", ConvertOptions(is_verified=False))
    assert not (tmp_path / "other").exists()
