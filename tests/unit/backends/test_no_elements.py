"""Dimensions that are 0 at run: every backend gives what follows from them, or one error of ours."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from webnn_runtime.backends import Backend, get_backend
from webnn_runtime.backends.base import Executable
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import Dim, DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError, WebnnError
from webnn_runtime.format.ops import OPS

N, M = symbol("n"), symbol("m")


def builder() -> GraphBuilder:
    return GraphBuilder("g", [DynamicDim("n", 64, 0), DynamicDim("m", 64, 0)])


def run(backend: Backend, result: Value, **inputs: np.ndarray) -> np.ndarray:
    return backend.compile(result.owner.build({"y": result})).run(inputs)["y"]


@pytest.mark.parametrize(
    ("rows", "inner", "columns"), [(2, 3, 0), (0, 3, 0), (0, 3, 2), (2, 0, 0), (2, 0, 3), (0, 0, 0)]
)
def test_a_product_of_nothing(backend: Backend, rows: int, inner: int, columns: int) -> None:
    b = GraphBuilder("g", [DynamicDim(name, 64, 0) for name in "nmk"])
    x = b.input("x", DataType.FLOAT32, (N, 1, symbol("k")))
    w = b.input("w", DataType.FLOAT32, (symbol("k"), M))
    result = run(
        backend,
        b.op("matmul", x, w),
        x=np.ones((rows, 1, inner), np.float32),
        w=np.ones((inner, columns), np.float32),
    )
    assert result.shape == (rows, 1, columns)
    assert not result.any()


@pytest.mark.parametrize("op", ["reduceLogSumExp", "reduceMax", "reduceMin"])
def test_an_extreme_of_no_elements_is_refused(backend: Backend, op: str) -> None:
    b = builder()
    model = backend.compile(b.build({"y": b.op(op, b.input("x", DataType.FLOAT32, (M, N)), axes=[1])}))
    with pytest.raises(ShapeError, match=f"node 'y': {op}: reduces no elements; give it at least one"):
        model.run({"x": np.empty((2, 0), np.float32)})
    assert model.run({"x": np.empty((0, 0), np.float32)})["y"].shape == (0,)
    assert model.run({"x": np.full((2, 3), 4, np.float32)})["y"].shape == (2,)


@pytest.mark.parametrize("dtype", [DataType.INT8, DataType.UINT32, DataType.INT64, DataType.UINT64])
def test_an_extreme_of_no_integers_is_refused(backend: Backend, dtype: DataType) -> None:
    b = builder()
    with pytest.raises(ShapeError, match="reduceMax: reduces no elements; give it at least one"):
        run(backend, b.op("reduceMax", b.input("x", dtype, (M, N)), axes=[0]), x=np.empty((0, 2), dtype.numpy))


@pytest.mark.parametrize("dtype", [DataType.FLOAT32, DataType.FLOAT16])
def test_the_mean_of_no_elements_is_no_number(backend: Backend, dtype: DataType) -> None:
    b = builder()
    model = backend.compile(b.build({"y": b.op("reduceMean", b.input("x", dtype, (M, N)), axes=[0])}))
    assert np.isnan(model.run({"x": np.empty((0, 2), dtype.numpy)})["y"]).tolist() == [True, True]
    assert model.run({"x": np.full((3, 2), 7, dtype.numpy)})["y"].tolist() == [7, 7]


# onnxruntime's own operators end the process on such a batch.
@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("op", ["gru", "gruCell", "lstm", "lstmCell"])
@pytest.mark.parametrize("has_state", [False, True])
def test_a_recurrent_network_takes_a_batch_of_any_size(backend: Backend, op: str, rows: int, has_state: bool) -> None:
    def values(*shape: int) -> np.ndarray:
        return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)

    gates, states = (3, 1) if op.startswith("gru") else (4, 2)
    b = builder()
    options: dict[str, object] = {"hiddenSize": 2}
    if op.endswith("Cell"):
        x, state = b.input("x", DataType.FLOAT32, (N, 5)), b.input("h", DataType.FLOAT32, (N, 2))
        weights, given = (values(gates * 2, 5), values(gates * 2, 2)), [state] * states
        inputs = {"x": values(rows, 5), "h": values(rows, 2)}
        operands = [x, *map(b.constant, weights), *given]
    else:
        x = b.input("x", DataType.FLOAT32, (3, N, 5))
        weights = values(2, gates * 2, 5), values(2, gates * 2, 2)
        inputs = {"x": values(3, rows, 5)}
        given = [b.input("h", DataType.FLOAT32, (2, N, 2))] * states if has_state else []
        inputs |= {"h": values(2, rows, 2)} if has_state else {}
        absent = [None] * (len(OPS[op].operands) - 3 - states)
        operands = [x, *map(b.constant, weights), *absent, *given]
        options |= {"steps": 3, "direction": "both", "returnSequence": True}
    graph = b.build({f"y{place}": value for place, value in enumerate(b.op_many(op, *operands, **options))})
    found, wanted = (each.compile(graph).run(inputs) for each in (backend, get_backend("numpy")))
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("op", ["gru", "lstm"])
@pytest.mark.parametrize("shape", [(N, 1, 3), (2, 1, N)])
def test_a_recurrent_network_needs_steps_and_features(backend: Backend, op: str, shape: tuple[Dim, ...]) -> None:
    rows = 6 if op == "gru" else 8
    b = builder()
    x, weight = b.input("x", DataType.FLOAT32, shape), b.input("w", DataType.FLOAT32, (1, rows, shape[2]))
    recurrent = b.constant(np.ones((1, rows, 2), np.float32))
    result = b.op_many(op, x, weight, recurrent, steps=shape[0], hiddenSize=2)[0]
    feeds = {
        name: np.empty([0 if dim is N else dim for dim in kind.shape], np.float32)
        for name, kind in (("x", x.type), ("w", weight.type))
    }
    with pytest.raises(ShapeError, match=r"needs n >= 1, but here they are 0 and 1"):
        run(backend, result, **feeds)


@pytest.mark.parametrize("mode", ["nearest-neighbor", "linear"])
def test_an_image_without_rows_has_none_at_another_scale(backend: Backend, mode: str) -> None:
    b = builder()
    x = b.input("x", DataType.FLOAT32, (1, 2, N, 3))
    result = run(backend, b.op("resample2d", x, mode=mode, scales=[2, 2]), x=np.empty((1, 2, 0, 3), np.float32))
    assert result.shape == (1, 2, 0, 6)


@pytest.mark.parametrize("mode", ["nearest-neighbor", "linear"])
def test_an_image_without_rows_does_not_become_one(backend: Backend, mode: str) -> None:
    b = builder()
    x = b.input("x", DataType.FLOAT32, (1, 2, N, 3))
    with pytest.raises(ShapeError, match="node 'y': resample2d: resamples an axis"):
        run(backend, b.op("resample2d", x, mode=mode, sizes=[4, 4]), x=np.empty((1, 2, 0, 3), np.float32))


def test_nothing_is_resampled_of_no_images(backend: Backend) -> None:
    b = builder()
    result = b.op("resample2d", b.input("x", DataType.FLOAT32, (N, 2, M, 3)), sizes=[4, 4])
    assert run(backend, result, x=np.empty((0, 2, 0, 3), np.float32)).shape == (0, 2, 4, 4)


@pytest.mark.parametrize("op", ["quantizeLinear", "dequantizeLinear"])
def test_no_elements_have_no_scales(backend: Backend, op: str) -> None:
    b = builder()
    scale, zero = b.input("scale", DataType.FLOAT32, (N, 3)), b.input("zero", DataType.INT8, (N, 3))
    x = scale if op == "quantizeLinear" else zero
    empty = {"scale": np.empty((0, 3), np.float32), "zero": np.empty((0, 3), np.int8)}
    assert run(backend, b.op(op, x, scale, zero), **empty).shape == (0, 3)


@pytest.mark.parametrize("op", ["gather", "gatherElements", "gatherND", "scatterElements", "scatterND"])
def test_an_index_into_nothing_is_refused(backend: Backend, op: str, capfd: pytest.CaptureFixture[str]) -> None:
    b = builder()
    x, options = b.input("x", DataType.FLOAT32, (N, 2)), {} if op.endswith("ND") else {"axis": 0}
    indices = b.input("i", DataType.INT32, (1, 1) if op.endswith("ND") else (1, 2))
    updates = [b.constant(np.ones((1, 2), np.float32))] if op.startswith("scatter") else []
    model = backend.compile(b.build({"y": b.op(op, x, indices, *updates, **options)}))
    feeds = {"i": np.zeros(indices.shape, np.int32)}
    with pytest.raises(ShapeError, match=f"{op}: reads from an axis of no elements; give it at least one"):
        model.run({"x": np.empty((0, 2), np.float32), **feeds})
    assert capfd.readouterr() == ("", "")
    assert np.isfinite(model.run({"x": np.ones((1, 2), np.float32), **feeds})["y"]).all()


@pytest.mark.parametrize("axes", [[0], [1], [1, 0]])
@pytest.mark.parametrize("rows", [0, 3])
def test_normalising_over_what_may_be_nothing(
    backend: Backend, axes: list[int], rows: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def graph(dim: Dim, runner: str) -> Executable:
        b = GraphBuilder("g", [DynamicDim("n", 64, 0)])
        x = b.input("x", DataType.FLOAT32, (2, dim))
        scale, bias = (b.input(name, DataType.FLOAT32, [x.shape[axis] for axis in axes]) for name in ("scale", "bias"))
        normal = b.op("layerNormalization", x, scale, bias, axes=axes, epsilon=0.01)
        return get_backend(runner).compile(b.build({"y": normal}))

    shape = [(2, rows)[axis] for axis in axes]
    feeds = {
        "x": np.float32([[1, 2, 4], [8, 16, 33]])[:, :rows],
        "scale": np.linspace(1, 2, int(np.prod(shape)), dtype=np.float32).reshape(shape),
        "bias": np.linspace(3, 4, int(np.prod(shape)), dtype=np.float32).reshape(shape),
    }
    found = graph(N, backend.name).run(feeds)["y"]
    assert capfd.readouterr() == ("", "")
    wanted = graph(rows, "numpy").run(feeds)["y"] if rows else np.empty((2, 0), np.float32)
    np.testing.assert_allclose(found, wanted, rtol=2e-6, strict=True)


# onnxruntime's own operator ends the process on such an image.
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize("empty", ["", "n", "c", "h", "w", "nchw"])
def test_an_instance_may_have_no_elements(backend: Backend, layout: str, empty: str) -> None:
    b = GraphBuilder("g", [DynamicDim(letter, 64, 0) for letter in layout])
    x = b.input("x", DataType.FLOAT32, [symbol(letter) for letter in layout])
    scale, bias = (b.input(name, DataType.FLOAT32, [symbol("c")]) for name in ("scale", "bias"))
    # Something is left to compute, so that the operator is run.
    total = b.op("reduceSum", b.op("instanceNormalization", x, scale, bias, layout=layout, epsilon=0.01))
    sizes = {letter: 0 if letter in empty else size for letter, size in zip("nchw", (2, 3, 4, 5), strict=True)}
    shape = [sizes[letter] for letter in layout]
    channels = np.arange(1, sizes["c"] + 1, dtype=np.float32)
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = run(backend, total, x=image, scale=channels, bias=channels)
    # What is normalised sums to nothing, which leaves the bias.
    pixels = math.prod(shape) // max(sizes["c"], 1)
    np.testing.assert_allclose(found, pixels * channels.sum(), rtol=1e-5)


@pytest.mark.parametrize("op", ["averagePool2d", "convTranspose2d", "instanceNormalization", "l2Pool2d", "maxPool2d"])
@pytest.mark.parametrize("shape", [(0, 2, 4, 5), (2, 2, 0, 5)])
def test_an_image_of_no_elements_becomes_one(backend: Backend, op: str, shape: tuple[int, ...]) -> None:
    b = builder()
    x = b.input("x", DataType.FLOAT32, (N, 2, M, 5))
    operands = [x, b.constant(np.ones((2, 2, 1, 1), np.float32))] if op == "convTranspose2d" else [x]
    options = {"windowDimensions": [1, 3]} if "Pool" in op else {"strides": [2, 2]} if len(operands) > 1 else {}
    result = b.op(op, *operands, **options)
    if shape[2] == 0 and op != "instanceNormalization":
        # No window fits.
        with pytest.raises(ShapeError, match=r"needs|at least"):
            run(backend, result, x=np.empty(shape, np.float32))
    else:
        assert run(backend, result, x=np.empty(shape, np.float32)).size == 0


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_windows_without_an_element_add_nothing(backend: Backend, layout: str) -> None:
    b = builder()
    x = b.input("x", DataType.FLOAT32, [{"n": 1, "c": 2, "h": 3, "w": N}[letter] for letter in layout])
    filters, bias = b.constant(np.ones((2, 2, 1, 3), np.float32)), b.constant(np.float32([5, 7]))
    result = b.op("convTranspose2d", x, filters, bias, inputLayout=layout, strides=[1, 2])
    found = run(backend, result, x=np.empty([0 if dim is N else dim for dim in x.shape], np.float32))
    # The filter reaches over one column beyond the stride.
    wanted = np.float32([5, 7]).reshape(1, 2, 1, 1).repeat(3, axis=2)
    np.testing.assert_array_equal(found, wanted if layout == "nchw" else wanted.transpose(0, 2, 3, 1), strict=True)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("op", ["l2Pool2d", "maxPool2d"])
def test_a_pool_of_padding_alone(backend: Backend, op: str, stride: int) -> None:
    b = builder()
    result = b.op(
        op,
        b.input("x", DataType.FLOAT32, (1, 2, M, 3)),
        windowDimensions=[2, 1],
        padding=[1, 1, 0, 0],
        strides=[1, stride],
    )
    found = run(backend, result, x=np.empty((1, 2, 0, 3), np.float32))
    assert found.shape == (1, 2, 1, -(-3 // stride))
    assert set(found.flat) == {0.0 if op == "l2Pool2d" else -np.inf}


def test_rows_of_no_elements_are_gathered_by_any_index(backend: Backend) -> None:
    b = builder()
    x, indices = b.input("x", DataType.FLOAT32, (3, N)), b.constant(np.int32([2, 0, 1, 1]))
    assert run(backend, b.op("gather", x, indices, axis=0), x=np.empty((3, 0), np.float32)).shape == (4, 0)


@pytest.mark.parametrize("dtype", [DataType.FLOAT16, DataType.FLOAT32, DataType.INT8, DataType.UINT64])
def test_nothing_is_gathered_from_no_columns(backend: Backend, dtype: DataType) -> None:
    b = builder()
    gathered = b.op("gather", b.input("x", dtype, (N, M)), b.constant(np.int32([1])), axis=1)
    # Something is left, so that the whole graph is run.
    result = b.op("concat", gathered, b.constant(np.full((1, 1), 7, dtype.numpy)), axis=0)
    model = backend.compile(b.build({"y": result}))
    for rows, columns in [(0, 0), (0, 2)]:
        assert model.run({"x": np.empty((rows, columns), dtype.numpy)})["y"].tolist() == [[7]]
    assert model.run({"x": np.array([[1, 2], [3, 4]], dtype.numpy)})["y"].tolist() == [[2], [4], [7]]
    with pytest.raises(WebnnError, match="gather: reads from an axis of no elements"):
        model.run({"x": np.empty((2, 0), dtype.numpy)})


def test_a_new_shape_without_elements_is_taken_as_it_is_said(backend: Backend) -> None:
    """A 0 in the shape of ONNX's Reshape may mean "as it was here"."""
    b = builder()
    x = b.input("x", DataType.FLOAT32, (M, 3, N))
    result = run(backend, b.op("reshape", x, newShape=(N, M, 1, 3)), x=np.empty((2, 3, 0), np.float32))
    assert result.shape == (0, 2, 1, 3)
    # Nine elements would fit here, and none of them is there.
    y = builder()
    x = y.input("x", DataType.FLOAT32, (M, 3, N))
    assert run(backend, y.op("reshape", x, newShape=(3, N, M)), x=np.empty((2, 3, 0), np.float32)).shape == (3, 0, 2)


def test_a_name_that_no_shape_tells_is_named(backend: Backend) -> None:
    b = builder()
    x = b.input("x", DataType.FLOAT32, (N * M, N))
    compiled = backend.compile(b.build({"y": b.op("relu", x)}))
    assert compiled.run({"x": np.ones((6, 2), np.float32)})["y"].shape == (6, 2)
    wanted = "dimension 'm' cannot be solved from the inputs' shapes with n = 0: any 'm' fits them"
    with pytest.raises(ShapeError, match=re.escape(wanted)):
        compiled.run({"x": np.empty((0, 0), np.float32)})
