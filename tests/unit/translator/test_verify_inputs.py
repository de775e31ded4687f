"""Which values the check draws for inputs that are no free numbers."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_translator.translate import translate
from webnn_translator.verify import check_graph
from webnn_translator.verify.grid import Point
from webnn_translator.verify.inputs import InputPlan
from webnn_translator.verify.reference import OnnxReference

I64 = DataType.INT64
BATCH = symbol("batch")


def test_no_row_of_a_mask_of_other_tokens_hides_all_of_them() -> None:
    # A decoder reads the mask of its encoder, whose ids it does not have.
    builder = GraphBuilder("decoder", dims=[DynamicDim("batch"), DynamicDim("encoded")])
    mask = builder.input("encoder_attention_mask", I64, (BATCH, symbol("encoded")))
    plan = InputPlan.of(builder.build({"y": builder.op("cast", mask, type="float32")}))
    drawn = plan.draw(Point({"batch": 9, "encoded": 2}), 1)["encoder_attention_mask"]
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.any(axis=1).all()
    # Nothing else is taken from the check: the first of a row is either, where another one is to be seen.
    assert set(np.unique(plan.draw(Point({"batch": 9, "encoded": 5}), 1)["encoder_attention_mask"][:, 0])) == {0, 1}


@pytest.mark.parametrize("is_free", [True, False])
def test_every_token_behind_a_cache_sees_one(is_free) -> None:
    """Of those before it and itself: a softmax over nothing has as many results as there are kernels of float16."""
    batch, past, length = 64, 2, 3
    names = [DynamicDim("batch"), DynamicDim("past"), DynamicDim("length")] if is_free else []
    sizes = (BATCH, symbol("past") + symbol("length"), symbol("length")) if is_free else (batch, past + length, length)
    builder = GraphBuilder("decoder", dims=names)
    ids = builder.input("input_ids", I64, (sizes[0], sizes[2]))
    mask = builder.input("attention_mask", I64, (sizes[0], sizes[1]))
    table = builder.constant(np.zeros((10, 4), np.float32))
    graph = builder.build({"y": builder.op("gather", table, ids), "m": builder.op("cast", mask, type="float32")})
    point = Point({"batch": batch, "past": past, "length": length} if is_free else {})
    drawn = InputPlan.of(graph).draw(point, 1)["attention_mask"]
    assert drawn[:, : past + 1].any(axis=1).all()
    assert all(set(np.unique(column)) == {0, 1} for column in drawn.T)


def test_what_is_compared_with_numbers_has_them_though_it_is_as_long_as_the_ids() -> None:
    builder = GraphBuilder("kinds", dims=[DynamicDim("batch"), DynamicDim("rows"), DynamicDim("length")])
    ids = builder.input("input_ids", I64, (BATCH, symbol("length")))
    kinds = builder.input("kinds", I64, (symbol("rows"), symbol("length")))
    mask = builder.input("attention_mask", I64, (symbol("rows"), symbol("length")))
    table = builder.constant(np.zeros((10, 4), np.float32))
    is_three = builder.op("equal", kinds, builder.constant(np.array(3, np.int64)))
    is_hidden = builder.op("equal", mask, builder.constant(np.array(0, np.int64)))
    graph = builder.build({"y": builder.op("gather", table, ids), "z": is_three, "hidden": is_hidden})
    plan = InputPlan.of(graph)
    drawn = plan.draw(Point({"batch": 2, "rows": 9, "length": 5}, padded=True), 1)
    assert set(np.unique(drawn["kinds"])) == {0, 3}
    assert plan.masks == {"attention_mask"}


@pytest.mark.parametrize("operator", ["ScatterElements", "ScatterND"])
def test_what_is_added_up_by_rows_names_rows_that_there_are(build, operator) -> None:
    """The edges of a graph name its nodes, of which there are as many as a named dimension says."""
    scatter = helper.make_node(operator, ["x", "to", "edges"], ["y"], reduction="add")
    width = 4 if operator == "ScatterElements" else 1
    inputs = {
        "x": (np.float32, ("nodes", 4)),
        "to": (np.int64, ("many", width)),
        "edges": (np.float32, ("many", 4)),
    }
    plan = InputPlan.of(translate(build([scatter], inputs, opset=18)).graph)
    for nodes in (1, 5):
        drawn = plan.draw(Point({"nodes": nodes, "many": 99}), 1)["to"]
        assert set(np.unique(drawn)) == set(range(nodes))


def test_what_is_compared_with_positions_alone_is_not_taken_for_more(build) -> None:
    # Numbers that an input decides are no rows of a table.
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Expand", ["one", "s"], ["ones"]),
        helper.make_node("Mul", ["ones", "x"], ["others"]),
        helper.make_node("Equal", ["flags", "others"], ["y"]),
    ]
    inputs = {"x": (np.int64, ("n",)), "flags": (np.int64, ("n",))}
    plan = InputPlan.of(translate(build(nodes, inputs, constants={"one": np.asarray([1], np.int64)})).graph)
    assert set(np.unique(plan.draw(Point({"n": 99}), 1)["flags"])) == {0, 1}


CACHE = (np.float32, ("n", "t", 2))


@pytest.mark.parametrize(
    ("node", "inputs", "number"),
    [
        (
            helper.make_node("TensorScatter", ["cache", "new", "place"], ["y"], axis=1),
            {"cache": CACHE, "new": CACHE, "place": (np.int64, ("n",))},
            0,
        ),
        (helper.make_node("Div", ["a", "b"], ["y"]), dict.fromkeys("ab", (np.int64, ("n",))), 1),
    ],
    ids=["a place in a cache", "a divisor"],
)
def test_integers_that_the_source_takes_only_alike_are_so(build, tmp_path, node, inputs, number) -> None:
    model = build([node], inputs, opset=24)
    model = onnx.shape_inference.infer_shapes(model)
    onnx.save(model, tmp_path / "model.onnx")
    source = OnnxReference(tmp_path / "model.onnx")
    checked = check_graph(
        translate(model).graph, lambda fed: source.run(fed, ["y"], {}), reference_name="ORT", backends=["numpy"]
    )
    assert checked.certificate.passed
    points = checked.certificate.record()["grid"]
    assert isinstance(points, list)
    assert number in {point.get("integers") for point in points}


def test_a_mask_that_becomes_bool_hides_some_keys_and_not_all() -> None:
    """Compared with 0 alone: it was 0 throughout, so that no text saw anything of itself."""
    total, length = symbol("total"), symbol("length")
    builder = GraphBuilder("decoder", dims=[DynamicDim("total"), DynamicDim("length"), DynamicDim("batch")])
    ids = builder.input("ids", I64, (symbol("batch"), length))
    mask = builder.input("mask", I64, (symbol("batch"), total))
    found = builder.op("gather", builder.constant(np.ones((9, 4), np.float32)), ids, axis=0)
    seen = builder.op("notEqual", mask, builder.constant(0, I64))
    plan = InputPlan.of(builder.build({"y": found, "seen": seen}))
    drawn = plan.draw(Point({"batch": 9, "length": 3, "total": 8}), 1)["mask"]
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn[:, :6].any(axis=1).all()
