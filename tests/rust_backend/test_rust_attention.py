"""Attention: the shapes in which exporters write it, and the near misses that must stay apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.passes.attention import find_attention

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32
HEADS, DEPTH = 3, 8
LOWEST = float(np.finfo(np.float32).min)
B, L = symbol("batch"), symbol("length")


class Sketch:
    """Queries, keys and values as projections leave them, and a condition that hides padding."""

    def __init__(self):
        self.builder = GraphBuilder("sketch", dims=[DynamicDim("batch", 64), DynamicDim("length", 512)])
        self.op = self.builder.op
        self.q, self.k, self.v = (self.split(self.builder.input(name, F32, (B, L, HEADS * DEPTH))) for name in "qkv")
        self.keep = self.builder.input("keep", DataType.UINT8, (B, 1, 1, L))

    def split(self, x):
        return self.op("transpose", self.op("reshape", x, new_shape=(B, L, HEADS, DEPTH)), permutation=(0, 2, 1, 3))

    def number(self, value):
        return self.builder.constant(value, F32)

    def transposed(self, x):
        return self.op("transpose", x, permutation=(0, 1, 3, 2))

    def through_three_dimensions(self, x):
        flat = self.op("reshape", x, new_shape=(B * HEADS, L, DEPTH))
        turned = self.op("transpose", flat, permutation=(0, 2, 1))
        return self.op("reshape", turned, new_shape=(B, HEADS, DEPTH, L))

    def scores(self, q=None, kt=None):
        return self.op("matmul", q or self.q, kt or self.transposed(self.k))

    def mask(self, hidden=LOWEST):
        return self.op("where", self.keep, self.number(0.0), self.number(hidden))

    def weighted(self, scores, undefined_is_zero=False):
        weights = self.op("softmax", scores, axis=3)
        if undefined_is_zero:
            weights = self.op("where", self.op("isNaN", weights), self.number(0.0), weights)
        return self.op("matmul", weights, self.v)

    def merged(self, x):
        return self.op("reshape", self.op("transpose", x, permutation=(0, 2, 1, 3)), new_shape=(B, L, HEADS * DEPTH))


def eager(s):
    scaled = s.op("mul", s.scores(), s.number(1 / math.sqrt(DEPTH)))
    return s.merged(s.weighted(s.op("add", scaled, s.mask())))


def divided(s):
    scaled = s.op("div", s.scores(), s.number(math.sqrt(DEPTH)))
    return s.merged(s.weighted(s.op("add", s.mask(), scaled)))


def sdpa(s, hidden=-math.inf):
    half = s.number(DEPTH**-0.25)
    scores = s.scores(s.op("mul", s.q, half), s.op("mul", s.transposed(s.k), half))
    return s.merged(s.weighted(s.op("add", scores, s.mask(hidden)), undefined_is_zero=True))


def dynamo(s):
    half = s.number(DEPTH**-0.25)
    keys = s.op("mul", s.through_three_dimensions(s.k), half)
    scores = s.scores(s.op("mul", s.q, half), keys)
    return s.merged(s.weighted(s.op("add", scores, s.mask(-math.inf)), undefined_is_zero=True))


def keys_scaled_before_they_are_turned(s):
    keys = s.transposed(s.op("mul", s.k, s.number(0.25)))
    return s.weighted(s.op("add", s.scores(kt=keys), s.mask()))


def replaced_where_hidden(s):
    hidden = s.op("logicalNot", s.keep)
    scaled = s.op("mul", s.scores(), s.number(0.3))
    return s.weighted(s.op("where", s.op("expand", hidden, new_shape=(B, HEADS, L, L)), s.number(-1e4), scaled))


def kept_where_shown(s):
    return s.weighted(s.op("where", s.op("expand", s.keep, new_shape=(B, HEADS, L, L)), s.scores(), s.number(LOWEST)))


def positions(s):
    return s.builder.input("positions", F32, (1, HEADS, L, L))


def biased(s):
    scaled = s.op("div", s.scores(), s.number(math.sqrt(DEPTH)))
    return s.merged(s.weighted(s.op("add", s.op("add", scaled, positions(s)), s.mask())))


def biased_and_replaced(s):
    scores = s.op("add", positions(s), s.scores())
    keep = s.op("expand", s.keep, new_shape=(B, HEADS, L, L))
    return s.weighted(s.op("where", keep, scores, s.number(LOWEST)))


def one_for_each_query(s):
    """A bias that is stretched along the keys."""
    each = s.op("slice", positions(s), starts=(0, 0, 0, 0), sizes=(1, HEADS, L, 1), strides=(1, 1, 1, 1))
    bias = s.op("expand", each, new_shape=(B, HEADS, L, L))
    return s.weighted(s.op("add", s.op("add", s.scores(), bias), s.mask()))


def read_by_distance(s, source):
    row = s.op("slice", s.builder.constant(np.arange(512)), starts=(0,), sizes=(L,))
    apart = s.op("sub", s.op("reshape", row, new_shape=(L, 1)), s.op("reshape", row, new_shape=(1, L)))
    columns = s.op("reshape", s.op("clamp", apart, min_value=0, max_value=4), new_shape=(1, 1, L, L))
    columns = s.op("expand", columns, new_shape=(source.type.shape[0], HEADS, L, L))
    return s.op("gatherElements", source, columns, axis=3)


def distances_of_queries(s):
    far = s.builder.constant(np.sin(np.arange(HEADS * DEPTH * 5.0)).reshape(1, HEADS, DEPTH, 5).astype(np.float32))
    bias = read_by_distance(s, s.op("matmul", s.q, far))
    return s.weighted(s.op("add", s.op("add", s.scores(), bias), s.mask()))


def distances_of_all_texts(s):
    """The same numbers for every item of a batch: no operand has one part for each."""
    table = np.sin(np.arange(HEADS * 512 * 5.0)).reshape(1, HEADS, 512, 5).astype(np.float32)
    rows = s.op("slice", s.builder.constant(table), starts=(0,) * 4, sizes=(1, HEADS, L, 5))
    return s.weighted(s.op("add", s.op("add", s.scores(), read_by_distance(s, rows)), s.mask()))


def turned_by_hand(s):
    keys = s.op(
        "transpose", s.op("reshape", s.op("identity", s.k), new_shape=(B, HEADS, L, DEPTH)), permutation=(0, 1, 3, 2)
    )
    return s.weighted(s.scores(kt=s.op("identity", keys)))


def three_dimensions(s):
    def flat(x):
        return s.op("reshape", x, new_shape=(B * HEADS, L, DEPTH))

    keys = s.op("transpose", flat(s.k), permutation=(0, 2, 1))
    weights = s.op("softmax", s.op("matmul", flat(s.q), keys), axis=2)
    return s.op("matmul", weights, flat(s.v))


FUSED = {
    "eager": (eager, "attention+mask"),
    "divided": (divided, "attention+mask"),
    "sdpa": (sdpa, "attention+mask"),
    "dynamo": (dynamo, "attention+mask"),
    "keys scaled before they are turned": (keys_scaled_before_they_are_turned, "attention+mask"),
    "replaced where hidden": (replaced_where_hidden, "attention+where"),
    "kept where shown": (kept_where_shown, "attention+where"),
    "biased": (biased, "attention+bias+mask"),
    "biased and replaced": (biased_and_replaced, "attention+bias+where"),
    "biased alike for all keys": (one_for_each_query, "attention+bias+mask"),
    "distances of queries": (distances_of_queries, "attention+relative+mask"),
    "distances of all texts": (distances_of_all_texts, "attention+bias+mask"),
    "no mask": (lambda s: s.weighted(s.scores()), "attention"),
    "turned by hand": (turned_by_hand, "attention"),
    "three dimensions": (three_dimensions, "attention"),
}


def numbers(batch, length, hidden_rows=()):
    random = np.random.default_rng(batch * 1000 + length)
    inputs = {name: random.standard_normal((batch, length, HEADS * DEPTH)).astype(np.float32) for name in "qkv"}
    inputs["keep"] = (random.random((batch, 1, 1, length)) < 0.7).astype(np.uint8)
    inputs["keep"][..., 0] = 1
    inputs["positions"] = random.standard_normal((1, HEADS, length, length)).astype(np.float32)
    for row in hidden_rows:
        inputs["keep"][row] = 0
    return inputs


def compare(backend, options, graph, inputs):
    executable = backend.compile(graph, options)
    given = {name: inputs[name] for name in graph.inputs}
    found, expected = executable.run(given), REFERENCE.compile(graph).run(given)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=3e-6, rtol=1e-5)
    return executable.describe()


@pytest.mark.parametrize("name", FUSED)
def test_an_attention_is_fused_and_right(rust, on_isa, name):
    build, label = FUSED[name]
    sketch = Sketch()
    graph = sketch.builder.build({"y": build(sketch)})
    executable = rust.compile(graph, on_isa)
    assert executable.describe()["fused"] == {label: 1}
    for batch, length in [(1, 1), (3, 10), (2, 40)]:
        compare(rust, on_isa, graph, numbers(batch, length))


@pytest.mark.parametrize("name", ["eager", "sdpa", "replaced where hidden", "kept where shown"])
def test_rows_without_any_key_are_what_the_separate_operators_give(rust, on_isa, name):
    sketch = Sketch()
    graph = sketch.builder.build({"y": FUSED[name][0](sketch)})
    assert sum(rust.compile(graph, on_isa).describe()["fused"].values()) == 1
    compare(rust, on_isa, graph, numbers(3, 11, hidden_rows=[1]))


def test_a_text_has_the_same_bits_alone_padded_and_in_any_batch(rust, on_isa):
    sketch = Sketch()
    executable = rust.compile(sketch.builder.build({"y": eager(sketch)}), on_isa)
    whole = numbers(4, 33)
    del whole["positions"]
    whole["keep"][:] = 1
    whole["keep"][2, ..., 20:] = 0
    together = executable.run(whole)["y"][2, :20]
    alone = executable.run({name: array[2:3] for name, array in whole.items()})["y"][0, :20]
    cut = {name: array[2:3, :20] for name, array in whole.items() if name != "keep"}
    short = executable.run({**cut, "keep": np.ones((1, 1, 1, 20), np.uint8)})["y"][0]
    assert together.tobytes() == alone.tobytes() == short.tobytes()


def weights_are_a_result(s):
    weights = s.op("softmax", s.scores(), axis=3)
    return {"weights": weights, "y": s.op("matmul", weights, s.v)}


def scores_are_a_result(s):
    scores = s.scores()
    return {"scores": scores, "y": s.weighted(s.op("add", scores, s.mask()))}


def scores_read_twice(s):
    scaled = s.op("mul", s.scores(), s.number(0.5))
    return {"y": s.weighted(scaled), "z": s.op("softmax", scaled, axis=3)}


def softmax_over_queries(s):
    return {"y": s.op("matmul", s.op("softmax", s.scores(), axis=2), s.v)}


def undefined_is_one(s):
    weights = s.op("softmax", s.scores(), axis=3)
    return {"y": s.op("matmul", s.op("where", s.op("isNaN", weights), s.number(1.0), weights), s.v)}


def values_are_the_weights(s):
    weights = s.op("softmax", s.scores(), axis=3)
    return {"y": s.op("matmul", weights, weights)}


def other_heads_in_the_keys(s):
    shared = s.op("slice", s.k, starts=(0, 0, 0, 0), sizes=(B, 1, L, DEPTH), strides=(1, 1, 1, 1))
    return {"y": s.weighted(s.scores(kt=s.transposed(shared)))}


def scaled_behind_the_mask(s):
    return {"y": s.weighted(s.op("mul", s.op("add", s.scores(), s.mask(-1.0)), s.number(0.5)))}


def divided_by_what_has_no_inverse(s):
    """That of 2.5e-39 is over what float32 has; scores as small have quotients of ordinary size."""
    small = s.op("mul", s.op("mul", s.scores(), s.number(1e-20)), s.number(2.5e-19))
    return {"y": s.weighted(s.op("div", small, s.number(2.5e-39)))}


def one_number_for_all_scores(s):
    return {"y": s.weighted(s.op("add", s.scores(), s.op("reduceMax", s.q)))}


KEPT_APART = [
    weights_are_a_result,
    scores_are_a_result,
    scores_read_twice,
    softmax_over_queries,
    undefined_is_one,
    values_are_the_weights,
    other_heads_in_the_keys,
    scaled_behind_the_mask,
    divided_by_what_has_no_inverse,
    one_number_for_all_scores,
]


@pytest.mark.parametrize("build", KEPT_APART, ids=lambda build: build.__name__)
def test_what_is_not_the_pattern_or_is_seen_elsewhere_stays_apart(rust, build):
    sketch = Sketch()
    graph = sketch.builder.build(build(sketch))
    assert not list(find_attention(graph))
    facts = compare(rust, CompileOptions(threads=1), graph, numbers(2, 9))
    assert facts["native"]["matmul"] == 2


def test_a_shared_transpose_serves_both_readers(rust):
    sketch = Sketch()
    turned = sketch.op("mul", sketch.transposed(sketch.k), sketch.number(0.5))
    graph = sketch.builder.build({"y": sketch.weighted(sketch.scores(kt=turned)), "turned": turned})
    assert compare(rust, None, graph, numbers(2, 9))["fused"] == {"attention": 1}


def test_two_attentions_may_share_their_operands(rust):
    sketch = Sketch()
    mask = sketch.mask()
    first = sketch.weighted(sketch.op("add", sketch.scores(), mask))
    second = sketch.weighted(sketch.op("add", sketch.scores(q=first), mask))
    graph = sketch.builder.build({"y": second})
    assert compare(rust, None, graph, numbers(2, 9))["fused"] == {"attention+mask": 2}
