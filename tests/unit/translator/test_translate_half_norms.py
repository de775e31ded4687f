"""Normalisations of float16, whose squares leave its range at 256 and whose epsilons may be 0 in it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_translator.bundling import convert_model

N = helper.make_node
H = np.float16
X = np.random.default_rng(5).uniform(-3000, 3000, (2, 4, 6)).astype(H)
# Equal elements: what is left of the variance is epsilon.
FLAT = np.ones((2, 4, 6), H)
MS = {"domain": "com.microsoft"}
# onnx cannot tell the type of what operators of ONNX Runtime make.
OUT = N("Cast", ["h"], ["y"], to=1)
# Name -> node, and how long the scale and the bias are.
NORMS = {
    "LayerNormalization": (N("LayerNormalization", ["x", "s", "b"], ["h"], epsilon=1e-12), 6),
    "BatchNormalization": (N("BatchNormalization", ["x", "s", "b", "m", "v"], ["h"], epsilon=1e-12), 4),
    "InstanceNormalization": (N("InstanceNormalization", ["x", "s", "b"], ["h"], epsilon=1e-12), 4),
    "SkipLayerNormalization": (N("SkipLayerNormalization", ["x", "x", "s", "b"], ["h"], epsilon=1e-12, **MS), 6),
}


def constants(names, length) -> dict[str, np.ndarray]:
    held = {"s": np.linspace(0.5, 1, length), "b": np.arange(length), "m": np.ones(length), "v": np.zeros(length)}
    return {name: held[name].astype(H) for name in names if name in held}


@pytest.mark.parametrize("name", NORMS)
def test_an_epsilon_that_float16_has_not_is_not_0(name, build, agree) -> None:
    node, length = NORMS[name]
    held = constants(node.input, length)
    model = build([node, OUT], {"x": (H, ("n", 4, 6))}, constants=held, domains=[("com.microsoft", 1)])
    feeds = [{"x": FLAT}] if name == "BatchNormalization" else [{"x": FLAT}, {"x": X}]
    agree(model, *feeds, tolerance=4e-3)


def test_images_keep_their_epsilon_too(build, agree) -> None:
    node = N("InstanceNormalization", ["x", "s", "b"], ["h"], epsilon=1e-12)
    model = build([node, OUT], {"x": (H, ("n", 4, 2, 3))}, constants=constants(node.input, 4))
    agree(model, {"x": FLAT.reshape(2, 4, 2, 3)}, {"x": X.reshape(2, 4, 2, 3)}, tolerance=4e-3)


@pytest.mark.parametrize("op", ["RMSNormalization", "SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization"])
def test_squares_above_the_range_of_float16_are_not_infinite(op, build, agree) -> None:
    is_skip = op.startswith("Skip")
    node = N(op, ["x", "x", "s"] if is_skip else ["x", "s"], ["h"], epsilon=1e-5, **(MS if is_skip else {}))
    held = constants(node.input, 6)
    model = build([node, OUT], {"x": (H, ("n", 4, 6))}, opset=23, constants=held, domains=[("com.microsoft", 1)])
    agree(model, {"x": X}, tolerance=4e-3)


def test_neighbouring_channels_are_squared_in_float32(build, agree) -> None:
    model = build([N("LRN", ["x"], ["y"], size=3, alpha=0.01)], {"x": (H, ("n", 4, 2, 3))})
    agree(model, {"x": X.reshape(2, 4, 2, 3)}, tolerance=4e-3)


def test_mean_and_deviation_have_the_type_of_the_stash(build, agree) -> None:
    node = N("LayerNormalization", ["x", "s"], ["y", "mean", "deviation"], epsilon=1e-3)
    held = constants(node.input, 6)
    found = agree(
        build([node], {"x": (H, ("n", 4, 6))}, ["y", "mean", "deviation"], constants=held), {"x": X}, tolerance=4e-3
    )
    assert [kind.dtype.text for kind in found.graph.output_types.values()] == ["f16", "f32", "f32"]


@pytest.mark.parametrize(("dtype", "opset", "axes"), [(H, 17, None), (H, 18, [1, 2]), (np.float32, 9, None)])
def test_mean_and_variance_of_equal_elements_are_no_reason_for_nan(
    dtype, opset, axes, build, optional, tmp_path
) -> None:
    """ONNX Runtime's kernel has no epsilon, and none for float16; ONNX's formula loses small deviations."""
    optional("onnxruntime")
    settings = {} if axes is None else {"axes": axes}
    model = build(
        [N("MeanVarianceNormalization", ["x"], ["y"], **settings)], {"x": (dtype, ("n", 3, "h", "w"))}, opset=opset
    )
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", kind, None))
    onnx.save(model, tmp_path / "m.onnx")
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out")
    assert done.certificate is not None
    assert done.certificate.passed
    x = (1000 + np.random.default_rng(0).standard_normal((2, 3, 4, 5))).astype(dtype)
    x[:, 1] = 7
    found = get_backend("numpy").compile(done.graph).run({"x": x})["y"]
    over = (0, 2, 3) if axes is None else tuple(axes)
    centred = x.astype(np.float64) - x.astype(np.float64).mean(over, keepdims=True)
    wanted = centred / (np.sqrt((centred * centred).mean(over, keepdims=True)) + 1e-9)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=2e-3 if dtype is H else 2e-4)
