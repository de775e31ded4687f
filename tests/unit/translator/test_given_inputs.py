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
from webnn_translator.given_inputs import bind_inputs, read_given, settled_dims
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
        ({"size": (1, 2)}, r"input 'size' has the shape \[4\], which 2 values do not fill; pass 4, or one for all"),
        ({"size": (1.5, 1, 1, 1)}, "input 'size' is int64, which cannot hold 1.5, 1, 1, 1"),
        ({"factor": (1, 2)}, r"input 'factor' has the shape \[\], which 2 values do not fill; pass one"),
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


@pytest.fixture
def named(build):
    """Two inputs of the same named sizes, and one whose size is its own."""
    nodes = [helper.make_node("Add", ["x", "m"], ["a"]), helper.make_node("Mul", ["a", "k"], ["y"])]
    shape = ["batch", 2, "n"]
    return build(nodes, {"x": (np.float32, shape), "m": (np.float32, shape), "k": (np.float32, [""])})


def test_named_sizes_of_a_bound_input_are_given_with_dim(named, optional, tmp_path) -> None:
    optional("onnxruntime")
    named.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None))
    onnx.save(named, tmp_path / "named.onnx")
    told: list[str] = []
    options = ConvertOptions(inputs={"m": range(6), "k": (2,)}, dims={"batch": 1, "k_dim_0": 1})
    done = convert_model(str(tmp_path / "named.onnx"), tmp_path / "out", options, note=told.append)
    # What has the name of a bound input's size is as large: WebNN would broadcast a 1.
    assert str(done.graph.inputs["x"]) == "f32[1, 2, 3]"
    assert "dimension n = 3, as input 'm' is bound" in told
    assert check_bundle(tmp_path / "out", tmp_path / "named.onnx").certificate.passed


def test_bound_inputs_that_disagree_on_a_size_are_refused(named) -> None:
    bound = bind_inputs(named, {"x": range(4), "m": range(6)}, {"batch": 1})
    with pytest.raises(InputError, match="dimension n is 2 in input 'x' and 3 in 'm'"):
        settled_dims(named, bound, {"batch": 1})


def test_a_malformed_record_is_refused() -> None:
    assert read_given(None) == {}
    kind = {"dataType": "int64"}
    for entry in ({}, {"values": [1], "shape": [2], **kind}, {"values": "x", "shape": [], **kind}):
        with pytest.raises(ManifestError, match="bound inputs are malformed"):
            read_given({"a": entry})


@pytest.fixture
def merged():
    """What Optimum writes as `decoder_model_merged.onnx`: a flag decides between no cache and one."""
    node = helper.make_node

    def branch(nodes, hidden, kept, tensors=()):
        results = [helper.make_empty_tensor_value_info(name) for name in (hidden, kept)]
        return helper.make_graph(nodes, "branch", [], results, list(tensors))

    first = branch([node("Identity", ["x"], ["fresh"]), node("Relu", ["x"], ["first"])], "first", "fresh")
    # With a cache the encoder's keys do not change, so nothing is handed out.
    later = branch(
        [node("Concat", ["past", "x"], ["joined"], axis=1), node("Relu", ["joined"], ["later"])],
        "later",
        "none",
        [helper.make_tensor("none", onnx.TensorProto.FLOAT, [0, 2, 4], [])],
    )
    floats = {"x": ["batch", "new", 4], "past": ["batch", "past", 4]}
    inputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in floats.items()]
    inputs.append(helper.make_tensor_value_info("use_cache_branch", onnx.TensorProto.BOOL, [1]))
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("hidden", "present")]
    choice = node(
        "If", ["use_cache_branch"], ["hidden", "present"], then_branch=later, else_branch=first, name="choice"
    )
    model = helper.make_model(
        helper.make_graph([choice], "merged", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 10
    return model


def test_a_flag_that_only_the_run_knows_is_named_with_the_switch_that_binds_it(merged) -> None:
    flags = "--bind use_cache_branch=0 or --bind use_cache_branch=1 decides which branch is taken"
    with pytest.raises(UnsupportedOp, match=rf"node 'choice' \(If\): .*; {flags}"):
        translate(merged)


@pytest.mark.parametrize("flag", [0, 1])
def test_either_branch_of_a_merged_decoder_converts(flag, merged, optional, tmp_path) -> None:
    optional("onnxruntime")
    onnx.save(merged, tmp_path / "merged.onnx")
    told: list[str] = []
    options = ConvertOptions(inputs={"use_cache_branch": (flag,)})
    done = convert_model(str(tmp_path / "merged.onnx"), tmp_path / "out", options, note=told.append)
    assert done.certificate is not None
    assert done.certificate.passed
    assert list(done.graph.inputs) == (["x", "past"] if flag else ["x"])
    assert list(done.graph.outputs) == (["hidden"] if flag else ["hidden", "present"])
    stated = json.loads((tmp_path / "out" / "manifest.json").read_text())["x-webnn-runtime"]
    assert stated.get("emptyOutputs") == (["present"] if flag else None)
    assert ("outputs without elements are left out, 1 of them: present" in told) == bool(flag)
    assert check_bundle(tmp_path / "out", tmp_path / "merged.onnx").certificate.passed
