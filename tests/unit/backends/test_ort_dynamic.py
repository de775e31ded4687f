"""Named dimensions on ONNX Runtime: one session for all values, options computed from the inputs' shapes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from webnn_runtime.backends import compile_graph
from webnn_runtime.backends.onnxruntime import BACKEND
from webnn_runtime.backends.onnxruntime.lower import lower
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import DynamicDim, dim_max, dim_min, symbol
from webnn_runtime.format.dtypes import DataType

if TYPE_CHECKING:
    from collections.abc import Callable

F32, I64 = DataType.FLOAT32, DataType.INT64
B, S = symbol("batch"), symbol("length")
BINDINGS = [(1, 1), (2, 3), (3, 7), (1, 16)]


@pytest.fixture(autouse=True)
def _needs_onnxruntime(optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")


def _builder(low: int = 1) -> GraphBuilder:
    return GraphBuilder("dynamic", dims=[DynamicDim("batch", 8, low), DynamicDim("length", 16, low)])


def _reshapes(b: GraphBuilder, x: Value) -> Value:
    heads = b.op("reshape", x, new_shape=[B, S, 2, 3])
    moved = b.op("transpose", heads, permutation=[0, 2, 1, 3])
    flat = b.op("reshape", moved, new_shape=[B * 2, S, 3])
    return b.op("reshape", flat, new_shape=[S, B * 2, 3])


def _expands(b: GraphBuilder, x: Value) -> Value:
    spread = b.op("expand", b.constant(np.ones((1, 1, 6), np.float32)), new_shape=[B, S, 6])
    return b.op("add", b.op("expand", x, new_shape=[2, B, S, 6]), spread)


def _slices(b: GraphBuilder, x: Value) -> Value:
    last = b.op("slice", x, starts=[0, S - 1, 0], sizes=[B, 1, 6])
    front = b.op("slice", x, starts=[0, 0, 1], sizes=[B, (S + 1) // 2, 2], strides=[1, 1, 2])
    return b.op("sub", last, front)


def _expressions(b: GraphBuilder, x: Value) -> Value:
    low, high = dim_min(B, S), dim_max(B, S)
    ceiling = -((-S) // 3)
    return b.op("expand", b.op("reduceMean", x), new_shape=[low + 1, high * 2, ceiling, (S * B + 2) // 4 + 1])


def _border(b: GraphBuilder, x: Value) -> Value:
    return b.op("pad", x, beginning_padding=[0, S, 0], ending_padding=[B, 0, 1], value=2)


def _repeats(b: GraphBuilder, x: Value) -> Value:
    return b.op("tile", x, repetitions=[1, B, 1])


def _joins(b: GraphBuilder, x: Value) -> Value:
    joined = b.op("concat", x, x, axis=1)
    first, second = b.op_many("split", joined, splits=[S, S], axis=1, names=("first", "second"))
    return b.op("mul", first, b.op("reverse", second, axes=[1]))


def _gathers(b: GraphBuilder, x: Value) -> Value:
    far = b.constant(np.array([-100, -1, 0, 99]))
    near = b.op("gather", x, b.constant(np.array(5, np.uint32)), axis=1)
    points = b.op("gatherND", x, b.constant(np.array([[-9, 9], [0, -1]])))
    wide = b.op("gather", x, far, axis=1)
    return b.op("add", b.op("add", wide, b.op("reshape", near, new_shape=[B, 1, 6])), b.op("reduceSum", points))


def _normalizes(b: GraphBuilder, x: Value) -> Value:
    return b.op("layerNormalization", x, axes=[1, 2])


def _mask(b: GraphBuilder, x: Value) -> Value:
    positive = b.op("greater", x, b.constant(0, F32))
    wide = b.op("expand", b.op("reshape", positive, new_shape=[B, 1, S, 6]), new_shape=[B, 2, S, 6])
    large = b.op("reshape", b.op("lesser", x, b.constant(0.5, F32)), new_shape=[B, 1, S, 6])
    kept = b.op("identity", b.op("logicalAnd", wide, b.op("logicalNot", large)))
    image = b.op("reshape", x, new_shape=[B, 1, S, 6])
    return b.op("where", kept, image, b.op("cast", kept, to="float32"))


GRAPHS = [
    _reshapes,
    _expands,
    _slices,
    _expressions,
    _border,
    _repeats,
    _joins,
    _gathers,
    _normalizes,
    _mask,
]


@pytest.mark.parametrize("graph_of", GRAPHS, ids=lambda function: function.__name__.strip("_"))
def test_one_session_serves_all_values_of_the_names(graph_of: Callable[[GraphBuilder, Value], Value]) -> None:
    builder = _builder()
    graph = builder.build({"y": graph_of(builder, builder.input("x", F32, (B, S, 6)))})
    executable, definition = BACKEND.compile(graph), compile_graph(graph, "numpy")
    for batch, length in BINDINGS:
        x = np.random.default_rng(batch).normal(size=(batch, length, 6)).astype(np.float32)
        got, want = executable.run({"x": x})["y"], definition.run({"x": x})["y"]
        np.testing.assert_allclose(got, want, atol=2e-6, err_msg=f"batch {batch}, length {length}")


# onnxruntime's own rounding up leaves out a last window that begins beyond the image, which WebNN counts.
@pytest.mark.parametrize(
    ("op", "dtype"),
    [
        *((op, dtype) for op in ("averagePool2d", "l2Pool2d") for dtype in (F32, DataType.FLOAT16)),
        *(("maxPool2d", dtype) for dtype in (F32, DataType.FLOAT16, DataType.INT8, I64, DataType.UINT64)),
    ],
)
@pytest.mark.parametrize("says_sizes", [False, True])
def test_pools_round_up_at_every_size(op: str, dtype: DataType, says_sizes: bool) -> None:
    for layout in ("nchw", "nhwc"):
        builder = _builder()
        x = builder.input("x", dtype, tuple({"n": B, "c": 2, "h": S, "w": 5}[letter] for letter in layout))
        pooling: dict[str, object] = {"windowDimensions": [2, 2], "strides": [3, 2], "padding": [0, 1, 1, 0]}
        if says_sizes:
            pooling["outputSizes"] = [(S + 1) // 3 + 1, 3]
        else:
            pooling["outputShapeRounding"] = "ceil"
        graph = builder.build({"y": builder.op(op, x, layout=layout, **pooling)})
        executable, definition = BACKEND.compile(graph), compile_graph(graph, "numpy")
        for length in range(1, 9):
            sizes = {"n": 2, "c": 2, "h": length, "w": 5}
            values = np.random.default_rng(length).integers(0, 100, [sizes[letter] for letter in layout])
            feeds = {"x": values.astype(dtype.numpy)}
            got, want = executable.run(feeds)["y"], definition.run(feeds)["y"]
            assert got.shape[layout.index("h")] == -(-(length - 1) // 3) + 1
            np.testing.assert_allclose(got, want, rtol=2e-3 if dtype is DataType.FLOAT16 else 1e-6, strict=True)


def test_a_name_that_occurs_only_in_expressions_is_passed_in() -> None:
    builder = _builder()
    x = builder.input("x", F32, (B * 2 + 1,))
    graph = builder.build({"y": builder.op("expand", builder.op("reduceSum", x), new_shape=[B, 2])})
    executable = BACKEND.compile(graph)
    for size in (3, 7):
        assert executable.run({"x": np.ones(size, np.float32)})["y"].shape == (size // 2, 2)


def test_a_dimension_may_be_empty_where_its_name_allows_0() -> None:
    builder = _builder(low=0)
    x = builder.input("x", F32, (B, S, 6))
    new = builder.input("new", F32, (B, 2, 6))
    joined = builder.op("concat", x, new, axis=1)
    graph = builder.build({"y": builder.op("reshape", joined, new_shape=[B, (S + 2) * 2, 3])})
    executable = BACKEND.compile(graph)
    for batch, length in [(2, 0), (2, 3), (0, 1)]:
        feeds = {"x": np.zeros((batch, length, 6), np.float32), "new": np.ones((batch, 2, 6), np.float32)}
        assert executable.run(feeds)["y"].shape == (batch, (length + 2) * 2, 3)


def _nodes(graph_of: Callable[[GraphBuilder, Value], Value]) -> list[str]:
    import onnx

    builder = _builder()
    graph = builder.build({"y": graph_of(builder, builder.input("x", F32, (B, S, 6)))})
    return [node.op_type for node in onnx.load_from_string(lower(graph).data).graph.node]


def test_splitting_and_joining_heads_needs_no_shape_arithmetic() -> None:
    def heads(b: GraphBuilder, x: Value) -> Value:
        split = b.op("transpose", b.op("reshape", x, new_shape=[B, S, 2, 3]), permutation=[0, 2, 1, 3])
        return b.op("reshape", b.op("transpose", split, permutation=[0, 2, 1, 3]), new_shape=[B, S, 6])

    assert _nodes(heads) == ["Reshape", "Transpose", "Transpose", "Reshape", "Identity"]


def test_mask_logic_stays_boolean() -> None:
    # One cast for the float mask; none between the comparison, the moves, the logic and the selection.
    assert _nodes(_mask).count("Cast") == 1


def test_a_dimension_is_read_once_however_often_it_is_used() -> None:
    assert _nodes(_expressions).count("Shape") == 2


def test_threads_share_a_session() -> None:
    builder = _builder()
    graph = builder.build({"y": _joins(builder, builder.input("x", F32, (B, S, 6)))})
    executable, definition = BACKEND.compile(graph), compile_graph(graph, "numpy")

    def run(seed: int) -> bool:
        random = np.random.default_rng(seed)
        x = random.normal(size=(1 + seed % 4, 1 + seed % 9, 6)).astype(np.float32)
        return bool(np.array_equal(executable.run({"x": x})["y"], definition.run({"x": x})["y"]))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(200)))


def test_results_belong_to_the_caller() -> None:
    builder = _builder()
    x = builder.input("x", F32, (B, S, 6))
    executable = BACKEND.compile(builder.build({"y": builder.op("identity", x), "z": builder.op("identity", x)}))
    given = np.ones((1, 1, 6), np.float32)
    first, second = executable.run({"x": given}), executable.run({"x": given})
    first["y"][...] = 5
    assert (given == 1).all()
    assert (first["z"] == 1).all()
    assert (second["y"] == 1).all()


def test_a_gelu_that_is_written_out_becomes_one_node() -> None:
    def gelu(b: GraphBuilder, x: Value) -> Value:
        inner = b.op("erf", b.op("div", x, b.constant(2**0.5, F32)))
        return b.op("mul", b.op("mul", x, b.op("add", inner, b.constant(1, F32))), b.constant(0.5, F32))

    assert _nodes(gelu) == ["Gelu", "Identity"]


@pytest.mark.parametrize("dtype", [DataType.INT32, I64, DataType.UINT32, DataType.UINT64], ids=str)
@pytest.mark.parametrize("axes", [None, (0,), (1,), (2, 0)], ids=str)
def test_products_of_however_many_integers_wrap_as_their_definition_does(axes, dtype) -> None:
    builder = _builder(low=0)
    x = builder.input("x", dtype, (B, S, 3))
    kept = builder.op("reduceProduct", x, axes=axes, keep_dimensions=True)
    graph = builder.build({"kept": kept, "gone": builder.op("reduceProduct", x, axes=axes)})
    ours, reference = BACKEND.compile(graph), compile_graph(graph, "numpy")
    for batch, length in (*BINDINGS, (0, 2), (3, 0)):
        values = np.random.default_rng(length).integers(-9, 9, (batch, length, 3)) * 3_000_017
        feed = {"x": values.astype(dtype.numpy)}
        found, wanted = ours.run(feed), reference.run(feed)
        for name in graph.outputs:
            np.testing.assert_array_equal(found[name], wanted[name], strict=True)


def test_products_over_several_sizes_without_a_maximum_compile() -> None:
    sizes = [DynamicDim(name) for name in ("batch", "length", "width")]
    builder = GraphBuilder("dynamic", dims=sizes)
    x = builder.input("x", I64, [symbol(size.name) for size in sizes])
    graph = builder.build({"y": builder.op("reduceProduct", x)})
    values = np.random.default_rng(0).integers(-9, 9, (2, 3, 5)) * 2 + 1
    found = BACKEND.compile(graph).run({"x": values})["y"]
    np.testing.assert_array_equal(found, np.prod(values), strict=True)
