"""Numbers that a model counts by Range in floating point: from the middle of a pixel on, in fractions, down."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_translator._errors import DynamicShape, UnsupportedOp
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64


def counting(scale, start, step):
    """Numbers from `start` in steps of `step` up to `scale` times the length of x, and how many they are."""
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["n"]),
        N("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        N("Mul", ["f", "scale"], ["end"]),
        N("Range", ["start", "end", "step"], ["r"]),
        N("Shape", ["r"], ["many"]),
        N("Mul", ["r", "three"], ["y"]),
    ]
    numbers = {"scale": F(scale), "start": F(start), "step": F(step), "three": F(3), "one": I64(1)}
    return nodes, numbers


@pytest.mark.parametrize(
    ("scale", "start", "step"),
    [
        (1, 0.5, 1),  # the middles of the patches of DINOv3
        (1, -0.5, 1),
        (1, 0.5, 2),
        (1, 0, 0.25),
        (0.5, 0, 1),  # as many as half the length, rounded up
        (0.5, 0.25, 1),
        (-1, 0.5, -0.5),
        (-0.25, 3, -1),
    ],
)
def test_counts_in_fractions_follow_the_length(build, agree, scale, start, step) -> None:
    nodes, numbers = counting(scale, start, step)
    model = build(nodes, {"x": (F, ("batch", "n"))}, ("y", "many"), constants=numbers)
    model.graph.output[1].CopyFrom(helper.make_tensor_value_info("many", TensorProto.INT64, [1]))
    agree(model, *({"x": np.zeros((2, n), F)} for n in (1, 2, 3, 4, 7, 8, 33)), tolerance=0)


@pytest.mark.parametrize(("start", "step"), [(0, 0.1), (0.3, 1)])
def test_what_float32_would_round_needs_the_length(build, agree, start, step) -> None:
    nodes, numbers = counting(1, start, step)
    model = build(nodes, {"x": (F, (2, "n"))}, constants=numbers)
    with pytest.raises(DynamicShape, match="is computed in float32, which may round it; the value of the dimension"):
        translate(model)
    agree(model, {"x": np.zeros((2, 9), F)}, dims={"n": 9})


def test_counting_without_an_end_is_refused(build) -> None:
    nodes, numbers = [N("Range", ["start", "end", "step"], ["r"]), N("Mul", ["r", "x"], ["y"])], {"start": F(0)}
    for end, step, words in ((np.inf, 1, "it counts inf numbers"), (1, np.nan, "it counts nan numbers")):
        model = build(nodes, {"x": (F, (1,))}, constants={**numbers, "end": F(end), "step": F(step)})
        with pytest.raises(UnsupportedOp, match=words):
            translate(model)


@pytest.mark.parametrize("divisor", [2, 3])
def test_what_is_never_above_0_is_divided_toward_it(build, agree, divisor) -> None:
    # A least size of 1 makes -(n // 2) at most 0, and not the sizes with -(n // 2) below it invalid.
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Div", ["s", "two"], ["half"]),
        N("Neg", ["half"], ["below"]),
        N("Div", ["below", "divisor"], ["quotient"]),
        N("Cast", ["quotient"], ["f"], to=TensorProto.FLOAT),
        N("Add", ["x", "f"], ["y"]),
    ]
    constants = {"two": np.asarray([2], I64), "divisor": np.asarray([divisor], I64)}
    found = agree(build(nodes, {"x": (F, ("n",))}, constants=constants), *({"x": np.zeros(n, F)} for n in range(1, 14)))
    assert found.unbounded == ("n",)
