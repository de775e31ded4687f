"""Networks of images, which run in blocks of sixteen channels: that they give what the definitions give."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.registry import get_backend
from webnn_runtime.backends.rust._lowering import lower
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32


class Net:
    """A graph of an image of a free width, whose convolutions have random filters."""

    def __init__(self, channels, height=9):
        self.builder = GraphBuilder("net", dims=[DynamicDim("images", 64), DynamicDim("width", 4096)])
        self.random = np.random.default_rng(channels)
        self.size = (channels, height)
        self.x = self.builder.input("x", F32, (symbol("images"), channels, height, symbol("width")))

    def numbers(self, *shape):
        return self.random.standard_normal(shape).astype(np.float32)

    def op(self, name, *operands, **options):
        found = [self.builder.constant(operand) if isinstance(operand, np.ndarray) else operand for operand in operands]
        return self.builder.op(name, *found, **options)

    def conv(self, x, made, read, window=(3, 3), **options):
        """With as much border as keeps the size, unless the options say otherwise."""
        border = {"padding": (window[0] // 2, (window[0] - 1) // 2, window[1] // 2, (window[1] - 1) // 2)}
        filters = self.numbers(made, read, *window) / np.float32(np.sqrt(read * window[0] * window[1]))
        return self.op("conv2d", x, filters, self.numbers(made), **{**border, **options})

    def check(self, rust, result, *kinds, widths=(1, 7, 40)):
        graph = self.builder.build({"y": result})
        assert set(kinds) <= {call.kind for call in lower(graph).calls}
        runs = [rust.compile(graph, CompileOptions(threads=threads, strict=True)) for threads in (1, 2, 3)]
        for width in widths:
            x = self.numbers(2, *self.size, width)
            want = get_backend("numpy").compile(graph).run({"x": x})["y"]
            first, *others = (run.run({"x": x})["y"] for run in runs)
            np.testing.assert_allclose(first, want, rtol=1e-5, atol=2e-5)
            assert all(first.tobytes() == other.tobytes() for other in others)
            if first.shape[0] == 2:
                alone = np.concatenate([runs[1].run({"x": x[index : index + 1]})["y"] for index in (0, 1)])
                assert alone.tobytes() == first.tobytes()


WINDOWS = {
    "1x1": {"window": (1, 1)},
    "1x1, every second": {"window": (1, 1), "strides": (2, 2), "padding": (0, 0, 0, 0)},
    "3x3": {},
    "3x3, every second": {"strides": (2, 2)},
    "5x5, border on one side": {"window": (5, 5), "padding": (0, 4, 4, 0)},
    "1x7": {"window": (1, 7)},
    "3x2, apart, unequal strides": {"window": (3, 2), "dilations": (2, 3), "strides": (1, 3), "padding": (2, 2, 2, 2)},
    "more border than image": {"padding": (5, 4, 4, 5)},
}


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    ("read", "made", "groups"),
    [(16, 16, 1), (8, 33, 1), (37, 24, 1), (70, 5, 1), (40, 40, 40), (32, 64, 2)],
    ids=lambda number: str(number),
)
def test_convolutions_of_every_window_and_number_of_channels(rust, window, read, made, groups):
    net = Net(read)
    net.check(rust, net.conv(net.x, made, read // groups, groups=groups, **WINDOWS[window]), "blockedConv")


def test_more_channels_than_are_multiplied_at_a_time(rust):
    net = Net(1030, height=3)
    net.check(rust, net.conv(net.x, 20, 1030, window=(1, 3)), "blockedConv", widths=(5,))


@pytest.mark.parametrize("groups", [1, 20])
def test_functions_and_a_residual_follow(rust, groups):
    net = Net(20)
    y = net.op("hardSwish", net.op("clamp", net.conv(net.x, 20, 20 // groups, groups=groups), max_value=1.5))
    y = net.op("leakyRelu", net.op("add", net.x, y), alpha=0.1)
    net.check(rust, net.conv(y, 7, 20), "blockedConv")


def test_a_block_with_attention_to_channels(rust):
    net = Net(24)
    y = net.op("relu", net.conv(net.x, 48, 24, window=(1, 1)))
    y = net.conv(y, 48, 1, window=(5, 5), groups=48)
    mean = net.op("reduceMean", y, axes=(2, 3), keep_dimensions=True)
    share = net.op("hardSigmoid", net.conv(net.op("relu", net.conv(mean, 6, 48, window=(1, 1))), 48, 6, window=(1, 1)))
    y = net.op("add", net.op("mul", y, share), y)
    net.check(rust, net.op("add", net.conv(y, 24, 48, window=(1, 1)), net.x), "blockedScale", "blockedPool")


@pytest.mark.parametrize("channels", [3, 16, 40])
def test_one_number_for_all_channels_of_an_image(rust, channels):
    net = Net(24)
    y = net.op("relu", net.conv(net.x, channels, 24))
    gate = net.op("sigmoid", net.conv(net.op("reduceMean", y, axes=(2, 3), keep_dimensions=True), 1, channels, (1, 1)))
    y = net.op("max", net.op("mul", net.op("add", gate, y), gate), net.numbers(1, 1, 1, 1))
    net.check(rust, net.conv(y, 24, channels), "blockedConv")


def test_parts_of_whole_blocks_and_of_others(rust):
    net = Net(32)
    y = net.op("sigmoid", net.conv(net.x, 48, 32))
    first, second = net.builder.op_many("split", y, splits=(16, 32), axis=1)
    third = net.conv(second, 7, 32)
    y = net.op("concat", first, second, third, axis=1)
    y = net.op("concat", net.op("concat", third, y, axis=1), third, axis=1)
    net.check(rust, net.conv(y, 9, 69), "concat", "split")


@pytest.mark.parametrize("pool", ["maxPool2d", "averagePool2d"])
@pytest.mark.parametrize(
    "options",
    [{"window_dimensions": (3, 3), "strides": (2, 2), "padding": (1, 1, 1, 1)}, {"window_dimensions": (9, 1)}],
)
def test_pools_between_convolutions(rust, pool, options):
    net = Net(3)
    y = net.op(pool, net.conv(net.x, 20, 3), **options)
    net.check(rust, net.conv(y, 18, 20, window=(1, 1)), "blockedPool")


def test_the_largest_of_a_window_is_nan_where_one_is(rust):
    net = Net(16)
    pooled = net.op("maxPool2d", net.conv(net.x, 16, 1, groups=16, window=(1, 1)), window_dimensions=(2, 2))
    graph = net.builder.build({"y": pooled})
    x = net.numbers(1, *net.size, 6)
    x[0, 3, 4, 2] = np.nan
    want = get_backend("numpy").compile(graph).run({"x": x})["y"]
    np.testing.assert_allclose(rust.compile(graph).run({"x": x})["y"], want, rtol=1e-5, atol=1e-6)


def test_what_is_infinite_behind_the_last_channel_is_not_read(rust):
    net = Net(20)
    # Zeros behind the last channel become infinite, and not a number.
    y = net.op("div", net.conv(net.x, 20, 20), net.op("add", net.conv(net.x, 20, 20), net.numbers(1, 20, 1, 1)))
    y = net.op("clamp", net.op("sub", net.op("div", y, y), y), min_value=-2.0, max_value=2.0)
    pooled = net.op("averagePool2d", net.conv(y, 20, 20), window_dimensions=(3, 1))
    net.check(rust, net.conv(pooled, 20, 1, groups=20), "div")


@pytest.mark.parametrize("mode", ["nearest-neighbor", "linear"])
def test_images_at_another_size(rust, mode):
    net = Net(18)
    y = net.op("resample2d", net.conv(net.x, 18, 18), scales=(2.0, 1.0), mode=mode, axes=(2, 3))
    net.check(rust, net.conv(y, 18, 18), "resample2d")


def test_what_knows_plain_images_only_gets_them(rust):
    net = Net(19)
    y = net.op("transpose", net.conv(net.x, 19, 19), permutation=(0, 1, 3, 2))
    y = net.op("reverse", net.conv(net.op("transpose", y, permutation=(0, 1, 3, 2)), 17, 19), axes=(1,))
    net.check(rust, net.op("mul", y, net.numbers(9, 1)), "fromBlocks", "toBlocks")


def test_a_value_may_be_a_result_and_go_on_in_blocks(rust):
    net = Net(16)
    y = net.conv(net.x, 16, 16)
    graph = net.builder.build({"y": y, "z": net.op("relu", net.conv(y, 16, 16))})
    x = {"x": net.numbers(2, *net.size, 5)}
    got, want = rust.compile(graph).run(x), get_backend("numpy").compile(graph).run(x)
    for name in ("y", "z"):
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("order", ["product first", "division first", "sixth"])
def test_a_hard_swish_that_is_written_out_is_one_function(rust, order):
    net = Net(16)
    y = net.conv(net.x, 16, 16)
    limited = net.op("clamp", net.op("add", y, np.float32([3.0])), min_value=0.0, max_value=6.0)
    if order == "product first":
        y = net.op("div", net.op("mul", y, limited), np.float32([6.0]))
    elif order == "division first":
        y = net.op("mul", net.op("div", limited, np.float32([6.0])), y)
    else:
        y = net.op("mul", net.op("mul", y, limited), np.float32([1 / 6]))
    graph = net.builder.build({"y": y})
    assert rust.compile(graph).describe()["fused"] == {"conv2d+hardSwish": 1}
    net.check(rust, y, "blockedConv")


@pytest.mark.parametrize("layout", ["iohw", "hwoi", "ohwi"])
def test_a_transposed_convolution_takes_factors_and_summands(rust, layout):
    net = Net(6, height=40)
    filters = np.ascontiguousarray(net.numbers(6, 5, 3, 2).transpose(["iohw".index(letter) for letter in layout]))
    y = net.op("convTranspose2d", net.x, filters, None, strides=(2, 2), filter_layout=layout)
    y = net.op("add", net.op("mul", net.numbers(1, 5, 1, 1), y), net.numbers(5, 1, 1))
    graph = net.builder.build({"y": net.op("relu", y)})
    assert rust.compile(graph).describe()["fused"] == {"convTranspose2d": 1}
    net.check(rust, y, "convTranspose2d", widths=(1, 50))
