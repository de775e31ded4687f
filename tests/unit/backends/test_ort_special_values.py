"""NaN, infinities, signed zeros and large numbers on ONNX Runtime: as the definitions have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from webnn_runtime.backends import compile_graph
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from webnn_runtime.format.graph import Array

VALUES = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3, -3, 100, -100, 3e4, -3e4, 88.5, 7e-5]
OUT_OF_RANGE = [255.5, 256, -129, 2.0**31, -(2.0**31), 2.0**32, 3e9, -3e9, 2.0**63, -(2.0**63), 2.0**64, 1e30]
UNARY: dict[str, Sequence[dict[str, Any]]] = {
    **dict.fromkeys(["abs", "neg", "sign", "ceil", "floor", "roundEven", "reciprocal", "sqrt", "identity"], ({},)),
    **dict.fromkeys(["cos", "sin", "tan", "erf", "exp", "log", "isNaN", "isInfinite"], ({},)),
    **dict.fromkeys(["relu", "gelu", "sigmoid", "tanh", "softplus", "softsign", "hardSwish"], ({},)),
    **dict.fromkeys(["elu", "leakyRelu", "hardSigmoid", "linear"], ({},)),
    "clamp": [{}, {"min_value": -1}, {"max_value": 1}, {"min_value": -1, "max_value": 1}],
    "cast": [{"to": "float16"}, {"to": "float32"}],
}
BINARY = [
    *("add", "sub", "mul", "div", "max", "min", "pow", "prelu"),
    *("equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual"),
]
ROWS: dict[str, list[dict[str, Any]]] = {
    **{
        f"reduce{name}": [{"axes": [0]}, {"axes": [1]}, {"axes": []}]
        for name in ("Sum", "Max", "Min", "Mean", "Product", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    },
    **{op: [{"axis": 0}, {"axis": 1}] for op in ("softmax", "argMax", "argMin", "cumulativeSum")},
}


@pytest.fixture(autouse=True)
def _needs_onnxruntime(optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")


def _agree(op: str, arrays: list[Array], dtype: DataType, options: dict[str, Any]) -> None:
    builder = GraphBuilder("special")
    operands = [builder.input(f"x{index}", dtype, array.shape) for index, array in enumerate(arrays)]
    graph = builder.build({"y": builder.op(op, *operands, **options)})
    feeds = {f"x{index}": array for index, array in enumerate(arrays)}
    got, want = (compile_graph(graph, name).run(feeds)["y"] for name in ("onnxruntime", "numpy"))
    assert got.dtype == want.dtype
    np.testing.assert_allclose(
        got.astype(np.float64),
        want.astype(np.float64),
        rtol=1e-5 if dtype is DataType.FLOAT32 else 4e-3,
        atol=2e-7,
        err_msg=f"{op} {options}",
    )


@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.FLOAT16], ids=lambda dtype: dtype.text)
@pytest.mark.parametrize("op", UNARY)
def test_a_function_of_one_special_value(op: str, dtype: DataType) -> None:
    for options in UNARY[op]:
        _agree(op, [np.array(VALUES, dtype.numpy)], dtype, options)


@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.FLOAT16], ids=lambda dtype: dtype.text)
@pytest.mark.parametrize("to", [dtype for dtype in DataType if dtype.bits >= 8 and not dtype.is_float])
def test_a_float_out_of_the_range_of_an_integer(to: DataType, dtype: DataType) -> None:
    with np.errstate(over="ignore"):
        values = np.array(VALUES + OUT_OF_RANGE).astype(dtype.numpy)
    builder = GraphBuilder("cast")
    graph = builder.build({"y": builder.op("cast", builder.input("x", dtype, values.shape), to=to)})
    got, want = (compile_graph(graph, name).run({"x": values})["y"] for name in ("onnxruntime", "numpy"))
    np.testing.assert_array_equal(got, want, err_msg=str(values))


@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.FLOAT16], ids=lambda dtype: dtype.text)
@pytest.mark.parametrize("op", BINARY)
def test_a_function_of_two_special_values(op: str, dtype: DataType) -> None:
    left, right = np.meshgrid(np.array(VALUES, dtype.numpy), np.array(VALUES, dtype.numpy))
    _agree(op, [np.ascontiguousarray(left), np.ascontiguousarray(right)], dtype, {})


@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.FLOAT16], ids=lambda dtype: dtype.text)
@pytest.mark.parametrize("op", ROWS)
def test_rows_that_hold_special_values(op: str, dtype: DataType) -> None:
    values = np.array(VALUES, dtype.numpy)
    square = np.ascontiguousarray(np.stack([np.roll(values, shift) for shift in range(5)]))
    for options in ROWS[op]:
        # Whether the largest of some numbers and NaN is NaN depends on their order in onnxruntime.
        if op not in ("reduceMax", "reduceMin", "argMax", "argMin"):
            _agree(op, [square], dtype, options)
        _agree(op, [np.where(np.isnan(square), dtype.numpy.type(2), square)], dtype, options)


@pytest.mark.parametrize("dtype", [DataType.INT32, DataType.INT64, DataType.INT8, DataType.UINT64])
def test_integer_division_that_would_trap_does_not(dtype: DataType) -> None:
    low, high = dtype.bounds
    left = np.array([low, low, high, 7, -7 if low else 7, 0], dtype.numpy)
    right = np.array([-1 if low else high, 0, 0, 2, 2, 0], dtype.numpy)
    builder = GraphBuilder("division")
    a, b = (builder.input(name, dtype, (6,)) for name in ("a", "b"))
    outputs = {"runtime": builder.op("div", a, b), "known": builder.op("div", a, builder.constant(right, dtype))}
    graph = builder.build(outputs)
    got, want = (compile_graph(graph, name).run({"a": left, "b": right}) for name in ("onnxruntime", "numpy"))
    for name in outputs:
        np.testing.assert_array_equal(got[name], want[name])
