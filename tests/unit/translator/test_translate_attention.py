"""Attention and embeddings as ONNX Runtime's optimiser fuses them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

N = helper.make_node
F, I32 = np.float32, np.int32
RNG = np.random.default_rng(3)
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]
X = RNG.standard_normal((2, 5, 8)).astype(F)
WEIGHTS = {"w": RNG.standard_normal((8, 24)).astype(F), "b": RNG.standard_normal(24).astype(F)}
MASKS = {
    "none": None,
    "lengths": np.asarray([5, 2], I32),
    "keys": np.asarray([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], I32),
    "pairs": RNG.integers(0, 2, (2, 5, 5)).astype(I32) | np.eye(5, dtype=I32),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("causal", [0, 1])
def test_fused_self_attention(mask, causal, build, agree) -> None:
    array = MASKS[mask]
    inputs = {"x": (F, ("n", "t", 8))}
    feed = {"x": X}
    if array is not None:
        inputs["m"] = (I32, ("n", "t", "t")[: array.ndim])
        feed["m"] = array
    names = ["x", "w", "b"] + (["m"] if array is not None else [])
    node = N("Attention", names, ["y"], num_heads=2, unidirectional=causal, **MS)
    agree(build([node], inputs, constants=WEIGHTS, domains=DOMAINS), feed, tolerance=1e-4)


@pytest.mark.parametrize("scale", [{}, {"scale": 0.3}])
@pytest.mark.parametrize("masked", [False, True])
def test_fused_attention_of_three(scale, masked, build, agree) -> None:
    inputs = {"q": (F, ("n", "s", 8)), "k": (F, ("n", "t", 8)), "v": (F, ("n", "t", 8))}
    feed = {"q": X[:, :3], "k": X, "v": X[::-1].copy()}
    names = ["q", "k", "v", "b"]
    if masked:
        inputs["m"] = (I32, ("n", "t"))
        feed["m"] = MASKS["keys"]
        names.append("m")
    node = N("MultiHeadAttention", names, ["y"], num_heads=2, **scale, **MS)
    constants = {"b": WEIGHTS["b"]}
    agree(build([node], inputs, constants=constants, domains=DOMAINS), feed, tolerance=1e-4)


@pytest.mark.parametrize("segments", [False, True])
def test_fused_embeddings(segments, build, agree) -> None:
    constants = {
        "word": RNG.standard_normal((20, 8)).astype(F),
        "place": RNG.standard_normal((6, 8)).astype(F),
        "kind": RNG.standard_normal((2, 8)).astype(F),
        "g": RNG.standard_normal(8).astype(F),
        "b": RNG.standard_normal(8).astype(F),
    }
    if not segments:
        del constants["kind"]
    inputs = {"i": (I32, ("n", "t")), "m": (I32, ("n", "t"))} | ({"s": (I32, ("n", "t"))} if segments else {})
    feed = {"i": RNG.integers(0, 20, (2, 5)).astype(I32), "m": MASKS["keys"]}
    if segments:
        feed["s"] = RNG.integers(0, 2, (2, 5)).astype(I32)
    names = ["i", "s" if segments else "", "word", "place", "kind" if segments else "", "g", "b", "m"]
    node = N("EmbedLayerNormalization", names, ["y", "index"], epsilon=1e-5, **MS)
    counted = N("Cast", ["index"], ["z"], to=1)
    model = build([node, counted], inputs, ["y", "z"], constants=constants, domains=DOMAINS)
    found = agree(model, feed, tolerance=1e-4)
    assert found.graph.dims["t"].max_size == 6
