"""Attention and embeddings as ONNX Runtime's optimiser fuses them."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import ShapeError
from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

N = helper.make_node
F, I32 = np.float32, np.int32
RNG = np.random.default_rng(3)
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]
X = RNG.standard_normal((2, 5, 8)).astype(F)
PAST = RNG.standard_normal((2, 2, 2, 3, 4)).astype(F)
# Row 1 is padded, on the right or (of those with starts) on the left.
MASKS = {
    "none": None,
    "lengths": np.asarray([5, 2], I32),
    "ends and starts": np.asarray([5, 4, 0, 2], I32),
    "keys": np.asarray([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]], I32),
    "keys on the right": np.asarray([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], I32),
    "pairs": RNG.integers(0, 2, (2, 5, 5)).astype(I32) | np.eye(5, dtype=I32),
}


def fused(build, agree, *, mask=None, past=None, bias=None, sizes=None, outputs=("y",), **attributes) -> None:
    """Self-attention on `X` with a free batch and length."""
    inputs, feed = {"x": (F, ("n", "t", 8))}, {"x": X}
    names = ["x", "w", "b", "", "", ""]
    width = sum(sizes) if sizes else 24
    for index, name, array, dims in (
        (3, "m", mask, None),
        (4, "p", past, (2, "n", 2, "past", 4)),
        (5, "e", bias, None),
    ):
        if array is not None:
            free = ("n", "t", "t + past" if past is not None and array.shape[-1] != 5 else "t")
            shape = dims or (array.shape if name == "e" else ("2*n",) if array.shape == (4,) else free[: array.ndim])
            if name == "m" and array.ndim == 2:
                shape = (free[0], free[2])
            inputs[name], feed[name], names[index] = (array.dtype, shape), array, name
    constants = {"w": RNG.standard_normal((8, width)).astype(F), "b": RNG.standard_normal(width).astype(F)}
    node = N("Attention", names, list(outputs), num_heads=2, **attributes, **MS)
    agree(build([node], inputs, outputs, constants=constants, domains=DOMAINS), feed, tolerance=1e-4)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("mask", MASKS)
def test_fused_self_attention(mask, causal, build, agree) -> None:
    fused(build, agree, mask=MASKS[mask], unidirectional=causal)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("mask", [None, np.ones((2, 8), I32), np.asarray([[1] * 8, [0, 0, 1, 1, 1, 1, 1, 0]], I32)])
def test_fused_self_attention_with_a_cache(mask, causal, build, agree) -> None:
    fused(build, agree, mask=mask, past=PAST, outputs=("y", "present"), unidirectional=causal)


def own_mask(build, shape, dims, past, **types):
    """Self-attention with a mask whose sizes have names of their own, as exporters write `total_seq_len`."""
    inputs = {"x": (F, ("n", "t", 8)), "m": (I32, dims)} | ({"p": (F, (2, "n", 2, "past", 4))} if past else {})
    names = ["x", "w", "b", "m", *(["p"] if past else [])]
    feed = {"x": X, "m": np.ones(shape, I32) * (5 if len(shape) == 1 else 1)} | ({"p": PAST} if past else {})
    feed["m"].flat[-1] -= 1
    constants = {"w": RNG.standard_normal((8, 24)).astype(F), "b": RNG.standard_normal(24).astype(F)}
    outputs = ["y", "present"] if past else ["y"]
    node = N("Attention", names, outputs, num_heads=2, **types, **MS)
    return build([node], inputs, outputs, constants=constants, domains=DOMAINS), feed


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize(
    ("shape", "dims", "past"),
    [((2,), ("rows",), False), ((2, 8), ("n", "total"), True), ((2, 5, 5), ("rows", "from", "to"), False)],
)
def test_a_mask_with_names_of_its_own_is_compared_at_run(shape, dims, past, causal, build, agree) -> None:
    model, feed = own_mask(build, shape, dims, past, unidirectional=causal)
    translation = agree(model, feed, tolerance=1e-4)
    executable = get_backend("numpy").compile(translation.graph)
    for size in {1, shape[-1] + 1}:
        with pytest.raises(ShapeError, match=dims[-1]):
            executable.run(feed | {"m": np.ones((*shape[:-1], size), I32)})


@pytest.mark.parametrize("columns", [1, 7])
def test_a_mask_of_other_columns_than_keys_is_refused(columns, build) -> None:
    model, _ = own_mask(build, (2, columns), ("n", columns), past=False)
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 5
    with pytest.raises(TranslateError, match="does not cover 5 keys"):
        translate(model)


@pytest.mark.parametrize(
    "variant",
    [
        {"scale": 0.2},
        {"mask": MASKS["keys"], "mask_filter_value": -3.0},
        {"mask": MASKS["keys on the right"], "mask_filter_value": -3.0, "unidirectional": 1},
        {"bias": RNG.standard_normal((2, 2, 5, 5)).astype(F)},
        {"bias": RNG.standard_normal((1, 2, 5, 5)).astype(F), "mask": MASKS["keys"]},
        {"bias": RNG.standard_normal((1, 1, 5, 5)).astype(F), "unidirectional": 1},
        {"sizes": (8, 8, 12), "qkv_hidden_sizes": [8, 8, 12]},
    ],
)
def test_variants_of_fused_self_attention(variant, build, agree) -> None:
    fused(build, agree, **variant)


def of_three(build, agree, feed, shapes, names, *, outputs=("y",), constants=None, **attributes):
    """MultiHeadAttention on `feed`."""
    inputs = {name: (array.dtype, shapes[name]) for name, array in feed.items()}
    node = N("MultiHeadAttention", names, list(outputs), num_heads=2, **attributes, **MS)
    model = build([node], inputs, outputs, constants=constants or {}, domains=DOMAINS)
    return agree(model, feed, tolerance=1e-4)


Q, K, V = X[:, :3], X, X[::-1].copy()
SHAPES = {"q": ("n", "s", 8), "k": ("n", "t", 8), "v": ("n", "t", 8)}


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(
    "mask", [None, np.asarray([5, 2], I32), MASKS["keys"], np.asarray(RNG.integers(0, 2, (2, 5, 5)), I32)]
)
def test_fused_attention_of_three(mask, biased, causal, build, agree) -> None:
    # Causal attention is defined for as many queries as keys.
    feed, shapes = {"q": X[::-1].copy() if causal else X[:, :3], "k": K, "v": V}, dict(SHAPES)
    if causal:
        shapes["q"] = SHAPES["k"]
    if mask is not None and mask.ndim == 3 and not causal:
        mask = mask[:, :3]
    if mask is not None:
        feed["m"], shapes["m"] = mask, (("n",), ("n", "t"), ("n", shapes["q"][1], "t"))[mask.ndim - 1]
    names = ["q", "k", "v", "b" if biased else "", "m" if mask is not None else ""]
    constants = {"b": RNG.standard_normal(24).astype(F)} if biased else {}
    of_three(build, agree, feed, shapes, names, constants=constants, unidirectional=causal)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("extra", [None, (2, 2, 3, 6), (1, 1, 3, 6)])
def test_fused_attention_of_three_with_a_cache(extra, causal, build, agree) -> None:
    state = ("n", 2, "past", 4)
    feed = {"q": Q, "k": K[:, :3], "v": V[:, :3], "pk": PAST[0], "pv": PAST[1]}
    shapes = SHAPES | {"q": SHAPES["k"], "pk": state, "pv": state}
    if extra is not None:
        feed["e"], shapes["e"] = RNG.standard_normal(extra).astype(F), extra
    names = ["q", "k", "v", "", "", "e" if extra else "", "pk", "pv"]
    of_three(build, agree, feed, shapes, names, outputs=("y", "nk", "nv"), scale=0.3, unidirectional=causal)


def test_causal_attention_of_fewer_queries_than_keys_is_refused(build) -> None:
    inputs = {"q": (F, ("n", 3, 8)), "k": (F, ("n", 5, 8)), "v": (F, ("n", 5, 8))}
    node = N("MultiHeadAttention", ["q", "k", "v"], ["y"], num_heads=2, unidirectional=1, **MS)
    with pytest.raises(TranslateError, match="as many new keys as queries"):
        translate(build([node], inputs, domains=DOMAINS))


def test_fused_attention_reads_keys_and_values_of_a_whole_cache(build, agree) -> None:
    state = ("n", 2, "past", 4)
    feed, shapes = {"q": Q, "k": PAST[0], "v": PAST[1]}, {"q": SHAPES["q"], "k": state, "v": state}
    of_three(build, agree, feed, shapes, ["q", "k", "v"])


@pytest.mark.parametrize("packed", [3, 2])
def test_packed_heads_are_those_of_separate_tensors(packed, build) -> None:
    # ONNX Runtime packs on GPUs only: separate tensors with the same content are what to compare with.
    batch, length, heads, width = 2, 5, 2, 4
    whole = RNG.standard_normal((batch, length, heads, packed, width)).astype(F)
    parts = [np.ascontiguousarray(whole[:, :, :, k]).reshape(batch, length, 8) for k in range(packed)]
    separate = dict(zip(("q", "k", "v"), parts if packed == 3 else [X, *parts], strict=True))
    joint = {"p": whole} if packed == 3 else {"q": X, "p": whole}
    results = []
    for feed in (separate, joint):
        inputs = {name: (F, array.shape) for name, array in feed.items()}
        node = N("MultiHeadAttention", list(feed), ["y"], num_heads=2, **MS)
        translation = translate(build([node], inputs, domains=DOMAINS))
        results.append(get_backend("numpy").compile(translation.graph).run(feed)["y"])
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("kind", [{}, {"mask_index_type": 0}, {"mask_index_type": 1}])
@pytest.mark.parametrize("segments", [False, True])
def test_fused_embeddings(segments, kind, build, agree) -> None:
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
    node = N("EmbedLayerNormalization", names, ["y", "index"], epsilon=1e-5, **kind, **MS)
    counted = N("Cast", ["index"], ["z"], to=1)
    model = build([node, counted], inputs, ["y", "z"], constants=constants, domains=DOMAINS)
    found = agree(model, feed, tolerance=1e-4)
    assert found.graph.dims["t"].max_size == 6
