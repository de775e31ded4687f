"""Building graphs: names, constants, and what is left out."""

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, parse_dim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError, OperandError, OptionError, ShapeError, UnknownOp
from webnn_runtime.reference import KERNELS

F32 = DataType.FLOAT32


def run(graph, **inputs):
    """Results by output name, on the reference kernels."""
    values = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
    values |= {name: constant.values for name, constant in graph.constants.items()}
    for node in graph.nodes:
        assert not node.options, "these tests use operators without options"
        result = KERNELS[node.op](*(values[name] for name in node.inputs))
        values[node.name] = result
    return {output: values[value].tolist() for output, value in graph.outputs.items()}


@pytest.fixture
def builder():
    return GraphBuilder("demo", [DynamicDim("batch", 64), DynamicDim("seq", 512)])


def test_every_call_is_typed_at_once(builder):
    x = builder.input("x", F32, (symbol("batch"), 8))
    y = builder.op("softmax", x, axis=1)
    assert (y.dtype, y.shape, y.rank) == (F32, (symbol("batch"), 8), 2)
    assert repr(y) == "Value(softmax: f32[batch, 8])"


def test_an_output_names_the_value_behind_it(builder):
    x = builder.input("x", F32, (2,))
    graph = builder.build({"result": builder.op("neg", builder.op("abs", x))})
    assert [node.name for node in graph.nodes] == ["abs", "result"]
    assert dict(graph.outputs) == {"result": "result"}


OUTPUTS = {
    "two values change names": lambda v: {"b": v["a"], "a": v["b"]},
    "three values change names in a ring": lambda v: {"b": v["a"], "c": v["b"], "a": v["c"]},
    "one value has two names": lambda v: {"p": v["a"], "q": v["a"]},
    "one value has its own name and another": lambda v: {"other": v["a"], "a": v["a"]},
    "an inner value has the name": lambda v: {"a": v["c"]},
    "inner values have both names": lambda v: {"a": v["c"], "b": v["c"]},
    "an inner value has the name of a taken one": lambda v: {"a_1": v["b"], "a": v["c"]},
    "an input is an output": lambda v: {"y": v["x"]},
    "an input is an output of its own name": lambda v: {"x": v["x"]},
    "an input has the name of an output": lambda v: {"x": v["a"]},
    "inputs change names": lambda v: {"x": v["z"], "z": v["x"]},
    "a constant is an output": lambda v: {"y": v["k"]},
    "a constant is an output of its own name": lambda v: {"k": v["k"]},
    "a constant has the name of an output": lambda v: {"k": v["c"], "y": v["x"]},
    "a constant has the name of an output that it is too": lambda v: {"k": v["c"], "a": v["k"]},
    "input, constant and value change names": lambda v: {"x": v["k"], "k": v["a"], "a": v["x"]},
}


@pytest.mark.parametrize("choose", OUTPUTS.values(), ids=OUTPUTS)
def test_outputs_may_have_any_names(builder, choose):
    values = {"x": builder.input("x", F32, (1,)), "z": builder.input("z", F32, (1,))}
    values["k"] = builder.constant(np.array([7], np.float32), name="k")
    values["a"] = builder.op("neg", values["x"], name="a")
    values["b"] = builder.op("add", values["a"], values["k"], name="b")
    values["c"] = builder.op("mul", values["b"], values["z"], name="c")
    numbers = {"x": [3.0], "z": [10.0], "k": [7.0], "a": [-3.0], "b": [4.0], "c": [40.0]}
    outputs = choose(values)
    graph = builder.build(outputs)
    needed = {name: numbers[name] for name in graph.inputs}
    assert run(graph, **needed) == {name: numbers[value.name] for name, value in outputs.items()}
    assert list(graph.outputs) == list(outputs)
    # The output's value has the output's name, unless an input has it.
    assert all(name == value or name in graph.inputs for name, value in graph.outputs.items())
    produced = {value for node in graph.nodes for value in node.outputs}
    assert set(graph.outputs.values()) <= produced
    assert all(constant.key == name for name, constant in graph.constants.items())
    # A builder may build again: nothing was changed in it.
    assert builder.build(outputs) == graph


