"""Sizes that have to fit one another though they have names of their own: the run refuses those that do not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper, numpy_helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import ShapeError
from webnn_translator._errors import DynamicShape
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(F)


CASES = {
    "a product of two": (
        N("Einsum", ["a", "b"], ["y"], equation="ij,jk->ik"),
        {"a": ("n", "k"), "b": ("j", "m")},
        {"a": (3, 4), "b": (4, 2)},
        {"a": (3, 2), "b": (4, 2)},
    ),
    "a diagonal": (N("Einsum", ["a"], ["y"], equation="ii->i"), {"a": ("n", "k")}, {"a": (3, 3)}, {"a": (2, 6)}),
    "an image and its grid": (
        N("GridSample", ["a", "b"], ["y"]),
        {"a": ("n", 2, "h", "w"), "b": ("m", "p", "q", 2)},
        {"a": (2, 2, 4, 5), "b": (2, 3, 2, 2)},
        {"a": (2, 2, 4, 5), "b": (1, 3, 2, 2)},
    ),
    "a product whose sizes all have names of their own": (
        N("Einsum", ["a", "b"], ["y"], equation="ij,ij->i"),
        {"a": ("n", "k"), "b": ("m", "j")},
        {"a": (3, 2), "b": (3, 2)},
        # As many elements in all.
        {"a": (3, 2), "b": (2, 3)},
    ),
    "queries and keys": (
        N("Attention", ["a", "b", "b"], ["y"], q_num_heads=4, kv_num_heads=2),
        {"a": ("n", "t", 12), "b": ("m", "s", 6)},
        {"a": (2, 3, 12), "b": (2, 5, 6)},
        {"a": (2, 3, 12), "b": (4, 5, 6)},
    ),
    "keys and values": (
        N("Attention", ["a", "b", "c"], ["y"], q_num_heads=4, kv_num_heads=2),
        {"a": ("n", "t", 12), "b": ("n", "s", 6), "c": ("m", "u", 10)},
        {"a": (2, 3, 12), "b": (2, 5, 6), "c": (2, 5, 10)},
        {"a": (2, 3, 12), "b": (2, 5, 6), "c": (5, 2, 10)},
    ),
    "halves": (N("Split", ["a"], ["y", "z"], axis=1), {"a": ("n", "k")}, {"a": (2, 6)}, {"a": (2, 5)}),
}


@pytest.mark.parametrize("case", CASES)
def test_what_does_not_fit_is_refused_at_the_run(case, build, agree) -> None:
    node, inputs, fitting, other = CASES[case]
    model = build(
        [node],
        {name: (F, shape) for name, shape in inputs.items()},
        list(node.output),
        opset=23 if node.op_type == "Attention" else 16,
    )
    found = agree(model, {name: normal(*shape) for name, shape in fitting.items()})
    with pytest.raises(ShapeError, match=r"needs .* == "):
        get_backend("numpy").compile(found.graph).run({name: normal(*shape) for name, shape in other.items()})


def test_sizes_of_a_tensor_that_may_have_no_elements_are_compared_too(build) -> None:
    # Of k = 0, [m, k] has as many elements as [n, k] whatever n and m are.
    model = build([N("Einsum", ["a", "b"], ["y"], equation="ij,ij->i")], {"a": (F, ("n", "k")), "b": (F, ("m", "k"))})
    ours = get_backend("numpy").compile(translate(model, min_dims={"k": 0}).graph)
    feed = {"a": normal(3, 2), "b": normal(3, 2)}
    np.testing.assert_allclose(ours.run(feed)["y"], (feed["a"] * feed["b"]).sum(1), rtol=1e-6)
    with pytest.raises(ShapeError, match=r"needs m == n"):
        ours.run({"a": normal(3, 0), "b": normal(2, 0)})


def test_one_row_beside_a_free_batch_and_another_length_is_asked_for(build, agree) -> None:
    # An expand, which compares both, would give each row the same values where the batch is not 1.
    node = N("Attention", ["a", "b", "c"], ["y"], q_num_heads=4, kv_num_heads=2)
    inputs = {"a": (F, ("n", "t", 12)), "b": (F, ("n", "s", 6)), "c": (F, (1, "u", 10))}
    model = build([node], inputs, opset=23)
    with pytest.raises(DynamicShape, match=r"float\[1, u, 10\] where \[n, s, 10\] is needed"):
        translate(model)
    agree(model, {"a": normal(1, 3, 12), "b": normal(1, 5, 6), "c": normal(1, 5, 10)}, dims={"n": 1}, tolerance=1e-4)


def test_sizes_that_a_product_needs_to_be_one_are_one_in_what_follows(build, agree) -> None:
    """The batch of the keys gives the result its shape: what -1 leaves is a number, and no quotient of two batches."""
    nodes = [
        N("MatMul", ["a", "b"], ["product"]),
        N("Shape", ["b"], ["s"]),
        N("Gather", ["s", "zero"], ["m"], axis=0),
        N("Concat", ["m", "rest"], ["target"], axis=0),
        N("Reshape", ["product", "target"], ["heads"]),
        N("Transpose", ["heads"], ["turned"], perm=[0, 2, 1, 3]),
        N("Shape", ["turned"], ["t"]),
        N("Gather", ["t", "three"], ["width"], axis=0),
        N("Concat", ["m", "more", "width"], ["again"], axis=0),
        N("Reshape", ["turned", "again"], ["y"]),
    ]
    constants = {"zero": [0], "three": [3], "rest": [6, 2, -1], "more": [12]}
    model = build(
        nodes,
        {"a": (F, ("n", 6, 5)), "b": (F, ("m", 5, 8))},
        constants={name: np.asarray(sizes, I64) for name, sizes in constants.items()},
    )
    found = agree(model, {"a": normal(3, 6, 5), "b": normal(3, 5, 8)}, {"a": normal(1, 6, 5), "b": normal(1, 5, 8)})
    assert str(found.graph.output_types["y"]) == "f32[m, 12, 4]"
    with pytest.raises(ShapeError, match=r"needs n == m, but here they are 4 and 2"):
        get_backend("numpy").compile(found.graph).run({"a": normal(4, 6, 5), "b": normal(2, 5, 8)})


# The mask of a decoder, whose length has a name of its own beside those of the cache and the text.
MASKS = {
    # Flat, as torch's older exporter indexes it: of all rows but the last, an index too far reads the next row.
    "flat": [
        N("Unsqueeze", ["row", "one"], ["column"]),
        N("Mul", ["column", "total"], ["begin"]),
        N("Add", ["begin", "place"], ["at"]),
        N("Reshape", ["mask", "rest"], ["flat"]),
        N("Gather", ["flat", "at"], ["y"]),
    ],
    "by pairs": [
        N("Unsqueeze", ["row", "one"], ["column"]),
        N("Add", ["column", "none"], ["rows"]),
        N("Add", ["none", "place"], ["places"]),
        N("Unsqueeze", ["rows", "rest"], ["first"]),
        N("Unsqueeze", ["places", "rest"], ["second"]),
        N("Concat", ["first", "second"], ["at"], axis=-1),
        N("GatherND", ["mask", "at"], ["y"]),
    ],
}


@pytest.mark.parametrize("case", MASKS)
def test_positions_that_a_mask_lacks_are_refused_at_the_run(case, build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "zero"], ["n"]),
        N("Gather", ["s", "at_one"], ["t"]),
        N("Shape", ["mask"], ["m"]),
        N("Gather", ["m", "at_one"], ["total"]),
        N("Range", ["zero", "n", "at_one"], ["row"]),
        # From 1 on, so that it is no run from the start of the axis.
        N("Range", ["at_one", "t", "at_one"], ["place"]),
        N("Sub", ["t", "at_one"], ["count"]),
        N("Unsqueeze", ["n", "one_axis"], ["rows_1d"]),
        N("Unsqueeze", ["count", "one_axis"], ["count_1d"]),
        N("Concat", ["rows_1d", "count_1d"], ["grid"], axis=0),
        N("ConstantOfShape", ["grid"], ["none"], value=numpy_helper.from_array(np.zeros(1, I64))),
        *MASKS[case],
    ]
    constants = {"zero": I64(0), "at_one": I64(1), "one_axis": [0], "one": [1], "rest": [-1]}
    constants = {name: np.asarray(value, I64) for name, value in constants.items()}
    model = build(nodes, {"x": (F, ("n", "t")), "mask": (F, ("n", "total"))}, constants=constants)
    feeds = [{"x": normal(n, t), "mask": normal(n, total)} for n, t, total in ((3, 4, 4), (2, 3, 7), (1, 2, 2))]
    found = agree(model, *feeds, min_dims={"t": 2})
    with pytest.raises(ShapeError, match=r"needs total >= t, but here they are 4 and 5"):
        get_backend("numpy").compile(found.graph).run({"x": normal(3, 5), "mask": normal(3, 4)})


def test_sizes_of_which_padding_leaves_nothing_are_left_out(build, agree) -> None:
    model = build([N("Pad", ["x", "p"], ["y"])], {"x": (F, (2, "n"))}, constants={"p": np.asarray([0, -2, 0, -1], I64)})
    found = agree(model, {"x": normal(2, 4)}, {"x": normal(2, 9)})
    assert [(dim.min_size, dim.why) for dim in found.dims] == [(4, "at least 4: a Pad leaves n - 3 elements")]
