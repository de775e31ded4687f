"""Valid graphs that onnxruntime itself would refuse, were they lowered in the plainest way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from webnn_runtime.backends import compile_graph
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def _needs_onnxruntime(optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")


def check(outputs: dict[str, Value], **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Results of onnxruntime, which agree with the definitions."""
    graph = next(iter(outputs.values())).owner.build(outputs)
    found, wanted = (compile_graph(graph, backend).run(feeds) for backend in ("onnxruntime", "numpy"))
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-5, err_msg=name, strict=True)
    return found


# A Pad becomes part of the convolution behind it; its operand is then taken to have no other reader than the output.
@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.FLOAT16])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("op", ["conv2d", "averagePool2d", "maxPool2d"])
def test_what_is_padded_may_be_a_result_as_well(op: str, dtype: DataType, turned: bool) -> None:
    b = GraphBuilder()
    features = b.op("relu", b.input("x", dtype, (1, 2, 6, 5)))
    padded = b.op("pad", features, beginningPadding=[0, 0, 2, 0], endingPadding=[0, 0, 1, 1])
    filters = [b.constant(np.ones((2, 2, 3, 3), dtype.numpy))] if op == "conv2d" else []
    outputs = {
        "features": features,
        "y": b.op(op, padded, *filters, **({} if filters else {"windowDimensions": [3, 3]})),
    }
    x = np.random.default_rng(0).integers(-9, 9, (1, 2, 6, 5)).astype(dtype.numpy)
    check(dict(reversed(outputs.items())) if turned else outputs, x=x)


@pytest.mark.parametrize("splits", [129, 1000, [1] * 999 + [2]])
def test_a_split_may_have_many_parts(splits: int | list[int]) -> None:
    b = GraphBuilder()
    size = splits if isinstance(splits, int) else sum(splits)
    parts = b.op_many("split", b.input("x", DataType.FLOAT32, (2, size)), splits=splits, axis=1)
    found = check(
        {f"y{place}": part for place, part in enumerate(parts)},
        x=np.arange(2.0 * size, dtype=np.float32).reshape(2, size),
    )
    assert found[f"y{len(parts) - 1}"][1, -1] == 2 * size - 1


@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.INT8])
@pytest.mark.parametrize("mode", ["nearest-neighbor", "linear"])
@pytest.mark.parametrize(("rows", "least"), [(1, 1), (2, 1), (0, 0), (3, 0)])
def test_an_image_may_shrink_to_nothing_on_the_way(mode: str, dtype: DataType, rows: int, least: int) -> None:
    b = GraphBuilder(dims=[DynamicDim("rows", 64, least)])
    x = b.input("x", dtype, (symbol("rows"), 2, 3, 4))
    half = b.op("resample2d", x, axes=[0, 3], scales=[0.5, 2], mode=mode)
    values = np.random.default_rng(0).integers(-99, 99, (rows, 2, 3, 4)).astype(dtype.numpy)
    # The second output is not empty, so that onnxruntime is asked.
    one = b.op("concat", half, b.constant(np.ones((1, 2, 3, 8), dtype.numpy)), axis=0)
    assert check({"y": one}, x=values)["y"].shape == (rows // 2 + 1, 2, 3, 8)


# Where the product moves the batch itself, onnxruntime ended the process on a constant factor of float16.
@pytest.mark.parametrize("between", ["nothing", "identity", "reshape", "scale"])
@pytest.mark.parametrize(("permutation", "turned"), [((1, 0, 2), False), ((1, 2, 0), False), ((1, 0, 2), True)])
def test_a_product_of_float16_may_follow_a_moved_batch(
    permutation: tuple[int, ...], turned: bool, between: str
) -> None:
    b = GraphBuilder()
    x = b.op("transpose", b.input("x", DataType.FLOAT16, (5, 6, 7)), permutation=permutation)
    if between == "identity":
        x = b.op("identity", x)
    elif between == "reshape":
        x = b.op("reshape", x, newShape=x.shape)
    elif between == "scale":
        x = b.op("mul", x, b.constant(np.float16(0.5)))
    _, rows, columns = x.type.static_shape
    numbers = np.random.default_rng(0)
    factor = b.constant(numbers.integers(-3, 4, (4, rows) if turned else (columns, 4)).astype(np.float16))
    result = b.op("matmul", factor, x) if turned else b.op("matmul", x, factor)
    check({"y": result}, x=numbers.integers(-3, 4, (5, 6, 7)).astype(np.float16))


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(("padding", "rows"), [((1, 2, 1, 0), 0), ((2, 1, 0, 1), 0), ((1, 0, 0, 0), 2)])
def test_padding_may_leave_nothing_of_an_image(layout: str, padding: tuple[int, ...], rows: int) -> None:
    b = GraphBuilder(dims=[DynamicDim("rows", 64, 1)])
    x = b.input("x", DataType.FLOAT32, [{"n": 1, "c": 1, "h": symbol("rows"), "w": 3}[letter] for letter in layout])
    filters = b.constant(np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3))
    y = b.op("convTranspose2d", x, filters, inputLayout=layout, strides=[2, 1], padding=padding)
    # The second output is not empty, so that onnxruntime is asked.
    outputs = {"y": y, "z": b.op("reduceSum", y)}
    for size in (1, 2, 4):
        shape = [{"n": 1, "c": 1, "h": size, "w": 3}[letter] for letter in layout]
        found = check(outputs, x=np.random.default_rng(0).integers(-9, 9, shape).astype(np.float32))["y"]
        assert found.shape[layout.index("h")] == rows + 2 * (size - 1)
