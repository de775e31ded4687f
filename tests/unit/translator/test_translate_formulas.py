"""Operators that are decomposed into formulas: the whole range of numbers, against ONNX Runtime or NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_translator.translate import translate

SPECIAL = [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e30, -1e30, 88.9, -89.2, 1e-20, 0.99999, -0.41421357]
SPECIAL += [3e38, -3e38]  # twice that is no float32


@pytest.mark.parametrize("op", ["Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh"])
def test_inverse_and_hyperbolic_functions_are_accurate_everywhere(build, op) -> None:
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.uniform(-1, 1, 200), rng.normal(size=200) * 10.0 ** rng.uniform(-30, 4, 200), SPECIAL])
    x = x.astype(np.float32)
    model = build([helper.make_node(op, ["x"], ["y"])], {"x": (np.float32, ["n"])})
    found = get_backend("numpy").compile(translate(model).graph).run({"x": x})["y"]
    exact = {name.capitalize(): getattr(np, name.replace("a", "arc", 1)) for name in ("acos", "acosh", "asin", "asinh")}
    exact |= {"Atan": np.arctan, "Atanh": np.arctanh, "Cosh": np.cosh, "Sinh": np.sinh}
    with np.errstate(all="ignore"):
        wanted = exact[op](x.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=0)
    number = ~np.isnan(wanted)
    assert np.array_equal(np.signbit(found[number]), np.signbit(wanted[number]))


INTEGERS = [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_bits_of_every_integer_type(build, dtype) -> None:
    limits, rng = np.iinfo(dtype), np.random.default_rng(6)
    edges = [limits.min, limits.max, 0, 1, limits.max - 1, limits.min + 1]
    a = np.concatenate([rng.integers(limits.min, limits.max, 40, dtype, endpoint=True), np.array(edges, dtype)])
    b = np.concatenate([rng.integers(limits.min, limits.max, 40, dtype, endpoint=True), np.array(edges[::-1], dtype)])
    n = rng.integers(0, limits.bits, a.shape).astype(dtype)
    n[:4] = [0, 1, limits.bits - 1, limits.bits - 2]
    nodes = [helper.make_node(f"Bitwise{op}", ["a", "b"], [op]) for op in ("And", "Or", "Xor")]
    nodes += [helper.make_node("BitwiseNot", ["a"], ["Not"])]
    nodes += [helper.make_node("BitShift", ["a", "n"], [way], direction=way) for way in ("LEFT", "RIGHT")]
    names = ["And", "Or", "Xor", "Not", "LEFT", "RIGHT"]
    model = build(nodes, {name: (dtype, ["k"]) for name in "abn"}, names, opset=28)
    found = get_backend("numpy").compile(translate(model).graph).run({"a": a, "b": b, "n": n})
    wanted = [a & b, a | b, a ^ b, ~a, a << n, a >> n]
    for name, expected in zip(names, wanted, strict=True):
        np.testing.assert_array_equal(found[name], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("fmod", [0, 1])
def test_the_remainder_of_floats_is_exact(build, fmod, dtype) -> None:
    rng = np.random.default_rng(9)
    edges = np.array([0.0, -0.0, 1, -1, 3, -7.5, np.inf, -np.inf, np.nan, 1e-7, 6e4], dtype)
    with np.errstate(all="ignore"):
        wide = [(rng.normal(size=900) * 10.0 ** rng.uniform(-44, 38, 900)).astype(dtype) for _ in range(2)]
        near = [(rng.normal(size=300) * scale).astype(dtype) for scale in (1e3, 1)]
        a, b = (
            np.concatenate([*parts, side.reshape(-1)])
            for *parts, side in zip(wide, near, np.meshgrid(edges, edges), strict=True)
        )
        wanted = (np.fmod if fmod else np.mod)(a, b)
    node = helper.make_node("Mod", ["a", "b"], ["y"], fmod=fmod)
    model = build([node], {"a": (dtype, ["n"]), "b": (dtype, ["n"])})
    found = get_backend("numpy").compile(translate(model).graph).run({"a": a, "b": b})["y"]
    np.testing.assert_array_equal(found, wanted)
    number = ~np.isnan(wanted)
    assert np.array_equal(np.signbit(found[number]), np.signbit(wanted[number]))


@pytest.mark.parametrize("step", [1.0, -4.0])
def test_the_remainder_by_a_power_of_two(build, step) -> None:
    x = np.array([0.5, -0.5, 7.25, -7.25, 4, -4, -1e-20, 3e30, np.inf, np.nan, -0.0], np.float32)
    for fmod in (0, 1):
        node = helper.make_node("Mod", ["a", "b"], ["y"], fmod=fmod)
        model = build([node], {"a": (np.float32, ["n"])}, constants={"b": np.float32(step)})
        found = get_backend("numpy").compile(translate(model).graph).run({"a": x})["y"]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(found, (np.fmod if fmod else np.mod)(x, np.float32(step)))
