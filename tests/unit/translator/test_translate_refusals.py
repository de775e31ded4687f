"""What is not translated: every reason at once, no default, no silence."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import warnings

import numpy as np
import onnx
import pytest
from google.protobuf.message import DecodeError
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.loader import load_model_tests

from webnn_runtime.format.errors import FormatError, WebnnError
from webnn_translator._errors import InvalidModel, UnsupportedOp, UnsupportedOpset
from webnn_translator.explain import explain
from webnn_translator.registry import find, operators
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
INPUT = {"x": (F, (2, 3))}


def test_all_unsupported_nodes_are_reported_at_once(build) -> None:
    nodes = [
        N("NonZero", ["x"], ["a"], name="first"),
        N("Relu", ["a"], ["b"]),
        N("RandomNormalLike", ["b"], ["c"], name="second"),
        N("NonZero", ["x"], ["d"], name="third"),
    ]
    with pytest.raises(UnsupportedOp) as caught:
        translate(build(nodes, INPUT, ["c", "d"]))
    assert caught.value.counts == {"NonZero": 2, "RandomNormalLike": 1}
    assert [refusal.node for refusal in caught.value.refusals] == ["first", "second", "third"]
    assert "2 x NonZero: the size of its result depends on data at run time;" in str(caught.value)


def test_an_operator_that_onnx_does_not_have_is_one_that_the_exporter_copied(build) -> None:
    # tf2onnx writes TensorFlow's Erfc, of an exact GELU, under its own name.
    with pytest.raises(UnsupportedOp, match=r"Erfc.*: ai.onnx has no such operator; exporters copy what they cannot"):
        translate(build([N("Erfc", ["x"], ["y"])], INPUT))


@pytest.mark.parametrize(
    ("node", "stated"),
    [
        (N("MatMul", ["x", "w"], ["y"]), "'x' is float, 'w' is float16"),
        (N("Gemm", ["x", "x", "w"], ["y"], transB=1), "'x' is float, 'w' is float16"),
        (N("Add", ["x", "w"], ["y"]), "operands are float and float16"),
    ],
    ids=["matmul", "gemm", "add"],
)
def test_operands_of_two_types_are_the_models_fault(node, stated, build) -> None:
    # Converters to float16 leave them behind.
    model = build([node], {"x": (F, (2, 2))}, constants={"w": np.ones((2, 2), np.float16)})
    (group,) = explain(model).groups
    assert group.reason == f"{stated}: the operator takes them in one type; the model is not valid"
    assert "--quantize float16" in group.advice


@pytest.mark.parametrize(
    ("left", "right", "why"),
    [
        (("b", 3, 2), (4, 8), "the inner dimensions of .* differ for all sizes"),
        ((2,), (3,), "the inner dimensions of .* differ for all sizes"),
        (("b", 4, 2, 3), ("b", 8, 3, 2), "do not broadcast: 4 and 8"),
    ],
)
def test_matrices_that_never_fit_are_the_models_fault(left, right, why, build) -> None:
    # As torch's older exporter leaves a window or a repetition of another size.
    model = build([N("MatMul", ["a", "b"], ["y"])], {"a": (F, left), "b": (F, right)})
    with pytest.raises(UnsupportedOp, match=f"{why}; the model is not valid"):
        translate(model)


def test_a_reshape_that_never_fits_is_the_models_fault(build) -> None:
    # torch's older exporter leaves it behind where elements are repeated along the last axis.
    nodes = [N("Shape", ["x"], ["s"], start=0, end=1), N("Concat", ["s", "rest"], ["t"], axis=0)]
    nodes.append(N("Reshape", ["x", "t"], ["y"]))
    model = build(nodes, {"x": (F, ("b", 32))}, constants={"rest": np.asarray([2, 8])})
    with pytest.raises(UnsupportedOp, match=r"than \[b, 2, 8\], whatever the sizes; the model is not valid"):
        translate(model)


def test_a_node_that_no_output_needs_is_no_obstacle(build, agree) -> None:
    agree(build([N("NonZero", ["x"], ["unused"]), N("Relu", ["x"], ["y"])], INPUT), {"x": -np.ones((2, 3), F)})


@pytest.mark.parametrize("opset", [6, onnx.defs.onnx_opset_version() + 1])
def test_opsets_outside_the_range_are_refused(opset, build) -> None:
    with pytest.raises(UnsupportedOpset, match=f"opset {opset}; 7 to"):
        translate(build([N("Relu", ["x"], ["y"])], INPUT, opset=opset))


@pytest.mark.parametrize(
    ("installed", "opset", "message"),
    [
        (99, 29, "opset 29; 7 to 28 can be translated (onnx.version_converter converts models)"),
        (25, 28, "opset 28; 7 to 25 can be translated (onnx 1.20 knows no later one: pip install --upgrade onnx)"),
    ],
)
def test_the_newest_opset_is_one_that_the_rules_and_the_installed_onnx_know(installed, opset, message) -> None:
    code = f"""
