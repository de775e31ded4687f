"""TopK in both of its forms, and running products, against ONNX Runtime and NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import ShapeError
from webnn_translator._errors import DynamicShape
from webnn_translator.ops import sorting
from webnn_translator.translate import translate


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
@pytest.mark.parametrize("limits", [{}, {"_PAIRS_AT_ONCE": 40}, {"_MOST_PAIRS": 1}], ids=["pairs", "parts", "rounds"])
def test_top_k(build, agree, monkeypatch, limits, dtype, largest) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(sorting, name, limit)
    node = helper.make_node("TopK", ["x", "k"], ["y", "i"], axis=1, largest=largest)
    rng = np.random.default_rng(largest)
    # Few different values, so that many are equal.
    feeds = [{"x": rng.integers(-3, 4, (n, 9, 2)).astype(dtype)} for n in (1, 3)]
    if dtype is np.float32:
        feeds[0]["x"][0, :3, 0] = [-np.inf, np.inf, -0.0]
    model = build([node], {"x": (dtype, ["n", 9, 2])}, ["y", "i"], constants={"k": np.array([7])})
    agree(model, *feeds)


def test_top_k_counts_nan_as_the_largest(build, monkeypatch) -> None:
    x = np.array([1, np.nan, np.inf, -np.inf, np.nan, 2], np.float32)
    for largest, wanted in ((1, [1, 4, 2, 5, 0, 3]), (0, [3, 0, 5, 2, 1, 4])):
        node = helper.make_node("TopK", ["x", "k"], ["y", "i"], largest=largest)
        model = build([node], {"x": (np.float32, [6])}, ["y", "i"], constants={"k": np.array([6])})
        for limit in (1 << 20, 1):
            monkeypatch.setattr(sorting, "_MOST_PAIRS", limit)
            found = get_backend("numpy").compile(translate(model).graph).run({"x": x})
            assert found["i"].tolist() == wanted


def test_top_k_of_a_dynamic_length(build, agree) -> None:
    node = helper.make_node("TopK", ["x", "k"], ["y", "i"])
    model = build([node], {"x": (np.float32, ["n", "length"])}, ["y", "i"], constants={"k": np.array([3])})
    rng = np.random.default_rng(1)
    agree(model, *({"x": rng.normal(size=(2, n)).astype(np.float32)} for n in (3, 8)))


@pytest.mark.parametrize("max_dims", [{}, {"length": 100}])
def test_a_row_has_as_many_elements_as_are_taken(build, agree, max_dims) -> None:
    """ONNX fails on fewer, and sizes that decide it together are held against one another at the run."""
    node = helper.make_node("TopK", ["x", "k"], ["y", "i"])
    model = build([node], {"x": (np.float32, ["n", "length"])}, ["y", "i"], constants={"k": np.array([3])})
    (_, length) = translate(model, max_dims=max_dims).dims
    assert (length.min_size, "at least 3: TopK takes 3 elements" in length.why) == (3, True)
    nodes = [helper.make_node("Flatten", ["x"], ["row"]), helper.make_node("TopK", ["row", "k"], ["y", "i"])]
    model = build(nodes, {"x": (np.float32, [1, "length", "w"])}, ["y", "i"], constants={"k": np.array([3])})
    rng = np.random.default_rng(3)
    feeds = [{"x": rng.normal(size=(1, *size)).astype(np.float32)} for size in ((1, 3), (3, 1), (4, 5))]
    found = agree(model, *feeds, max_dims={**max_dims, **({"w": 100} if max_dims else {})})
    with pytest.raises(ShapeError, match=r"needs length\*w >= 3"):
        get_backend("numpy").compile(found.graph).run({"x": np.zeros((1, 2, 1), np.float32)})


def test_a_free_length_is_sorted_once_it_has_a_limit(build, agree) -> None:
    """As torch exports sort(): k is the length itself. The batch needs no value, and is not asked for."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["length"]),
        helper.make_node("TopK", ["x", "length"], ["y", "i"]),
    ]
    model = build(nodes, {"x": (np.float32, ["n", "m"])}, ["y", "i"], constants={"last": np.array([1])})
    with pytest.raises(DynamicShape, match="up to 16384 elements, to which --max-dim limits them") as refusal:
        translate(model)
    assert list(refusal.value.missing) == ["m"]
    rng = np.random.default_rng(2)
    agree(model, *({"x": rng.normal(size=(2, n)).astype(np.float32)} for n in (1, 8)), max_dims={"m": 16384})


def test_positions_of_a_tensor_full_of_ones_are_counted(build, agree) -> None:
    """How torch's older exporter writes an assignment to slices: Longformer has it in each layer."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["length"]),
        helper.make_node("ConstantOfShape", ["length"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.int64))),
        helper.make_node("NonZero", ["ones"], ["y"]),
        helper.make_node("Transpose", ["y"], ["column"]),
        helper.make_node("GatherND", ["row", "column"], ["z"]),
    ]
    constants = {"last": np.array([1]), "row": np.arange(9, dtype=np.float32)}
    model = build(nodes, {"x": (np.float32, ["n", "m"])}, ["y", "z"], constants=constants)
    agree(model, *({"x": np.zeros((2, n), np.float32)} for n in (1, 8)))


def test_running_products_do_not_overflow_on_the_way(build) -> None:
    node = helper.make_node("CumProd", ["x", "axis"], ["y"], reverse=1)
    model = build([node], {"x": (np.float32, ["n", 4])}, opset=26, constants={"axis": np.array(1)})
    x = np.array([[1e-20, 1e30, 1e30, 1e-30]], np.float32)
    found = get_backend("numpy").compile(translate(model).graph).run({"x": x})["y"]
    np.testing.assert_allclose(found, [[1e10, 1e30, 1, 1e-30]], rtol=1e-5)