def test_what_no_output_needs_is_left_out(builder):
    x = builder.input("x", F32, (symbol("batch"),))
    builder.input("unused", F32, (symbol("seq"),))
    builder.constant(np.zeros(4, np.float32), name="spare")
    builder.op("neg", x, name="dead")
    graph = builder.build({"y": builder.op("abs", x)})
    assert list(graph.inputs) == ["x"]
    assert not graph.constants
    assert [node.op for node in graph.nodes] == ["abs"]
    assert list(graph.dims) == ["batch"]


def test_inputs_keep_their_order(builder):
    z, a = builder.input("z", F32, (2,)), builder.input("a", F32, (2,))
    assert list(builder.build({"y": builder.op("add", a, z)}).inputs) == ["z", "a"]


def test_an_input_stays_when_only_its_shape_says_how_large_an_option_is(builder):
    builder.input("half", F32, (parse_dim("seq//2"),))
    builder.input("tokens", DataType.INT64, (symbol("batch"), symbol("seq")))
    table = builder.constant(np.zeros((512, 4), np.float32))
    rows = builder.op("slice", table, starts=[0, 0], sizes=[symbol("seq"), 4])
    graph = builder.build({"y": rows})
    assert list(graph.inputs) == ["tokens"]
    assert set(graph.dims) == {"batch", "seq"}


def test_a_dimension_that_no_input_has_is_refused(builder):
    table = builder.constant(np.zeros((512, 4), np.float32))
    rows = builder.op("slice", table, starts=[0, 0], sizes=[symbol("seq"), 4])
    with pytest.raises(ShapeError, match="option 'sizes' uses dimension 'seq', which no input's shape contains"):
        builder.build({"y": rows})


def test_several_results_are_named_together(builder):
    x = builder.input("x", F32, (6,))
    parts = builder.op_many("split", x, splits=3)
    assert [part.name for part in parts] == ["split", "split_1", "split_2"]
    named = builder.op_many("split", x, splits=[2, 4], names=["p", "q"])
    assert [part.type.shape for part in named] == [(2,), (4,)]
    graph = builder.build({"second": named[1]})
    assert graph.nodes[0].outputs == ("p", "second")
    with pytest.raises(OperandError, match="split has 2 results; use op_many"):
        builder.op("split", x, splits=2)


def test_optional_results_follow_the_options(builder):
    x, w, r = (
        builder.input(name, F32, shape) for name, shape in {"x": (5, 2, 4), "w": (1, 9, 4), "r": (1, 9, 3)}.items()
    )
    assert len(builder.op_many("gru", x, w, r, steps=5, hidden_size=3)) == 1
    assert len(builder.op_many("gru", x, w, r, steps=5, hidden_size=3, return_sequence=True)) == 2


@pytest.mark.parametrize(
    "options", [{"keepDimensions": True, "axes": [0]}, {"keep_dimensions": True, "axes": [0]}], ids=["webnn", "python"]
)
def test_options_have_two_spellings(builder, options):
    x = builder.input("x", F32, (2, 3))
    assert builder.op("reduceSum", x, **options).shape == (1, 3)


def test_a_pool_takes_the_older_name_of_its_rounding(builder):
    x = builder.input("x", F32, (1, 1, 5, 5))
    for name in ("roundingType", "rounding_type", "output_shape_rounding"):
        options = {"windowDimensions": [2, 2], "strides": [2, 2], name: "ceil"}
        assert builder.op("maxPool2d", x, **options).shape == (1, 1, 3, 3)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda b, x: b.op("sofmax", x), UnknownOp, "did you mean 'softmax'"),
        (lambda b, x: b.op("softmax", x, axes=[1]), OptionError, "did you mean 'axis'"),
        (lambda b, x: b.op("clamp", x, minValue=0, min_value=1), OptionError, "'minValue' is given twice"),
        (lambda b, x: b.op("add", x), OperandError, "lacks operand 'b'"),
        (lambda b, x: b.op("neg", x, name="x"), OperandError, "'x' is empty or already taken"),
        (lambda b, x: b.op("neg", x, name=""), OperandError, "'' is empty or already taken"),
        (lambda b, _: b.input("x", F32, (1,)), OperandError, "'x' is already taken"),
        (lambda b, _: b.input("", F32, (1,)), OperandError, "a name that is not empty"),
        (lambda b, _: b.constant(np.zeros(1, np.float32), name="x"), OperandError, "'x' is already taken"),
        (lambda b, _: b.op("neg", GraphBuilder().input("y", F32, (1,))), OperandError, "belongs to another builder"),
        (lambda b, _: b.build({"y": GraphBuilder().input("y", F32, (1,))}), OperandError, "belongs to another builder"),
        (lambda b, x: b.build({"": x}), OperandError, "a name that is not empty"),
        (lambda b, _: b.build({}), GraphError, "no outputs"),
        (lambda b, x: b.op_many("split", x, splits=2, names=["p"]), OperandError, "has 2 results, but 1 are named"),
    ],
)
def test_a_refused_call_leaves_no_trace(builder, call, error, words):
    x = builder.input("x", F32, (2, 4))
    with pytest.raises(error, match=words):
        call(builder, x)
    graph = builder.build({"y": builder.op("neg", x)})
    assert [node.name for node in graph.nodes] == ["y"]


