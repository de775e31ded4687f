"""Sizes that ONNX reads in two ways, or not at all: expressed, or left out of the range with the reason."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import ShapeError
from webnn_translator._errors import DynamicShape
from webnn_translator.translate import translate

N = helper.make_node
F = np.float32


def data(*shape):
    return {"x": np.random.default_rng(len(shape)).normal(size=shape).astype(F)}


def length_of(name="l"):
    """Nodes that make the length of x, its axis 1, as a list of one."""
    return [N("Shape", ["x"], ["shape"]), N("Gather", ["shape", "one"], [name])]


def range_of(model):
    (dim,) = [dim for dim in translate(model).dims if dim.name == "l"]
    return dim.min_size, dim.max_size, dim.why


def test_padding_of_either_sign(build, agree) -> None:
    # Windows of relative positions, as VITS cuts them: a table of 9 is filled or cut to twice the length less one.
    nodes = [
        *length_of(),
        N("Sub", ["l", "five"], ["more"]),
        N("Concat", ["zero", "more", "zero", "more"], ["pads"], axis=0),
        N("Pad", ["table", "pads"], ["y"], mode="constant"),
    ]
    constants = {
        "one": np.array([1]),
        "five": np.array([5]),
        "zero": np.array([0]),
        "table": np.arange(18, dtype=F).reshape(2, 9),
    }
    model = build(nodes, {"x": (F, [1, "l"])}, constants=constants)
    agree(model, *(data(1, length) for length in (1, 2, 5, 6, 11)))


def test_padding_on_one_side_and_cutting_on_the_other(build, agree) -> None:
    # A step back in time, as RWKV takes it: one zero before, the last one away.
    model = build([N("Pad", ["x", "pads"], ["y"])], {"x": (F, ["b", "l"])}, constants={"pads": np.array([0, 1, 0, -1])})
    agree(model, data(2, 5), data(1, 1))


def test_padding_up_to_a_multiple(build, agree) -> None:
    nodes = [
        *length_of(),
        N("Neg", ["l"], ["less"]),
        N("Mod", ["less", "block"], ["more"]),
        N("Concat", ["zero", "zero", "zero", "more"], ["pads"], axis=0),
        N("Pad", ["x", "pads"], ["padded"]),
        N("Reshape", ["padded", "blocks"], ["y"]),
    ]
    constants = {"one": np.array([1]), "block": np.array([4]), "zero": np.array([0]), "blocks": np.array([2, -1, 4])}
    model = build(nodes, {"x": (F, [2, "l"])}, constants=constants)
    agree(model, *(data(2, length) for length in (1, 3, 4, 9)))


def test_a_size_of_unknown_sign_is_counted(build, agree) -> None:
    nodes = [
        *length_of(),
        N("Sub", ["three", "l"], ["less"]),
        N("Min", ["l", "less"], ["least"]),
        N("Cast", ["least"], ["number"], to=1),
        N("Add", ["x", "number"], ["y"]),
    ]
    model = build(nodes, {"x": (F, [2, "l"])}, constants={"one": np.array([1]), "three": np.array([3])})
    agree(model, *(data(2, length) for length in (1, 2, 3, 9)))


def test_a_slice_that_would_count_from_the_end_bounds_the_length(build, agree) -> None:
    # Relative positions around the middle of a table, as DeBERTa cuts them.
    nodes = [
        *length_of(),
        N("Sub", ["middle", "l"], ["start"]),
        N("Add", ["middle", "l"], ["end"]),
        N("Slice", ["table", "start", "end", "zero"], ["y"]),
    ]
    constants = {
        "one": np.array([1]),
        "middle": np.array([6]),
        "zero": np.array([0]),
        "table": np.arange(24, dtype=F).reshape(12, 2),
    }
    model = build(nodes, {"x": (F, [1, "l"])}, constants=constants)
    agree(model, *(data(1, length) for length in (1, 4, 6)))
    low, high, why = range_of(model)
    assert (low, high) == (1, 6)
    assert why.startswith("at most 6: a Slice reaches to")


def test_an_element_that_is_always_read_has_to_exist(build, agree) -> None:
    picked = [N("Gather", ["x", f"at{k}"], [f"p{k}"], axis=1) for k in range(3)]
    nodes = [*picked, N("Concat", ["p0", "p1", "p2"], ["y"], axis=1)]
    constants = {"at0": np.array([0, 2]), "at1": np.array([-4]), "at2": np.array([4])}
    model = build(nodes, {"x": (F, [2, "l"])}, constants=constants)
    agree(model, data(2, 5), data(2, 8))
    assert range_of(model) == (5, None, "at least 5: a Gather reads element 4 of l")


def test_a_quotient_that_would_round_up_bounds_the_length(build, agree) -> None:
    nodes = [
        *length_of(),
        N("Sub", ["l", "five"], ["rest"]),
        N("Div", ["rest", "two"], ["steps"]),
        N("Add", ["steps", "one"], ["rows"]),
        N("Expand", ["table", "rows"], ["y"]),
    ]
    constants = {"one": np.array([1]), "two": np.array([2]), "five": np.array([5]), "table": np.ones(1, F)}
    model = build(nodes, {"x": (F, [1, "l"])}, constants=constants)
    agree(model, *(data(1, length) for length in (5, 6, 11)))
    assert range_of(model) == (5, None, "at least 5: l - 5 is divided by 2")


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_one_element_is_resized_to_any_size(build, agree, mode) -> None:
    # The pooled branch of a segmenter, spread over the picture again.
    nodes = [
        N("Shape", ["x"], ["shape"]),
        N("GlobalAveragePool", ["x"], ["pooled"]),
        N("Resize", ["pooled", "", "", "shape"], ["y"], mode=mode, coordinate_transformation_mode="half_pixel"),
    ]
    model = build(nodes, {"x": (F, [1, 2, "h", "w"])})
    agree(model, data(1, 2, 3, 5), data(1, 2, 1, 7))


def test_products_of_sizes_raise_the_minimum_of_the_one_that_can(build, agree) -> None:
    nodes = [
        *length_of(),
        N("Gather", ["shape", "zero"], ["b"]),
        N("Div", ["l", "eight"], ["frames"]),
        N("Mul", ["b", "frames"], ["rows"]),
        N("Concat", ["rows", "eight"], ["target"], axis=0),
        N("Mul", ["frames", "eight"], ["end"]),
        N("Slice", ["x", "zero", "end", "one"], ["cut"]),
        N("Reshape", ["cut", "target"], ["y"]),
    ]
    constants = {"one": np.array([1]), "zero": np.array([0]), "eight": np.array([8])}
    model = build(nodes, {"x": (F, ["b", "l"])}, constants=constants)
    agree(model, data(2, 8), data(3, 17))
    assert range_of(model) == (8, None, "at least 8: a Reshape has the dimension b*(l//8)")


def test_what_no_single_name_decides_is_refused_with_the_names(build) -> None:
    nodes = [
        N("Shape", ["x"], ["shape"]),
        N("Split", ["shape"], ["b", "l"], axis=0),
        N("Sub", ["l", "b"], ["start"]),
        N("Slice", ["table", "start", "end", "zero"], ["y"]),
    ]
    constants = {"zero": np.array([0]), "end": np.array([12]), "table": np.arange(12, dtype=F)}
    with pytest.raises(DynamicShape, match="whether -b \\+ l is negative depends on b, l"):
        translate(build(nodes, {"x": (F, ["b", "l"])}, constants=constants))


def test_values_outside_of_the_range_are_refused_at_run(build) -> None:
    model = build([N("Gather", ["x", "at"], ["y"], axis=1)], {"x": (F, [2, "l"])}, constants={"at": np.int64(6)})
    run = get_backend("numpy").compile(translate(model).graph).run
    with pytest.raises(ShapeError, match="the graph allows 7 to"):
        run({"x": np.zeros((2, 6), F)})


def window(*steps):
    """x[-k:], k being a size computed by `steps`."""
    return [
        N("Shape", ["x"], ["s"]), N("Slice", ["s", "zero", "one"], ["n"]), *steps, N("Neg", ["k"], ["from"]),
        N("Slice", ["x", "from", "end"], ["y"]),
    ]  # fmt: skip


@pytest.mark.parametrize("op", ["Min", "Mul"])
def test_the_last_few_of_however_many_there_are(op, build, agree) -> None:
    """A window of at most 3, and one that is longer than what there is: neither narrows the size."""
    constants = {"zero": np.array([0]), "one": np.array([1]), "three": np.array([3]), "end": np.array([2**62])}
    model = build(window(N(op, ["n", "three"], ["k"])), {"x": (F, ("n", 2))}, constants=constants)
    found = agree(model, *(data(n, 2) for n in (1, 2, 3, 7)))
    assert found.graph.dims["n"].min_size == 1
