"""Distances that are counted in float16 before they name a row of a table, as a converter to float16 leaves them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

N = helper.make_node
F, H = np.float32, np.float16
HALF, I64 = TensorProto.FLOAT16, TensorProto.INT64

# The buckets of T5 up to a distance of 128: log(n / 8) / log(16) * 8, which is a whole number of n = 16, 32 and 64.
BUCKETS = [
    N("Cast", ["n"], ["h"], to=HALF),
    N("Div", ["h", "eight"], ["d"]),
    N("Log", ["d"], ["l"]),
    N("Div", ["l", "most"], ["q"]),
    N("Mul", ["q", "eight"], ["m"]),
    N("Cast", ["m"], ["b"], to=I64),
    N("Gather", ["table", "b"], ["y"]),
]
CONSTANTS = {
    "zero": np.asarray(0),
    "one": np.asarray(1),
    "eight": H(8),
    "most": H(np.log(16)),
    "table": np.arange(64, dtype=F).reshape(16, 4),
}
COUNTED = [
    N("Shape", ["x"], ["s"], start=0, end=1),
    N("Squeeze", ["s"], ["l0"]),
    N("Range", ["zero", "l0", "one"], ["r"]),
    N("Max", ["r", "eight_whole"], ["n"]),
]
MORE = {"eight_whole": np.asarray(8)}


@pytest.mark.parametrize("length", ["length", 100])
def test_buckets_of_distances_are_those_of_the_source(length, build, agree) -> None:
    nodes = [*COUNTED, *BUCKETS]
    model = build(nodes, {"x": (F, (length,))}, constants={**CONSTANTS, **MORE})
    agree(model, {"x": np.zeros(100, F)}, max_dims={"length": 128} if length == "length" else {})


def test_integers_that_are_data_are_counted_as_well(build, agree) -> None:
    model = build(BUCKETS, {"n": (np.int64, ("k",))}, constants=CONSTANTS)
    agree(model, {"n": np.arange(8, 120)})


def test_an_integer_that_float16_has_not_is_counted_whole(build, agree) -> None:
    nodes = [N("Cast", ["n"], ["h"], to=HALF), N("Mul", ["h", "third"], ["t"]), N("Cast", ["t"], ["y"], to=I64)]
    model = build(nodes, {"n": (np.int64, ("k",))}, constants={"third": H(1 / 3)})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", I64, None))
    agree(model, {"n": np.asarray([2049, 3001, 11, 16])})


def test_measured_float16_is_rounded_as_it_is(build, agree) -> None:
    nodes = [N("Mul", ["x", "third"], ["t"]), N("Cast", ["t"], ["y"], to=I64)]
    model = build(nodes, {"x": (H, ("k",))}, constants={"third": H(0.5)})
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", I64, None))
    found = agree(model, {"x": np.asarray([1, 3.5, 8.25], H)})
    assert [node.op for node in found.graph.nodes] == ["mul", "cast"]
