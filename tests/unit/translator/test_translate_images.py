"""Convolutions, pools and resizing, each compared with ONNX Runtime on the source."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

N = helper.make_node
F, I64 = np.float32, np.int64
RNG = np.random.default_rng(7)


def ints(*values):
    return np.asarray(values, I64)


IMAGE = RNG.standard_normal((2, 4, 7, 9)).astype(F)
CONVOLUTIONS = [
    {},
    {"pads": [1, 2, 0, 1], "strides": [2, 1]},
    {"dilations": [2, 1], "auto_pad": "VALID"},
    {"auto_pad": "SAME_LOWER", "strides": [2, 2]},
    {"group": 2},
]


@pytest.mark.parametrize("attributes", CONVOLUTIONS)
def test_convolution(attributes, build, agree) -> None:
    weights = RNG.standard_normal((6, 4 // attributes.get("group", 1), 3, 2)).astype(F)
    constants = {"w": weights, "b": RNG.standard_normal(6).astype(F)}
    model = build([N("Conv", ["x", "w", "b"], ["y"], **attributes)], {"x": (F, IMAGE.shape)}, constants=constants)
    agree(model, {"x": IMAGE}, tolerance=1e-4)


def test_convolution_of_one_axis(build, agree) -> None:
    constants = {"w": RNG.standard_normal((5, 4, 3)).astype(F)}
    node = N("Conv", ["x", "w"], ["y"], pads=[2, 1], strides=[2])
    agree(build([node], {"x": (F, ("n", 4, "t"))}, constants=constants), {"x": IMAGE[:, :, 0]}, tolerance=1e-4)


@pytest.mark.parametrize(
    "attributes", [{}, {"strides": [2, 3], "output_padding": [1, 2], "pads": [1, 0, 1, 1]}, {"group": 2}]
)
def test_transposed_convolution(attributes, build, agree) -> None:
    constants = {
        "w": RNG.standard_normal((4, 3, 3, 2)).astype(F),
        "b": RNG.standard_normal(3 * attributes.get("group", 1)).astype(F),
    }
    model = build(
        [N("ConvTranspose", ["x", "w", "b"], ["y"], **attributes)], {"x": (F, IMAGE.shape)}, constants=constants
    )
    agree(model, {"x": IMAGE}, tolerance=1e-4)


POOLS = [
    {},
    {"pads": [1, 1, 0, 1], "strides": [2, 2]},
    {"strides": [2, 2], "ceil_mode": 1},
    {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
]


@pytest.mark.parametrize("attributes", POOLS)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools(op, attributes, build, agree) -> None:
    node = N(op, ["x"], ["y"], kernel_shape=[3, 2], **attributes)
    agree(build([node], {"x": (F, IMAGE.shape)}), {"x": IMAGE})


def test_average_over_the_padding_too(build, agree) -> None:
    node = N("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)
    agree(build([node], {"x": (F, IMAGE.shape)}), {"x": IMAGE})


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools(op, build, agree) -> None:
    agree(build([N(op, ["x"], ["y"])], {"x": (F, ("n", 4, "h", "w"))}), {"x": IMAGE})


RESIZES = [
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    {"mode": "nearest"},
    {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
]


@pytest.mark.parametrize("attributes", RESIZES)
@pytest.mark.parametrize("use_sizes", [False, True])
def test_resize(attributes, use_sizes, build, agree) -> None:
    constants = {"z": ints(2, 4, 14, 27)} if use_sizes else {"s": np.asarray([1, 1, 2, 3], F)}
    inputs = ["x", "", "", "z"] if use_sizes else ["x", "", "s"]
    model = build([N("Resize", inputs, ["y"], **attributes)], {"x": (F, IMAGE.shape)}, opset=13, constants=constants)
    agree(model, {"x": IMAGE})
