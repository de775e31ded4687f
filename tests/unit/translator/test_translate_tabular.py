"""Operators of ai.onnx.ml on columns of numbers, against ONNX Runtime."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime import load
from webnn_runtime.format.errors import ManifestError
from webnn_translator._errors import UnsupportedOp
from webnn_translator.bundling import convert_model
from webnn_translator.translate import translate
from webnn_translator.verify import check_bundle

ML = [("ai.onnx.ml", 3)]
RANDOM = np.random.default_rng(3)
X = np.concatenate([RANDOM.normal(size=(4, 3)), np.zeros((1, 3))]).astype(np.float32)


def node(op_type, inputs=("x",), **attributes):
    return helper.make_node(op_type, list(inputs), ["y"], domain="ai.onnx.ml", **attributes)


NODES = {
    "binarizer": node("Binarizer", threshold=0.25),
    "scaler of columns": node("Scaler", offset=[0.5, -1.0, 2.0], scale=[2.0, 0.25, -1.5]),
    "scaler of all": node("Scaler", offset=[0.5], scale=[3.0]),
    "largest": node("Normalizer", norm="MAX"),
    "sum": node("Normalizer", norm="L1"),
    "length": node("Normalizer", norm="L2"),
    "regressor": node("LinearRegressor", coefficients=[1.0, -2.0, 0.5], intercepts=[0.75]),
    "two targets": node("LinearRegressor", coefficients=[1.0, -2.0, 0.5, 3.0, 0.0, -1.0], targets=2),
}


@pytest.mark.parametrize("rows", ["n", 5])
@pytest.mark.parametrize("name", NODES)
def test_columns_of_numbers(build, agree, name, rows) -> None:
    agree(build([NODES[name]], {"x": (np.float32, [rows, 3])}, domains=ML), {"x": X})


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_a_scaler_of_other_types_gives_floats(build, agree, dtype) -> None:
    agree(build([NODES["scaler of columns"]], {"x": (dtype, [5, 3])}, domains=ML), {"x": (X * 9).astype(dtype)})


@pytest.mark.parametrize("shape", [[4], [2, 4], [2, 3, 4]])
def test_columns_picked_by_their_index(build, agree, shape) -> None:
    picked = node("ArrayFeatureExtractor", ("x", "i"))
    model = build([picked], {"x": (np.float32, shape)}, domains=ML, constants={"i": np.array([[3, 0, 3]])})
    agree(model, {"x": RANDOM.normal(size=shape).astype(np.float32)})


def test_numbers_for_another_count_of_columns_are_refused(build) -> None:
    model = build([node("Scaler", offset=[1.0, 2.0], scale=[1.0])], {"x": (np.float32, [5, 3])}, domains=ML)
    with pytest.raises(UnsupportedOp, match="offset has 2 numbers for"):
        translate(model)


def test_what_is_not_arithmetic_of_that_domain_is_refused(build) -> None:
    label = node("LabelEncoder", keys_strings=["a"], values_int64s=[1])
    model = build([label], {"x": (np.int64, [5])}, domains=ML)
    with pytest.raises(UnsupportedOp, match="LabelEncoder"):
        translate(model)


def zipped(build, path, **labels):
    """A classifier as skl2onnx writes it unless told otherwise: the scores become a dictionary for each row."""
    nodes = [
        helper.make_node("Softmax", ["x"], ["scores"], axis=1),
        helper.make_node("ZipMap", ["scores"], ["y"], domain="ai.onnx.ml", name="zip", **labels),
    ]
    model = build(nodes, {"x": (np.float32, ["n", 3])}, domains=ML)
    text = "classlabels_strings" in labels
    row = helper.make_map_type_proto(8 if text else 7, helper.make_tensor_type_proto(1, []))
    model.graph.output[0].type.CopyFrom(helper.make_sequence_type_proto(row))
    onnx.save(model, path)
    return model


@pytest.mark.parametrize(
    "labels", [{"classlabels_int64s": [7, -1, 3]}, {"classlabels_strings": ["spam", "ham", "ärger"]}], ids=str
)
def test_dictionaries_of_scores_are_columns_with_their_labels_beside_them(labels, build, optional, tmp_path) -> None:
    runtime = optional("onnxruntime")
    source, folder = tmp_path / "zipped.onnx", tmp_path / "out"
    zipped(build, source, **labels)
    told: list[str] = []
    done = convert_model(str(source), folder, note=told.append)
    assert done.certificate is not None
    assert done.certificate.passed
    ((name, columns),) = json.loads((folder / "manifest.json").read_text())["x-webnn-runtime"]["outputLabels"].items()
    assert [columns] == list(labels.values())
    assert any(note.startswith("output 'y' has a column for each label, ") for note in told)
    found = load(folder, backend="numpy").run({"x": X})[name]
    rows = runtime.InferenceSession(str(source)).run(None, {"x": X})[0]
    for row, scores in zip(rows, found, strict=True):
        assert row == pytest.approx(dict(zip(columns, scores.tolist(), strict=True)), abs=1e-6)


def test_columns_under_other_labels_do_not_pass(build, optional, tmp_path) -> None:
    optional("onnxruntime")
    source, folder = tmp_path / "zipped.onnx", tmp_path / "out"
    zipped(build, source, classlabels_int64s=[0, 1, 2])
    convert_model(str(source), folder)
    whole = (folder / "manifest.json").read_text()

    def checked(labels):
        manifest = json.loads(whole)
        manifest["x-webnn-runtime"]["outputLabels"] = labels
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return check_bundle(folder, source).certificate.passed

    assert checked({"y": [0, 1, 2]})
    assert not checked({"y": [1, 0, 2]})
    for wrong, message in (({"y": [0, 1, 5]}, "are not those"), ({"y": [0.5]}, "malformed"), ([], "malformed")):
        with pytest.raises(ManifestError, match=message):
            checked(wrong)


@pytest.mark.parametrize("labels", [[0, 1], [0, 1, 1]])
def test_labels_that_are_not_those_of_the_columns_are_refused(labels, build, tmp_path) -> None:
    with pytest.raises(UnsupportedOp, match=r"node 'zip'.*labels, 2 of them different"):
        translate(zipped(build, tmp_path / "zipped.onnx", classlabels_int64s=labels))
