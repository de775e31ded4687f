"""Inputs that are made constants, and what the manifest and the check know of them."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime.format.errors import ManifestError
from webnn_translator._errors import InputError, UnsupportedOp
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.given_inputs import bind_inputs, read_given
from webnn_translator.translate import translate
from webnn_translator.verify import check_bundle


@pytest.fixture
def sized(build):
    """A model that is told its size and a flag at run time."""
    nodes = [
        helper.make_node("Resize", ["x", "", "", "size"], ["r"], mode="nearest"),
        helper.make_node("Mul", ["r", "factor"], ["y"]),
    ]
    inputs = {"x": (np.float32, [1, 2, 3, 4]), "size": (np.int64, [4]), "factor": (np.float32, [])}
    return build(nodes, inputs)


def test_an_input_with_a_value_is_a_constant_of_the_graph_and_of_the_check(sized, optional, tmp_path) -> None:
    optional("onnxruntime")
    with pytest.raises(UnsupportedOp, match="sizes is computed from data"):
        translate(sized)
    sized.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None))
    onnx.save(sized, tmp_path / "sized.onnx")
    bound = {"size": (1, 2, 6, 2), "factor": (2.5,)}
    done = convert_model(str(tmp_path / "sized.onnx"), tmp_path / "out", ConvertOptions(inputs=bound))
    assert list(done.graph.inputs) == ["x"]
    assert done.graph.output_types["y"].shape == (1, 2, 6, 2)
    assert done.certificate is not None
    assert done.certificate.passed
    stated = json.loads((tmp_path / "out" / "manifest.json").read_text())["x-webnn-runtime"]["boundInputs"]
    assert stated["size"] == {"dataType": "int64", "shape": [4], "values": [1, 2, 6, 2]}
    assert stated["factor"] == {"dataType": "float32", "shape": [], "values": [2.5]}
    # The bundle knows them, so the check can be repeated.
    assert check_bundle(tmp_path / "out", tmp_path / "sized.onnx").certificate.passed


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": (1,)}, "has no input 'rate' to bind; its inputs: x, size, factor"),
        ({"size": (1, 2)}, r"input 'size' has the shape \[4\], which 2 values do not fill"),
        ({"size": (1.5, 1, 1, 1)}, "input 'size' is int64, which cannot hold 1.5, 1, 1, 1"),
        ({"factor": (1, 2)}, r"input 'factor' has the shape \[\], which 2 values do not fill"),
    ],
)
def test_values_that_do_not_fit_are_refused(sized, values, message) -> None:
    with pytest.raises(InputError, match=message):
        bind_inputs(sized, values)


def test_one_number_fills_a_shape_and_one_dimension_follows(build) -> None:
    node = helper.make_node("Add", ["a", "b"], ["y"])
    model = build([node], {"a": (np.int32, [2, 3]), "b": (np.int32, ["n"])})
    found = bind_inputs(model, {"a": (7,), "b": (1, 2, 3)})
    np.testing.assert_array_equal(found["a"].array, np.full((2, 3), 7, np.int32))
    np.testing.assert_array_equal(read_given({"b": found["b"].record()})["b"], [1, 2, 3])


def test_a_malformed_record_is_refused() -> None:
    assert read_given(None) == {}
    kind = {"dataType": "int64"}
    for entry in ({}, {"values": [1], "shape": [2], **kind}, {"values": "x", "shape": [], **kind}):
        with pytest.raises(ManifestError, match="bound inputs are malformed"):
            read_given({"a": entry})
