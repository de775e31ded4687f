"""Dynamic shapes: what exporters compute from dimensions is evaluated here, and nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.format.errors import ShapeError
from webnn_translator._errors import DynamicShape, InvalidModel, TranslateError, UnsupportedOp
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64


def ints(*values):
    return np.asarray(values, I64)


def x_of(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(F)


def ops(translation):
    return [node.op for node in translation.graph.nodes]


DYNAMIC = {"x": (F, ("batch", "length", 8))}


def test_the_shape_ladder_of_split_heads_disappears(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "zero"], ["b"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Unsqueeze", ["b", "axes"], ["b1"]),
        N("Unsqueeze", ["l", "axes"], ["l1"]),
        N("Concat", ["b1", "l1", "minus", "four"], ["target"], axis=0),
        N("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "axes": ints(0), "minus": ints(-1), "four": ints(4)}
    found = agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 3, 8)}, {"x": x_of(1, 7, 8)})
    assert ops(found) == ["reshape"]
    assert str(found.graph.output_types["y"]) == "f32[batch, length, 2, 4]"
    assert found.unbounded == ("batch", "length")


def test_the_expand_ladder_of_older_exporters_disappears(build, agree) -> None:
    # torch writes -1 as "keep": Where(Equal(shape, -1), 1, shape).
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Slice", ["s", "zero", "two"], ["bl"]),
        N("Concat", ["bl", "minus"], ["wanted"], axis=0),
        N("Shape", ["wanted"], ["n"]),
        N("ConstantOfShape", ["n"], ["ones"], value=helper.make_tensor("v", TensorProto.INT64, [1], [1])),
        N("Mul", ["ones", "minus"], ["minuses"]),
        N("Equal", ["wanted", "minuses"], ["same"]),
        N("Where", ["same", "ones", "wanted"], ["target"]),
        N("Expand", ["row", "target"], ["y"]),
    ]
    constants = {"zero": ints(0), "two": ints(2), "minus": ints(-1), "row": x_of(1, 1, 5)}
    found = agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 3, 8)})
    assert ops(found) == ["expand"]


def test_dimensions_can_be_bound_and_bounded(build, agree) -> None:
    model = build([N("Relu", ["x"], ["y"])], DYNAMIC)
    bound = agree(model, {"x": x_of(2, 3, 8)}, dims={"batch": 2, "length": 3})
    assert bound.graph.is_static
    assert translate(model, max_dims={"length": 64}).graph.dims["length"].max_size == 64
    with pytest.raises(TranslateError, match="no dimension 'lenght'; it has: batch, length"):
        translate(model, dims={"lenght": 3})
    with pytest.raises(TranslateError, match="above its maximum"):
        translate(model, dims={"length": 65}, max_dims={"length": 64})
    with pytest.raises(TranslateError, match="length = 2 is below its minimum 3"):
        translate(model, dims={"length": 2}, min_dims={"length": 3})


@pytest.mark.parametrize("unknown", ["?", "*", "-1", "None"])
def test_what_stands_for_an_unknown_size_is_no_name(unknown, build, agree) -> None:
    # paddle2onnx writes "?" for the height and the width, which then need not be equal.
    model = build([N("Relu", ["x"], ["y"])], {"x": (F, ("n", 3, unknown, unknown))})
    found = agree(model, {"x": x_of(2, 3, 4, 7)})
    assert str(found.graph.inputs["x"]) == "f32[n, 3, x_dim_2, x_dim_3]"


def test_names_of_dimensions_become_identifiers_and_stay_apart(build) -> None:
    inputs = {
        "x": (F, ("batch size", None, "batch_size", 0)),
        "z": (F, ("batch size", "a + b", 2, 3)),
        "a": (F, ("a", "b")),
    }
    nodes = [N("ReduceSum", [name], [f"s_{name}"], keepdims=0) for name in inputs]
    found = translate(build(nodes, inputs, ["s_x", "s_z", "s_a"]))
    assert str(found.graph.inputs["x"]) == "f32[batch_size, x_dim_1, batch_size_2, x_dim_3]"
    # "a + b" is an expression of dimensions that another input has alone.
    assert str(found.graph.inputs["z"]) == "f32[batch_size, a + b, 2, 3]"


def test_a_cut_beyond_the_end_is_clamped(build, agree) -> None:
    nodes = [N("Slice", ["x", "s", "e", "a"], ["y"])]
    constants = {"s": ints(-5), "e": ints(2**63 - 1), "a": ints(1)}
    agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(1, 3, 8)}, {"x": x_of(1, 9, 8)})
    constants = {"s": ints(0), "e": ints(4), "a": ints(1)}
    agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(1, 3, 8)}, {"x": x_of(1, 9, 8)})


def test_a_dimension_can_enter_arithmetic(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Cast", ["l"], ["f"], to=TensorProto.FLOAT),
        N("Sqrt", ["f"], ["r"]),
        N("Div", ["x", "r"], ["y"]),
    ]
    agree(build(nodes, DYNAMIC, constants={"one": np.asarray(1)}), {"x": x_of(1, 3, 8)}, {"x": x_of(2, 9, 8)})


def test_broadcasting_of_two_names_is_checked_at_run(build, agree) -> None:
    from webnn_runtime.backends import get_backend

    model = build([N("Add", ["x", "z"], ["y"])], {"x": (F, ("a",)), "z": (F, ("b",))})
    found = agree(model, {"x": x_of(3), "z": x_of(3)})
    with pytest.raises(ShapeError, match="broadcast"):
        get_backend("numpy").compile(found.graph).run({"x": x_of(3), "z": x_of(1)})


def test_a_shape_that_data_decides_is_refused_by_name(build) -> None:
    nodes = [N("Cast", ["x"], ["i"], to=TensorProto.INT64), N("Reshape", ["x", "i"], ["y"], name="odd")]
    with pytest.raises(UnsupportedOp, match=r"node 'odd' \(Reshape\): the target shape is computed from data"):
        translate(build(nodes, {"x": (F, (3,))}))


def test_dimensions_whose_values_would_help_are_listed_with_the_flag(build) -> None:
    model = build([N("Squeeze", ["x"], ["y"])], {"x": (F, ("batch", "length", 1))})
    with pytest.raises(DynamicShape, match=r"--dim batch=VALUE --dim length=VALUE") as caught:
        translate(model)
    assert list(caught.value.missing) == ["batch", "length"]
    assert "--min-dim batch=2 --min-dim length=2 excludes that" in str(caught.value)
    assert ops(translate(model, dims={"batch": 2, "length": 3})) == ["reshape"]
    assert ops(translate(model, min_dims={"batch": 2, "length": 2})) == ["reshape"]


def test_areas_of_an_image_need_minima_that_the_message_says(build, agree) -> None:
    """A quarter of h * w, as YOLO12 attends to: 1 * 4 has one and 2 * 1 none, so nothing is left out unasked."""
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Split", ["s"], ["n", "h", "w"], num_outputs=3),
        N("Mul", ["h", "w"], ["hw"]),
        N("Div", ["hw", "four"], ["area"]),
        N("Concat", ["n", "four", "area"], ["shape"], axis=0),
        N("Reshape", ["x", "shape"], ["y"]),
    ]
    constants = {"four": np.asarray([4], np.int64)}
    model = build(nodes, {"x": (F, ("n", "h", "w"))}, constants=constants, opset=18)
    with pytest.raises(DynamicShape, match=r"--min-dim h=2 --min-dim w=2 excludes that"):
        translate(model)
    agree(model, {"x": x_of(2, 3, 4)}, {"x": x_of(1, 2, 2)}, min_dims={"h": 2, "w": 2})


def test_patches_of_an_image_leave_out_sizes_without_any(build, agree) -> None:
    """(h // 8) * (w // 8) is 0 where either is: a Reshape to 0 would copy a dimension instead."""
    nodes = [
        N("AveragePool", ["x"], ["p"], kernel_shape=[8, 8], strides=[8, 8]),
        N("Shape", ["x"], ["s"]),
        N("Slice", ["s", "two", "four"], ["hw"]),
        N("Div", ["hw", "eight"], ["grid"]),
        N("ReduceProd", ["grid"], ["patches"], keepdims=1),
        N("Concat", ["front", "patches"], ["shape"], axis=0),
        N("Reshape", ["p", "shape"], ["y"]),
    ]
    numbers = {"two": [2], "four": [4], "eight": [8], "front": [-1, 3]}
    constants = {name: np.asarray(values, np.int64) for name, values in numbers.items()}
    model = build(nodes, {"x": (F, ("batch", 3, "h", "w"))}, constants=constants)
    found = agree(model, {"x": x_of(2, 3, 9, 17)}, {"x": x_of(1, 3, 8, 8)})
    assert {name: dim.min_size for name, dim in found.graph.dims.items()} == {"batch": 1, "h": 8, "w": 8}


def test_an_input_without_a_rank_is_refused(build) -> None:
    model = build([N("Relu", ["x"], ["y"])], {"x": (F, (1,))})
    model.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises(InvalidModel, match="input 'x' has no shape"):
        translate(model)


def test_an_input_whose_shape_alone_counts_is_kept(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Range", ["zero", "l", "one"], ["y"]),
    ]
    model = build(nodes, {"x": (F, ("batch", "length"))}, constants={"zero": np.asarray(0), "one": np.asarray(1)})
    found = agree(model, {"x": x_of(2, 5)}, {"x": x_of(1, 1)})
    assert found.input_names == {"x": "x"}


def test_a_dimension_may_be_allowed_to_be_empty(build, agree) -> None:
    # A key-value cache that starts without entries.
    model = build([N("Concat", ["past", "x"], ["y"], axis=1)], {"past": (F, (1, "p", 4)), "x": (F, (1, "n", 4))})
    feed = {"past": np.zeros((1, 0, 4), F), "x": x_of(1, 3, 4)}
    found = agree(model, feed, min_dims={"p": 0})
    assert found.dims[0].min_size == 0
    with pytest.raises(ShapeError, match="allows 1 to"):
        agree(model, feed)


@pytest.mark.parametrize("op", ["ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"])
def test_a_reduction_that_needs_elements_keeps_its_axis_from_being_empty(build, agree, op) -> None:
    """The check would otherwise compare what WebNN refuses with an infinity."""
    model = build([N(op, ["x"], ["y"], axes=[1], keepdims=0)], {"x": (F, (2, "n"))}, opset=17)
    found = agree(model, {"x": x_of(2, 3)}, {"x": x_of(2, 1)}, min_dims={"n": 0})
    (dim,) = found.dims
    assert (dim.min_size, f"at least 1: {op} of no elements" in dim.why) == (1, True)
    # Where no result has to be chosen either, nothing is to be said against it.
    model = build([N(op, ["x"], ["y"], axes=[1], keepdims=0)], {"x": (F, ("m", "n"))}, opset=17)
    assert {dim.min_size for dim in translate(model, min_dims={"m": 0, "n": 0}).dims} == {0}


@pytest.mark.parametrize(("op", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_a_recurrent_network_keeps_steps_and_batch_from_being_empty(build, agree, op, gates) -> None:
    """ONNX Runtime, which the result is compared with, ends the process on such a batch."""
    weights = {"w": np.full((1, 2 * gates, 3), 0.1, F), "r": np.full((1, 2 * gates, 2), 0.2, F)}
    model = build([N(op, ["x", "w", "r"], ["y"], hidden_size=2)], {"x": (F, ("s", "b", 3))}, constants=weights)
    found = agree(model, {"x": x_of(4, 2, 3)}, {"x": x_of(1, 1, 3)}, max_dims={"s": 8}, min_dims={"s": 0, "b": 0})
    assert {dim.name: dim.min_size for dim in found.dims} == {"s": 1, "b": 1}


def test_integers_beside_dimensions_lose_their_high_bits_in_a_cast(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Concat", ["l", "end"], ["both"], axis=0),
        N("Cast", ["both"], ["narrow"], to=TensorProto.INT32),
        N("Cast", ["narrow"], ["wide"], to=TensorProto.INT64),
        N("Gather", ["wide", "one"], ["k"]),
        N("Cast", ["k"], ["f"], to=TensorProto.FLOAT),
        N("Mul", ["x", "f"], ["y"]),
    ]
    constants = {"one": ints(1), "end": ints(2**63 - 1)}
    agree(build(nodes, {"x": (F, ("batch", "length"))}, constants=constants), {"x": x_of(2, 3)})


def test_a_float_that_data_decides_counts_nothing(build) -> None:
    nodes = [N("Range", ["zero", "end", "step"], ["y"])]
    model = build(nodes, {"end": (F, ())}, constants={"zero": F(0), "step": F(1)})
    with pytest.raises(UnsupportedOp, match="the length of the result would depend on it"):
        translate(model)


def test_a_target_that_would_be_zero_raises_the_minimum(build, agree) -> None:
    # Of three rows, 3 // 4 would be 0, which in a target shape means "as the input".
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Slice", ["s", "zero", "one"], ["l"]),
        N("Div", ["l", "four"], ["parts"]),
        N("Concat", ["parts", "rest"], ["target"], axis=0),
        N("Reshape", ["x", "target"], ["y"]),
    ]
    constants = {"zero": ints(0), "one": ints(1), "four": ints(4), "rest": ints(4, -1)}
    model = build(nodes, {"x": (F, ("rows", 3))}, constants=constants)
    translation = agree(model, {"x": x_of(8, 3)})
    (rows,) = translation.dims
    assert (rows.min_size, rows.why) == (4, "at least 4: a Reshape has the dimension rows//4")


def test_a_batch_that_cancels_is_not_asked_for(build, agree) -> None:
    """As torch's exporter writes the split of heads: a width is what the other sizes leave, and is read again."""
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Slice", ["s", "zero", "one"], ["n"]),
        N("Concat", ["n", "four", "rest"], ["apart"], axis=0),
        N("Reshape", ["x", "apart"], ["split"]),
        N("Shape", ["split"], ["t"]),
        N("Slice", ["t", "two", "three"], ["width"]),
        N("Concat", ["n", "width", "rest"], ["target"], axis=0),
        N("Reshape", ["split", "target"], ["y"]),
    ]
    constants = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "rest": -1}
    model = build(nodes, {"x": (F, ("n", "h", 6))}, constants={name: ints(size) for name, size in constants.items()})
    agree(model, {"x": x_of(3, 2, 6)}, {"x": x_of(1, 4, 6)})


