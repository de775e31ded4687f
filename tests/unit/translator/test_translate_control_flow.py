"""Loops written out, scans slice by slice, functions of the model in their own versions."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_translator import control
from webnn_translator._errors import DynamicShape, InvalidModel, UnsupportedOp
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32
I64 = np.int64
X = np.asarray([[-1, 2, 3], [4, -5, 6]], F)
INPUT = {"x": (F, (2, 3))}
YES = np.asarray(True)


def value(name, kind=TensorProto.FLOAT, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def body(nodes, inputs, outputs, constants=()):
    return helper.make_graph(nodes, "body", inputs, outputs, list(constants))


def loop_body(nodes, outputs, carried=("c",), constants=()):
    """Inputs `i`, `going` and what is carried; the first output is the condition."""
    inputs = [value("i", TensorProto.INT64, []), value("going", TensorProto.BOOL, []), *map(value, carried)]
    kinds = [value(outputs[0], TensorProto.BOOL, []), *map(value, outputs[1:])]
    return body(nodes, inputs, kinds, constants)


def ops(translation):
    return [node.op for node in translation.graph.nodes]


DOUBLE = loop_body([N("Identity", ["going"], ["again"]), N("Add", ["c", "c"], ["next"])], ["again", "next"])


@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_a_loop_with_a_known_trip_count_is_written_out(rounds, build, agree) -> None:
    nodes = [N("Loop", ["n", "yes", "x"], ["y"], body=DOUBLE)]
    model = build(nodes, INPUT, constants={"n": np.asarray(rounds), "yes": YES})
    # An output cannot be an input of the graph itself.
    assert ops(agree(model, {"x": X})) == (["add"] * rounds or ["identity"])


@pytest.mark.parametrize("trips", ["n", ""])
def test_a_loop_ends_by_its_own_counter(trips, build, agree) -> None:
    model = build(
        [N("Loop", [trips, "yes", "x"], ["y"], body=counted())], INPUT, constants={"n": np.asarray(90), "yes": YES}
    )
    assert ops(agree(model, {"x": X})) == ["add"] * 4


def test_a_condition_that_the_standard_ignores_and_runtimes_do_not_is_refused(build) -> None:
    model = build([N("Loop", ["n", "", "x"], ["y"], body=counted())], INPUT, constants={"n": np.asarray(90)})
    with pytest.raises(UnsupportedOp, match="it is given none to begin with; what that means is disputed"):
        translate(model)


def counted():
    """Doubles four times."""
    nodes = [N("Less", ["i", "three"], ["again"]), N("Add", ["c", "c"], ["next"])]
    three = helper.make_tensor("three", TensorProto.INT64, [], [3])
    return loop_body(nodes, ["again", "next"], constants=[three])


def test_a_loop_without_an_end_is_refused(build, monkeypatch) -> None:
    monkeypatch.setattr(control, "MAX_UNROLLED", 100)
    model = build([N("Loop", ["", "yes", "x"], ["y"], body=DOUBLE)], INPUT, constants={"yes": YES})
    with pytest.raises(UnsupportedOp, match=r"written out round by round, the model's loops have more than 100 nodes"):
        translate(model)


def test_rows_are_collected_and_captures_come_from_outside(build, agree) -> None:
    nodes = [
        N("Identity", ["going"], ["again"]),
        N("Gather", ["x", "i"], ["row"], axis=1),
        N("Add", ["c", "row"], ["next"]),
        N("Mul", ["next", "factor"], ["kept"]),
    ]
    part = loop_body(nodes, ["again", "next", "kept"])
    model = build(
        [N("Relu", ["k"], ["factor"]), N("Loop", ["n", "yes", "start"], ["last", "rows"], body=part)],
        INPUT | {"k": (F, ())},
        ["last", "rows"],
        constants={"n": np.asarray(3), "yes": YES, "start": np.zeros(2, F)},
    )
    agree(model, {"x": X, "k": np.asarray(2, F)})


def test_a_carried_shape_may_grow(build, agree) -> None:
    nodes = [N("Identity", ["going"], ["again"]), N("Concat", ["c", "x"], ["next"], axis=0)]
    part = loop_body(nodes, ["again", "next"])
    model = build(
        [N("Loop", ["n", "", "x"], ["y"], body=part)], {"x": (F, ("rows", 3))}, constants={"n": np.asarray(2)}
    )
    agree(model, {"x": X})


def test_a_trip_count_of_the_shape_is_known_or_asks_for_the_dimension(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["shape"]),
        N("Gather", ["shape", "place"], ["n"]),
        N("Loop", ["n", "", "x"], ["y"], body=DOUBLE),
    ]
    known = build(nodes, {"x": (F, ("rows", 3))}, constants={"place": np.asarray(1)})
    assert ops(agree(known, {"x": X})) == ["add"] * 3
    named = build(nodes, {"x": (F, ("rows", 3))}, constants={"place": np.asarray(0)})
    with pytest.raises(DynamicShape, match="--dim rows=VALUE"):
        translate(named)
    assert ops(translate(named, dims={"rows": 2})) == ["add"] * 2


def test_a_trip_count_of_the_run_is_refused(build) -> None:
    model = build([N("Loop", ["n", "", "x"], ["y"], body=DOUBLE)], INPUT | {"n": (I64, ())})
    with pytest.raises(UnsupportedOp, match="the number of its rounds is computed from data at run time"):
        translate(model)


def until_large(outputs):
    """Doubles until the sum passes a limit that is an input."""
    nodes = [
        N("Add", ["c", "c"], ["next"]),
        N("ReduceSum", ["next"], ["sum"], keepdims=0),
        N("Less", ["sum", "limit"], ["again"]),
    ]
    return loop_body(nodes, outputs)


def test_a_condition_of_the_run_keeps_what_is_carried(build, agree) -> None:
    model = build(
        [N("Loop", ["n", "start", "x"], ["y"], body=until_large(["again", "next"]))],
        INPUT | {"limit": (F, ()), "start": (np.bool_, ())},
        constants={"n": np.asarray(6)},
    )
    limits = [(20, True), (20, False), (1e9, True), (-100, True)]
    agree(model, *({"x": X, "limit": np.asarray(limit, F), "start": np.asarray(start)} for limit, start in limits))


@pytest.mark.parametrize(
    ("given", "outputs", "reason"),
    [
        ("", ["again", "next"], "nothing else bounds them"),
        ("n", ["again", "next", "sum"], "it collects a row in each"),
    ],
)
def test_a_condition_of_the_run_that_decides_a_shape_is_refused(given, outputs, reason, build) -> None:
    names = ["y", "rows"][: len(outputs) - 1]
    model = build(
        [N("Loop", [given, "start", "x"], names, body=until_large(outputs))],
        INPUT | {"limit": (F, ()), "start": (np.bool_, ())},
        names,
        constants={"n": np.asarray(6)},
    )
    with pytest.raises(UnsupportedOp, match=f"a condition computed at run time ends its rounds, and {reason}"):
        translate(model)


def test_a_loop_that_a_free_size_ends_asks_for_the_size(build, agree) -> None:
    """As TensorFlow writes its while loops: without a number of rounds, the condition counts."""
    nodes = [
        N("Add", ["c", "c"], ["next"]),
        N("Add", ["i", "one"], ["done"]),
        N("Shape", ["x"], ["s"]),
        N("Squeeze", ["s"], ["size"]),
        N("Less", ["done", "size"], ["again"]),
    ]
    loop = N("Loop", ["", "start", "x"], ["y", "rows"], body=loop_body(nodes, ["again", "next", "next"]))
    constants = {"start": np.asarray(True), "one": np.asarray(1)}
    model = build([loop], {"x": (F, ("n",))}, ["y", "rows"], constants=constants)
    with pytest.raises(DynamicShape, match="sizes decide how many rounds it takes, and it collects a row") as refusal:
        translate(model)
    assert list(refusal.value.missing) == ["n"]
    agree(model, {"x": np.arange(5, dtype=F)}, dims={"n": 5})


def test_loops_in_loops_and_branches_in_loops(build, agree) -> None:
    inner = body(
        [N("Identity", ["go"], ["on"]), N("Add", ["d", "outer"], ["e"])],
        [value("j", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("d")],
        [value("on", TensorProto.BOOL, []), value("e")],
    )
    choice = {
        "then_branch": body([N("Neg", ["grown"], ["t"])], [], [value("t")]),
        "else_branch": body([N("Loop", ["n", "", "grown"], ["u"], body=inner)], [], [value("u")]),
    }
    nodes = [
        N("Identity", ["going"], ["again"]),
        N("Identity", ["c"], ["outer"]),
        N("Mul", ["c", "x"], ["grown"]),
        N("Equal", ["i", "one"], ["second"]),
        N("If", ["second"], ["next"], **choice),
    ]
    model = build(
        [N("Loop", ["n", "", "x"], ["y"], body=loop_body(nodes, ["again", "next"]))],
        INPUT,
        constants={"n": np.asarray(3), "one": np.asarray(1)},
    )
    agree(model, {"x": X})


def test_weights_of_a_body_are_held_once(build) -> None:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [12, 12], np.eye(12).ravel())
    nodes = [
        N("Constant", [], ["k"], value=helper.make_tensor("k", TensorProto.FLOAT, [12, 12], np.ones(144))),
        N("MatMul", ["c", "w"], ["a"]),
        N("MatMul", ["a", "k"], ["next"]),
        N("Identity", ["going"], ["again"]),
    ]
    part = loop_body(nodes, ["again", "next"], constants=[weight])
    model = build([N("Loop", ["n", "", "x"], ["y"], body=part)], {"x": (F, (2, 12))}, constants={"n": np.asarray(9)})
    assert len(translate(model).graph.constants) == 2


def test_names_inside_of_a_body_never_meet_those_outside(build, agree) -> None:
    # The branch's own "t" gets the name of the If as a prefix, and the model has a value of that very name.
    parts = {
        "then_branch": body([N("Neg", ["x"], ["t"])], [], [value("t")]),
        "else_branch": body([N("Abs", ["x"], ["t"])], [], [value("t")]),
    }
    nodes = [N("Exp", ["x"], ["y/t"]), N("If", ["yes"], ["y"], **parts), N("Sub", ["y", "y/t"], ["z"])]
    agree(build(nodes, INPUT, ["z"], constants={"yes": YES}), {"x": X})


ACCUMULATE = body(
    [N("Add", ["sum", "part"], ["new"]), N("Mul", ["new", "part"], ["row"])],
    [value("sum"), value("part")],
    [value("new"), value("row")],
)


@pytest.mark.parametrize("directions", [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("axes", [(0, 0), (1, 1), (-1, -1)])
def test_a_scan_takes_every_axis_and_direction(directions, axes, build, agree) -> None:
    attributes = {
        "scan_input_axes": axes[:1],
        "scan_output_axes": axes[1:],
        "scan_input_directions": directions[:1],
        "scan_output_directions": directions[1:],
    }
    nodes = [N("Scan", ["start", "x"], ["last", "rows"], body=ACCUMULATE, num_scan_inputs=1, **attributes)]
    model = build(nodes, INPUT, ["last", "rows"], constants={"start": np.zeros(X.shape[axes[0] - 1], F)})
    agree(model, {"x": X})


def test_a_scan_over_a_named_dimension_asks_for_it(build, agree) -> None:
    nodes = [N("Scan", ["start", "x"], ["last", "rows"], body=ACCUMULATE, num_scan_inputs=1)]
    model = build(nodes, {"x": (F, ("time", 3))}, ["last", "rows"], constants={"start": np.zeros(3, F)})
    with pytest.raises(DynamicShape, match="--dim time=VALUE"):
        translate(model)
    agree(model, {"x": X}, dims={"time": 2})


def test_a_scan_of_version_8_has_a_batch(build, agree) -> None:
    nodes = [N("Scan", ["", "start", "x"], ["last", "rows"], body=ACCUMULATE, num_scan_inputs=1)]
    model = build(nodes, {"start": (F, (2, 3)), "x": (F, (2, 4, 3))}, ["last", "rows"], opset=8)
    rng = np.random.default_rng(0)
    agree(model, {"start": rng.standard_normal((2, 3)).astype(F), "x": rng.standard_normal((2, 4, 3)).astype(F)})


def function(name, nodes, inputs, outputs, opset=17, **options):
    return helper.make_function("local", name, inputs, outputs, nodes, [helper.make_opsetid("", opset)], **options)


def test_a_function_keeps_its_own_version(build, agree) -> None:
    # Softmax of version 11 takes everything from the axis on as one row.
    old = function("Old", [N("Softmax", ["a"], ["b"], axis=1)], ["a"], ["b"], opset=11)
    model = build(
        [N("Old", ["x"], ["y"], domain="local"), N("Softmax", ["x"], ["z"], axis=1)],
        {"x": (F, (2, 2, 3))},
        ["y", "z"],
        domains=[("local", 1)],
        functions=[old],
    )
    translation = translate(model)
    x = np.arange(12, dtype=F).reshape(2, 2, 3) / 3
    found = get_backend("numpy").compile(translation.graph).run({"x": x})
    whole = np.exp(x) / np.exp(x).sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found["y"], whole, rtol=1e-6)
    np.testing.assert_allclose(found["z"], np.exp(x) / np.exp(x).sum(axis=1, keepdims=True), rtol=1e-6)


def reference(node, name, attribute):
    made = node.attribute.add()
    made.name, made.ref_attr_name, made.type = name, attribute, 1
    return node


def test_functions_call_functions_and_hand_attributes_on(build, agree) -> None:
    leaky = function("Leaky", [reference(N("LeakyRelu", ["a"], ["b"]), "alpha", "slope")], ["a"], ["b"])
    leaky.attribute_proto.append(helper.make_attribute("slope", 0.5))
    outer = function(
        "Outer",
        [
            reference(N("Leaky", ["a"], ["b"], domain="local"), "slope", "steep"),
            N("Leaky", ["a"], ["c"], domain="local"),
            N("Sub", ["b", "c"], ["d"]),
        ],
        ["a"],
        ["d", "a"],
        attributes=["steep"],
    )
    nodes = [N("Outer", ["x"], ["y", "same"], domain="local", steep=0.25), N("Leaky", ["same"], ["z"], domain="local")]
    model = build(nodes, INPUT, ["y", "z"], domains=[("local", 1)], functions=[leaky, outer])
    found = get_backend("numpy").compile(translate(model).graph).run({"x": X})
    np.testing.assert_allclose(found["y"], np.where(X < 0, 0.25 * X - 0.5 * X, 0), rtol=1e-6)
    np.testing.assert_allclose(found["z"], np.where(X < 0, 0.5 * X, X), rtol=1e-6)


def test_an_attribute_reaches_into_the_branches_of_a_function(build) -> None:
    branch = body([reference(N("LeakyRelu", ["a"], ["t"]), "alpha", "slope")], [], [value("t")])
    other = body([N("Neg", ["a"], ["t"])], [], [value("t")])
    choose = function("Choose", [N("If", ["c"], ["b"], then_branch=branch, else_branch=other)], ["a", "c"], ["b"])
    choose.attribute_proto.append(helper.make_attribute("slope", 0.5))
    nodes = [N("Choose", ["x", "yes"], ["y"], domain="local", slope=0.125)]
    model = build(nodes, INPUT, domains=[("local", 1)], functions=[choose], constants={"yes": YES})
    found = get_backend("numpy").compile(translate(model).graph).run({"x": X})
    np.testing.assert_array_equal(found["y"], np.where(X < 0, 0.125 * X, X))


def test_overloads_are_functions_of_their_own(build) -> None:
    one = function("Same", [N("Neg", ["a"], ["b"])], ["a"], ["b"], overload="one")
    two = function("Same", [N("Exp", ["a"], ["b"])], ["a"], ["b"], overload="two")
    nodes = [N("Same", ["x"], ["h"], domain="local", overload="two"), N("Same", ["h"], ["y"], domain="local")]
    nodes[1].overload = "one"
    model = build(nodes, INPUT, domains=[("local", 1)], functions=[one, two])
    assert ops(translate(model)) == ["exp", "neg"]


def test_a_function_that_calls_itself_is_invalid(build) -> None:
    endless = function("Endless", [N("Endless", ["a"], ["b"], domain="local")], ["a"], ["b"])
    model = build([N("Endless", ["x"], ["y"], domain="local")], INPUT, domains=[("local", 1)], functions=[endless])
    with pytest.raises(InvalidModel, match="function 'Endless' calls itself"):
        translate(model)


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (N("Leaky", ["x", "x"], ["y"], domain="local", slope=0.5), "has 1 inputs and 1 outputs, the call 2 and 1"),
        (N("Leaky", ["x"], ["y"], domain="local", slope=0.5, other=1), "the function has no attribute 'other'"),
        (N("Leaky", ["x"], ["y"], domain="local"), "attribute slope is missing"),
    ],
)
def test_a_call_that_does_not_fit_is_refused(call, reason, build) -> None:
    nodes = [reference(N("LeakyRelu", ["a"], ["b"]), "alpha", "slope")]
    leaky = function("Leaky", nodes, ["a"], ["b"], attributes=["slope"])
    with pytest.raises(UnsupportedOp, match=reason):
        translate(build([call], INPUT, domains=[("local", 1)], functions=[leaky]))


def test_a_function_of_a_version_that_is_not_known_is_refused(build) -> None:
    newer = function("Newer", [N("Relu", ["a"], ["b"])], ["a"], ["b"], opset=999)
    model = build([N("Newer", ["x"], ["y"], domain="local")], INPUT, domains=[("local", 1)], functions=[newer])
    with pytest.raises(UnsupportedOp, match="the function uses opset 999"):
        translate(model)
