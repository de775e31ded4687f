"""Dimensions that are 0 at run: every backend gives what follows from them, or one error of ours."""

from __future__ import annotations

import re

import numpy as np
import pytest

from webnn_runtime.backends import Backend, get_backend
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError, WebnnError

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
@pytest.mark.parametrize("name", ["numpy", "rust"])
def test_an_extreme_of_no_elements_is_refused(op: str, name: str, optional) -> None:
    optional({"numpy": "numpy", "rust": "webnn_kernels"}[name])
    b = builder()
    model = get_backend(name).compile(b.build({"y": b.op(op, b.input("x", DataType.FLOAT32, (M, N)), axes=[1])}))
    with pytest.raises(WebnnError, match="reduces no elements"):
        model.run({"x": np.empty((2, 0), np.float32)})
    assert model.run({"x": np.empty((0, 0), np.float32)})["y"].shape == (0,)


@pytest.mark.parametrize("op", ["gather", "gatherElements"])
def test_an_index_into_nothing_is_refused(backend: Backend, op: str) -> None:
    b = builder()
    x, indices = b.input("x", DataType.FLOAT32, (N, 2)), b.constant(np.zeros((1, 2), np.int32))
    with pytest.raises(WebnnError):
        run(backend, b.op(op, x, indices, axis=0), x=np.empty((0, 2), np.float32))


def test_rows_of_no_elements_are_gathered_by_any_index(backend: Backend) -> None:
    b = builder()
    x, indices = b.input("x", DataType.FLOAT32, (3, N)), b.constant(np.int32([2, 0, 1, 1]))
    assert run(backend, b.op("gather", x, indices, axis=0), x=np.empty((3, 0), np.float32)).shape == (4, 0)


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
