"""Attention and RMSNormalization of ONNX itself with free batch and length, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

N = helper.make_node
F = np.float32
RNG = np.random.default_rng(17)
HEADS, FEW, WIDTH = 4, 2, 8


def normal(*shape) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


CASES = {
    "plain": {},
    "causal": {"is_causal": 1},
    "scale and softcap": {"scale": 0.3, "softcap": 2.0},
}


@pytest.mark.parametrize("few", [HEADS, FEW])
@pytest.mark.parametrize("case", CASES)
def test_attention_of_three_dimensions(case, few, build, agree) -> None:
    feed = {"q": normal(2, 5, HEADS * WIDTH), "k": normal(2, 5, few * WIDTH), "v": normal(2, 5, few * WIDTH)}
    inputs = {name: (F, ("n", "t", array.shape[2])) for name, array in feed.items()}
    node = N("Attention", ["q", "k", "v"], ["y"], q_num_heads=HEADS, kv_num_heads=few, **CASES[case])
    agree(build([node], inputs, opset=23), feed, tolerance=1e-4)


@pytest.mark.parametrize("kind", [bool, F])
@pytest.mark.parametrize("causal", [0, 1])
def test_attention_with_a_mask_and_a_cache(causal, kind, build, agree) -> None:
    # Queries of one step after three tokens; every row of the mask shows a key.
    mask = RNG.integers(0, 2, (2, 1, 2, 5)).astype(bool)
    mask[..., 0] = True
    if kind is not bool:
        mask = np.where(mask, RNG.standard_normal(mask.shape), -1e4).astype(F)
    feed = {"q": normal(2, HEADS, 2, WIDTH), "k": normal(2, FEW, 2, WIDTH), "v": normal(2, FEW, 2, WIDTH), "m": mask}
    feed |= {"pk": normal(2, FEW, 3, WIDTH), "pv": normal(2, FEW, 3, WIDTH)}
    new, old = ("n", None, "t", WIDTH), ("n", FEW, "past", WIDTH)
    inputs = {name: (F, ("n", HEADS if name == "q" else FEW, *new[2:])) for name in "qkv"}
    inputs |= {"m": (kind, ("n", 1, "t", "t + past")), "pk": (F, old), "pv": (F, old)}
    node = N("Attention", ["q", "k", "v", "m", "pk", "pv"], ["y", "nk", "nv"], is_causal=causal)
    agree(build([node], inputs, ["y", "nk", "nv"], opset=23), feed, tolerance=1e-4)


@pytest.mark.parametrize("axis", [-1, 1])
def test_root_mean_square_normalisation(axis, build, agree) -> None:
    feed = {"x": normal(2, 3, 8)}
    node = N("RMSNormalization", ["x", "g"], ["y"], axis=axis, epsilon=1e-3)
    constants = {"g": normal(8) if axis == -1 else normal(3, 8)}
    agree(build([node], {"x": (F, ("n", 3, 8))}, constants=constants, opset=23), feed, tolerance=1e-4)


def test_normalisations_as_onnx_runtime_writes_them_into_older_models(build, agree) -> None:
    nodes = [
        N("LayerNormalization", ["x", "g", "b"], ["y"], axis=-1, epsilon=1e-3),
        N("SimplifiedLayerNormalization", ["x", "g"], ["z"], axis=-1, epsilon=1e-3),
    ]
    constants = {"g": normal(8), "b": normal(8)}
    model = build(nodes, {"x": (F, ("n", 3, 8))}, ["y", "z"], constants=constants, opset=14)
    agree(model, {"x": normal(2, 3, 8)}, tolerance=1e-4)


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_no_more_tokens_are_turned_than_the_table_has_rows(domain, build, agree) -> None:
    """ONNX Runtime refuses them, whatever their positions are."""
    angles = {"c": normal(6, WIDTH // 2), "s": normal(6, WIDTH // 2)}
    node = N("RotaryEmbedding", ["x", "p", "c", "s"] if domain else ["x", "c", "s", "p"], ["y"], domain=domain)
    inputs = {"x": (F, ("n", HEADS, "t", WIDTH)), "p": (np.int64, ("n", "t"))}
    model = build([node], inputs, constants=angles, opset=23, domains=[(domain, 1)] if domain else ())
    feeds = ({"x": normal(n, HEADS, t, WIDTH), "p": RNG.integers(0, 6, (n, t))} for n, t in ((2, 3), (1, 6)))
    (_, length) = agree(model, *feeds, tolerance=1e-4).dims
    assert (length.max_size, length.why) == (6, "at most 6: the table of angles has 6 rows")
