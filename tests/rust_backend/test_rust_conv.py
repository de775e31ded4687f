"""Convolutions and what follows them: what is fused, and that it gives what the operators give one by one."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.registry import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32
CHANNELS = 5


class Net:
    """An image, a convolution of it, and constants to go on with."""

    def __init__(self, groups=1, layout="oihw"):
        self.builder = GraphBuilder("net", dims=[DynamicDim("width", 4096)])
        self.random = np.random.default_rng(0)
        self.x = self.builder.input("x", F32, (2, CHANNELS, 9, symbol("width")))
        kernel = self.random.standard_normal((CHANNELS, CHANNELS // groups, 3, 3)).astype(np.float32)
        turned = np.ascontiguousarray(kernel.transpose(["oihw".index(letter) for letter in layout]))
        self.conv = self.builder.op(
            "conv2d",
            self.x,
            self.builder.constant(turned),
            self.builder.constant(self.numbers(CHANNELS)),
            groups=groups,
            filter_layout=layout,
            padding=(1, 1, 1, 1),
        )

    def numbers(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def op(self, name, *operands, **options):
        found = [self.builder.constant(operand) if isinstance(operand, np.ndarray) else operand for operand in operands]
        return self.builder.op(name, *found, **options)

    def check(self, rust, result, fused):
        graph = self.builder.build({"y": result})
        executable = rust.compile(graph, CompileOptions(threads=2, strict=True))
        assert executable.describe()["fused"] == fused
        for width in (1, 7, 40):
            inputs = {"x": self.numbers(2, CHANNELS, 9, width)}
            want = get_backend("numpy").compile(graph).run(inputs)["y"]
            np.testing.assert_allclose(executable.run(inputs)["y"], want, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("layout", ["oihw", "hwio", "ohwi", "ihwo"])
@pytest.mark.parametrize("groups", [1, CHANNELS])
def test_factors_and_summands_of_channels_become_filter_and_bias(rust, layout, groups):
    net = Net(groups, layout)
    y = net.op("mul", net.conv, net.numbers(1, CHANNELS, 1, 1))
    y = net.op("add", net.numbers(CHANNELS, 1, 1), y)
    y = net.op("batchNormalization", y, net.numbers(CHANNELS), abs(net.numbers(CHANNELS)), net.numbers(CHANNELS), None)
    net.check(rust, net.op("mul", y, np.float32([3.0])), {"conv2d": 1})


@pytest.mark.parametrize("groups", [1, CHANNELS])
@pytest.mark.parametrize(
    ("ops", "label"),
    [
        ([("relu", {})], "relu"),
        ([("clamp", {"min_value": 0.0, "max_value": 6.0})], "clamp"),
        ([("clamp", {"max_value": 0.5})], "clamp"),
        ([("hardSwish", {}), ("sigmoid", {})], "hardSwish+sigmoid"),
        ([("hardSigmoid", {"alpha": 0.3, "beta": 0.4}), ("leakyRelu", {"alpha": -0.5})], "hardSigmoid+leakyRelu"),
        ([("leakyRelu", {"alpha": 0.1}), ("tanh", {})], "leakyRelu+tanh"),
    ],
)
def test_functions_of_one_number_follow_in_one_step(rust, groups, ops, label):
    net = Net(groups)
    y = net.conv
    for name, options in ops:
        y = net.op(name, y, **options)
    net.check(rust, y, {f"conv2d+{label}": 1})


@pytest.mark.parametrize("groups", [1, CHANNELS])
def test_a_residual_may_come_before_a_function_and_behind_one(rust, groups):
    net = Net(groups)
    behind = net.op("add", net.x, net.op("mul", net.conv, net.op("sigmoid", net.conv)))
    net.check(rust, net.op("relu", behind), {"conv2d+silu+residual+relu": 1})


def test_of_two_convolutions_that_are_added_one_takes_the_other(rust):
    net = Net()
    other = net.op("conv2d", net.x, net.numbers(CHANNELS, CHANNELS, 1, 1), None)
    y = net.op("relu", net.op("add", net.conv, net.op("tanh", other)))
    net.check(rust, y, {"conv2d+residual+relu": 1, "conv2d+tanh": 1})


@pytest.mark.parametrize("change", ["read twice", "by columns", "by rows of numbers"])
def test_what_is_not_a_channel_s_own_is_left_alone(rust, change):
    net = Net()
    if change == "read twice":
        y = net.op("mul", net.op("relu", net.conv), net.op("add", net.conv, np.float32([1.0])))
    elif change == "by columns":
        y = net.op("mul", net.conv, net.numbers(1, 1, 9, 1))
    else:
        y = net.op("add", net.conv, net.numbers(2, CHANNELS, 1, 1))
    net.check(rust, y, {})


def test_functions_that_follow_something_else_are_one_pass(rust):
    net = Net()
    y = net.op("mul", net.op("reverse", net.conv, axes=(3,)), np.float32([0.5]))
    y = net.op("hardSwish", net.op("add", np.float32([1.0]), y))
    net.check(rust, net.op("sigmoid", net.op("gelu", y)), {"multiply+add+hardSwish+gelu+sigmoid": 1})


def test_a_function_by_itself_is_an_operator(rust):
    net = Net()
    net.check(rust, net.op("relu", net.op("reverse", net.conv)), {})


def test_functions_in_a_network_without_images_stay_operators(rust):
    net = Net()
    net.check(rust, net.op("hardSwish", net.op("relu", net.x)), {})