import onnx
onnx.defs.onnx_opset_version, onnx.__version__ = lambda: {installed}, "1.20"
from webnn_translator.model import UnsupportedOpset, opset_versions
model = onnx.ModelProto(opset_import=[onnx.helper.make_opsetid("", {opset})])
try:
    opset_versions(model)
except UnsupportedOpset as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert message in ran.stdout


def test_an_operator_of_another_domain_is_not_taken_for_ours(build) -> None:
    model = build([N("Relu", ["x"], ["y"], domain="example.org")], INPUT, domains=[("example.org", 1)])
    with pytest.raises(UnsupportedOp, match=r"domain 'example\.org' are unknown"):
        translate(model)


def test_an_operator_that_is_newer_than_the_opset_is_refused(build) -> None:
    with pytest.raises(UnsupportedOp, match=r"version 17 of ai\.onnx has no such form"):
        translate(build([N("Gelu", ["x"], ["y"])], INPUT, opset=17))


def test_an_attribute_of_another_version_is_never_ignored(build) -> None:
    with pytest.raises(UnsupportedOp, match="opset 13 has no attribute 'axes'"):
        translate(build([N("Squeeze", ["x"], ["y"], axes=[0])], {"x": (F, (1, 3))}, opset=13))


def test_an_attribute_that_no_rule_reads_is_never_ignored(build) -> None:
    node = N("ScatterND", ["x", "i", "u"], ["y"], reduction="mean")
    model = build([node], INPUT | {"i": (I64, (1, 1)), "u": (F, (1, 3))}, opset=16)
    with pytest.raises(UnsupportedOp, match="reduction is 'mean'"):
        translate(model)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128, np.str_])
def test_types_without_a_counterpart_are_refused(dtype, build) -> None:
    model = build([N("Identity", ["x"], ["y"]), N("NonZero", ["z"], ["n"])], {"x": (dtype, (2,)), "z": (F, (3,))}, "yn")
    # What else stands in the way is said at once.
    with pytest.raises(UnsupportedOp, match="which has no WebNN counterpart; leave it to") as caught:
        translate(model)
    assert caught.value.counts == {"input": 1, "NonZero": 1}
    assert "2 inputs and nodes cannot be expressed" in str(caught.value)


def test_a_type_that_onnx_does_not_have_is_no_sound_model(build) -> None:
    model = build([N("Cast", ["x"], ["y"], to=99)], INPUT)
    with pytest.raises(InvalidModel, match="element type 99, which ONNX does not have"):
        translate(model)
    with pytest.raises(UnsupportedOp, match=r"node '.*' \(Cast\): .*element type string"):
        translate(build([N("Cast", ["x"], ["y"], to=TensorProto.STRING)], INPUT))


def test_a_double_constant_may_be_cast_away(build, agree) -> None:
    nodes = [N("Cast", ["d"], ["f"], to=TensorProto.FLOAT), N("Add", ["x", "f"], ["y"])]
    agree(build(nodes, INPUT, constants={"d": np.asarray([1.5, 2.5, 3.5])}), {"x": np.ones((2, 3), F)})


def test_broken_graphs_are_named(build) -> None:
    with pytest.raises(InvalidModel, match=r"node 'n' \(Relu\): reads 'z', which is no input"):
        translate(build([N("Relu", ["z"], ["y"], name="n")], INPUT))
    with pytest.raises(InvalidModel, match="depends on its own result"):
        translate(build([N("Add", ["x", "b"], ["a"]), N("Relu", ["a"], ["b"])], INPUT, ["b"]))
    with pytest.raises(InvalidModel, match="value 'y' is assigned twice"):
        translate(build([N("Relu", ["x"], ["y"]), N("Neg", ["x"], ["y"])], INPUT))
    with pytest.raises(InvalidModel, match="output 'z' is made by no node"):
        translate(build([N("Relu", ["x"], ["y"])], INPUT, ["z"]))


