"""Sequences and optionals whose structure is known at translation."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_translator._errors import DynamicShape, TranslateError, UnsupportedOp
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32
X = np.arange(-6, 6, dtype=F).reshape(4, 3)
INPUT = {"x": (F, (4, 3))}
AT = {f"p{index}".replace("-", "m"): np.asarray(index) for index in (-3, -1, 0, 1, 2, 3)}


@pytest.mark.parametrize("position", ["p0", "p1", "pm1", "p2", ""])
def test_members_are_inserted_taken_and_erased(position, build, agree) -> None:
    nodes = [
        N("Neg", ["x"], ["a"]),
        N("Exp", ["x"], ["b"]),
        N("SequenceConstruct", ["x", "a"], ["two"]),
        N("SequenceInsert", ["two", "b", position], ["three"]),
        N("SequenceLength", ["three"], ["count"]),
        N("SequenceErase", ["three", "p1"], ["left"]),
        N("SequenceAt", ["left", "pm1"], ["last"]),
        N("ConcatFromSequence", ["left"], ["all"], axis=1),
    ]
    agree(build(nodes, INPUT, ["count", "last", "all"], constants=AT), {"x": X})


def test_an_empty_sequence_grows_in_a_loop(build, agree) -> None:
    body = helper.make_graph(
        [
            N("Identity", ["going"], ["again"]),
            N("Gather", ["x", "i"], ["row"]),
            N("SequenceInsert", ["whole", "row", "p0"], ["longer"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("whole", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_sequence_value_info("longer", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        N("SequenceEmpty", [], ["none"]),
        N("Loop", ["p3", "", "none"], ["rows"], body=body),
        N("ConcatFromSequence", ["rows"], ["y"], axis=0, new_axis=1),
    ]
    agree(build(nodes, INPUT, constants=AT), {"x": X})


@pytest.mark.parametrize(
    ("sizes", "keeps", "axis"),
    [(None, 1, 0), (None, 0, 0), (None, 0, -1), (3, 1, 0), ([1, 3], 1, 0), ([1, 2], 0, 1)],
)
def test_a_tensor_is_split_into_a_sequence(sizes, keeps, axis, build, agree) -> None:
    nodes = [
        N("SplitToSequence", ["x", "sizes" if sizes else ""], ["parts"], axis=axis, keepdims=keeps),
        N("SequenceAt", ["parts", "p0"], ["first"]),
        N("SequenceAt", ["parts", "pm1"], ["last"]),
        N("SequenceLength", ["parts"], ["count"]),
    ]
    constants = AT | ({"sizes": np.asarray(sizes)} if sizes else {})
    agree(build(nodes, INPUT, ["first", "last", "count"], constants=constants), {"x": X})


def test_a_split_of_a_named_dimension_asks_for_it(build, agree) -> None:
    nodes = [N("SplitToSequence", ["x"], ["parts"]), N("ConcatFromSequence", ["parts"], ["y"], axis=1)]
    model = build(nodes, {"x": (F, ("rows", 3))})
    with pytest.raises(DynamicShape, match="--dim rows=VALUE"):
        translate(model)
    agree(model, {"x": X}, dims={"rows": 4})


def test_a_function_is_mapped_over_members(build, agree) -> None:
    body = helper.make_graph(
        [N("Add", ["member", "extra"], ["sum"])],
        "body",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("member", "extra")],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, None)],
    )
    nodes = [
        N("Neg", ["x"], ["a"]),
        N("SequenceConstruct", ["x", "a"], ["two"]),
        N("SequenceMap", ["two", "k"], ["mapped"], body=body),
        N("ConcatFromSequence", ["mapped"], ["y"], axis=0),
    ]
    agree(build(nodes, INPUT | {"k": (F, (3,))}), {"x": X, "k": np.asarray([1, 2, 3], F)})


@pytest.mark.parametrize("condition", [True, False])
def test_branches_may_give_sequences(condition, build, agree) -> None:
    def branch(names):
        kind = helper.make_tensor_sequence_value_info(f"of_{'_'.join(names)}", TensorProto.FLOAT, None)
        return helper.make_graph([N("SequenceConstruct", names, [kind.name])], "branch", [], [kind])

    nodes = [
        N("Neg", ["x"], ["a"]),
        N("If", ["c"], ["two"], then_branch=branch(["x", "a"]), else_branch=branch(["a", "x"])),
        N("ConcatFromSequence", ["two"], ["y"], axis=0),
    ]
    agree(build(nodes, INPUT | {"c": (np.bool_, ())}), {"x": X, "c": np.asarray(condition)})


def test_an_optional_is_what_it_holds(build, agree) -> None:
    nodes = [
        N("Optional", ["x"], ["some"]),
        N("OptionalHasElement", ["some"], ["has"]),
        N("OptionalGetElement", ["some"], ["held"]),
        N("Neg", ["held"], ["y"]),
    ]
    agree(build(nodes, INPUT, ["has", "y"], opset=18), {"x": X})


def test_an_empty_optional_holds_nothing(build) -> None:
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    nodes = [N("Optional", [], ["none"], type=kind), N("OptionalHasElement", ["none"], ["y"])]
    found = translate(build(nodes, INPUT, opset=18)).graph
    assert [array.array.item() for array in found.constants.values()] == [0]
    nodes[1] = N("OptionalGetElement", ["none"], ["y"])
    with pytest.raises(UnsupportedOp, match="the optional it reads is empty"):
        translate(build(nodes, INPUT, opset=18))


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([N("SequenceAt", ["two", "p2"], ["y"])], "position 2 is out of range for 2 members"),
        ([N("SequenceAt", ["two", "pm3"], ["y"])], "position -3 is out of range for 2 members"),
        ([N("SequenceInsert", ["two", "x", "p3"], ["s"]), N("SequenceLength", ["s"], ["y"])], "position 3 is out"),
        ([N("SequenceAt", ["two", "at"], ["y"])], "the position in the sequence is computed from data at run time"),
        ([N("Neg", ["two"], ["y"])], "input 0 is a sequence of 2 float tensors, not a tensor"),
        ([N("SequenceLength", ["x"], ["y"])], "not a sequence; the model is not valid"),
        ([N("SequenceConstruct", ["x", "p0"], ["s"]), N("SequenceLength", ["s"], ["y"])], "members of another type"),
    ],
)
def test_what_is_not_known_or_not_valid_is_refused(nodes, reason, build) -> None:
    nodes = [N("SequenceConstruct", ["x", "x"], ["two"]), *nodes]
    with pytest.raises(UnsupportedOp, match=reason):
        translate(build(nodes, INPUT | {"at": (np.int64, ())}, constants=AT))


def test_a_graph_takes_and_gives_tensors_only(build) -> None:
    model = build([N("SequenceConstruct", ["x"], ["y"])], INPUT)
    with pytest.raises(TranslateError, match=r"output 'y': .*a sequence of 1 float tensors, not a tensor"):
        translate(model)
    model = build([N("SequenceLength", ["s"], ["y"])], {"x": (F, (2,))})
    model.graph.input.append(helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None))
    with pytest.raises(UnsupportedOp, match="it is of the type sequence; WebNN has tensors only"):
        translate(model)
