"""Positions of tokens: counted up to a dimension, looked up in a table that bounds it, or computed from a mask."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
DYNAMIC = {"x": (F, ("batch", "length", 8))}


def ints(*values):
    return np.asarray(values, I64)


def x_of(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(F)


def ops(translation):
    return [node.op for node in translation.graph.nodes]


@pytest.mark.parametrize("limit", [{}, {"max_dims": {"length": 100}}])
def test_positions_count_to_a_dimension(limit, build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Range", ["zero", "l", "one"], ["y"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1)}
    model = build(nodes, {"x": (F, ("batch", "length"))}, constants=constants)
    model.graph.node.append(N("Cast", ["y"], ["f"], to=TensorProto.FLOAT))
    model.graph.node.append(N("Add", ["x", "f"], ["z"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    found = agree(model, {"x": x_of(2, 5)}, {"x": x_of(3, 100)}, **limit)
    assert ("cumulativeSum" in ops(found)) == (not limit)


def test_a_table_of_positions_bounds_the_length(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"], start=1, end=2),
        N("Slice", ["ids", "zero", "s", "one"], ["p"]),
        N("Gather", ["table", "p"], ["e"]),
        N("Add", ["x", "e"], ["y"]),
    ]
    constants = {"zero": ints(0), "one": ints(1), "ids": np.arange(16).reshape(1, 16), "table": x_of(16, 8)}
    found = agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 3, 8)}, {"x": x_of(1, 16, 8)})
    assert "gather" not in ops(found)
    assert found.graph.dims["length"].max_size == 16
    assert found.unbounded == ("batch",)
    assert found.notes == ()
    # What is asked for and cannot be had is said.
    asked = agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 3, 8)}, max_dims={"length": 40})
    assert asked.graph.dims["length"].max_size == 16
    assert asked.notes == (
        "dimension 'length' takes 1 to 16, not 1 to 40; at most 16: a constant table of 16 is cut to it",
    )


def positions_of_a_mask(mask, *, rows=16, offset=1):
    # RoBERTa: positions are a running sum of the mask, and start behind those of the padding.
    return [
        *mask,
        N("CumSum", ["m", "one"], ["c"]),
        N("Cast", ["c"], ["c32"], to=TensorProto.INT32),
        N("Mul", ["c32", "m32"], ["p32"]),
        N("Cast", ["p32"], ["p64"], to=TensorProto.INT64),
        N("Add", ["p64", "offset"], ["p"]),
        N("Gather", ["table", "p"], ["y"]),
    ], {"one": np.asarray(1), "pad": np.asarray(1), "offset": np.asarray(offset), "table": x_of(rows, 3)}


IDS = {"ids": (I64, ("batch", "length"))}
BITS_OF_IDS = [
    N("Equal", ["ids", "pad"], ["e"]),
    N("Not", ["e"], ["n"]),
    N("Cast", ["n"], ["m32"], to=TensorProto.INT32),
    N("Cast", ["m32"], ["m"], to=TensorProto.INT64),
]


@pytest.mark.parametrize("offset", [1, 3])
def test_positions_computed_from_data_bound_the_length_by_their_table(offset, build, agree) -> None:
    nodes, constants = positions_of_a_mask(BITS_OF_IDS, offset=offset)
    ids = np.full((2, 16 - offset - 1), 7, I64)
    ids[1, 5:] = 1
    found = agree(build(nodes, IDS, constants=constants), {"ids": ids}, {"ids": ids[:, :1]})
    assert found.graph.dims["length"].max_size == 16 - offset - 1
    assert "16 rows" in found.dims[1].why
    assert found.unbounded == ("batch",)


def test_positions_that_nothing_bounds_stay_as_in_the_model(build) -> None:
    # The mask is an input: nothing says that it holds only 0 and 1.
    nodes, constants = positions_of_a_mask([N("Cast", ["m"], ["m32"], to=TensorProto.INT32)])
    found = translate(build(nodes, {"m": (I64, ("batch", "length"))}, constants=constants))
    assert found.unbounded == ("batch", "length")


def test_a_mask_gathered_at_its_own_positions_is_the_mask(build, agree) -> None:
    nodes = [
        N("Shape", ["m"], ["s"]),
        N("Gather", ["s", "zero"], ["b"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Range", ["zero", "b", "one"], ["rb"]),
        N("Range", ["zero", "l", "one"], ["rl"]),
        N("Unsqueeze", ["rb", "a1"], ["rb1"]),
        N("Unsqueeze", ["rl", "a0"], ["rl1"]),
        N("Mul", ["rb1", "l"], ["row"]),
        N("Add", ["row", "rl1"], ["flat"]),
        N("Reshape", ["m", "minus"], ["line"]),
        N("Gather", ["line", "flat"], ["y"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "a0": ints(0), "a1": ints(1), "minus": ints(-1)}
    model = build(nodes, {"m": (F, ("batch", "length"))}, constants=constants)
    found = agree(model, {"m": x_of(2, 5)}, {"m": x_of(1, 1)})
    assert ops(found) == ["identity"]


def test_positions_may_be_counted_in_float(build, agree) -> None:
    # torch.arange(end=width) of a float type, as detectors make their anchors.
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Cast", ["l"], ["end"], to=TensorProto.FLOAT),
        N("Range", ["zero", "end", "step"], ["r"]),
        N("Add", ["r", "half"], ["y"]),
    ]
    constants = {"one": np.asarray(1), "zero": F(0), "step": F(1), "half": F(0.5)}
    agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 5, 8)}, {"x": x_of(1, 1, 8)})
