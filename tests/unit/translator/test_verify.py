"""The check itself: what it compares, at which sizes, on which inputs, and that it can fail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnx.reference
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ManifestError
from webnn_runtime.format.graph import Array, Graph
from webnn_translator.translate import translate
from webnn_translator.verify import VerificationFailed, check_graph, compare
from webnn_translator.verify.canaries import compare_canary, read_canary_inputs, write_canary
from webnn_translator.verify.compare import worst
from webnn_translator.verify.grid import Point, grid, unchecked_maxima
from webnn_translator.verify.inputs import InputPlan, uniform
from webnn_translator.verify.reference import OnnxReference, SourceFailed

F32, I32, I64 = DataType.FLOAT32, DataType.INT32, DataType.INT64
BATCH, LENGTH = symbol("batch"), symbol("sequence")


def encoder(length_limit: int = 50) -> Graph:
    """The shape of an encoder: ids and positions looked up, a mask applied."""
    builder = GraphBuilder("encoder", dims=[DynamicDim("batch"), DynamicDim("sequence", length_limit)])
    ids = builder.input("input_ids", I64, (BATCH, LENGTH))
    mask = builder.input("attention_mask", I64, (BATCH, LENGTH))
    table = builder.constant(np.arange(20 * 4, dtype=np.float32).reshape(20, 4), name="table")
    found = builder.op("gather", table, builder.op("cast", ids, type="int32"), axis=0)
    weight = builder.op("reshape", mask, newShape=[BATCH, LENGTH, 1])
    return builder.build({"hidden": builder.op("mul", found, builder.op("cast", weight, type="float32"))})


def right(inputs: Mapping[str, Array]) -> dict[str, Array]:
    table = np.arange(20 * 4, dtype=np.float32).reshape(20, 4)
    return {"hidden": table[inputs["input_ids"]] * inputs["attention_mask"][..., None].astype(np.float32)}


def off_by(size: float) -> Any:
    def reference(inputs: Mapping[str, Array]) -> dict[str, Array]:
        hidden = right(inputs)["hidden"].copy()
        hidden.flat[-1] += np.float32(size)
        return {"hidden": hidden}

    return reference


def test_a_right_graph_passes_on_every_backend_and_point() -> None:
    checked = check_graph(encoder(), right, reference_name="by hand", backends=["numpy"])
    (verdict,) = checked.certificate.verdicts
    assert (verdict.output, verdict.backend, verdict.worst.passed) == ("hidden", "numpy", True)
    assert verdict.worst.max_abs == 0
    assert checked.certificate.passed
    assert checked.certificate.inputs == "seeded"


@pytest.mark.parametrize(("size", "passes"), [(79 * 0.9e-4, False), (1e-6, True), (float("nan"), False)])
def test_the_limit_is_a_part_of_the_largest_value(size: float, passes: bool) -> None:
    # Every point is judged by its own largest value, which is at most the table's 79.
    checked = check_graph(encoder(), off_by(size), reference_name="wrong", backends=["numpy"])
    assert checked.certificate.passed is passes
    assert checked.certificate.record()["verdict"] == ("passed" if passes else "failed")


def test_a_loosened_tolerance_shows_in_the_certificate() -> None:
    record = check_graph(
        encoder(), off_by(0.5), reference_name="wrong", backends=["numpy"], tolerance=0.9
    ).certificate.record()
    assert record["verdict"] == "passed"
    assert record["toleranceLoosened"] is True


def test_a_record_is_json_without_infinities() -> None:
    record = check_graph(
        encoder(), off_by(float("inf")), reference_name="wrong", backends=["numpy"]
    ).certificate.record()
    text = json.dumps(record, allow_nan=False)
    assert "not finite" in text


def test_equal_checks_give_equal_records() -> None:
    first, second = (check_graph(encoder(), right, reference_name="r", backends=["numpy"]) for _ in range(2))
    assert first.certificate.record() == second.certificate.record()
    assert first.canaries == second.canaries


def test_the_grid_has_one_the_maximum_uneven_sizes_and_padded_rows() -> None:
    points = grid(encoder(), has_masks=True)
    sizes = {(point.bindings["batch"], point.bindings["sequence"]) for point in points}
    assert {(1, 1), (2, 7), (1, 50)} <= sizes
    assert {point.padded for point in points if point.bindings["sequence"] == 50} == {True, False}
    assert [point.size for point in points] == sorted(point.size for point in points)
    assert unchecked_maxima(encoder(), points) == ["batch"]


def test_a_static_graph_is_checked_at_its_one_size() -> None:
    builder = GraphBuilder()
    graph = builder.build({"y": builder.op("relu", builder.input("x", F32, (2, 3)))})
    (point,) = grid(graph, has_masks=False)
    assert dict(point.bindings) == {}


def strided(divisor: int, most: int = 4096) -> Graph:
    """Rows that have to be a multiple of something, checked when it runs."""
    rows = symbol("rows")
    builder = GraphBuilder("strided", dims=[DynamicDim("batch"), DynamicDim("rows", most)])
    x = builder.input("x", F32, (BATCH, rows))
    parts = builder.op("reshape", x, newShape=[BATCH, rows // divisor, divisor])
    return builder.build({"y": builder.op("relu", parts)})


def test_sizes_are_searched_where_the_usual_ones_are_not_allowed() -> None:
    points = grid(strided(48, 10**6), has_masks=False)
    assert [point.bindings for point in points] == [{"batch": 1, "rows": 96}, {"batch": 2, "rows": 192}]


def test_a_graph_that_could_be_checked_nowhere_is_no_success() -> None:
    with pytest.raises(VerificationFailed, match=r"bind some with --dim batch=VALUE --dim rows=VALUE"):
        check_graph(strided(1009, 10**6), lambda inputs: {"y": inputs["x"]}, reference_name="by hand")


def test_what_is_compared_with_constants_takes_their_values() -> None:
    builder = GraphBuilder("choice", dims=[DynamicDim("batch")])
    rate = builder.input("rate", I64, ())
    letters = builder.input("letters", I32, (BATCH, 64))
    is_high = builder.op("equal", rate, builder.constant(np.asarray(16000, np.int64)))
    coding = builder.constant(np.arange(5, 9, dtype=np.int32).reshape(4, 1, 1))
    plan = InputPlan.of(builder.build({"high": is_high, "coded": builder.op("equal", letters, coding)}))
    drawn = [plan.draw(Point({"batch": 2}), seed) for seed in range(0, 2000, 100)]
    assert {int(inputs["rate"]) for inputs in drawn} == {0, 16000}
    assert all(isinstance(inputs["rate"], np.ndarray) and inputs["rate"].shape == () for inputs in drawn)
    assert set(np.unique(drawn[0]["letters"])) == {0, 5, 6, 7, 8}


def test_edges_of_a_graph_stay_within_its_nodes() -> None:
    # As many nodes as the graph is given, so the largest index differs from point to point.
    nodes, edges = symbol("nodes"), symbol("edges")
    builder = GraphBuilder("edges", dims=[DynamicDim("nodes"), DynamicDim("edges")])
    x = builder.input("x", F32, (nodes, 3))
    both = builder.input("ends", I64, (2, edges))
    ends = builder.op_many("split", both, splits=(1, 1), axis=0)
    picks = [builder.op("reshape", end, newShape=[edges]) for end in ends]
    far, near = (builder.op("gather", x, pick, axis=0) for pick in picks)
    plan = InputPlan.of(builder.build({"y": builder.op("sub", far, near)}))
    for count in (1, 4):
        drawn = plan.draw(Point({"nodes": count, "edges": 50}), 0)["ends"]
        assert set(np.unique(drawn)) == set(range(count))


def test_scalars_are_arrays() -> None:
    builder = GraphBuilder("scalar", dims=[])
    flag = builder.input("flag", I64, ())
    graph = builder.build({"y": builder.op("add", flag, builder.constant(np.asarray(1, np.int64)))})
    drawn = InputPlan.of(graph).draw(Point({}), 0)["flag"]
    assert isinstance(drawn, np.ndarray)
    assert drawn.dtype == np.int64


@pytest.mark.parametrize(("op", "passes"), [("sigmoid", True), ("exp", False)])
def test_probabilities_are_rounded_as_parts_of_one(op: str, passes: bool) -> None:
    builder = GraphBuilder("tiny", dims=[])
    x = builder.input("x", F32, (4,))
    graph = builder.build({"y": builder.op(op, builder.op("sub", x, builder.constant(np.float32(16))))})

    def reference(inputs: Mapping[str, Array]) -> dict[str, Array]:
        return {"y": (np.exp(inputs["x"].astype(np.float64) - 16) + 4e-7).astype(np.float32)}

    checked = check_graph(graph, reference, reference_name="by hand", backends=["numpy"])
    assert checked.certificate.passed is passes


def test_indices_stay_in_their_table_and_masks_hide_the_end() -> None:
    graph = encoder()
    plan = InputPlan.of(graph)
    assert dict(plan.limits) == {"input_ids": 20}
    assert plan.masks == {"attention_mask"}
    for point in grid(graph, has_masks=True):
        inputs = plan.draw(point, 1)
        assert inputs["input_ids"].min() >= 0
        assert inputs["input_ids"].max() < 20
        mask = inputs["attention_mask"]
        assert (mask[:, 0] == 1).all()
        assert (np.diff(mask, axis=1) <= 0).all()
        assert (mask == 0).any() == (point.padded and point.bindings["sequence"] > 1)


def test_a_mask_with_rows_of_its_own_hides_the_end_too() -> None:
    builder = GraphBuilder("encoder", dims=[DynamicDim("batch"), DynamicDim("others"), DynamicDim("sequence")])
    ids = builder.input("input_ids", I64, (BATCH, LENGTH))
    mask = builder.input("attention_mask", I64, (symbol("others"), LENGTH))
    found = builder.op(
        "gather", builder.constant(np.ones(20, np.float32)), builder.op("cast", ids, type="int32"), axis=0
    )
    graph = builder.build({"hidden": found, "mask": builder.op("cast", mask, type="float32")})
    plan = InputPlan.of(graph)
    assert plan.masks == {"attention_mask"}
    drawn = plan.draw(Point({"batch": 2, "others": 3, "sequence": 7}, padded=True), 1)["attention_mask"]
    assert (drawn[:, 0] == 1).all()
    assert drawn.min() == 0


class Words:
    """As much of a tokenizer as the plan uses."""

    def __init__(self, *ids: int) -> None:
        self.ids = np.array(ids, dtype=np.int32)

    def encode(self, texts: list[str], limit: int | None) -> list[Words]:
        assert texts
        assert limit is None
        return [self]


def test_real_tokens_are_used_where_they_fit_the_table() -> None:
    graph = encoder()
    (point,) = [one for one in grid(graph, has_masks=False) if one.bindings == {"batch": 2, "sequence": 7}]
    plan = InputPlan.of(graph, Words(1, 5, 6, 7, 8, 2))
    rows = plan.draw(point, 1)["input_ids"]
    assert plan.kind == "tokens"
    assert (rows[:, 0] == 1).all()
    assert (rows[:, -1] == 2).all()
    assert not np.array_equal(rows[0], rows[1])
    assert InputPlan.of(graph, Words(1, 99, 2)).kind == "seeded"


def test_a_tokenizer_that_knows_none_of_the_words_leaves_it_to_seeded_ids() -> None:
    # Without special tokens and one for unknown words, nothing is left of such a text.
    checked = check_graph(encoder(), right, reference_name="by hand", backends=["numpy"], tokenizer=Words())
    assert checked.certificate.passed
    assert checked.certificate.inputs == "seeded"


def test_seeded_values_are_the_same_everywhere() -> None:
    # Pinned: a manifest's canaries and certificates must not change with NumPy.
    assert uniform(7, 3).tolist() == [0.25019093320933394, 0.794427601939151, 0.551371380490387]


@pytest.mark.parametrize(
    ("expected", "actual", "passes", "reason"),
    [
        ([1.0, 2.0], [1.0, 2.0001], True, ""),
        ([1.0, 2.0], [1.0, 2.001], False, ""),
        ([1.0], [1.0, 2.0], False, "shape"),
        ([1, 2], [1, 2], True, ""),
        ([1, 2], [1, 3], False, ""),
        ([1, 2], [1.0, 2.0], False, "type"),
        ([np.nan, 1.0], [np.nan, 1.0], True, ""),
        ([np.inf, 1.0], [-np.inf, 1.0], False, "not finite"),
        ([1.0, 1.0], [np.nan, 1.0], False, "not finite"),
        ([0.0, 0.0], [0.0, 1e-8], True, ""),
        ([0.0, 0.0], [0.0, 1e-6], False, ""),
        ([], [], True, ""),
    ],
)
def test_compare(expected: list[float], actual: list[float], passes: bool, reason: str) -> None:
    difference = compare(np.array(expected), np.array(actual), 1e-4)
    assert difference.passed is passes
    assert reason in difference.reason


def test_the_worst_of_many_keeps_a_failure_that_is_not_the_largest_difference() -> None:
    small = compare(np.array([1e-3]), np.array([2e-3]), 1e-4)
    large = compare(np.array([1e6]), np.array([1e6 + 10]), 1e-4)
    assert not worst([small, large]).passed
    assert worst([small, large]).max_abs == 10


def canary(values: list[float]) -> Any:
    array = np.array(values, np.float32)
    return json.loads(json.dumps(write_canary({"x": array}, {"y": array * 2})))


def test_a_canary_comes_back_from_json_as_it_went() -> None:
    written = canary([0.1, -3.5])
    inputs = read_canary_inputs(written)
    np.testing.assert_array_equal(inputs["x"], np.array([0.1, -3.5], np.float32))
    assert compare_canary(written, {"y": inputs["x"] * 2}, 1e-4)["y"].passed
    assert not compare_canary(written, {"y": inputs["x"] * 2.01}, 1e-4)["y"].passed


def test_a_canary_keeps_few_values_of_a_large_output_and_its_scale() -> None:
    large = np.zeros(100_000, np.float32)
    large[1] = 1000.0
    written = write_canary({}, {"y": large})
    assert len(written["outputs"]["y"]["values"]) <= 256  # type: ignore[index]
    large[0] = 0.05
    assert compare_canary(written, {"y": large}, 1e-4)["y"].passed
    large[0] = 0.2
    assert not compare_canary(written, {"y": large}, 1e-4)["y"].passed


@pytest.mark.parametrize(
    "damaged",
    [
        {},
        {"inputs": 3, "outputs": 3},
        {"inputs": {"x": {"dataType": "nope", "shape": [1], "values": [1]}}},
        {"inputs": {"x": {"dataType": "float32", "shape": [9], "values": [1]}}},
        {"inputs": {"x": {"dataType": "float32", "shape": [1], "values": ["w"]}}},
    ],
)
def test_a_damaged_canary_is_a_manifest_error(damaged: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match="canary"):
        read_canary_inputs(damaged)
    with pytest.raises(ManifestError, match="canary"):
        compare_canary({"outputs": {"y": {"shape": [1], "values": [[]]}}, **damaged}, {"y": np.ones(1)}, 1e-4)


def test_a_mask_of_the_lowest_number_is_one_of_minus_infinity() -> None:
    lowest = np.finfo(np.float32).min
    left, right = np.array([1, lowest, 2], np.float32), np.array([1, -np.inf, 2], np.float32)
    for first, second in ((left, right), (right, left)):
        assert compare(first, second, 1e-6).passed
    assert not compare(left, -right, 1e-6).passed
    assert not compare(left, np.array([1, lowest / 2, 2], np.float32), 1e-6).passed


def test_indices_of_points_stay_within_every_axis() -> None:
    rows = symbol("rows")
    builder = GraphBuilder("points", dims=[DynamicDim("rows")])
    x, at = builder.input("x", F32, (rows, 3, 5)), builder.input("at", I64, (40, 2))
    plan = InputPlan.of(builder.build({"y": builder.op("gatherND", x, at)}))
    for size, most in ((1, 1), (9, 3)):
        assert set(np.unique(plan.draw(Point({"rows": size}), 0)["at"])) == set(range(most))


def test_sizes_that_the_source_itself_refuses_are_named_with_the_flags(build, tmp_path, capfd) -> None:
    model = build(
        [helper.make_node("Reshape", ["x", "s"], ["y"])], {"x": (np.float32, ["n"])}, constants={"s": [3, -1]}
    )
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, None))
    onnx.save(model, tmp_path / "model.onnx")
    source = OnnxReference(tmp_path / "model.onnx")
    assert source.run({"x": np.ones(6, np.float32)}, ["y"], {"n": 6})["y"].shape == (3, 2)
    with pytest.raises(SourceFailed, match=r"does not run at n = 4: .*--dim NAME=VALUE fixes a size"):
        source.run({"x": np.ones(4, np.float32)}, ["y"], {"n": 4})
    # ONNX Runtime has nothing to add on its own.
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("rank", "dtype"), [(2, np.bool_), (4, np.float32)])
def test_a_mask_that_torch_writes_once_is_that_of_every_query(rank, dtype, build, tmp_path) -> None:
    # Of LayoutLM and others whose mask hides padding alone.
    node = helper.make_node("Attention", ["q", "k", "v", "mask"], ["y"])
    data = (np.float32, ["batch", 2, "length", 4])
    sizes = ["batch", 1, 1, "length"] if rank == 4 else [1, "length"]
    model = build([node], {**dict.fromkeys("qkv", data), "mask": (dtype, sizes)}, opset=23)
    onnx.save(model, tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    feed = {name: rng.normal(size=(3, 2, 5, 4)).astype(np.float32) for name in "qkv"}
    mask = rng.normal(size=(3, 1, 1, 5) if rank == 4 else (1, 5)).astype(np.float32)
    feed["mask"] = mask if dtype == np.float32 else mask > 0
    wanted = onnx.reference.ReferenceEvaluator(model).run(["y"], feed)[0]
    found = OnnxReference(tmp_path / "model.onnx").run(feed, ["y"], {})["y"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    carried = feed | {"mask": feed["mask"].astype(np.uint8 if dtype == np.bool_ else dtype)}
    graph = translate(model).graph
    np.testing.assert_allclose(get_backend("numpy").compile(graph).run(carried)["y"], wanted, atol=1e-6)


def test_angles_that_torch_writes_once_are_those_of_every_row(build, tmp_path) -> None:
    node = helper.make_node("RotaryEmbedding", ["x", "cos", "sin"], ["y"])
    once = (np.float32, [1, "length", 2])
    inputs = {"x": (np.float32, ["batch", 2, "length", 4]), "cos": once, "sin": once}
    model = build([node], inputs, opset=23)
    onnx.save(model, tmp_path / "model.onnx")
    rng = np.random.default_rng(0)
    shapes = {"x": (3, 2, 5, 4), "cos": (1, 5, 2), "sin": (1, 5, 2)}
    feed = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    wanted = onnx.reference.ReferenceEvaluator(model).run(["y"], feed)[0]
    found = OnnxReference(tmp_path / "model.onnx").run(feed, ["y"], {})["y"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    translation = translate(model)
    np.testing.assert_allclose(get_backend("numpy").compile(translation.graph).run(feed)["y"], wanted, atol=1e-6)
