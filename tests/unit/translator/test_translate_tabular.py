"""Operators of ai.onnx.ml on columns of numbers, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import UnsupportedOp
from webnn_translator.translate import translate

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
