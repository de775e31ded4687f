"""Einsum, scattering with reductions and matrices, with dynamic sizes, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

SIZES = {"a": 2, "b": 3, "c": 4, "i": 3, "j": 2, "k": 5}
EQUATIONS = [
    "ij,jk->ik",
    "bij, bjk",
    "ij->ji",
    "ij->",
    "ii->i",
    "ii",
    "...ii->...i",
    "...ij,...jk->...ik",
    "i,j->ij",
    "ij,ij->ij",
    "ij,kj,k->i",
    "abc,cb->a",
    "aij,bij->abij",
    "iij,jk->ik",
    "ab,bc,cb->ac",
]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum(build, agree, equation, dtype) -> None:
    rng = np.random.default_rng(3)
    inputs, feed = {}, {}
    for index, term in enumerate(equation.partition("->")[0].replace(" ", "").split(",")):
        # The ellipsis of one operand stretches that of the others.
        spread = [2, 1 if index else 4] if "..." in term else []
        letters = term.replace("...", "")
        feed[f"x{index}"] = rng.integers(-4, 5, (*spread, *(SIZES[letter] for letter in letters))).astype(dtype)
        inputs[f"x{index}"] = (dtype, [*spread, *letters])
    node = helper.make_node("Einsum", list(inputs), ["y"], equation=equation)
    agree(build([node], inputs), feed)


@pytest.mark.parametrize("constant", [False, True], ids=["at run", "constant"])
@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min", "none"])
def test_scatter(build, agree, reduction, constant) -> None:
    rng = np.random.default_rng(8)
    elements = {
        "x": rng.integers(-9, 9, (4, 5)).astype(np.float32),
        "i": rng.integers(-4, 4, (6, 3)),
        "u": rng.integers(-9, 9, (6, 3)).astype(np.float32),
    }
    slices = {
        "x": rng.integers(-9, 9, (3, 4, 2)).astype(np.int64),
        "i": rng.integers(0, 3, (2, 5, 2)) - [[[0, 4]]],
        "u": rng.integers(-9, 9, (2, 5, 2)).astype(np.int64),
    }
    if reduction == "none":
        # Without a reduction nothing says which of two updates stays.
        elements["i"] = np.argsort(rng.random((4, 3)), axis=0)
        elements["u"] = elements["u"][:4]
        slices["i"] = np.stack(np.unravel_index(rng.permutation(12)[:10], (3, 4)), -1).reshape(2, 5, 2)
    for op, feed in (("ScatterElements", elements), ("ScatterND", slices)):
        node = helper.make_node(op, ["x", "i", "u"], ["y"], reduction=reduction)
        held = {"i": feed["i"]} if constant else {}
        # A dynamic shape where none is needed.
        free = {"u": ["m", *feed["u"].shape[1:]]} if not constant else {}
        shapes = {name: free.get(name, list(array.shape)) for name, array in feed.items()}
        if not constant:
            shapes["i"] = ["m", *feed["i"].shape[1:]]
        inputs = {name: (array.dtype, shapes[name]) for name, array in feed.items() if name not in held}
        given = {name: array for name, array in feed.items() if name not in held}
        agree(build([node], inputs, opset=18, constants=held), given)


def test_triangles_from_a_diagonal_known_at_run_time(build, agree) -> None:
    nodes = [helper.make_node("Trilu", ["x", "k"], [f"y{upper}"], upper=upper) for upper in (0, 1)]
    inputs = {"x": (np.float32, ["n", "h", "w"]), "k": (np.int64, [])}
    x = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)
    agree(build(nodes, inputs, ["y0", "y1"]), *({"x": x, "k": np.array(k)} for k in (-9, -1, 0, 2, 9)))


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_determinants(build, agree, size) -> None:
    rng = np.random.default_rng(size)
    x = rng.integers(-3, 4, (5, size, size)).astype(np.float32)
    x[0] = 0
    x[1, 0] = 0
    model = build([helper.make_node("Det", ["x"], ["y"])], {"x": (np.float32, ["n", size, size])})
    agree(model, {"x": x}, tolerance=1e-4)


def test_the_identity_of_a_dynamic_shape(build, agree) -> None:
    node = helper.make_node("EyeLike", ["x"], ["y"], k=1, dtype=7)
    agree(build([node], {"x": (np.float32, ["h", "w"])}), {"x": np.zeros((3, 5), np.float32)})


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((2, 3, 4), (4, 5)), ((4,), (3, 4, 2)), ((5, 1, 2, 3), (2, 3, 2))])
def test_products_of_integer_matrices(build, agree, shapes) -> None:
    rng = np.random.default_rng(2)
    feed = {name: rng.integers(-9, 9, shape).astype(np.int64) for name, shape in zip("ab", shapes, strict=True)}
    inputs = {name: (np.int64, list(array.shape)) for name, array in feed.items()}
    agree(build([helper.make_node("MatMul", ["a", "b"], ["y"])], inputs), feed)


def test_powers_of_integers(build, agree) -> None:
    bases, powers = np.meshgrid(np.array([-3, -1, 0, 1, 2, 7]), np.array([0, 1, 2, 5, 11, 70, 71]))
    fits = (np.abs(bases) <= 1) | (powers <= 11)
    feed = {"a": bases[fits].astype(np.int64), "b": powers[fits].astype(np.int32)}
    node = helper.make_node("Pow", ["a", "b"], ["y"])
    agree(build([node], {"a": (np.int64, ["n"]), "b": (np.int32, ["n"])}), feed)
    below = {"a": np.array([-1, 1, 2, -5, -1]), "b": np.array([-3, -2, -1, -4, -4], np.int32)}
    agree(build([node], {"a": (np.int64, ["n"]), "b": (np.int32, ["n"])}), below)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_hardmax_before_13_takes_the_tensor_as_a_matrix(build, agree, axis) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    agree(
        build([helper.make_node("Hardmax", ["x"], ["y"], axis=axis)], {"x": (np.float32, ["n", 3, 4])}, opset=11),
        {"x": x},
    )
