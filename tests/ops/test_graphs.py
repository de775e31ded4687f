"""Small graphs of several operators on every backend: what single-operator cases cannot show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from webnn_runtime.backends import Backend
from webnn_runtime.conformance import mismatch, tolerance_of
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph

F32 = DataType.FLOAT32
X = np.float32([[1, -2, 3], [-4, 5, -6]])

Made = tuple[Graph, dict[str, Array], dict[str, Array]]


def one_value_under_many_names() -> Made:
    builder = GraphBuilder()
    x = builder.input("x", F32, (2, 3))
    total = builder.op("add", x, x)
    outputs = {"first": total, "second": total, "third": builder.op("identity", total)}
    return builder.build(outputs), {"x": X}, dict.fromkeys(outputs, 2 * X)


def inputs_and_constants_as_outputs() -> Made:
    builder = GraphBuilder()
    x, one = builder.input("x", F32, (2, 3)), builder.constant(np.float32([7, 8]), name="one")
    return builder.build({"input": x, "constant": one}), {"x": X}, {"input": X, "constant": np.float32([7, 8])}


def no_inputs() -> Made:
    builder = GraphBuilder()
    a, b = builder.constant(X, name="a"), builder.constant(np.float32(2))
    return builder.build({"y": builder.op("mul", a, b)}), {}, {"y": 2 * X}


def strange_names() -> Made:
    names = ["add", "Add_1", "größe", "名前", "a b", "a/b:0", "x\n", "\u202e", "output", "0", "__proto__", "a.b", "'\""]
    builder = GraphBuilder()
    inputs = [builder.input(name, F32, (3,)) for name in names]
    total = inputs[0]
    for value in inputs[1:]:
        total = builder.op("add", total, value)
    feeds = {name: np.float32([k, 0, 1]) for k, name in enumerate(names)}
    return builder.build({"sum 合計\t": total}), feeds, {"sum 合計\t": np.float32([78, 0, 13])}


def an_unused_result_of_many() -> Made:
    builder = GraphBuilder()
    x = builder.input("x", F32, (2, 3))
    _, middle, last = builder.op_many("split", x, splits=3, axis=1)
    return builder.build({"y": builder.op("sub", last, middle)}), {"x": X}, {"y": np.float32([[5], [-11]])}


def a_value_read_twice_by_one_node() -> Made:
    builder = GraphBuilder()
    x = builder.op("neg", builder.input("x", F32, (2, 3)))
    return builder.build({"y": builder.op("concat", x, x, x, axis=0)}), {"x": X}, {"y": np.concatenate([-X] * 3)}


def a_diamond_of_types() -> Made:
    builder = GraphBuilder()
    x = builder.input("x", F32, (2, 3))
    positive = builder.op("greater", x, builder.constant(np.float32(0)))
    whole = builder.op("cast", x, to=DataType.INT64)
    picked = builder.op("where", positive, whole, builder.op("neg", whole))
    counted = builder.op("reduceSum", builder.op("cast", positive, to=DataType.INT32))
    return builder.build({"abs": picked, "n": counted}), {"x": X}, {"abs": np.int64(abs(X)), "n": np.int32(3)}


def four_bit_weights() -> Made:
    builder = GraphBuilder()
    x = builder.input("x", F32, (1, 4))
    weights = builder.constant(np.int8([[-8, 7], [1, 2], [3, -4], [0, 5]]), DataType.INT4, name="weights")
    scale = builder.constant(np.float32([[0.5, 2], [0.25, 1]]), name="scale")
    zero = builder.constant(np.int8([[0, 1], [0, 0]]), DataType.INT4, name="zero")
    whole = builder.op("dequantizeLinear", weights, scale, zero)
    feed = np.float32([[1, 10, 100, 1000]])
    expected = feed @ np.float32([[-4, 12], [0.5, 2], [0.75, -4], [0, 5]])
    return builder.build({"y": builder.op("matmul", x, whole)}), {"x": feed}, {"y": expected}


def four_bit_results(*, computed: bool) -> Made:
    """Values beyond the range of int4 stay within it, in a graph's result as in its weights."""
    builder = GraphBuilder()
    feed, point = np.float32([[-9, 3.5, 9]]), np.int8([[2]])
    x = builder.input("x", F32, (1, 3)) if computed else builder.constant(feed, name="x")
    zero = builder.input("zero", DataType.INT4, (1, 1)) if computed else builder.constant(point, DataType.INT4)
    quantized = builder.op("quantizeLinear", x, builder.constant(np.float32([[1]])), zero)
    feeds = {"x": feed, "zero": point} if computed else {}
    return builder.build({"q": quantized}), feeds, {"q": np.int8([[-7, 6, 7]])}


def four_bit_results_of_inputs() -> Made:
    return four_bit_results(computed=True)