def sizes_in_floats(*steps):
    """The last two dimensions in floating point, one by one, through `steps`, back as the shape of y."""
    nodes = [N("Shape", ["x"], ["s"])]
    for index, axis in enumerate(("one", "two")):
        nodes.append(N("Gather", ["s", axis], [f"d{index}"]))
        nodes.append(N("Cast", [f"d{index}"], [f"v{index}_0"], to=TensorProto.FLOAT))
        for number, (op, *constants) in enumerate(steps):
            nodes.append(N(op, [f"v{index}_{number}", *constants], [f"v{index}_{number + 1}"]))
        nodes.append(N("Unsqueeze", [f"v{index}_{len(steps)}", "axes"], [f"u{index}"]))
    return [
        *nodes,
        N("Concat", ["u0", "u1"], ["f"], axis=0),
        N("Cast", ["f"], ["sizes"], to=TensorProto.INT64),
        N("Concat", ["first", "sizes"], ["target"], axis=0),
        N("Expand", ["c", "target"], ["e"]),
        N("ReduceSum", ["x"], ["r"], keepdims=0),
        N("Add", ["e", "r"], ["y"]),
    ]


IN_FLOATS = {
    "zero": np.asarray(0),
    "one": np.asarray(1),
    "two": np.asarray(2),
    "axes": ints(0),
    "first": ints(1),
    "c": np.ones((1, 1, 1), F),
    "half": np.asarray(0.5, F),
    "twice": np.asarray(2, F),
    "and_a_half": np.asarray(1.5, F),
    "three": np.asarray(3, F),
}


