"""Any shapes at all, empty ones included: the native module gives NumPy's numbers or a ValueError, and never panics."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.native

SIZE = st.sampled_from([0, 1, 2, 3, 7, 13, 14, 16, 17, 32, 33, 65])
OUTER = st.lists(st.sampled_from([0, 1, 1, 2, 3]), max_size=2).map(tuple)


@pytest.fixture(scope="module")
def engines(optional):
    kernels = optional("webnn_kernels")
    return [kernels.Engine(threads, isa) for isa in kernels.available_isas() for threads in (1, 3)]


def numbers(*shape, turned=False):
    values = np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)
    return np.ascontiguousarray(values.swapaxes(-1, -2)).swapaxes(-1, -2) if turned else values


@given(a=OUTER, b=OUTER, m=SIZE, k=SIZE, n=SIZE, turned=st.booleans())
def test_matmul_broadcasts_or_refuses_as_numpy_does(engines, a, b, m, k, n, turned):
    left, right = numbers(*a, m, k), numbers(*b, k, n, turned=turned)
    try:
        expected = left.astype(np.float64) @ right
    except ValueError:
        for engine in engines:
            with pytest.raises(ValueError, match="b: shape"):
                engine.matmul(left, right)
        return
    for engine in engines:
        np.testing.assert_allclose(engine.matmul(left, right), expected, atol=1e-4)


@given(outer=OUTER, k=SIZE, n=SIZE, turned=st.booleans(), extras=st.booleans())
def test_linear_takes_any_shape(engines, outer, k, n, turned, extras):
    x, weights = numbers(*outer, k), numbers(k, n, turned=turned)
    bias, residual = (numbers(n), numbers(*outer, n)) if extras else (None, None)
    expected = x.astype(np.float64) @ weights
    if bias is not None:
        expected = np.maximum(expected + bias, 0) + residual
    for engine in engines:
        found = engine.linear(x, engine.pack(weights), bias, "relu" if extras else "identity", residual)
        np.testing.assert_allclose(found, expected, atol=1e-4)


@given(
    batch=st.integers(0, 3),
    heads=st.integers(0, 3),
    sizes=st.tuples(SIZE, SIZE, SIZE, SIZE),
    merged=st.booleans(),
    repeated=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_attention_takes_any_shape(engines, batch, heads, sizes, merged, repeated):
    queries, keys, depth, width = sizes

    def part(rows, cols):
        return numbers(batch, rows, heads, cols).swapaxes(1, 2) if merged else numbers(batch, heads, rows, cols)

    q, k, v = part(queries, depth), part(keys, depth), part(keys, width)
    scores = (batch, heads, queries)
    mask = numbers(*(1 if once else size for once, size in zip(repeated, scores, strict=True)), keys)
    if keys == 0:
        for engine in engines:
            with pytest.raises(ValueError, match="no keys"):
                engine.attention(q, k, v, 0.5, mask)
        return
    weights = q.astype(np.float64) @ k.swapaxes(-1, -2) * 0.5 + mask
    if weights.size:
        weights = np.exp(weights - weights.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
    for engine in engines:
        np.testing.assert_allclose(engine.attention(q, k, v, 0.5, mask), (weights @ v).swapaxes(1, 2), atol=1e-5)
