"""Operators that move numbers, in their ONNX versions, each compared with ONNX Runtime on the source."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import helper

N = helper.make_node
F, I64 = np.float32, np.int64
RNG = np.random.default_rng(7)
X = RNG.standard_normal((2, 3, 4)).astype(F)
SHAPE = {"x": (F, (2, 3, 4))}


def ints(*values):
    return np.asarray(values, I64)


@pytest.mark.parametrize(
    ("shape", "target"), [((2, 3, 4), (0, -1)), ((2, 3, 4), (-1,)), ((2, 3, 4), (4, 0, 2)), ((2, 3, 4), (1, 24, 1))]
)
def test_reshape_copies_and_solves(shape, target, build, agree) -> None:
    model = build([N("Reshape", ["x", "shape"], ["y"])], {"x": (F, shape)}, constants={"shape": ints(*target)})
    agree(model, {"x": X})


@pytest.mark.parametrize("axis", [0, 1, 3, -1])
def test_flatten(axis, build, agree) -> None:
    agree(build([N("Flatten", ["x"], ["y"], axis=axis)], SHAPE), {"x": X})


@pytest.mark.parametrize("opset", [11, 13])
def test_squeeze_and_unsqueeze_with_axes_as_attribute_and_as_input(opset, build, agree) -> None:
    if opset < 13:
        nodes = [N("Unsqueeze", ["x"], ["u"], axes=[0, -1]), N("Squeeze", ["u"], ["y"], axes=[0])]
        agree(build([*nodes, N("Squeeze", ["u"], ["z"])], SHAPE, ["y", "z"], opset=opset), {"x": X})
        return
    nodes = [N("Unsqueeze", ["x", "a"], ["u"]), N("Squeeze", ["u", "b"], ["y"]), N("Squeeze", ["u"], ["z"])]
    model = build(nodes, SHAPE, ["y", "z"], opset=opset, constants={"a": ints(0, -1), "b": ints(0)})
    agree(model, {"x": X})


@pytest.mark.parametrize("perm", [None, (0, 2, 1), (2, 0, 1)])
def test_transpose_reverses_by_default(perm, build, agree) -> None:
    attributes = {} if perm is None else {"perm": perm}
    agree(build([N("Transpose", ["x"], ["y"], **attributes)], SHAPE), {"x": X})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat(axis, build, agree) -> None:
    agree(build([N("Concat", ["x", "x"], ["y"], axis=axis)], SHAPE), {"x": X})


def test_split_in_its_four_forms(build, agree) -> None:
    outputs = ["a", "b"]
    agree(build([N("Split", ["x"], outputs, axis=2)], SHAPE, outputs, opset=11), {"x": X})
    agree(build([N("Split", ["x"], outputs, axis=-1, split=[1, 3])], SHAPE, outputs, opset=11), {"x": X})
    sizes = {"sizes": ints(1, 2)}
    agree(build([N("Split", ["x", "sizes"], outputs, axis=1)], SHAPE, outputs, constants=sizes), {"x": X})
    agree(build([N("Split", ["x"], outputs, axis=1, num_outputs=2)], SHAPE, outputs, opset=18), {"x": X})


SLICES = [
    ((1,), (3,), (2,), (1,)),
    ((-3, 0), (-1, 100), (2, 1), (1, 2)),
    ((3,), (-(2**63),), (2,), (-1,)),
    ((-1,), (0,), (1,), (-2,)),
    ((-9,), (-(2**63),), (1,), (-1,)),
    ((0,), (2**63 - 1,), (0,), (1,)),
]


@pytest.mark.parametrize(("starts", "ends", "axes", "steps"), SLICES)
def test_slice_clamps_and_counts_backwards(starts, ends, axes, steps, build, agree) -> None:
    constants = {"s": ints(*starts), "e": ints(*ends), "a": ints(*axes), "t": ints(*steps)}
    agree(build([N("Slice", ["x", "s", "e", "a", "t"], ["y"])], SHAPE, constants=constants), {"x": X})


def test_slice_with_attributes(build, agree) -> None:
    agree(build([N("Slice", ["x"], ["y"], starts=[1, -2], ends=[2, 9], axes=[0, 2])], SHAPE, opset=9), {"x": X})


@pytest.mark.parametrize("target", [(2, 3, 4), (5, 1, 1, 1), (3, 1), (1,)])
def test_expand_broadcasts_both_ways(target, build, agree) -> None:
    constants = {"shape": ints(*target)}
    agree(build([N("Expand", ["x", "shape"], ["y"])], {"x": (F, (2, 3, 4))}, constants=constants), {"x": X})


def test_tile(build, agree) -> None:
    agree(build([N("Tile", ["x", "r"], ["y"])], SHAPE, constants={"r": ints(1, 2, 3)}), {"x": X})


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge"])
def test_pad_in_three_versions(mode, build, agree) -> None:
    pads = [0, 1, 2, 1, 0, 1]
    agree(build([N("Pad", ["x"], ["y"], mode=mode, pads=pads, value=1.5)], SHAPE, opset=9), {"x": X})
    constants = {"p": ints(*pads), "v": np.asarray(1.5, F)}
    agree(build([N("Pad", ["x", "p", "v"], ["y"], mode=mode)], SHAPE, opset=13, constants=constants), {"x": X})
    constants = {"p": ints(2, 1), "a": ints(-1)}
    agree(build([N("Pad", ["x", "p", "", "a"], ["y"], mode=mode)], SHAPE, opset=18, constants=constants), {"x": X})


def test_padding_below_zero_cuts(build, agree) -> None:
    constants = {"p": ints(0, -1, 1, 0, 0, -2)}
    agree(build([N("Pad", ["x", "p"], ["y"])], SHAPE, opset=13, constants=constants), {"x": X})


@pytest.mark.parametrize("value", [False, True])
def test_truth_values_are_padded_with_truth_values(value, build, agree) -> None:
    constants = {"p": ints(1, 0, 2, 1), "v": np.asarray(value)}
    model = build([N("Pad", ["x", "p", "v"], ["y"])], {"x": (np.bool_, ("n", 2))}, opset=13, constants=constants)
    agree(model, {"x": np.array([[True, False], [False, True]])})


@pytest.mark.parametrize(("upper", "k"), list(itertools.product([0, 1], [-1, 0, 2])))
def test_triangle(upper, k, build, agree) -> None:
    constants = {"k": np.asarray(k, I64)}
    agree(build([N("Trilu", ["x", "k"], ["y"], upper=upper)], SHAPE, constants=constants), {"x": X})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_counts_negative_indices_from_the_end(axis, build, agree) -> None:
    model = build([N("Gather", ["x", "i"], ["y"], axis=axis)], SHAPE | {"i": (I64, (2, 2))})
    agree(model, {"x": X, "i": np.asarray([[0, -1], [1, -2]], I64)})


def test_gather_elements_and_nd(build, agree) -> None:
    i = np.asarray([[[0, 1, 0, -1]]], I64)
    agree(build([N("GatherElements", ["x", "i"], ["y"], axis=1)], SHAPE | {"i": (I64, i.shape)}), {"x": X, "i": i})
    j = np.asarray([[0, 2], [1, -1]], I64)
    agree(build([N("GatherND", ["x", "i"], ["y"])], SHAPE | {"i": (I64, j.shape)}), {"x": X, "i": j})


def test_scatter_elements_and_nd(build, agree) -> None:
    i, u = np.asarray([[0, -1, 1], [2, 0, 1]], I64), RNG.standard_normal((2, 3)).astype(F)
    node = N("ScatterElements", ["x", "i", "u"], ["y"], axis=1)
    x = X[:, :, 0]
    agree(build([node], {"x": (F, (2, 3)), "i": (I64, (2, 3)), "u": (F, (2, 3))}), {"x": x, "i": i, "u": u})
    rows = np.asarray([[1], [0]], I64)
    node = N("ScatterND", ["x", "i", "u"], ["y"])
    agree(build([node], {"x": (F, (2, 3)), "i": (I64, (2, 1)), "u": (F, (2, 3))}), {"x": x, "i": rows, "u": u})


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_one_hot(axis, build, agree) -> None:
    constants = {"depth": np.asarray(5, I64), "values": np.asarray([-1, 2], F)}
    model = build([N("OneHot", ["i", "depth", "values"], ["y"], axis=axis)], {"i": (I64, (2, 3))}, constants=constants)
    agree(model, {"i": np.asarray([[0, 4, -1], [2, -5, 1]], I64)})


@pytest.mark.parametrize(("exclusive", "reverse"), list(itertools.product([0, 1], [0, 1])))
def test_running_sum(exclusive, reverse, build, agree) -> None:
    node = N("CumSum", ["x", "a"], ["y"], exclusive=exclusive, reverse=reverse)
    agree(build([node], SHAPE, constants={"a": np.asarray(-1, I64)}), {"x": X})