@pytest.mark.parametrize(
    ("number", "dtype", "expected"),
    [
        (1.5, DataType.FLOAT32, 1.5),
        (1e39, DataType.FLOAT32, np.inf),
        (10**400, DataType.FLOAT16, np.inf),
        (70000, DataType.FLOAT16, np.inf),
        (2.5, DataType.INT32, 2),
        (3.5, DataType.INT32, 4),
        (-1, DataType.UINT8, 0),
        (300, DataType.UINT8, 255),
        (float("nan"), DataType.INT8, 0),
        (float("-inf"), DataType.INT64, -(2**63)),
        (2**64, DataType.UINT64, 2**64 - 1),
        (2**63 + 1, DataType.UINT64, 2**63 + 1),
        (9, DataType.INT4, 7),
    ],
)
def test_a_number_becomes_a_value_of_its_type(builder, number, dtype, expected):
    value = builder.constant(number, dtype)
    array = builder.constant_array(value)
    assert (array.dtype, array.shape) == (dtype.numpy, ())
    assert array == expected


@pytest.mark.parametrize(
    ("array", "dtype", "words"),
    [
        (1.5, None, "needs a data type"),
        (np.zeros(2), None, "float64, which WebNN does not have"),
        (np.zeros(2, bool), None, "bool, which WebNN does not have"),
        (np.zeros(2, np.float32), DataType.INT8, "float32 where int8 is asked for; convert it with astype"),
        (np.full(2, 8, np.int8), DataType.INT4, "int4 holds values outside -8 to 7"),
        (np.full(2, 16, np.uint8), DataType.UINT4, "uint4 holds values outside 0 to 15"),
        (np.zeros(2, np.int8), DataType.UINT4, "int8 where uint4 is asked for"),
    ],
)
def test_a_constant_is_never_cast_silently(builder, array, dtype, words):
    with pytest.raises(OperandError, match=words):
        builder.constant(array, dtype)


def test_constants_are_read_only_and_scalars_stay_in_the_graph_file(builder):
    array = np.arange(4, dtype=np.float32)
    vector, scalar = builder.constant(array), builder.constant(np.float32(2))
    total = builder.op("mul", vector, scalar)
    graph = builder.build({"y": total})
    assert [constant.key for constant in graph.constants.values()] == ["const", None]
    with pytest.raises(ValueError, match="read-only"):
        builder.constant_array(vector)[0] = 1
    assert builder.constant_array(total) is None
    assert not graph.inputs


def test_a_known_dimension_is_narrowed_never_widened(builder):
    builder.add_dim(DynamicDim("batch", 8))
    builder.add_dim(DynamicDim("batch", 100, 2))
    assert builder.dims["batch"] == DynamicDim("batch", 8, 2)
    with pytest.raises(ValueError, match="minimum 9 and maximum 8"):
        builder.add_dim(DynamicDim("batch", 100, 9))


def test_generated_names_are_identifiers_and_never_taken(builder):
    builder.input("relu", F32, (1,))
    x = builder.input("x", F32, (1,))
    assert [builder.op("relu", x).name for _ in range(3)] == ["relu_1", "relu_2", "relu_3"]
    assert builder.fresh("a b/c") == "a_b_c"
    assert builder.fresh("") == "value"


@pytest.mark.parametrize("splits", [2**31, 2**70, 8193, [1] * 8193, 0, -(2**70), None, "2", {}, 1.5])
def test_a_split_into_too_many_or_no_parts_is_refused_before_its_parts_are_named(builder, splits):
    x = builder.input("x", DataType.FLOAT32, (2, 3))
    with pytest.raises((OptionError, ShapeError)):
        builder.op_many("split", x, splits=splits)
