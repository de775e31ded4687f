"""Values that have to be known and are not: the refusal says which size or which input would make them known."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import DynamicShape, UnsupportedOp
from webnn_translator.explain import explain
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
SHAPE = N("Shape", ["x"], ["s"])
# Ways from the sizes [a, b] to a list of sizes that no expression of dimensions has.
WAYS = {
    "ScatterND": ([N("ScatterND", ["s", "first", "two"], ["r"])], {"first": [[0]], "two": [2]}),
    "CumSum": ([N("CumSum", ["s", "zero"], ["r"])], {"zero": 0}),
    "TopK": ([N("TopK", ["s", "two"], ["r", "places"], axis=0)], {"two": [2]}),
    "Where": ([N("Less", ["s", "four"], ["q"]), N("Where", ["q", "s", "four"], ["r"])], {"four": 4}),
    "Sqrt": ([N("Cast", ["s"], ["f"], to=1), N("Sqrt", ["f"], ["g"]), N("Cast", ["g"], ["r"], to=7)], {}),
}


@pytest.mark.parametrize("way", WAYS)
def test_sizes_that_are_not_followed_are_asked_for(way, build, agree) -> None:
    """They are no data: with values for them the model converts."""
    nodes, numbers = WAYS[way]
    constants = {name: np.asarray(value, I64) for name, value in numbers.items()} | {"one": np.ones(1, F)}
    model = build([SHAPE, *nodes, N("Expand", ["one", "r"], ["y"])], {"x": (F, ["a", "b"])}, constants=constants)
    with pytest.raises(DynamicShape, match="--dim a=VALUE --dim b=VALUE") as caught:
        translate(model)
    assert "the shape depends on dimension a, b; its value is needed" in str(caught.value)
    agree(model, {"x": np.zeros((9, 4), F)}, dims={"a": 9, "b": 4})


def test_an_input_that_is_a_setting_is_named_with_the_flag_that_binds_it(build) -> None:
    node = N("Resize", ["x", "", "", "size"], ["y"], mode="nearest")
    model = build([node], {"x": (F, [1, 2, 3, 4]), "size": (I64, [4])})
    with pytest.raises(UnsupportedOp, match=r"sizes is computed from data at run time; .*; --bind size=VALUE makes"):
        translate(model)
    assert [group.advice for group in explain(model).groups] == ["bind it: the value becomes part of the bundle"]


def test_all_settings_that_decide_together_are_named(build) -> None:
    nodes = [N("Mul", ["low", "more"], ["high"]), N("Range", ["one", "high", "one"], ["y"])]
    for kind in (I64, F):
        model = build(nodes, {name: (kind, []) for name in ("more", "low")}, constants={"one": np.asarray(1, kind)})
        with pytest.raises(UnsupportedOp, match=r"; --bind low=VALUE --bind more=VALUE makes constants of them"):
            translate(model)


@pytest.mark.parametrize(
    ("op", "first", "settings"),
    [("Range", [], ("start", "limit", "delta")), ("Slice", ["x"], ("starts", "ends", "axes", "steps"))],
)
def test_all_inputs_of_a_node_that_have_to_be_known_are_named_at_once(op, first, settings, build) -> None:
    sizes = [] if op == "Range" else [1]
    model = build([N(op, [*first, *settings], ["y"])], {"x": (F, [9])} | dict.fromkeys(settings, (I64, sizes)))
    flags = " ".join(f"--bind {one}=VALUE" for one in sorted(settings))
    *others, last = settings
    message = rf"{', '.join(others)} and {last} are computed from data at run time; .*; {flags} makes constants of them"
    with pytest.raises(UnsupportedOp, match=message):
        translate(model)


def test_rounds_that_an_input_counts_are_bound(build) -> None:
    inner = helper.make_graph(
        [N("Identity", ["c"], ["d"]), N("Add", ["v", "v"], ["w"])],
        "body",
        [
            helper.make_tensor_value_info("i", 7, []),
            helper.make_tensor_value_info("c", 9, []),
            helper.make_tensor_value_info("v", 1, [2]),
        ],
        [helper.make_tensor_value_info("d", 9, []), helper.make_tensor_value_info("w", 1, [2])],
    )
    model = build([N("Loop", ["n", "", "x"], ["y"], body=inner)], {"n": (I64, []), "x": (F, [2])})
    with pytest.raises(UnsupportedOp, match=r"number of its rounds is computed .*; --bind n=VALUE makes a constant"):
        translate(model)


def test_data_of_a_picture_is_no_setting(build) -> None:
    nodes = [N("ReduceMax", ["x"], ["m"], keepdims=0), N("Cast", ["m"], ["i"], to=7)]
    nodes.append(N("Range", ["i", "n", "i"], ["y"]))
    model = build(nodes, {"x": (F, [1, 3, 4, 4]), "n": (I64, [])})
    with pytest.raises(UnsupportedOp) as caught:
        translate(model)
    assert "--bind" not in str(caught.value)