@pytest.mark.parametrize("names", [("F",), ("F", "F")], ids=["calls itself", "is there twice"])
def test_a_function_without_an_end_or_with_two_is_refused(names, build) -> None:
    imports = [helper.make_opsetid("own", 1)]
    inner = N("F", ["a"], ["b"], domain="own")
    functions = [helper.make_function("own", name, ["a"], ["b"], [inner], imports) for name in names]
    model = build([N("F", ["x"], ["y"], domain="own")], INPUT, domains=[("own", 1)], functions=functions)
    with pytest.raises(InvalidModel):
        translate(model)


@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        (N("If", ["c"], ["y"], then_branch=[1, 1], else_branch=[1, 1]), "_branch is INTS, not GRAPH"),
        (N("Constant", [], ["y"], value=[0.5]), "value is FLOATS, not TENSOR"),
        (N("Softmax", ["x"], ["y"], axis="1"), "axis is STRING, not INT"),
    ],
)
def test_an_attribute_of_another_kind_is_refused(node, complaint, build) -> None:
    with pytest.raises(UnsupportedOp, match=complaint):
        translate(build([node], INPUT, constants={"c": np.bool_(True)}))


def test_nodes_out_of_order_are_sorted(build, agree) -> None:
    nodes = [N("Relu", ["a"], ["y"]), N("Neg", ["x"], ["a"])]
    found = translate(build(nodes, INPUT))
    assert [node.op for node in found.graph.nodes] == ["neg", "relu"]


@pytest.mark.parametrize("count", [5, 7])
def test_a_tensor_with_too_few_or_too_many_values_is_refused(count, build) -> None:
    model = build([N("Add", ["x", "c"], ["y"])], INPUT, constants={"c": np.ones((2, 3), F)})
    model.graph.initializer[0].raw_data = b"\0" * 4 * count
    with pytest.raises(InvalidModel, match=f"tensor 'c' holds {4 * count} bytes"):
        translate(model)


@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_external_data_stays_in_the_folder(location, build, tmp_path) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 24)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")
    model = build([N("Add", ["x", "c"], ["y"])], INPUT, constants={"c": np.ones((2, 3), F)})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(FormatError, match=r"must name a file beside the model|out of the model's folder"):
        translate(model, file=folder / "model.onnx")


def test_external_data_is_read_where_it_lies(build, tmp_path) -> None:
    values = np.arange(6, dtype=F).reshape(2, 3)
    (tmp_path / "data.bin").write_bytes(b"\1" * 8 + values.tobytes())
    model = build([N("Add", ["x", "c"], ["y"])], INPUT, constants={"c": values})
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "data.bin", "offset": "8", "length": "24"}.items():
        tensor.external_data.add(key=key, value=value)
    found = translate(model, file=tmp_path / "model.onnx")
    assert np.array_equal(found.graph.constants["c"].values, values)
    tensor.external_data[2].value = "25"
    with pytest.raises(FormatError, match="25 are there, its type and shape need 24"):
        translate(model, file=tmp_path / "model.onnx")


TYPED = [
    (F, [1.5, -2]),
    (np.float16, [1.5, -2]),
    (np.int8, [-1, 5]),
    (np.int64, [-1, 2**40]),
    (np.uint8, [200, 1]),
    (np.bool_, [True, False]),
    (np.int32, [-7, 9]),
    (np.uint32, [7, 2**31]),
]


@pytest.mark.parametrize(("dtype", "values"), TYPED)
def test_typed_tensor_fields_are_read_in_their_own_width(dtype, values, build) -> None:
    array = np.asarray(values, dtype)
    model = build([N("Identity", ["c"], ["y"])], INPUT, constants={"c": array})
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    model.graph.initializer[0].CopyFrom(helper.make_tensor("c", kind, [2], values))
    assert not model.graph.initializer[0].HasField("raw_data")
    graph = translate(model).graph
    (constant,) = graph.constants.values()
    assert np.array_equal(constant.values, array.astype(constant.values.dtype))
    assert np.array_equal(numpy_helper.to_array(model.graph.initializer[0]), array)


def test_rules_of_all_versions_are_found() -> None:
    assert find("", "Softmax", 12) is not find("", "Softmax", 13)
    assert find("", "Softmax", 13) is find("", "Softmax", 20)
    assert find("", "NoSuchOperator", 20) is None
    newest = onnx.defs.onnx_opset_version()
    for (domain, op_type), entries in operators().items():
        assert [entry.since for entry in entries] == sorted({entry.since for entry in entries})
        if not domain and entries[0].attributes is None:
            # The registry's versions are versions of the operator, or the first that is translated.
            assert onnx.defs.has(op_type, newest, "") or op_type in ("Scatter",)


