"""The clean-ups: each leaves the numbers as they are, says what it did, and leaves alone what it must."""

from __future__ import annotations

import math

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.passes.simplify import PASSES, simplify

F32 = DataType.FLOAT32
X = np.random.default_rng(7).standard_normal((2, 3, 8)).astype(np.float32) * 4


def f32(*numbers):
    return np.asarray(numbers, np.float32).reshape(() if len(numbers) == 1 else (len(numbers),))


def built(make, shape=(2, 3, 8)):
    builder = GraphBuilder("g", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", F32, shape)
    return builder.build({"y": make(builder, x)})


def gelu(b, x):
    erf = b.op("erf", b.op("div", x, b.constant(f32(math.sqrt(2)))))
    return b.op("mul", b.op("mul", x, b.op("add", erf, b.constant(f32(1)))), b.constant(f32(0.5)))


def layer_norm(b, x):
    centred = b.op("sub", x, b.op("reduceMean", x, axes=(2,), keepDimensions=True))
    variance = b.op("reduceMean", b.op("mul", centred, centred), axes=(2,), keepDimensions=True)
    root = b.op("sqrt", b.op("add", variance, b.constant(f32(1e-5))))
    scaled = b.op("mul", b.op("div", centred, root), b.constant(X[:1, :1] * 2))
    return b.op("add", scaled, b.constant(X[0, 1]))


def softmax(b, x, axis=2):
    powers = b.op("exp", b.op("sub", x, b.op("reduceMax", x, axes=(axis,), keepDimensions=True)))
    return b.op("div", powers, b.op("reduceSum", powers, axes=(axis,), keepDimensions=True))


def hard_swish(b, x):
    gate = b.op("clamp", b.op("add", x, b.constant(f32(3))), minValue=0.0, maxValue=6.0)
    return b.op("div", b.op("mul", x, gate), b.constant(f32(6)))


def hard_swish_divided_first(b, x):
    gate = b.op("clamp", b.op("add", x, b.constant(f32(3))), minValue=0, maxValue=6)
    return b.op("mul", b.op("div", gate, b.constant(f32(6))), x)


def hard_sigmoid_gate(b, x):
    return b.op("mul", b.op("hardSigmoid", x, alpha=1 / 6, beta=0.5), x)


def chain(b, x):
    turned = b.op("transpose", b.op("transpose", x, permutation=(2, 0, 1)), permutation=(1, 0, 2))
    return b.op("reshape", b.op("reshape", turned, newShape=(6, 8)), newShape=(48,))


def there_and_back(b, x):
    turned = b.op("transpose", b.op("transpose", x, permutation=(1, 2, 0)), permutation=(2, 0, 1))
    return b.op("tanh", b.op("reshape", turned, newShape=(2, 3, 8)))


def idle(b, x):
    x = b.op("mul", b.op("identity", x), b.constant(f32(1)))
    x = b.op("sub", b.op("pow", x, b.constant(f32(1))), b.constant(f32(0)))
    return b.op("tanh", b.op("concat", b.op("expand", x, newShape=(2, 3, 8)), axis=0))


def twice(b, x):
    return b.op("add", b.op("exp", x), b.op("exp", x))


def known(b, x):
    return b.op("add", x, b.op("mul", b.constant(f32(2)), b.constant(f32(3))))


PATTERNS = [
    (gelu, "recognise-gelu", ["gelu"]),
    (layer_norm, "recognise-layer-normalization", ["layerNormalization"]),
    (softmax, "recognise-softmax", ["softmax"]),
    (hard_swish, "recognise-hard-swish", ["hardSwish"]),
    (hard_swish_divided_first, "recognise-hard-swish", ["hardSwish"]),
    (hard_sigmoid_gate, "recognise-hard-swish", ["hardSwish"]),
    (chain, "merge-moves", ["transpose", "reshape"]),
    (there_and_back, "drop-idle", ["tanh"]),
    (idle, "drop-idle", ["tanh"]),
    (twice, "drop-duplicates", ["exp", "add"]),
    (known, "fold-constants", ["add"]),
]


@pytest.mark.parametrize(("make", "name", "left"), PATTERNS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_pattern_becomes_what_it_means(make, name, left):
    graph = built(make)
    made, reports = simplify(graph)
    assert [node.op for node in made.nodes] == left
    report = next(report for report in reports if report.name == name)
    assert report.changes
    assert sum(report.nodes for report in reports) == len(graph.nodes) - len(made.nodes)
    before, after = (get_backend("numpy").compile(each).run({"x": X})["y"] for each in (graph, made))
    np.testing.assert_allclose(after, before, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("make", [gelu, layer_norm, softmax, hard_swish, twice], ids=lambda make: make.__name__)
def test_a_free_dimension_stays_free(make):
    graph = built(make, (symbol("batch"), 3, 8))
    made, _ = simplify(graph)
    assert len(made.nodes) < len(graph.nodes)
    for rows in (1, 2):
        before, after = (get_backend("numpy").compile(each).run({"x": X[:rows]})["y"] for each in (graph, made))
        np.testing.assert_allclose(after, before, rtol=2e-5, atol=2e-6)


def shown_inside(b, x):
    """What is inside of a pattern is read elsewhere as well."""
    erf = b.op("erf", b.op("div", x, b.constant(f32(math.sqrt(2)))))
    whole = b.op("mul", b.op("mul", x, b.op("add", erf, b.constant(f32(1)))), b.constant(f32(0.5)))
    return b.op("add", whole, erf)


def without_maximum(b, x):
    powers = b.op("exp", x)
    return b.op("div", powers, b.op("reduceSum", powers, axes=(2,), keepDimensions=True))


def other_axis(b, x):
    powers = b.op("exp", b.op("sub", x, b.op("reduceMax", x, axes=(1,), keepDimensions=True)))
    return b.op("div", powers, b.op("reduceSum", powers, axes=(2,), keepDimensions=True))


def rounded_sixth(b, x):
    return b.op("mul", b.op("hardSigmoid", x, alpha=0.1667, beta=0.5), x)


def plus_zero(b, x):
    return b.op("add", x, b.constant(f32(0)))


def minus_minus_zero(b, x):
    return b.op("sub", x, b.constant(f32(-0.0)))


def stretched_one(b, x):
    return b.op("mul", x, b.constant(np.ones((4, 1, 1, 1), np.float32)))


@pytest.mark.parametrize(
    "make",
    [shown_inside, without_maximum, other_axis, rounded_sixth, plus_zero, minus_minus_zero, stretched_one],
    ids=lambda make: make.__name__,
)
def test_what_is_not_the_pattern_stays(make):
    graph = built(make)
    made, reports = simplify(graph)
    assert made is graph
    assert not any(report.changes for report in reports)


def test_an_output_keeps_its_node_and_the_quantised_weights_their_type():
    builder = GraphBuilder("g")
    x = builder.input("x", F32, (4, 64))
    weights = builder.constant(np.arange(64 * 64, dtype=np.int8).reshape(64, 64))
    scale, zero = builder.constant(np.full((1, 64), 0.1, np.float32)), builder.constant(np.zeros((1, 64), np.int8))
    product = builder.op("matmul", x, builder.op("dequantizeLinear", weights, scale, zero))
    graph = builder.build({"y": product, "same": builder.op("identity", x), "again": builder.op("identity", product)})
    assert simplify(graph)[0] is graph


def test_every_pass_says_what_it_does():
    _, reports = simplify(built(known))
    assert [report.name for report in reports] == list(PASSES)
    assert all(report.doc.endswith(".") or ":" in report.doc for report in reports)
