"""What existing converters are known to get wrong, silently for the most part: each mistake is one case here.

Names say what goes wrong elsewhere. Modules for browsers have their tests in tests/unit/emit and tests/browser.
"""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.errors import ParseError, WebnnError
from webnn_runtime.format.text import parse_graph
from webnn_translator._errors import InvalidModel, UnsupportedOp
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32
RANDOM = np.random.default_rng(30)


def numbers(*shape):
    return RANDOM.normal(size=shape).astype(F)


X = {"x": (F, ["n", 3, 4])}
# Name -> nodes, opset, constants; the input is x [n, 3, 4] throughout.
SILENT = {
    "an attribute of 0 is not absent: keepdims": ([N("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0)], 13, {}),
    "an attribute of 0 is not absent: axis of Softmax": ([N("Softmax", ["x"], ["y"], axis=0)], 13, {}),
    "an attribute of 0 is not absent: axis of LayerNormalization": (
        [N("Reshape", ["x", "flat"], ["f"]), N("LayerNormalization", ["f", "s"], ["y"], axis=0)],
        17,
        {"flat": np.array([2, 12]), "s": numbers(2, 12)},
    ),
    "an attribute of 0 is not absent: alpha and beta of Gemm": (
        [N("Reshape", ["x", "flat"], ["f"]), N("Gemm", ["f", "w", "b"], ["p"], alpha=0.0),
         N("Gemm", ["f", "w", "b"], ["q"], beta=0.0), N("Add", ["p", "q"], ["y"])],
        13,
        {"flat": np.array([-1, 12]), "w": numbers(12, 5), "b": numbers(5)},
    ),
    "axes of a reduction come as an input": ([N("ReduceSum", ["x", "a"], ["y"], keepdims=1)], 13, {"a": np.array([2])}),
    "axes of a reduction are an input since 18": ([N("ReduceMax", ["x", "a"], ["y"])], 18, {"a": np.array([0, -1])}),
    "an empty list of axes may mean none": (
        [N("ReduceSum", ["x", "a"], ["y"], noop_with_empty_axes=1)], 13, {"a": np.zeros(0, np.int64)},
    ),
    "LayerNormalization is over all axes from its own on": (
        [N("LayerNormalization", ["x", "s", "b"], ["y"], axis=1)], 17, {"s": numbers(3, 4), "b": numbers(3, 4)},
    ),
    "LayerNormalization of the last axis is of no other": (
        [N("LayerNormalization", ["x", "s", "b"], ["y"], axis=-1)], 17, {"s": numbers(4), "b": numbers(4)},
    ),
    "Softmax before 13 is of whole rows": ([N("Softmax", ["x"], ["y"], axis=1)], 11, {}),
    "broadcasting takes the larger rank": ([N("Add", ["b", "x"], ["y"])], 13, {"b": numbers(4)}),
    "0 in a shape copies, and -1 is what remains": ([N("Reshape", ["x", "s"], ["y"])], 13, {"s": np.array([0, 2, -1])}),
    "Where chooses by its condition, whatever names are": (
        [N("Greater", ["x", "zero"], ["rotary_mask"]), N("Where", ["rotary_mask", "rotary_emb", "x"], ["y"])],
        13,
        {"zero": F(0), "rotary_emb": np.zeros((1, 3, 4), F)},
    ),
    "a shape that is computed is not one of 1": (
        [N("Shape", ["x"], ["s"]), N("ConstantOfShape", ["s"], ["o"], value=helper.make_tensor("v", 1, [1], [2.5])),
         N("Add", ["x", "o"], ["y"])],
        13,
        {},
    ),
    "Range counts to a size that is free": (
        [N("Shape", ["x"], ["s"]), N("Gather", ["s", "first"], ["n"]), N("Range", ["zero", "n", "step"], ["r"]),
         N("Cast", ["r"], ["f"], to=1), N("Reshape", ["f", "column"], ["c"]), N("Mul", ["x", "c"], ["y"])],
        13,
        {"first": np.array(0), "zero": np.array(0), "step": np.array(1), "column": np.array([-1, 1, 1])},
    ),
    "folded constants keep their type": (
        [N("Add", ["a", "b"], ["c"]), N("Cast", ["x"], ["i"], to=6), N("Add", ["i", "c"], ["y"])],
        14,
        {"a": np.array([1, 2, 3, 4], np.int32), "b": np.array(7, np.int32)},
    ),
    "Trilu has a diagonal": ([N("Trilu", ["x", "k"], ["y"], upper=0)], 14, {"k": np.array(-1)}),
    "Slice has steps, and ends beyond the end": (
        [N("Slice", ["x", "from", "to", "axes", "steps"], ["y"])],
        13,
        {"from": np.array([3, 0]), "to": np.array([-9, 99]), "axes": np.array([2, 1]), "steps": np.array([-2, 2])},
    ),
    "Squeeze removes the axes that it names": (
        [N("Unsqueeze", ["x", "a"], ["u"]), N("Squeeze", ["u", "b"], ["y"])],
        13,
        {"a": np.array([0, 3]), "b": np.array([3])},
    ),
    "Split takes its sizes from an input": (
        [N("Split", ["x", "sizes"], ["p", "q"], axis=2), N("Concat", ["q", "p"], ["y"], axis=2)],
        13,
        {"sizes": np.array([1, 3])},
    ),
    "Gelu is approximate only where it says so": ([N("Gelu", ["x"], ["y"])], 20, {}),
    "Gelu is approximate where it says so": ([N("Gelu", ["x"], ["y"], approximate="tanh")], 20, {}),
    "names that differ in signs are different": (
        [N("Add", ["x", "layer/weight.0"], ["p"]), N("Mul", ["p", "layer.weight/0"], ["y"])],
        13,
        {"layer/weight.0": numbers(4), "layer.weight/0": numbers(4)},
    ),
    "constants are written in many ways": (
        [N("Constant", [], ["f"], value_float=2.5), N("Constant", [], ["i"], value_ints=[0, -1]),
         N("Mul", ["x", "f"], ["p"]), N("Reshape", ["p", "i"], ["y"])],
        13,
        {},
    ),
    "booleans are values": (
        [N("Greater", ["x", "zero"], ["g"]), N("Not", ["g"], ["h"]), N("And", ["h", "t"], ["k"]),
         N("Where", ["k", "x", "zero"], ["y"])],
        13,
        {"zero": F(0), "t": np.array([True, False, True, True])},
    ),
    "ScatterND has a reduction": (
        [N("ScatterND", ["table", "at", "x"], ["y"], reduction="add")],
        16,
        {"table": np.zeros((5, 3, 4), F), "at": np.array([[1], [1]])},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_what_is_silently_wrong_elsewhere(build, agree, name) -> None:
    nodes, opset, constants = SILENT[name]
    free = not name.startswith(("an attribute of 0 is not absent: axis of L", "ScatterND"))
    agree(build(nodes, X if free else {"x": (F, [2, 3, 4])}, opset=opset, constants=constants), {"x": numbers(2, 3, 4)})


def test_an_input_of_one_axis_stays_one_whatever_its_name(build) -> None:
    model = build([N("Relu", ["input_ids"], ["y"])], {"input_ids": (F, ["sequence"])})
    assert [str(dim) for dim in translate(model).graph.inputs["input_ids"].shape] == ["sequence"]


def test_no_dimension_has_a_value_that_nobody_gave(build) -> None:
    names = ["batch", "sequence", "n", "past_sequence_length"]
    graph = translate(build([N("Relu", ["x"], ["y"])], {"x": (F, names)})).graph
    assert list(graph.dims) == names
    assert all(dim.is_unbounded for dim in graph.dims.values())


@pytest.mark.parametrize(
    "node",
    [
        N("Unsqueeze", ["x", "axes"], ["y"]),
        N("Range", ["zero", "axes", "zero"], ["y"]),
        N("ConstantOfShape", ["axes"], ["y"]),
        N("Slice", ["x", "axes", "axes"], ["y"]),
    ],
    ids=lambda node: node.op_type,
)
def test_settings_that_data_decides_have_no_default(build, node) -> None:
    shape = [] if node.op_type == "Range" else [1]
    model = build([node], {"x": (F, [3, 4]), "axes": (np.int64, shape)}, constants={"zero": np.array(0)})
    with pytest.raises(UnsupportedOp, match="computed"):
        translate(model)


def test_scalar_inputs_and_the_order_of_inputs_stay(build, tmp_path) -> None:
    inputs = {"z": (F, []), "b": (F, [2]), "a": (F, [2])}
    model = build([N("Mul", ["z", "b"], ["p"]), N("Sub", ["p", "a"], ["y"])], inputs)
    graph = translate(model).graph
    assert {name: kind.shape for name, kind in graph.inputs.items()} == {"z": (), "b": (2,), "a": (2,)}
    assert list(graph.inputs) == ["z", "b", "a"]
    onnx.save(model, tmp_path / "m.onnx")
    folder = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", ConvertOptions(is_verified=False)).folder
    assert list(load_bundle(folder).graph.inputs) == ["z", "b", "a"]


def test_data_that_is_not_there_is_an_error(build, tmp_path) -> None:
    model = build([N("Add", ["x", "w"], ["y"])], {"x": (F, [2])}, constants={"w": numbers(2)})
    empty = model.graph.initializer[0]
    empty.ClearField("raw_data")
    with pytest.raises(InvalidModel, match="'w'"):
        translate(model)
    empty.data_location = TensorProto.EXTERNAL
    empty.external_data.add(key="location", value="weights.bin")
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(WebnnError, match=r"weights\.bin"):
        convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", ConvertOptions(is_verified=False))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("kind", "values"), [(TensorProto.FLOAT16, [1.5, -2.0]), (TensorProto.INT8, [-7, 120])])
def test_narrow_numbers_in_wide_fields_have_their_own_width(build, kind, values) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    tensor = TensorProto(name="w", data_type=kind, dims=[2])
    stored = np.array(values, dtype)
    tensor.int32_data.extend(stored.view(np.uint16 if kind == TensorProto.FLOAT16 else np.int8).astype(int).tolist())
    assert numpy_helper.to_array(tensor).tolist() == values
    model = build([N("Cast", ["w"], ["c"], to=1), N("Add", ["x", "c"], ["y"])], {"x": (F, [2])})
    model.graph.initializer.append(tensor)
    found = get_backend("numpy").compile(translate(model).graph).run({"x": np.zeros(2, F)})
    assert found["y"].tolist() == values


def test_an_operator_of_another_domain_is_another_operator(build) -> None:
    model = build([helper.make_node("Softmax", ["x"], ["y"], domain="my.own")], X, domains=[("my.own", 1)])
    with pytest.raises(UnsupportedOp, match=r"my\.own"):
        translate(model)


def test_names_of_any_text_come_back_from_the_files(build, tmp_path) -> None:
    """Keywords, digits, signs: an output keeps its name where it can, and the manifest knows the others."""
    names = ["true_1", "null", "0out", "a/b:0", "a.b.0"]
    nodes = [N("Mul", ["in put", "weights"], [name]) for name in names]
    model = build(nodes, {"in put": (F, [2])}, names, constants={"weights": numbers(2)})
    for output in model.graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, [2]))
    onnx.save(model, tmp_path / "m.onnx")
    folder = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out").folder
    bundle = load_bundle(folder, verify=True)
    assert [bundle.names.get(name, name) for name in bundle.graph.outputs] == names
    assert (folder / "model.weights").read_bytes()[:4] == b"WGWT"


def test_a_graph_is_read_behind_a_comment_and_its_numbers_are_all_read() -> None:
    text = """# written by hand
    webnn_graph "g" v1 {
      inputs { x: f32[2]; }
      consts { small: f32[] @scalar(1e-3); }
      nodes { y = mul(x, small); }
      outputs { y; }
    }"""
    graph = parse_graph(text.encode())
    assert get_backend("numpy").compile(graph).run({"x": np.ones(2, F)})["y"].tolist() == pytest.approx([1e-3, 1e-3])
    with pytest.raises(ParseError, match="1e400"):
        parse_graph(text.replace("1e-3", "1e400").encode())