def mutated(model: onnx.ModelProto, rng: random.Random) -> onnx.ModelProto | None:
    """A model with a few bytes changed, or a structure that no longer fits; None when it does not even parse."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    node, value = rng.choice(copy.graph.node), rng.choice(copy.graph.input)
    dims = value.type.tensor_type.shape.dim
    match rng.randrange(6):
        case 0:
            data = bytearray(model.SerializeToString())
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            try:
                return onnx.ModelProto.FromString(bytes(data))
            except DecodeError:
                return None
        case 1 if node.attribute:
            attribute = rng.choice(node.attribute)
            attribute.i, attribute.f = rng.choice([-5, 0, 7, 2**40]), rng.choice([0.0, float("nan"), 1e30])
        case 2 if node.input:
            del node.input[rng.randrange(len(node.input))]
        case 3 if dims:
            dims[rng.randrange(len(dims))].dim_value = rng.choice([0, 1, 5, 2**31, 2**40])
        case 4:
            value.type.tensor_type.elem_type = rng.choice([1, 2, 6, 7, 9, 10])
        case _:
            dims.add().dim_param = rng.choice("ab")
    return copy


def test_a_mutated_model_gives_an_answer_or_one_of_our_errors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cases = [case.model for case in load_model_tests(kind="node") if case.model.graph.input]
        rng = random.Random(11)
        for _ in range(400):
            model = mutated(rng.choice(cases), rng)
            if model is not None:
                with contextlib.suppress(WebnnError):
                    translate(model)


def test_names_of_inputs_and_initializers_are_there_and_occur_once(build) -> None:
    model = build([N("Add", ["x", "c"], ["y"])], INPUT, constants={"c": np.ones(3, F)})
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(InvalidModel, match="initializer 'c' occurs twice"):
        translate(model)
    model = build([N("Relu", ["x"], ["y"])], INPUT)
    model.graph.input.append(model.graph.input[0])
    with pytest.raises(InvalidModel, match="input 'x' occurs twice"):
        translate(model)
    model.graph.input[1].name = ""
    with pytest.raises(InvalidModel, match="an input has no name"):
        translate(model)


@pytest.mark.parametrize(
    ("op_type", "flag", "opset"),
    [("ArgMin", "keepdims", 13), ("MaxPool", "ceil_mode", 12), ("CumSum", "reverse", 14), ("Gemm", "transA", 13)],
)
def test_a_flag_is_0_or_1(build, op_type, flag, opset) -> None:
    more = {"kernel_shape": [2]} if op_type == "MaxPool" else {}
    names = {"CumSum": ["x", "axis"], "Gemm": ["x", "x"]}.get(op_type, ["x"])
    node = helper.make_node(op_type, names, ["y"], **{flag: -3, **more})
    shape = [1, 2, 5] if op_type == "MaxPool" else [3, 3]
    model = build([node], {"x": (np.float32, shape)}, opset=opset, constants={"axis": np.array(0)})
    with pytest.raises(UnsupportedOp, match=f"attribute {flag} is -3; it has to be 0 or 1"):
        translate(model)


@pytest.mark.parametrize(("inputs", "made"), [(["a", "b"], "b"), (["a", "a"], "c")])
def test_a_function_that_makes_a_value_twice_is_refused(build, inputs, made) -> None:
    body = [helper.make_node("Neg", ["a"], [made])]
    function = helper.make_function("own", "F", inputs, [made], body, [helper.make_opsetid("", 17)])
    call = helper.make_node("F", ["x"], ["y"], domain="own")
    model = build([call], {"x": (np.float32, [2])}, domains=[("own", 1)], functions=[function])
    with pytest.raises(UnsupportedOp, match="is made twice in the function"):
        translate(model)


def test_a_model_exported_in_training_mode_is_told_what_to_call(build) -> None:
    node = helper.make_node("Dropout", ["x", "ratio", "training"], ["y"])
    constants = {"ratio": np.float32(0.1), "training": np.bool_(True)}
    model = build([node], {"x": (np.float32, ("n", 4))}, constants=constants)
    with pytest.raises(UnsupportedOp, match=r"export the model after model\.eval\(\)"):
        translate(model)
