"""The W3C-shaped builder: both spellings, the specification's errors at the call that is wrong."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.api import ML, InvalidStateError, MLContext, MLGraphBuilder, MLOperand, MLTypeError
from webnn_runtime.api.pywebnn import ORDERS
from webnn_runtime.format.ops import OPS, snake_case


@pytest.fixture
def context() -> MLContext:
    return ML().create_context(backend="numpy")


@pytest.fixture
def builder(context: MLContext) -> MLGraphBuilder:
    return MLGraphBuilder(context)


@pytest.mark.parametrize("op", OPS)
def test_every_operator_is_a_method_in_both_spellings(op):
    for name in (op, snake_case(op)):
        method = getattr(MLGraphBuilder, name)
        assert method.__doc__.startswith(OPS[op].doc)
        assert "label" in inspect.signature(method).parameters


def test_positional_arguments_follow_the_specification():
    parameters = list(inspect.signature(MLGraphBuilder.slice).parameters)
    assert parameters == ["self", "input", "starts", "sizes", "strides", "label"]


def test_options_are_taken_as_dictionary_or_keywords(context):
    results = []
    for call in (
        lambda b, x: b.reduceSum(x, {"axes": [1], "keepDimensions": True}),
        lambda b, x: b.reduce_sum(x, axes=[1], keep_dimensions=True),
    ):
        builder = MLGraphBuilder(context)
        graph = builder.build({"y": call(builder, builder.input("x", [2, 3], "float32"))})
        results.append(context.compute(graph, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})["y"])
    assert results[0].tolist() == results[1].tolist() == [[3.0], [12.0]]


@pytest.mark.parametrize(
    ("options", "peer"),
    [
        (
            lambda b, x: b.layerNormalization(x, {"axes": [1], "epsilon": 0.5}),
            lambda b, x: b.layer_normalization(x, None, None, 0.5, [1]),
        ),
        (lambda b, x: b.reduceMean(x, {"axes": [0], "keepDimensions": True}), lambda b, x: b.reduce_mean(x, [0], True)),
        (lambda b, x: b.clamp(x, {"minValue": 1, "maxValue": 2}), lambda b, x: b.clamp(x, 1, 2)),
        (lambda b, x: b.transpose(x, {"permutation": [1, 0]}), lambda b, x: b.transpose(x, [1, 0])),
        (lambda b, x: b.gemm(x, b.transpose(x), {"alpha": 2}), lambda b, x: b.gemm(x, b.transpose(x), None, 2.0)),
    ],
)
def test_options_by_position_follow_pywebnn(context, options, peer):
    results = []
    for call in (options, peer):
        builder = MLGraphBuilder(context)
        graph = builder.build({"y": call(builder, builder.input("x", [2, 3], "float32"))})
        results.append(context.compute(graph, {"x": np.arange(6, dtype=np.float32).reshape(2, 3)})["y"].tolist())
    assert results[0] == results[1]


@pytest.mark.parametrize("op", ORDERS)
def test_the_orders_of_pywebnn_name_operands_and_options(op):
    known = {row.name for row in OPS[op].operands} | {option.name for option in OPS[op].options}
    assert set(ORDERS[op]) <= known


def test_a_descriptor_is_taken_as_the_specification_has_it(context):
    builder = MLGraphBuilder(context)
    x = builder.input("x", {"dataType": "float32", "shape": [2]})
    one = builder.constant({"dataType": "float32", "shape": [2]}, np.ones(2, np.float32).tobytes())
    graph = builder.build({"y": builder.add(builder.add(x, one), builder.constant([1, 2], [2], "float32"))})
    source = context.createTensor({"dataType": "float32", "shape": [2], "writable": True})
    target = context.createTensor({"dataType": "float32", "shape": [2], "readable": True})
    context.writeTensor(source, np.float32([1, 2]))
    context.dispatch(graph, {"x": source}, {"y": target})
    assert context.readTensor(target).tolist() == [3, 5]


@pytest.mark.parametrize(
    "descriptor",
    [{"dataType": "float32"}, {"shape": [1]}, {"dataType": "f32", "shape": [1]}, {"dataType": [], "shape": [1]}],
)
def test_an_incomplete_descriptor_is_refused(builder, descriptor):
    with pytest.raises(MLTypeError):
        builder.input("x", descriptor)


def test_a_multiple_result_is_a_list(builder):
    parts = builder.split(builder.input("x", [4, 2], "float32"), 2)
    assert [part.shape for part in parts] == [(2, 2), (2, 2)]


def test_an_error_carries_the_label_without_control_characters(builder):
    x = builder.input("x", [2, 3], "float32")
    with pytest.raises(TypeError, match=r"^\[first\?layer\] .*softmax"):
        builder.softmax(x, 7, {"label": "first\u202elayer"})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b, x: b.softmax(x), "lacks axis"),
        (lambda b, x: b.softmax(x, 0, 1), "3 arguments"),
        (lambda b, x: b.softmax(x, 0, axis=1), "given twice"),
        (lambda b, _: b.relu(np.ones(3)), "not an MLOperand"),
        (lambda b, x: b.relu(x, alpha=1), "no option 'alpha'"),
        (lambda b, x: b.concat(x, 0), "list of operands"),
        (lambda b, x: b.matmul(x, x), "differ"),
    ],
)
def test_a_wrong_call_is_a_type_error(builder, call, message):
    with pytest.raises(MLTypeError, match=message):
        call(builder, builder.input("x", [2, 3], "float32"))


def test_an_operand_of_another_builder_is_refused(context, builder):
    stranger = MLGraphBuilder(context).input("x", [2], "float32")
    with pytest.raises(TypeError, match="another builder"):
        builder.relu(stranger)


@pytest.mark.parametrize(
    ("name", "data_type", "shape"),
    [
        ("", "float32", [1]),
        ("x", "float64", [1]),
        ("x", "float32", [0]),
        ("x", "float32", [2**31]),
        ("x", "float32", 3),
    ],
)
def test_an_invalid_input_is_refused(builder, name, data_type, shape):
    with pytest.raises(MLTypeError):
        builder.input(name, shape, data_type)


def test_an_input_name_is_used_once(builder):
    builder.input("x", [1], "float32")
    with pytest.raises(MLTypeError, match="taken"):
        builder.input("x", [1], "float32")


@pytest.mark.parametrize(
    ("value", "data_type", "expected"),
    [
        (2.5, "int32", 2),
        (3.5, "int32", 4),
        (float("nan"), "int8", 0),
        (1e20, "uint8", 255),
        (-7, "uint32", 0),
        (9007199254740993, "int64", 9007199254740993),
        (1e40, "float32", np.inf),
    ],
)
def test_a_number_is_cast_as_the_specification_says(context, builder, value, data_type, expected):
    graph = builder.build({"y": builder.identity(builder.constant(data_type, value))})
    result = context.compute(graph, {})["y"]
    assert (result.dtype.name, result.item()) == (data_type, expected)


@pytest.mark.parametrize(
    ("value", "data_type", "shape"),
    [
        (b"\0" * 8, "float32", [3]),
        (np.ones(2, np.float64), None, None),
        (np.ones(2, np.int32), "float32", [2]),
        (1.0, None, None),
        (b"\0" * 4, None, None),
        ("text", "float32", [1]),
    ],
)
def test_a_constant_that_does_not_fit_is_refused(builder, value, data_type, shape):
    with pytest.raises(MLTypeError):
        builder.constant(value, shape, data_type)


def test_a_constant_is_copied_at_the_call(context, builder):
    values = np.ones(2, np.float32)
    graph_value = builder.identity(builder.constant(values))
    values[:] = 5
    assert context.compute(builder.build({"y": graph_value}), {})["y"].tolist() == [1, 1]


def test_build_refuses_sources_and_nothing(builder):
    x = builder.input("x", [2], "float32")
    for outputs in ({}, {"x": x}, {"": builder.relu(x)}):
        with pytest.raises(MLTypeError):
            builder.build(outputs)


def test_a_builder_builds_once(builder):
    y = builder.relu(builder.input("x", [2], "float32"))
    builder.build({"y": y})
    for call in (
        lambda: builder.build({"y": y}),
        lambda: builder.input("z", [1], "float32"),
        lambda: builder.constant("float32", 1.0),
        lambda: builder.relu(y),
    ):
        with pytest.raises(InvalidStateError, match="has built"):
            call()


def test_unreachable_inputs_are_not_asked_for(context, builder):
    x = builder.input("x", [2], "float32")
    builder.input("unused", [2], "float32")
    graph = builder.build({"y": builder.relu(x)})
    assert graph.get_input_names() == ["x"]
    assert context.compute(graph, {"x": np.float32([-1, 1])})["y"].tolist() == [0, 1]


def test_one_operand_may_have_two_names(context, builder):
    y = builder.relu(builder.input("x", [2], "float32"))
    graph = builder.build({"a": y, "b": y})
    results = context.compute(graph, {"x": np.float32([-1, 1])})
    assert results["a"].tolist() == results["b"].tolist() == [0, 1]


def test_any_unicode_name_is_legal(context, builder):
    name = "\u202e\U0001f600 12::./"
    graph = builder.build({name: builder.relu(builder.input(name + "in", [1], "float32"))})
    assert context.compute(graph, {name + "in": np.float32([2])})[name].tolist() == [2]


def test_an_operand_knows_its_descriptor(builder):
    operand = builder.input("x", [2, 3], "int64")
    assert isinstance(operand, MLOperand)
    assert (operand.data_type, operand.dataType, operand.shape) == ("int64", "int64", (2, 3))


def test_the_stub_for_editors_is_what_the_table_gives():
    path = Path(__file__).parents[2] / "scripts" / "generate_stubs.py"
    spec = importlib.util.spec_from_file_location("generate_stubs", path)
    assert spec is not None
    assert spec.loader is not None
    stubs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stubs)
    assert stubs.TARGET.read_text(encoding="utf-8") == stubs.render()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda _: ML().create_context("gpu"), "give a dict, or keywords"),
        (lambda _: MLGraphBuilder(ML()), r"is no MLContext; ML\(\)\.create_context\(\) makes one"),
        (lambda context: MLGraphBuilder(context).build(["y"]), "give a dict from name to operand"),
    ],
)
def test_what_is_not_of_the_right_kind_is_told_what_would_be(context, call, message):
    with pytest.raises(MLTypeError, match=message):
        call(context)


def test_contexts_and_graphs_say_what_they_are(context, builder):
    graph = builder.build({"y": builder.relu(builder.input("x", [2, 3], "float32"))})
    assert repr(context) == "MLContext(backend='numpy', device='cpu')"
    assert repr(graph) == "MLGraph(x: f32[2, 3] -> y: f32[2, 3])"


@pytest.mark.parametrize(
    ("values", "data_type"),
    [
        ([1.7, 2], "int32"),
        ([9], "int4"),
        ([16], "uint4"),
        ([1e6], "float16"),
        ([float("nan")], "int32"),
        (np.int8([8]), "int4"),
    ],
)
def test_values_that_the_type_does_not_hold_are_refused_and_not_cut(builder, values, data_type):
    with pytest.raises(MLTypeError, match="constant"):
        builder.constant(values, None, data_type)


@pytest.mark.parametrize(("data_type", "values"), [("int4", [-8, 7]), ("uint4", [0, 15])])
def test_a_constant_of_four_bits_stays_one(context, builder, data_type, values):
    descriptor = {"dataType": data_type, "shape": [2]}
    array = np.array(values, {"int4": np.int8, "uint4": np.uint8}[data_type])
    made = [
        builder.constant(descriptor, array),
        builder.constant(values, None, data_type),
        builder.constant(array, None, data_type),
        builder.constant(array.tobytes(), [2], data_type),
        builder.constant(context.create_constant_tensor(descriptor, array)),
        builder.constant(values[0], [2], data_type),
    ]
    assert {operand.data_type for operand in made} == {data_type}
    scale, zero = builder.constant(np.float32([1, 1])), builder.constant([0, 0], None, data_type)
    graph = builder.build({"y": builder.dequantize_linear(made[0], scale, zero)})
    assert context.compute(graph, {})["y"].tolist() == values


def test_an_output_name_is_a_string(builder):
    with pytest.raises(MLTypeError, match="output name 3"):
        builder.build({3: builder.relu(builder.input("x", [1], "float32"))})


def test_an_array_of_pythons_own_floats_is_answered_with_what_to_write(builder):
    # What np.ones and np.random give unless they are told otherwise.
    with pytest.raises(MLTypeError, match=r"^constant: the array is float64, .* astype\(np.float32\)$"):
        builder.constant(np.ones(3))
    with pytest.raises(MLTypeError, match="'float' is none of WebNN's; they are float32, float16, int32"):
        builder.input("y", [2], "float")