def four_bit_results_of_constants() -> Made:
    return four_bit_results(computed=False)


def dynamic_quantization() -> Made:
    builder = GraphBuilder()
    x = builder.input("x", F32, (2, 3))
    scale, zero = builder.constant(np.float32([[0.5]])), builder.constant(np.uint8([[128]]))
    quantized = builder.op("quantizeLinear", x, scale, zero)
    back = builder.op("dequantizeLinear", quantized, scale, zero)
    return builder.build({"q": quantized, "y": back}), {"x": X}, {"q": np.uint8(2 * X + 128), "y": X}


GRAPHS: list[Callable[[], Made]] = [
    one_value_under_many_names,
    inputs_and_constants_as_outputs,
    no_inputs,
    strange_names,
    an_unused_result_of_many,
    a_value_read_twice_by_one_node,
    a_diamond_of_types,
    four_bit_weights,
    four_bit_results_of_inputs,
    four_bit_results_of_constants,
    dynamic_quantization,
]


@pytest.mark.parametrize("make", GRAPHS, ids=lambda make: make.__name__)
def test_a_graph_gives_the_expected_results(backend: Backend, make: Callable[[], Made]) -> None:
    graph, feeds, expected = make()
    results = backend.compile(graph).run(feeds)
    tolerance = tolerance_of(graph)
    assert list(results) == list(expected)
    assert {name: mismatch(results[name], expected[name], tolerance) for name in expected} == dict.fromkeys(expected)


def attention() -> tuple[Graph, Callable[[int, int], dict[str, Array]]]:
    """Masked attention of one head with a free batch and length."""
    builder = GraphBuilder(dims=[DynamicDim("batch", 8), DynamicDim("length", 32)])
    batch, length = symbol("batch"), symbol("length")
    x = builder.input("x", F32, (batch, length, 4))
    mask = builder.input("mask", DataType.INT64, (batch, length))
    lowest = builder.constant(np.float32(-3.4e38))
    away = builder.op("sub", builder.constant(np.int64(1)), mask)
    penalty = builder.op("mul", builder.op("cast", away, to=F32), lowest)
    penalty = builder.op("reshape", penalty, new_shape=(batch, 1, length))
    scores = builder.op("matmul", x, builder.op("transpose", x, permutation=(0, 2, 1)))
    weights = builder.op("softmax", builder.op("add", scores, penalty), axis=2)

    def feeds(rows: int, columns: int) -> dict[str, Array]:
        random = np.random.default_rng(columns)
        values = random.uniform(0.1, 1, (rows, columns, 4)).astype(np.float32)
        return {"x": values, "mask": (np.arange(columns) <= np.arange(rows)[:, None]).astype(np.int64)}

    return builder.build({"y": builder.op("matmul", weights, x)}), feeds


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 5), (8, 32), (1, 32), (8, 1)])
def test_free_dimensions_are_bound_at_each_run(backend: Backend, rows: int, columns: int) -> None:
    graph, feeds = attention()
    given = feeds(rows, columns)
    x = given["x"].astype(np.float64)
    scores = np.exp(x @ x.transpose(0, 2, 1)) * given["mask"][:, None, :]
    expected = (scores / scores.sum(axis=2, keepdims=True)) @ x
    executable = backend.compile(graph)
    executable.run(feeds(2, 3))
    assert np.allclose(executable.run(given)["y"], expected, rtol=1e-5, atol=0)


def test_padding_that_the_mask_hides_changes_nothing(backend: Backend) -> None:
    graph, feeds = attention()
    executable = backend.compile(graph)
    given = feeds(3, 5)
    wider = {
        "x": np.pad(given["x"], ((0, 0), (0, 4), (0, 0)), constant_values=9),
        "mask": np.pad(given["mask"], ((0, 0), (0, 4))),
    }
    assert np.allclose(executable.run(wider)["y"][:, :5], executable.run(given)["y"], rtol=1e-6, atol=0)


def test_results_survive_the_next_run_and_are_the_callers_own(backend: Backend) -> None:
    graph, feeds = attention()
    executable = backend.compile(graph)
    first = executable.run(feeds(3, 5))["y"]
    kept = first.copy()
    second = executable.run(feeds(3, 5))["y"]
    second[...] = 0
    assert np.array_equal(first, kept)
    assert np.array_equal(executable.run(feeds(3, 5))["y"], kept)


def test_arrays_of_any_strides_are_taken(backend: Backend) -> None:
    graph, feeds = attention()
    given = feeds(3, 5)
    executable = backend.compile(graph)
    strided = {name: np.asfortranarray(np.repeat(array, 2, axis=0))[::2] for name, array in given.items()}
    assert np.array_equal(executable.run(strided)["y"], executable.run(given)["y"])
