"""Linear layers: what is fused, what must not be, and that the numbers are those of the reference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.passes.linear import find_linear

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32
RANDOM = np.random.default_rng(7)
W, WT, BIAS = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((12, 20), (20, 12), (20,)))
SQUARE = RANDOM.standard_normal((12, 12)).astype(np.float32)


class Sketch:
    """A builder with its input, and short names for what the cases need."""

    def __init__(self):
        self.builder = GraphBuilder("sketch", dims=[DynamicDim("batch", 64), DynamicDim("length", 512)])
        self.x = self.builder.input("x", F32, (symbol("batch"), symbol("length"), 12))
        self.op = self.builder.op

    def number(self, value):
        return self.builder.constant(value, F32)

    def linear(self, x=None, weights=W, bias=BIAS):
        product = self.op("matmul", x or self.x, self.builder.constant(weights))
        return product if bias is None else self.op("add", product, self.builder.constant(bias))


def gelu_by(order):
    """GELU written out, its factors in one of the groupings that exporters use."""

    def build(s):
        y = s.linear()
        if order.startswith("div"):
            erf = s.op("erf", s.op("div", y, s.number(math.sqrt(2))))
        else:
            erf = s.op("erf", s.op("mul", s.number(math.sqrt(0.5)), y))
        one = s.op("add", erf, s.number(1.0))
        half = s.number(0.5)
        if order.endswith("(x*sum)*half"):
            return s.op("mul", s.op("mul", y, one), half)
        if order.endswith("(sum*half)*x"):
            return s.op("mul", s.op("mul", one, half), y)
        return s.op("mul", s.op("mul", half, y), one)

    return build


def residual(s):
    return s.op("add", s.x, s.linear(weights=SQUARE, bias=SQUARE[0]))


def gemm(s, **options):
    rows = s.op("reshape", s.x, new_shape=(symbol("batch") * symbol("length"), 12))
    return s.op(
        "relu", s.op("gemm", rows, s.builder.constant(WT), s.builder.constant(BIAS), b_transpose=True, **options)
    )


FUSED = {
    "linear": lambda s: s.linear(bias=None),
    "linear+bias": lambda s: s.linear(),
    "linear+bias+relu": lambda s: s.op("relu", s.linear()),
    "linear+bias+tanh": lambda s: s.op("tanh", s.linear()),
    "linear+bias+gelu": lambda s: s.op("gelu", s.linear()),
    "linear+bias+residual": residual,
    "linear+bias+gelu: div, (x*sum)*half": gelu_by("div, (x*sum)*half"),
    "linear+bias+gelu: mul, (x*sum)*half": gelu_by("mul, (x*sum)*half"),
    "linear+bias+gelu: mul, (sum*half)*x": gelu_by("mul, (sum*half)*x"),
    "linear+bias+gelu: div, (x*half)*sum": gelu_by("div, (x*half)*sum"),
    "linear+bias: bias of two dimensions": lambda s: s.linear(bias=BIAS.reshape(1, 20)),
    "linear+bias+relu: gemm": gemm,
}


def compare(backend, options, graph, inputs, atol=1e-5):
    executable = backend.compile(graph, options)
    found, expected = executable.run(inputs), REFERENCE.compile(graph).run(inputs)
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, atol=atol, rtol=1e-5)
        assert found[name].flags.writeable
        assert found[name].flags.c_contiguous
    return executable.describe()


@pytest.mark.parametrize("name", FUSED)
def test_a_layer_is_fused_and_right(rust, on_isa, name):
    sketch = Sketch()
    graph = sketch.builder.build({"y": FUSED[name](sketch)})
    x = RANDOM.standard_normal((3, 7, 12)).astype(np.float32)
    facts = compare(rust, on_isa, graph, {"x": x})
    assert facts["fused"] == {name.partition(":")[0]: 1}
    assert facts["isa"] == on_isa.session_options["isa"]
    assert facts["threads"] == 2
    assert facts["on_reference"] == {}
    assert facts["all_native"] is True


def shared_sum(s):
    y = s.linear()
    return {"activated": s.op("relu", y), "doubled": s.op("add", y, y)}


def sum_is_a_result(s):
    y = s.linear()
    return {"sum": y, "activated": s.op("relu", y)}


def product_is_a_result(s):
    product = s.linear(bias=None)
    return {"product": product, "y": s.op("add", product, s.builder.constant(BIAS))}


def gelu_inside_is_a_result(s):
    y = s.linear()
    erf = s.op("erf", s.op("div", y, s.number(math.sqrt(2))))
    whole = s.op("mul", s.op("mul", y, s.op("add", erf, s.number(1.0))), s.number(0.5))
    return {"erf": erf, "y": whole}


def almost_gelu(s):
    y = s.linear()
    erf = s.op("erf", s.op("div", y, s.number(1.4)))
    return {"y": s.op("mul", s.op("mul", y, s.op("add", erf, s.number(1.0))), s.number(0.5))}


def stretched_by_the_bias(s):
    rows = s.op("slice", s.x, starts=(0, 0, 0), sizes=(1, 1, 12), strides=(1, 1, 1))
    product = s.op("matmul", rows, s.builder.constant(W))
    return {"y": s.op("add", product, s.builder.constant(np.stack([BIAS, -BIAS])))}


def two_layers_that_add(s):
    return {"y": s.op("add", s.linear(), s.linear(weights=W * 2))}


KEPT_APART = {
    "a sum that two nodes read": (shared_sum, {"linear+bias": 1}),
    "a sum that is a result": (sum_is_a_result, {"linear+bias": 1}),
    "a product that is a result": (product_is_a_result, {"linear": 1}),
    "an erf that is a result": (gelu_inside_is_a_result, {"linear+bias": 1}),
    "another factor in erf": (almost_gelu, {"linear+bias": 1}),
    "a bias that stretches the product": (stretched_by_the_bias, {"linear": 1}),
    "scaled gemm": (lambda s: {"y": gemm(s, alpha=0.5)}, {}),
    "each layer the other's residual": (two_layers_that_add, {"linear+bias": 1, "linear+bias+residual": 1}),
}


@pytest.mark.parametrize("name", KEPT_APART)
def test_what_else_is_seen_is_not_fused_away(rust, name):
    build, fused = KEPT_APART[name]
    sketch = Sketch()
    graph = sketch.builder.build(build(sketch))
    x = RANDOM.standard_normal((2, 5, 12)).astype(np.float32)
    facts = compare(rust, CompileOptions(threads=1), graph, {"x": x})
    assert facts["fused"] == fused


def test_a_match_names_what_it_replaces():
    sketch = Sketch()
    graph = sketch.builder.build({"y": residual(sketch)})
    (match,) = find_linear(graph)
    assert match.source == match.residual == "x"
    assert match.result == "y"
    assert match.nodes == {node.name for node in graph.nodes}
    assert match.weights.shape == (12, 12)


def test_products_of_other_types_are_native_and_not_fused(rust):
    builder = GraphBuilder("halves")
    x = builder.input("x", DataType.FLOAT16, (3, 12))
    graph = builder.build({"y": builder.op("matmul", x, builder.constant(W.astype(np.float16)))})
    facts = compare(rust, None, graph, {"x": RANDOM.standard_normal((3, 12)).astype(np.float16)}, atol=1e-2)
    assert facts["fused"] == {}
    assert facts["native"] == {"matmul": 1}
    assert facts["on_reference"] == {}


def test_quantised_weights_are_packed_as_they_are(rust):
    builder = GraphBuilder("quantised")
    x = builder.input("x", F32, (3, 12))
    whole = RANDOM.integers(-127, 127, (12, 20)).astype(np.int8)
    scale, zero = np.full((1, 20), 0.01, np.float32), np.zeros((1, 20), np.int8)
    weights = builder.op("dequantizeLinear", *(builder.constant(array) for array in (whole, scale, zero)))
    graph = builder.build({"y": builder.op("matmul", x, weights)})
    facts = compare(rust, None, graph, {"x": RANDOM.standard_normal((3, 12)).astype(np.float32)})
    assert facts["fused"] == {"linear(int8 weights)": 1}
    assert facts["all_native"] is True


@pytest.mark.parametrize(("a", "b"), [((4, 5), (5, 6)), ((2, 3, 4, 5), (3, 5, 6)), ((7, 4, 5), (7, 5, 1))])
def test_products_of_two_inputs_are_native(rust, on_isa, a, b):
    builder = GraphBuilder("product")
    graph = builder.build({"y": builder.op("matmul", builder.input("a", F32, a), builder.input("b", F32, b))})
    inputs = {"a": RANDOM.standard_normal(a).astype(np.float32), "b": RANDOM.standard_normal(b).astype(np.float32)}
    assert compare(rust, on_isa, graph, inputs)["native"] == {"matmul": 1}


NORMS = {
    "last axis": ({"axes": (2,)}, True, {"layerNormalization": 1}),
    "last two axes": ({"axes": (1, 2), "epsilon": 1e-3}, True, {"layerNormalization": 1}),
    "no scale": ({"axes": (2,)}, False, {"layerNormalization": 1}),
    "another axis": ({"axes": (1,)}, True, {}),
    "axes out of order": ({"axes": (2, 1)}, True, {}),
}


@pytest.mark.parametrize("name", NORMS)
def test_layer_normalisation_over_the_last_axes_is_native(rust, on_isa, name):
    options, affine, fused = NORMS[name]
    builder = GraphBuilder("norm")
    x = builder.input("x", F32, (4, 7, 33))
    shape = tuple((4, 7, 33)[axis] for axis in options["axes"])
    scale, bias = (builder.constant(RANDOM.standard_normal(shape).astype(np.float32)) for _ in range(2))
    graph = builder.build({"y": builder.op("layerNormalization", x, scale if affine else None, bias, **options)})
    inputs = {"x": RANDOM.standard_normal((4, 7, 33)).astype(np.float32) * 3 + 5}
    assert compare(rust, on_isa, graph, inputs)["fused"] == fused


@pytest.mark.parametrize("op", ["relu", "tanh", "gelu"])
def test_activations_that_follow_no_product_are_native(rust, on_isa, op):
    builder = GraphBuilder("activation")
    graph = builder.build({"y": builder.op(op, builder.input("x", F32, (5, 77)))})
    assert compare(rust, on_isa, graph, {"x": RANDOM.standard_normal((5, 77)).astype(np.float32)})["native"] == {op: 1}


def test_a_written_out_gelu_without_a_layer_is_native(rust, on_isa):
    builder = GraphBuilder("activation")
    x = builder.input("x", F32, (5, 77))
    erf = builder.op("erf", builder.op("div", x, builder.constant(math.sqrt(2), F32)))
    whole = builder.op(
        "mul", builder.op("mul", x, builder.op("add", erf, builder.constant(1.0, F32))), builder.constant(0.5, F32)
    )
    graph = builder.build({"y": whole, "x_too": x})
    facts = compare(rust, on_isa, graph, {"x": RANDOM.standard_normal((5, 77)).astype(np.float32)})
    assert facts["fused"] == {"gelu": 1}


def written_out_norm(builder, x, *, square="mul", epsilon=1e-12, affine=True):
    def mean(value):
        return builder.op("reduceMean", value, axes=(2,), keep_dimensions=True)

    centred = builder.op("sub", x, mean(x))
    two = builder.constant(2.0, F32)
    squared = builder.op("mul", centred, centred) if square == "mul" else builder.op("pow", centred, two)
    deviation = builder.op("sqrt", builder.op("add", mean(squared), builder.constant(epsilon, F32)))
    normal = builder.op("div", centred, deviation)
    if affine:
        normal = builder.op("mul", normal, builder.constant(BIAS))
        normal = builder.op("add", builder.constant(BIAS[::-1].reshape(1, 1, 20)), normal)
    return normal, deviation


@pytest.mark.parametrize("square", ["mul", "pow"])
@pytest.mark.parametrize("affine", [True, False])
def test_a_written_out_layer_normalisation_is_native(rust, on_isa, square, affine):
    builder = GraphBuilder("norm", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", F32, (symbol("batch"), 7, 20))
    graph = builder.build({"y": written_out_norm(builder, x, square=square, affine=affine)[0]})
    facts = compare(rust, on_isa, graph, {"x": RANDOM.standard_normal((3, 7, 20)).astype(np.float32) * 2 + 1})
    assert facts["fused"] == {"layerNormalization": 1}
    assert facts["on_reference"] == {}


def test_a_layer_normalisation_whose_deviation_is_a_result_stays_apart(rust):
    builder = GraphBuilder("norm")
    normal, deviation = written_out_norm(builder, builder.input("x", F32, (3, 7, 20)))
    graph = builder.build({"y": normal, "deviation": deviation})
    facts = compare(rust, None, graph, {"x": RANDOM.standard_normal((3, 7, 20)).astype(np.float32)})
    assert facts["fused"] == {}


def test_rows_of_a_size_that_only_the_run_knows_are_no_layer(rust):
    builder = GraphBuilder("rows", dims=[DynamicDim("size", 64)])
    x = builder.input("x", F32, (3, symbol("size")))
    product = builder.op("matmul", x, builder.constant(W))
    turned = builder.op("gemm", x, builder.constant(WT), None, b_transpose=True)
    graph = builder.build({"product": product, "turned": turned})
    assert list(find_linear(graph)) == []
    compare(rust, CompileOptions(), graph, {"x": RANDOM.standard_normal((3, 12)).astype(np.float32)})
    with pytest.raises(ShapeError, match="inner"):
        rust.compile(graph).run({"x": RANDOM.standard_normal((3, 11)).astype(np.float32)})
