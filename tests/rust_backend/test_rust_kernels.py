"""The native module at its border: right numbers on every instruction set, and an error for every wrong argument."""

from __future__ import annotations

import math
import multiprocessing
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.native


@pytest.fixture(scope="session")
def kernels(optional):
    return optional("webnn_kernels")


@pytest.fixture
def engine(isa, kernels):
    return kernels.Engine(threads=2, isa=isa)


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


ACTIVATIONS = {"identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "gelu": gelu, "tanh": np.tanh}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 7), (2, 65, 3)])
def test_linear_is_the_product_with_its_epilogue(engine, shape, activation):
    x, w, bias, residual = random(*shape, 33), random(33, 45, seed=1), random(45, seed=2), random(*shape, 45, seed=3)
    out = engine.linear(x, engine.pack(w), bias, activation, residual)
    expected = ACTIVATIONS[activation](x.astype(np.float64) @ w + bias) + residual
    assert out.dtype == np.float32
    assert out.shape == (*shape, 45)
    np.testing.assert_allclose(out, expected, atol=2e-5)


def test_a_transposed_matrix_packs_without_a_copy(engine):
    x, w = random(5, 20), random(30, 20, seed=1)
    np.testing.assert_array_equal(
        engine.linear(x, engine.pack(w.T)), engine.linear(x, engine.pack(np.ascontiguousarray(w.T)))
    )


@pytest.mark.parametrize(
    ("a", "b"),
    [((4, 5), (5, 6)), ((3, 4, 5), (5, 6)), ((2, 1, 4, 5), (3, 5, 6)), ((5, 1, 9), (1, 9, 1)), ((0, 4, 5), (5, 6))],
)
def test_matmul_broadcasts_like_numpy(engine, a, b):
    left, right = random(*a), random(*b, seed=1)
    np.testing.assert_allclose(engine.matmul(left, right), left.astype(np.float64) @ right, atol=1e-5)
    permuted = np.ascontiguousarray(right.swapaxes(-1, -2)).swapaxes(-1, -2)
    np.testing.assert_allclose(engine.matmul(left, permuted), left.astype(np.float64) @ right, atol=1e-5)


def plain_attention(q, k, v, scale, mask=None, fill=None):
    scores = q.astype(np.float64) @ k.swapaxes(-1, -2) * scale
    if mask is not None:
        scores = scores + mask if fill is None else np.where(mask != 0, scores, fill)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return (weights / weights.sum(-1, keepdims=True) @ v).swapaxes(1, 2)


@pytest.mark.parametrize("mask_shape", [None, (2, 1, 1, 19), (1, 3, 1, 19), (1, 1, 17, 19), (2, 3, 17, 19)])
@pytest.mark.parametrize("fill", [None, -1e4])
def test_attention_is_softmax_of_masked_scores_times_values(engine, mask_shape, fill):
    # Laid out as a linear layer leaves them, so that the heads are a permuted view.
    q, k, v = (random(2, length, 3, 8, seed=length).swapaxes(1, 2) for length in (17, 19, 19))
    if mask_shape is None:
        mask = fill = None
    else:
        kept = random(*mask_shape, seed=9) > -0.5
        mask = kept.astype(np.float32) if fill is not None else np.where(kept, 0, np.finfo(np.float32).min)
        mask = mask.astype(np.float32)
    out = engine.attention(q, k, v, 0.3, mask, fill)
    assert out.shape == (2, 17, 3, 8)
    np.testing.assert_allclose(out, plain_attention(q, k, v, 0.3, mask, fill), atol=2e-6)


def test_rows_without_any_key_are_nan_or_zero(engine):
    x = random(1, 1, 3, 4)
    mask = np.full((1, 1, 1, 3), -np.inf, np.float32)
    assert np.isnan(engine.attention(x, x, x, 1.0, mask)).all()
    assert (engine.attention(x, x, x, 1.0, mask, undefined_is_zero=True) == 0).all()


def test_results_have_the_same_bits_on_any_number_of_threads(kernels):
    x, w = random(300, 128), random(128, 512, seed=1)
    results = []
    for threads in (1, 2, 5):
        engine = kernels.Engine(threads=threads)
        assert engine.threads == threads
        results.append(engine.linear(x, engine.pack(w), activation="gelu"))
    assert results[0].tobytes() == results[1].tobytes() == results[2].tobytes()
    assert engine.linear(x[7:8], engine.pack(w), activation="gelu").tobytes() == results[0][7:8].tobytes()


def test_results_land_in_the_given_array(engine):
    x, w = random(3, 4), random(4, 5, seed=1)
    out = np.empty((3, 5), np.float32)
    assert engine.linear(x, engine.pack(w), out=out) is out
    np.testing.assert_allclose(out, x @ w, atol=1e-5)


@pytest.mark.parametrize("shape", [(1,), (3, 384), (2, 5, 37), (0, 4)])
@pytest.mark.parametrize("affine", [True, False])
def test_layer_norm_centres_and_scales_the_last_axis(engine, shape, affine):
    x = random(*shape) * 2 + 3
    scale, bias = (random(shape[-1], seed=1), random(shape[-1], seed=2)) if affine else (None, None)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(-1, keepdims=True)) / np.sqrt(wide.var(-1, keepdims=True) + 1e-6)
    if affine:
        expected = expected * scale + bias
    np.testing.assert_allclose(engine.layer_norm(x, scale, bias, 1e-6), expected, atol=5e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_applies_to_every_element(engine, name):
    x = random(3, 1001) * 4
    np.testing.assert_allclose(engine.activate(x, name), ACTIVATIONS[name](x.astype(np.float64)), atol=1e-6)


X, W, HEADS = random(3, 4), random(4, 5), random(1, 2, 3, 4)
READ_ONLY = random(3, 5)
READ_ONLY.flags.writeable = False
MISALIGNED = np.zeros(49, np.uint8)[1:].view(np.float32).reshape(3, 4)

BAD_ARGUMENTS = {
    "linear: list": (TypeError, "x: a list; must be", lambda e: e.linear([1.0], e.pack(W))),
    "linear: float64": (
        TypeError,
        "x: array of float64; must be of float32",
        lambda e: e.linear(X.astype(float), e.pack(W)),
    ),
    "linear: big-endian": (TypeError, "x: array of >f4", lambda e: e.linear(X.astype(">f4"), e.pack(W))),
    "linear: inner": (ValueError, "x: shape .3, 5.; the last axis", lambda e: e.linear(random(3, 5), e.pack(W))),
    "linear: scalar": (ValueError, "x: shape", lambda e: e.linear(np.zeros((), np.float32), e.pack(W))),
    "linear: strided": (ValueError, "x: not C-contiguous", lambda e: e.linear(random(3, 8)[:, ::2], e.pack(W))),
    "linear: reversed": (ValueError, "x: not C-contiguous", lambda e: e.linear(X[::-1], e.pack(W))),
    "linear: misaligned": (ValueError, "x: not aligned", lambda e: e.linear(MISALIGNED, e.pack(W))),
    "linear: bias": (ValueError, "bias: shape .4.; must be .5.", lambda e: e.linear(X, e.pack(W), random(4))),
    "linear: residual": (ValueError, "residual: shape", lambda e: e.linear(X, e.pack(W), residual=random(3, 4))),
    "linear: activation": (
        ValueError,
        "activation: 'selu'; must be one of",
        lambda e: e.linear(X, e.pack(W), None, "selu"),
    ),
    "linear: out shape": (ValueError, "out: shape", lambda e: e.linear(X, e.pack(W), out=random(5, 3))),
    "linear: out read-only": (ValueError, "out: read-only", lambda e: e.linear(X, e.pack(W), out=READ_ONLY)),
    "linear: weights": (TypeError, "PackedMatrix", lambda e: e.linear(X, W)),
    "pack: rank": (ValueError, "matrix: shape", lambda e: e.pack(random(2, 3, 4))),
    "pack: gaps": (ValueError, "matrix: elements are not adjacent", lambda e: e.pack(random(4, 8)[:, ::2])),
    "pack: reversed": (ValueError, "matrix: elements are not adjacent", lambda e: e.pack(W[::-1])),
    "layer_norm: scalar": (ValueError, "x: shape", lambda e: e.layer_norm(np.zeros((), np.float32))),
    "layer_norm: empty rows": (ValueError, "x: shape", lambda e: e.layer_norm(random(3, 0))),
    "layer_norm: scale": (ValueError, "scale: shape .3.; must be .4.", lambda e: e.layer_norm(X, random(3))),
    "layer_norm: bias": (ValueError, "bias: shape", lambda e: e.layer_norm(X, None, random(4, 1))),
    "activate: name": (ValueError, "activation: 'selu'; must be one of", lambda e: e.activate(X, "selu")),
    "matmul: inner": (ValueError, "b: shape", lambda e: e.matmul(X, X)),
    "matmul: rank": (ValueError, "b: shape", lambda e: e.matmul(random(4), W)),
    "matmul: outer": (ValueError, "b: shape", lambda e: e.matmul(random(2, 3, 4), random(3, 4, 5))),
    "attention: rank": (ValueError, "q: shape", lambda e: e.attention(X, HEADS, HEADS, 1.0)),
    "attention: keys": (ValueError, "v: shape", lambda e: e.attention(HEADS, HEADS, random(1, 2, 4, 4), 1.0)),
    "attention: depth": (ValueError, "k: shape", lambda e: e.attention(HEADS, random(1, 2, 3, 5), HEADS, 1.0)),
    "attention: no keys": (ValueError, "no keys", lambda e: e.attention(HEADS, HEADS[:, :, :0], HEADS[:, :, :0], 1.0)),
    "attention: transposed": (
        ValueError,
        "k: the last axis",
        lambda e: e.attention(HEADS, random(1, 2, 4, 3).swapaxes(2, 3), HEADS, 1.0),
    ),
    "attention: mask": (ValueError, "mask: shape", lambda e: e.attention(HEADS, HEADS, HEADS, 1.0, random(1, 1, 1, 4))),
    "attention: bias": (ValueError, "bias: shape", lambda e: e.attention(HEADS, HEADS, HEADS, 1.0, bias=X)),
    "attention: fill": (ValueError, "fill: given without", lambda e: e.attention(HEADS, HEADS, HEADS, 1.0, fill=0.0)),
    "engine: threads": (ValueError, "threads: 0; must be 1 to 1024", lambda e: type(e)(threads=0)),
    "engine: too many threads": (ValueError, "threads: 5000", lambda e: type(e)(threads=5000)),
    "engine: isa": (ValueError, "isa: 'sse9'.*available: scalar", lambda e: type(e)(isa="sse9")),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_a_bad_argument_is_an_error_and_never_a_panic(kernels, case):
    kind, message, call = BAD_ARGUMENTS[case]
    with pytest.raises(kind, match=message):
        call(kernels.Engine(threads=1))


def test_an_input_cannot_be_its_own_output(kernels):
    engine = kernels.Engine(threads=1)
    square = random(4, 4)
    with pytest.raises(ValueError, match="out: "):
        engine.linear(square, engine.pack(square), out=square)


def test_weights_of_another_instruction_set_are_refused(kernels, isa):
    weights = kernels.Engine(isa=isa).pack(W)
    for other in {*kernels.available_isas()} - {isa}:
        with pytest.raises(ValueError, match=f"weights: packed for {isa}"):
            kernels.Engine(isa=other).linear(X, weights)


def test_engines_can_be_used_from_many_threads(kernels):
    engine = kernels.Engine(threads=2)
    x, weights = random(200, 256), engine.pack(random(256, 256, seed=1))
    expected = engine.linear(x, weights).tobytes()
    found = []

    def work():
        found.extend(engine.linear(x, weights).tobytes() for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 40


def _child(engine, x, weights, queue):
    queue.put(engine.linear(x, weights).tobytes())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_computes_with_its_parents_engine(kernels):
    engine = kernels.Engine(threads=3)
    x, weights = random(300, 256), engine.pack(random(256, 256, seed=1))
    expected = engine.linear(x, weights).tobytes()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_child, args=(engine, x, weights, queue))
    child.start()
    assert queue.get(timeout=30) == expected
    child.join(timeout=30)
    assert child.exitcode == 0


@pytest.mark.parametrize("forced", ["scalar", "sse9"])
def test_the_environment_forces_an_instruction_set(kernels, forced):
    code = "import webnn_kernels; print(webnn_kernels.isa, webnn_kernels.Engine().isa)"
    environment = {**os.environ, "WEBNN_KERNELS_ISA": forced}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if forced == "scalar":
        assert done.stdout.split() == ["scalar", "scalar"]
    else:
        assert done.returncode != 0
        assert "WEBNN_KERNELS_ISA=sse9: no such instruction set" in done.stderr


def test_the_module_says_what_it_is(kernels):
    assert kernels.isa in kernels.available_isas()
    assert kernels.build_profile == "release"
    assert kernels.__version__.count(".") == 2


def test_no_vector_instruction_is_a_function_of_its_own(kernels):
    # One that is has left the function compiled for its instruction set, and each use is a call: a kernel of AVX2 took
    # sixteen times as long that way, with the right numbers.
    (module,) = Path(kernels.__file__).parent.glob("_kernels.*.so")
    names = module.read_bytes()
    assert len(set(re.findall(rb"\w*kernels4arch\w+", names))) > 100
    assert not set(re.findall(rb"\w*core_arch\w*_mm(?:256|512)?_\w+", names))
