"""int64 carried by int32: proved for every value, or refused by name."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.dtypes import DataType
from webnn_translator._errors import TranslateError
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.elements import Elem
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
IDS = {"ids": (I64, ("batch", "length"))}


def run(translation, **feed):
    return get_backend("numpy").compile(translation.graph).run(feed)


def has_int64(translation) -> bool:
    return any(kind.dtype is DataType.INT64 for kind in translation.graph.types.values())


def both(model, feed, **options) -> None:
    """The int32 graph gives what the int64 graph gives, with no int64 left."""
    wide, narrow = translate(model, **options), translate(model, int64="int32", **options)
    assert not has_int64(narrow)
    wanted = run(wide, **feed)
    found = run(narrow, **{name: a.astype(np.int32) if a.dtype == I64 else a for name, a in feed.items()})
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array)


def test_an_embedding_with_positions_from_its_mask(build) -> None:
    nodes = [
        N("Equal", ["ids", "pad"], ["e"]),
        N("Not", ["e"], ["n"]),
        N("Cast", ["n"], ["m"], to=TensorProto.INT64),
        N("CumSum", ["m", "one"], ["c"]),
        N("Mul", ["c", "m"], ["p"]),
        N("Add", ["p", "pad"], ["positions"]),
        N("Gather", ["table", "positions"], ["a"]),
        N("Gather", ["table", "ids"], ["b"]),
        N("Add", ["a", "b"], ["y"]),
    ]
    table = np.random.default_rng(0).standard_normal((20, 3)).astype(F)
    model = build(nodes, IDS, constants={"pad": np.asarray(1), "one": np.asarray(1), "table": table})
    both(model, {"ids": np.asarray([[5, 6, 1], [7, 1, 1]])})
    found = translate(model, int64="int32")
    assert found.source_types == {"ids": Elem.INT64}
    assert "values of inputs have to" in found.mappings["int64"]


def test_kept_by_default(build) -> None:
    found = translate(build([N("Neg", ["ids"], ["y"])], IDS))
    assert has_int64(found)
    assert not found.source_types


def test_outputs_state_their_type(build) -> None:
    model = build([N("ArgMax", ["x"], ["y"], axis=-1, keepdims=0)], {"x": (F, ("n", 5))})
    found = translate(model, int64="int32")
    assert str(found.graph.output_types["y"]) == "i32[n]"
    assert found.source_types == {"y": Elem.INT64}
    both(model, {"x": np.random.default_rng(1).standard_normal((4, 5)).astype(F)})


def test_positions_counted_to_a_dimension_fit_and_their_products_need_a_bound(build) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "zero"], ["l"]),
        N("Range", ["zero", "l", "one"], ["p"]),
        N("Mul", ["p", "p"], ["y"]),
        N("Identity", ["x"], ["z"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1)}
    model = build(nodes, {"x": (F, ("length",))}, ["y", "z"], constants=constants)
    with pytest.raises(TranslateError, match=r"not proved to fit int32: 'y'.* --max-dim length=VALUE"):
        translate(model, int64="int32")
    both(model, {"x": np.ones(9, F)}, max_dims={"length": 1000})


def distances(*last: onnx.NodeProto) -> list[onnx.NodeProto]:
    """`n`: how far two of the tokens of `x` are apart, and `large`: a whole number of its logarithm, as T5 has it."""
    return [
        N("Shape", ["x"], ["s"], start=1, end=2),
        N("Squeeze", ["s"], ["l"]),
        N("Range", ["zero", "l", "one"], ["p"]),
        N("Unsqueeze", ["p", "one"], ["column"]),
        N("Sub", ["p", "column"], ["d"]),
        N("Abs", ["d"], ["n"]),
        N("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        N("Div", ["f", "eight"], ["r"]),
        N("Log", ["r"], ["g"]),
        N("Mul", ["g", "eight"], ["h"]),
        N("Cast", ["h"], ["c"], to=TensorProto.INT64),
        N("Add", ["c", "near"], ["large"]),
        N("Less", ["n", "near"], ["small"]),
        *last,
        N("Identity", ["x"], ["z"]),
    ]


def model_of_distances(build, *last: onnx.NodeProto) -> onnx.ModelProto:
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "near": np.asarray(8), "eight": np.asarray(8, F)}
    return build(distances(*last), {"x": (F, ("batch", "length"))}, ["y", "z"], constants=constants)


BUCKETS = N("Where", ["small", "n", "large"], ["y"])


@pytest.mark.parametrize("last", [(BUCKETS,), (N("Not", ["small"], ["far"]), N("Where", ["far", "large", "n"], ["y"]))])
def test_the_logarithm_of_0_that_no_bucket_takes_may_be_anything(last, build) -> None:
    model = model_of_distances(build, *last)
    with pytest.raises(TranslateError, match="may help: --max-dim length=VALUE, --dim length=VALUE; --int64 keep"):
        translate(model, int64="int32")
    both(model, {"x": np.ones((2, 100), F)}, max_dims={"length": 500})
    both(model, {"x": np.ones((2, 9), F)}, dims={"length": 9})


@pytest.mark.parametrize(
    "last",
    [
        [N("Where", ["small", "large", "n"], ["y"])],
        [N("Identity", ["large"], ["y"])],
        [BUCKETS, N("Cast", ["large"], ["also"], to=TensorProto.FLOAT)],
        [N("Add", ["large", "near"], ["more"]), N("Max", ["more", "n"], ["y"])],
        [N("Div", ["n", "large"], ["q"]), N("Where", ["small", "n", "q"], ["y"])],
        [N("Less", ["n", "one"], ["smaller"]), N("Where", ["smaller", "large", "n"], ["y"])],
    ],
)
def test_where_it_may_be_taken_it_has_to_fit(last, build) -> None:
    model = model_of_distances(build, *last)
    if last[-1].output[0] == "also":
        model.graph.output.append(helper.make_tensor_value_info("also", TensorProto.FLOAT, None))
    with pytest.raises(TranslateError, match="not proved to fit int32: 'c_2'"):
        translate(model, int64="int32", max_dims={"length": 500})


def test_a_number_of_a_number_is_tried_with_all_that_it_can_be(build) -> None:
    # 40 to the fifth is 102,400,000, and 90 to the fifth is 5,904,900,000; intervals of products see no more than that.
    nodes = [
        *distances()[:6],
        *[N("Mul", [left, "n"], [right]) for left, right in pairwise(["n", "n2", "n3", "n4", "n5"])],
        N("Where", ["few", "n5", "n"], ["y"]),
        N("Identity", ["x"], ["z"]),
    ]
    nodes.insert(6, N("Less", ["n", "forty"], ["few"]))
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "forty": np.asarray(40)}
    model = build(nodes, {"x": (F, ("batch", "length"))}, ["y", "z"], constants=constants)
    both(model, {"x": np.ones((1, 90), F)}, max_dims={"length": 90})
    constants["forty"] = np.asarray(70)
    model = build(nodes, {"x": (F, ("batch", "length"))}, ["y", "z"], constants=constants)
    with pytest.raises(TranslateError, match="not proved to fit int32: 'n5'"):
        translate(model, int64="int32", max_dims={"length": 90})


@pytest.mark.parametrize("compare", ["Equal", "Cast"])
def test_the_mask_of_pairs_asks_its_factors(compare, build) -> None:
    nodes = [N("Unsqueeze", ["ids", "one"], ["a"]), N("Unsqueeze", ["ids", "two"], ["b"]), N("Mul", ["a", "b"], ["m"])]
    truth = N("Equal", ["m", "zero"], ["t"]) if compare == "Equal" else N("Cast", ["m"], ["t"], to=TensorProto.BOOL)
    constants = {"zero": np.asarray(0), "one": np.asarray([1]), "two": np.asarray([2])}
    model = build([*nodes, truth, N("Not", ["t"], ["y"])], IDS, constants=constants)
    # In 32 bits this product is 0.
    both(model, {"ids": np.asarray([[65536, 0, 1, -1, 131072]])})
    model = build([*nodes, truth, N("Add", ["m", "one"], ["y"])], IDS, ["t", "y"], constants=constants)
    with pytest.raises(TranslateError, match="not proved to fit int32: 'm'"):
        translate(model, int64="int32")


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        ([N("Add", ["ids", "ids"], ["y"])], "y"),
        ([N("Mul", ["ids", "large"], ["y"])], "y"),
        ([N("Max", ["ids", "large"], ["y"])], "large"),
        ([N("Cast", ["x"], ["y"], to=TensorProto.INT64)], "y"),
        ([N("CumSum", ["ids", "axis"], ["y"])], "y"),
        ([N("Neg", ["ids"], ["y"])], "y"),
    ],
)
def test_what_may_leave_int32_is_refused_by_name(nodes, name, build) -> None:
    inputs = IDS | {"x": (F, (3,))}
    model = build(nodes, inputs, constants={"large": np.asarray(2**40), "axis": np.asarray(1)})
    with pytest.raises(TranslateError, match=f"'{name}'.*--int64 keep"):
        translate(model, int64="int32")


def test_casts_between_the_two_disappear(build) -> None:
    nodes = [N("Cast", ["ids"], ["a"], to=TensorProto.INT32), N("Abs", ["a"], ["b"]), N("Cast", ["b"], ["y"], to=7)]
    model = build(nodes, {"ids": (I64, (3,))})
    with pytest.raises(TranslateError, match="not proved"):
        translate(build([N("Abs", ["ids"], ["y"])], {"ids": (I64, (3,))}), int64="int32")
    nodes.insert(1, N("Clip", ["a", "low", "high"], ["clipped"]))
    nodes[2].input[0] = "clipped"
    constants = {"low": np.asarray(-5, np.int32), "high": np.asarray(9, np.int32)}
    model = build(nodes, {"ids": (I64, (3,))}, constants=constants)
    assert [node.op for node in translate(model, int64="int32").graph.nodes] == ["clamp", "abs", "identity"]
    both(model, {"ids": np.asarray([-7, 3, 70000])})


def test_the_check_feeds_the_source_in_its_own_type(build, tmp_path) -> None:
    table = np.random.default_rng(0).standard_normal((20, 3)).astype(F)
    model = build([N("Gather", ["table", "ids"], ["y"])], IDS, constants={"table": table})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "m.onnx")
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", ConvertOptions(int64="int32"))
    assert str(done.graph.inputs["ids"]) == "i32[batch, length]"
    assert done.certificate is not None
    assert done.certificate.passed
    assert "int32" in done.certificate.mappings["int64"]
