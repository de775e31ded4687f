"""Checking from one rounding to the next: what is a tie, and what is not."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_translator.bundling import convert_model
from webnn_translator.translate import translate
from webnn_translator.verify import HALF_TOLERANCE, check_bundle, check_graph
from webnn_translator.verify.check import usual_tolerance
from webnn_translator.verify.compare import compare_chosen, compare_rounded
from webnn_translator.verify.cuts import cut_graph, find_choices, find_cuts, roundings
from webnn_translator.verify.reference import Ranking

F32, F16 = DataType.FLOAT32, DataType.FLOAT16


def steps(at: float):
    """Ten times `at` rounded, whatever x is."""
    builder = GraphBuilder("steps")
    x = builder.input("x", F32, (2, 3))
    where = builder.op("add", builder.op("mul", x, builder.constant(0.0, F32)), builder.constant(at, F32))
    rounded = builder.op("roundEven", where)
    return builder.build({"y": builder.op("mul", rounded, builder.constant(10.0, F32))}), rounded.name


@pytest.mark.parametrize(
    ("at", "step", "scale", "passes"),
    [
        (2.5, 2, 10, True),
        (2.5, 3, 10, True),
        (2.5002, 2, 10, True),
        (2.5, 4, 10, False),
        (2.5, 1, 10, False),
        (2.49, 3, 10, False),
        # What follows the rounding is judged as ever.
        (2.5, 3, 10.01, False),
    ],
)
def test_a_step_may_differ_only_on_a_tie(at, step, scale, passes) -> None:
    graph, name = steps(at)
    cuts = find_cuts(graph, [name])
    assert cuts is not None

    def reference(inputs):
        rounded = np.full_like(inputs["x"], step)
        return {name: rounded, "y": rounded * np.float32(scale)}

    checked = check_graph(graph, reference, reference_name="by hand", backends=["numpy"], cuts=cuts)
    assert checked.certificate.passed is passes
    record = checked.certificate.record()["betweenRoundings"]
    assert record["values"] == 6
    assert record["ties"] == (0 if step == round(at) else 6)
    if not passes:
        assert "of the largest value is allowed" in checked.certificate.complaint()


def test_a_rounding_whose_result_has_no_name_in_the_model_cannot_be_cut() -> None:
    graph, name = steps(2.5)
    assert find_cuts(graph, ["something"]) is None
    # Two names of the model for one of ours: neither is certain.
    assert find_cuts(graph, [name, f"/{name}"]) is None


def test_a_rounding_behind_windows_is_cut_for_the_sizes_that_have_any() -> None:
    """Recordings of which the second of two convolutions makes nothing: no run has them, and no input may be empty."""
    samples = symbol("samples")
    builder = GraphBuilder("windows", dims=[DynamicDim("samples")])
    x = builder.input("x", F32, (1, 1, 1, samples))
    for _ in range(2):
        x = builder.op("conv2d", x, builder.constant(np.ones((1, 1, 1, 3), np.float32)), strides=[1, 2])
    graph = builder.build({"y": builder.op("roundEven", x)})
    (cut,) = find_cuts(graph, [graph.nodes[-1].name]) or []
    assert cut_graph(graph, [cut]).dims["samples"].min_size == 7


def test_steps_of_other_shapes_and_numbers_that_are_none_are_no_ties() -> None:
    one, two = np.ones((2,), np.uint8), np.full((2,), 2, np.uint8)
    assert not compare_rounded(one, two[:1], two[:1], 1e-4)[0].passed
    assert not compare_rounded(one, two, np.full((2,), np.nan), 1e-4)[0].passed
    assert compare_rounded(one, two, np.full((2,), 1.5), 1e-4)[0].passed


ROWS = {"x": (np.float32, ["n", 4])}
WEIGHTS = {
    "w": np.random.default_rng(5).integers(0, 255, (4, 4)).astype(np.uint8),
    "wz": np.uint8(120),
    "s": np.float32(0.02),
    "z": np.uint8(100),
    "s2": np.float32(0.03),
    "minus": np.int8(0),
    "one": np.array([1]),
    "filters": np.random.default_rng(6).integers(0, 255, (5, 4, 1)).astype(np.uint8),
}
MICROSOFT = {"domain": "com.microsoft"}
MODELS = {
    "dynamic": [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["/q_out", "qs", "qz"]),
        helper.make_node("MatMulInteger", ["/q_out", "w", "qz", "wz"], ["m"]),
        helper.make_node("Cast", ["m"], ["c"], to=1),
        helper.make_node("Mul", ["c", "qs"], ["y"]),
    ],
    "static": [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QLinearMatMul", ["q", "s", "z", "w", "s", "wz", "s", "z"], ["m"]),
        helper.make_node("DequantizeLinear", ["m", "s", "z"], ["y"]),
    ],
    "signed, without a zero point": [
        helper.make_node("QuantizeLinear", ["x", "s", "minus"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "minus"], ["d"]),
        helper.make_node("Round", ["d"], ["y"]),
    ],
    # Two parts are brought to the scale of the third, and to that of the whole.
    "joined": [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("QuantizeLinear", ["x", "s2", "z"], ["q2"]),
        helper.make_node(
            "QLinearConcat", ["s2", "z", "q", "s", "z", "q2", "s2", "z", "w", "s", "wz"], ["j"], axis=0, **MICROSOFT
        ),
        helper.make_node("DequantizeLinear", ["j", "s2", "z"], ["y"]),
    ],
    "channels last": [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Unsqueeze", ["q", "one"], ["r"]),
        helper.make_node(
            "QLinearConv", ["r", "s", "z", "filters", "s", "wz", "s2", "z"], ["m"], channels_last=1, **MICROSOFT
        ),
        helper.make_node("DequantizeLinear", ["m", "s2", "z"], ["y"]),
    ],
}


@pytest.mark.parametrize("name", MODELS)
def test_a_graph_that_is_fed_its_own_steps_gives_its_own_results(build, name) -> None:
    model = build(MODELS[name], ROWS, constants=WEIGHTS, domains=[("com.microsoft", 1)])
    graph = translate(model).graph
    cuts = find_cuts(graph, [made for node in model.graph.node for made in node.output])
    assert cuts is not None
    assert {node.name for cut in cuts for node in cut.chain} >= {node.name for node in roundings(graph)}
    x = {"x": np.random.default_rng(8).normal(size=(5, 4)).astype(np.float32)}
    numpy = get_backend("numpy")
    watched = type(graph).create(
        graph.name,
        dims=graph.dims,
        inputs=graph.inputs,
        constants=graph.constants,
        nodes=graph.nodes,
        outputs={**graph.outputs, **{cut.value: cut.value for cut in cuts}},
    )
    whole = numpy.compile(watched).run(x)
    found = numpy.compile(cut_graph(graph, cuts)).run({**x, **{cut.fed: whole[cut.value] for cut in cuts}})
    for key, array in whole.items():
        np.testing.assert_array_equal(found[key], array)
    for cut in cuts:
        assert found[cut.unrounded].dtype == np.float32
        assert np.abs(found[cut.unrounded] - whole[cut.value]).max() <= 0.5


def test_float16_has_a_tolerance_of_its_own_where_it_is_computed_in() -> None:
    def graph(op: str):
        builder = GraphBuilder()
        x = builder.input("x", F16, (4, 3))
        if op == "stored":
            x = builder.op("cast", builder.op("reshape", x, newShape=[3, 4]), type="float32")
        return builder.build({"y": builder.op("relu", x)})

    assert usual_tolerance(graph("computed")) == HALF_TOLERANCE
    assert usual_tolerance(graph("stored")) == 1e-4

    def reference(inputs):
        return {"y": np.maximum(inputs["x"], 0) * np.float16(1.005)}

    record = check_graph(graph("computed"), reference, reference_name="r", backends=["numpy"]).certificate.record()
    assert (record["verdict"], record["tolerance"], record["computesIn"]) == ("passed", HALF_TOLERANCE, "float16")
    assert record["toleranceLoosened"] is False
    tight = check_graph(graph("computed"), reference, reference_name="r", backends=["numpy"], tolerance=1e-3)
    assert not tight.certificate.passed


SCORES = np.array([[0.5, 1.0, 1.0 + 1e-6, -np.inf, -np.inf]], np.float32)


@pytest.mark.parametrize(
    ("expected", "actual", "passes", "ties"),
    [
        ([2, 1], [2, 1], True, 0),
        ([1, 2], [2, 1], True, 2),
        ([1, 0], [2, 1], False, 2),
        # The places that are left over are equal, and no number tells them apart.
        ([2, 1, 0, 4], [2, 1, 0, 3], True, 1),
        # Nothing is chosen twice, not even what has the same score.
        ([2, 2], [2, 1], False, 0),
        ([2, 1], [2, 2], False, 0),
        ([2, 5], [2, 1], False, 0),
        ([2, 1], [2, 5], False, 0),
        ([2], [2, 1], False, 0),
    ],
)
def test_a_choice_may_differ_only_between_equal_scores(expected, actual, passes, ties) -> None:
    difference, found = compare_chosen(np.array([expected]), np.array([actual]), SCORES, 1, 1e-4)
    assert (difference.passed, found.ties) == (passes, ties)


def test_a_choice_without_an_order_is_compared_as_a_set() -> None:
    expected, actual = np.array([[0, 2, 1]]), np.array([[2, 1, 0]])
    assert not compare_chosen(expected, actual, SCORES, 1, 1e-4)[0].passed
    difference, found = compare_chosen(expected, actual, SCORES, 1, 1e-4, is_sorted=False)
    assert (difference.passed, found.ties) == (True, 0)


def proposals(build, scores, axis=1):
    """The two best of five rows, as detectors of two stages choose what to look at: twice those rows."""
    nodes = [
        helper.make_node("Mul", ["x", "none"], ["nothing"]),
        helper.make_node("ReduceSum", ["nothing", "last"], ["flat"], keepdims=0),
        helper.make_node("Add", ["flat", "scores"], ["/head/Add_output_0"]),
        helper.make_node("TopK", ["/head/Add_output_0", "two"], ["best", "/TopK_output_1"], axis=axis),
        helper.make_node("Unsqueeze", ["/TopK_output_1", "last"], ["column"]),
        helper.make_node("Expand", ["column", "shape"], ["places"]),
        helper.make_node("GatherElements", ["x", "places"], ["rows"], axis=1),
        helper.make_node("Add", ["rows", "rows"], ["y"]),
    ]
    constants = {"none": np.float32(0), "last": np.array([2]), "two": np.array([2]), "shape": np.array([1, 1, 3])}
    return build(
        nodes, {"x": (np.float32, ["n", 5, 3])}, constants={**constants, "scores": np.array(scores, np.float32)}
    )


@pytest.mark.parametrize(("other", "passes"), [(1 + 1e-6, True), (1.1, False)])
def test_a_detector_is_checked_from_its_choice_on(build, tmp_path, other, passes) -> None:
    """The source has the first two the other way round: by the last digit of their scores, or by more."""
    onnx.save(proposals(build, [1 + 5e-7, 1, 0.5, 0.2, 0.1]), tmp_path / "model.onnx")
    onnx.save(proposals(build, [1, other, 0.5, 0.2, 0.1]), tmp_path / "source.onnx")
    done = convert_model(str(tmp_path / "model.onnx"), tmp_path / "bundle")
    assert done.certificate is not None
    assert done.certificate.between is None
    told: list[str] = []
    certificate = check_bundle(tmp_path / "bundle", tmp_path / "source.onnx", note=told.append).certificate
    assert told == ["outputs differ; checking from each choice of the best to the next"]
    assert certificate.passed is passes
    if passes:
        record = certificate.record()["betweenChoices"]
        assert record["choices"] == 1
        assert record["ties"] == record["places"] > 0
        assert not any(line["passed"] for backends in record["whole"].values() for line in backends.values())
        assert "1 choice by scores, fed with the reference's places" in str(certificate.between)


def test_only_choices_by_computed_scores_are_cut(build) -> None:
    model = proposals(build, [5, 4, 3, 2, 1], axis=-1)
    graph = translate(model).graph
    names = [name for node in model.graph.node for name in node.output]
    (found,) = find_choices(graph, names, [Ranking("/head/Add_output_0", "/TopK_output_1", -1, True)])
    assert (found.scores, found.value, found.axis) == ("head_Add", "TopK_output_1", 1)
    assert find_choices(graph, names, [Ranking("x", "/TopK_output_1", -1, True)]) == []
    assert find_choices(graph, [*names, "head.Add"], [Ranking("/head/Add_output_0", "/TopK_output_1", -1, True)]) == []