@pytest.mark.parametrize(
    ("steps", "shape"),
    [
        ([("Mul", "twice"), ("Floor",)], "f32[1, 2*h, 2*w]"),
        ([("Mul", "half"), ("Floor",)], "f32[1, h//2, w//2]"),
        ([("Mul", "half"), ("Ceil",)], "f32[1, (h + 1)//2, (w + 1)//2]"),
        ([("Mul", "and_a_half")], "f32[1, h + h//2, w + w//2]"),
        ([("Mul", "half"), ("Add", "and_a_half"), ("Floor",)], "f32[1, (h + 1)//2 + 1, (w + 1)//2 + 1]"),
        ([("Add", "three")], "f32[1, h + 3, w + 3]"),
        ([("Div", "twice"), ("Ceil",), ("Mul", "twice")], "f32[1, 2*((h + 1)//2), 2*((w + 1)//2)]"),
        ([("Div", "half")], "f32[1, 2*h, 2*w]"),
    ],
)
def test_sizes_computed_in_floating_point_are_exact(steps, shape, build, agree) -> None:
    model = build(sizes_in_floats(*steps), {"x": (F, (2, "h", "w"))}, constants=IN_FLOATS)
    found = agree(model, {"x": x_of(2, 6, 9)}, {"x": x_of(2, 33, 2)}, tolerance=1e-4)
    assert str(found.graph.output_types["y"]) == shape
    # Beyond 2**24 float32 would round, and the model with it.
    assert all(dim.max_size <= 2**24 for dim in found.graph.dims.values())
    assert "float32" in found.dims[0].why


