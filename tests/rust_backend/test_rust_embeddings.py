"""Sums of rows picked from tables: what becomes one step, what stays as it is, and that the numbers are the same."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.backends.rust import _plan, _texts
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native

F32, I32, I64, I8, U8 = (DataType[name] for name in ("FLOAT32", "INT32", "INT64", "INT8", "UINT8"))
B, L = symbol("batch"), symbol("length")
WIDTH, WORDS, KINDS, PLACES = 24, 40, 3, 16


class Beginning:
    """Tables and their sums."""

    def __init__(self):
        self.random = np.random.default_rng(7)
        self.builder = GraphBuilder("beginning", dims=[DynamicDim("batch", 8), DynamicDim("length", PLACES)])
        self.op = self.builder.op
        self.ids = self.builder.input("ids", I64, (B, L))
        self.kinds = self.builder.input("kinds", I64, (B, L))

    def floats(self, *shape):
        return self.builder.constant(self.random.standard_normal(shape).astype(np.float32), F32)

    def words(self):
        return self.op("gather", self.floats(WORDS, WIDTH), self.ids, axis=0)

    def picked_kinds(self):
        return self.op("gather", self.floats(KINDS, WIDTH), self.kinds, axis=0)

    def places(self):
        rows = self.op("slice", self.floats(PLACES, WIDTH), starts=(0, 0), sizes=(L, WIDTH))
        return self.op("reshape", rows, new_shape=(1, L, WIDTH))

    def integers(self, rows, indices, dtype=I8, axis=0):
        low, high = (-128, 128) if dtype is I8 else (0, 256)
        shape = (1,) * axis + (rows,)
        table, zero = (
            self.builder.constant(self.random.integers(low, high, (*shape, width)).astype(dtype.numpy), dtype)
            for width in (WIDTH, 1)
        )
        scale = self.builder.constant(self.random.uniform(0.01, 0.1, (*shape, 1)).astype(np.float32), F32)
        parts = [self.op("gather", part, indices, axis=axis) for part in (table, scale, zero)]
        return self.op("dequantizeLinear", *parts)

    def sum(self, first, *others):
        for other in others:
            first = self.op("add", first, other)
        return first

    def normalised(self, x, axes=(2,)):
        shape = (WIDTH,) if axes == (2,) else (1, WIDTH)
        scale = self.floats(*shape) if len(axes) == 1 else None
        return self.op("layerNormalization", x, scale, None, axes=axes, epsilon=1e-12)


def two_sums(b):
    return b.sum(b.sum(b.words(), b.picked_kinds()), b.sum(b.places(), b.picked_kinds()))


def read_twice(b):
    words = b.words()
    return b.op("mul", b.sum(words, b.picked_kinds()), words)


def of_columns(b):
    table = b.op("gather", b.floats(WIDTH, WORDS), b.ids, axis=1)
    return b.sum(b.op("transpose", table, permutation=(1, 2, 0)), b.picked_kinds())


def scaled_alike(b):
    """One scale for all words, as ONNX Runtime quantises."""
    table = b.builder.constant(b.random.integers(-9, 9, (WORDS, WIDTH)).astype(np.int8), I8)
    words = b.op("gather", table, b.ids, axis=0)
    one, zero = (
        b.builder.constant(np.full((1, 1, 1), 0.1, np.float32), F32),
        b.builder.constant(np.zeros((1, 1, 1), np.int8), I8),
    )
    return b.sum(b.op("dequantizeLinear", words, one, zero), b.picked_kinds())


def one_zero(b):
    """A scale for each word, and one zero point for all."""
    table = b.builder.constant(b.random.integers(-9, 9, (WORDS, WIDTH)).astype(np.int8), I8)
    words, scale = b.op("gather", table, b.ids, axis=0), b.op("gather", b.floats(WORDS, 1), b.ids, axis=0)
    zero = b.op("expand", b.builder.constant(np.array(3, np.int8), I8), new_shape=(B, L, 1))
    return b.sum(b.op("dequantizeLinear", words, scale, zero), b.picked_kinds())


ONE, BOTH = {"embedding": 1}, {"embedding+layerNormalization": 1}
# What is summed, and what is fused of it.
SUMS = {
    "words and kinds": (lambda b: b.sum(b.words(), b.picked_kinds()), ONE),
    "three, normalised": (lambda b: b.normalised(b.sum(b.words(), b.picked_kinds(), b.places())), BOTH),
    "places first": (lambda b: b.normalised(b.sum(b.places(), b.words())), BOTH),
    "the sum on the right": (lambda b: b.normalised(b.sum(b.places(), b.sum(b.picked_kinds(), b.words()))), BOTH),
    "a row for all": (lambda b: b.normalised(b.sum(b.words(), b.floats(1, WIDTH), b.floats(1, 1, WIDTH))), BOTH),
    "a vector": (lambda b: b.normalised(b.sum(b.floats(WIDTH), b.words())), BOTH),
    "8 bits": (lambda b: b.normalised(b.sum(b.integers(WORDS, b.ids), b.integers(KINDS, b.kinds, U8))), BOTH),
    "8 bits with one scale": (scaled_alike, ONE),
    "8 bits with one zero point": (one_zero, ONE),
    "8 bits and floats": (lambda b: b.sum(b.integers(WORDS, b.ids, U8), b.places(), b.picked_kinds()), ONE),
    "two sums": (two_sums, {"embedding": 2}),
    "normalised along two axes": (
        lambda b: b.normalised(b.sum(b.words(), b.picked_kinds()), (1, 2)),
        {**ONE, "layerNormalization": 1},
    ),
    "normalised twice": (
        lambda b: b.normalised(b.normalised(b.sum(b.words(), b.places()))),
        {**BOTH, "layerNormalization": 1},
    ),
    "words alone": (lambda b: b.words(), {}),
    "rows that others read too": (read_twice, {}),
    "columns": (of_columns, {}),
    "nothing picked": (lambda b: b.sum(b.op("expand", b.places(), new_shape=(B, L, WIDTH)), b.floats(WIDTH)), {}),
}


def feeds_of(batch, length, seed=0):
    random = np.random.default_rng(seed)
    # Counted from the end, and beyond both ends: as a gather takes them.
    ids = random.integers(-WORDS - 5, WORDS + 5, (batch, length))
    return {"ids": ids, "kinds": random.integers(0, KINDS, (batch, length))}


def apart(calls, types, results):
    return list(calls)


@pytest.mark.parametrize(("made", "fused"), SUMS.values(), ids=SUMS)
def test_sums_of_picked_rows_are_one_step_with_the_bits_of_many(made, fused, rust, monkeypatch):
    b = Beginning()
    graph = b.builder.build({"y": made(b)})
    options = CompileOptions(threads=2)
    model = rust.compile(graph, options)
    found = {name: count for name, count in model.describe()["fused"].items() if "embedding" in name or name in fused}
    assert found == fused
    with monkeypatch.context() as patch:
        patch.setattr(_plan, "join_embeddings", apart)
        other = rust.compile(graph, options)
    assert not any("embedding" in name for name in other.describe()["fused"])
    for number, (batch, length) in enumerate([(1, 1), (1, 10), (3, 7), (8, PLACES)]):
        feeds = {name: ids for name, ids in feeds_of(batch, length, number).items() if name in graph.inputs}
        y = model.run(feeds)["y"]
        assert y.tobytes() == other.run(feeds)["y"].tobytes()
        np.testing.assert_allclose(y, REFERENCE.compile(graph).run(feeds)["y"], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["floats", "8 bits", "8 bits unpacked whole"])
def test_texts_read_their_places_from_the_table_itself(kind, rust, monkeypatch):
    b = Beginning()
    if kind == "floats":
        places = b.places()
    else:
        table = b.builder.constant(b.random.integers(-99, 99, (PLACES, WIDTH)).astype(np.int8), I8)
        scale = b.floats(PLACES, 1)
        zero = b.builder.constant(b.random.integers(-9, 9, (PLACES, 1)).astype(np.int8), I8)
        parts = [(table, WIDTH), (scale, 1), (zero, 1)]
        if kind == "8 bits":
            own = [b.op("slice", part, starts=(0, 0), sizes=(L, width)) for part, width in parts]
            rows = b.op("dequantizeLinear", *own)
        else:
            whole = b.op("dequantizeLinear", table, scale, zero)
            rows = b.op("slice", whole, starts=(0, 0), sizes=(L, WIDTH))
        places = b.op("reshape", rows, new_shape=(1, L, WIDTH))
    graph = b.builder.build({"y": b.normalised(b.sum(b.words(), places, b.picked_kinds()))})
    model = rust.compile(graph)
    assert model.texts()._plan.labels == ["embedding+layerNormalization"]
    lengths = [5, 1, PLACES, 7]
    feeds = feeds_of(len(lengths), PLACES)
    tokens = {
        name: np.concatenate([row[:length] for row, length in zip(rows, lengths, strict=True)])
        for name, rows in feeds.items()
    }
    found = model.texts().run(tokens, lengths)["y"]
    with monkeypatch.context() as patch:
        patch.setattr(_texts, "join_embeddings", apart)
        other = rust.compile(graph)
        assert len(other.texts()._plan.labels) > 4
        assert found.tobytes() == other.texts().run(tokens, lengths)["y"].tobytes()
    padded = model.run(feeds)["y"]
    alone = np.concatenate([row[:length] for row, length in zip(padded, lengths, strict=True)])
    assert found.tobytes() == alone.tobytes()