def test_the_size_of_an_image_after_several_strides_is_halved_exactly(build, agree) -> None:
    """As the patches of MobileViT are counted: `math.ceil(height / 2) * 2` of what convolutions have left."""
    strides = {"kernel_shape": [1, 1], "strides": [2, 2]}
    nodes = [
        N("MaxPool", ["x"], ["a"], **strides),
        N("MaxPool", ["a"], ["b"], **strides),
        N("Shape", ["b"], ["s"], start=2, end=3),
        N("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
        N("Div", ["f", "twice"], ["part"]),
        N("Ceil", ["part"], ["up"]),
        N("Mul", ["up", "twice"], ["even"]),
        N("Cast", ["even"], ["rows"], to=TensorProto.INT64),
        N("Expand", ["one", "rows"], ["e"]),
        N("ReduceSum", ["x"], ["r"], keepdims=0),
        N("Add", ["e", "r"], ["y"]),
    ]
    constants = {"twice": np.asarray(2, F), "one": np.ones(1, F)}
    model = build(nodes, {"x": (F, (1, 1, "h", "w"))}, constants=constants)
    found = agree(model, *({"x": x_of(1, 1, h, 3)} for h in (1, 8, 9, 12, 13)), tolerance=1e-4)
    # A quarter of it, rounded up, is what float32 still has to hold.
    assert found.graph.dims["h"].max_size == 2**26
    assert found.dims[0].why.startswith("at most 67108864: the model computes with it in float32")


def test_sizes_that_floating_point_may_round_need_the_value(build, agree) -> None:
    constants = IN_FLOATS | {"twice": np.asarray(1.1, F)}
    model = build(sizes_in_floats(("Mul", "twice"), ("Floor",)), {"x": (F, (2, "h", "w"))}, constants=constants)
    with pytest.raises(DynamicShape, match="--dim h=VALUE"):
        translate(model)
    agree(model, {"x": x_of(2, 10, 30)}, dims={"h": 10, "w": 30}, tolerance=1e-4)


def test_what_is_missing_to_a_multiple_is_a_remainder(build, agree) -> None:
    # -h mod 4, with the sign of the divisor: never negative, although -h is.
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["h"]),
        N("Neg", ["h"], ["n"]),
        N("Mod", ["n", "four"], ["m"]),
        N("Add", ["m", "h"], ["k"]),
        N("Unsqueeze", ["k", "axes"], ["target"]),
        N("Expand", ["c", "target"], ["e"]),
        N("ReduceSum", ["x"], ["r"], keepdims=0),
        N("Add", ["e", "r"], ["y"]),
    ]
    constants = {"one": np.asarray(1), "four": np.asarray(4), "axes": ints(0), "c": np.ones(1, F)}
    model = build(nodes, {"x": (F, (2, "h"))}, constants=constants)
    agree(model, {"x": x_of(2, 8)}, {"x": x_of(2, 5)}, {"x": x_of(2, 7)}, tolerance=1e-4)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_the_number_of_elements_is_a_product_of_dimensions(build, agree, keepdims) -> None:
    """torch counts the elements that a standard deviation is of, also those of one axis."""
    for shape_of in ([], [helper.make_node("Gather", ["all", "last"], ["shape"], axis=0)]):
        nodes = [
            helper.make_node("Shape", ["x"], ["all" if shape_of else "shape"]),
            *shape_of,
            helper.make_node("ReduceProd", ["shape"], ["count"], keepdims=keepdims),
            helper.make_node("Cast", ["count"], ["c"], to=1),
            helper.make_node("Div", ["x", "c"], ["y"]),
        ]
        model = build(nodes, {"x": (np.float32, ["n", 4])}, constants={"last": np.array(1)})
        agree(model, {"x": np.arange(12, dtype=np.float32).reshape(3, 4)})
