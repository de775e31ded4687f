"""Layers whose weights are kept in few bits: what is recognised, in which arithmetic it runs, and that it is right."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime import load, save_bundle
from webnn_runtime.backends import get_backend
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import UnsupportedByBackend

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32
RANDOM = np.random.default_rng(11)
INNER, COLUMNS = 24, 20
BIAS = RANDOM.standard_normal(COLUMNS).astype(np.float32)
RANGES = {"int8": (-128, 127), "uint8": (0, 255), "int4": (-8, 7), "uint4": (0, 15)}


class Sketch:
    """A builder with its input, and matrices in few bits."""

    def __init__(self, ids=False):
        self.builder = GraphBuilder("sketch", dims=[DynamicDim("batch", 64), DynamicDim("length", 512)])
        self.op = self.builder.op
        shape = (symbol("batch"), symbol("length"))
        self.x = (
            self.builder.input("ids", DataType.INT64, shape) if ids else self.builder.input("x", F32, (*shape, INNER))
        )

    def integers(self, kind="int8", shape=(INNER, COLUMNS), scales=(1, COLUMNS)):
        least, most = RANGES[kind]
        dtype = DataType(kind)
        numbers = RANDOM.integers(least, most + 1, shape).astype(dtype.numpy)
        zeros = RANDOM.integers(least // 4, most // 4 + 1, scales).astype(dtype.numpy)
        steps = (RANDOM.random(scales, np.float32) + 0.5) / np.float32(most * 10)
        constant = self.builder.constant
        return self.op("dequantizeLinear", constant(numbers, dtype), constant(steps), constant(zeros, dtype))

    def halves(self, shape=(INNER, COLUMNS)):
        return self.op("cast", self.builder.constant(RANDOM.standard_normal(shape).astype(np.float16)), data_type=F32)

    def scaled(self):
        """As exporters write integers that ONNX has no operator for."""
        numbers = RANDOM.integers(-127, 128, (INNER, COLUMNS)).astype(np.int8)
        cast = self.op("cast", self.builder.constant(numbers), data_type=F32)
        return self.op("mul", cast, self.builder.constant((RANDOM.random(COLUMNS) / 500).astype(np.float32)))

    def rows(self):
        return self.op("reshape", self.x, new_shape=(symbol("batch") * symbol("length"), INNER))

    def layer(self, weights, source=None):
        product = self.op("matmul", source or self.x, weights)
        return self.op("gelu", self.op("add", product, self.builder.constant(BIAS)))

    def fixed(self, kind="uint8", zero=128, back=None):
        """The input, to integers of one fixed range and back."""
        dtype = DataType(kind)
        shape = (1, 1, 1)
        scale = self.builder.constant(np.full(shape, 0.03, np.float32))
        zero = self.builder.constant(np.full(shape, zero, dtype.numpy))
        there = self.op("quantizeLinear", self.x, scale, zero)
        if back is not None:
            scale = self.builder.constant(np.full(shape, back, np.float32))
        return self.op("dequantizeLinear", there, scale, zero)


def transposed_gemm(s):
    return s.op("gemm", s.rows(), s.integers(shape=(COLUMNS, INNER), scales=(COLUMNS, 1)), b_transpose=True)


def turned(s):
    return s.layer(s.op("transpose", s.integers(shape=(COLUMNS, INNER), scales=(COLUMNS, 1)), permutation=(1, 0)))


# What is kept, the label of the layer with `exact`, and whether its integers can be summed.
KEPT = {
    "float16": (lambda s: s.layer(s.halves()), "linear(float16 weights)+bias+gelu", False),
    "int8": (lambda s: s.layer(s.integers()), "linear(int8 weights)+bias+gelu", True),
    "uint8": (lambda s: s.layer(s.integers("uint8")), "linear(uint8 weights)+bias+gelu", True),
    "one scale": (lambda s: s.layer(s.integers(scales=(1, 1))), "linear(int8 weights)+bias+gelu", True),
    "int4 in one block": (lambda s: s.layer(s.integers("int4")), "linear(int4 weights)+bias+gelu", True),
    "int4 in blocks": (
        lambda s: s.layer(s.integers("int4", scales=(6, COLUMNS))),
        "linear(int4 weights)+bias+gelu",
        False,
    ),
    "uint4 in blocks": (
        lambda s: s.layer(s.integers("uint4", scales=(2, COLUMNS))),
        "linear(uint4 weights)+bias+gelu",
        False,
    ),
    "blocks of columns": (lambda s: s.layer(s.integers(scales=(3, 5))), "linear(int8 weights)+bias+gelu", False),
    "integers times a scale": (lambda s: s.layer(s.scaled()), "linear(int8 weights)+bias+gelu", True),
    "gemm of a transposed matrix": (transposed_gemm, "linear(int8 weights)", True),
    "a matrix that is transposed": (turned, "linear(int8 weights)+bias+gelu", True),
}


def data(batch=3, length=7, width=INNER):
    return {"x": RANDOM.standard_normal((batch, length, width)).astype(np.float32)}


@pytest.mark.parametrize("name", KEPT)
def test_weights_stay_as_they_are_and_mean_what_the_graph_says(rust, on_isa, name):
    build, label, _ = KEPT[name]
    sketch = Sketch()
    graph = sketch.builder.build({"y": build(sketch)})
    executable, given = rust.compile(graph, on_isa), data()
    facts = executable.describe()
    assert (facts["fused"], facts["compute"], facts["all_native"]) == ({label: 1}, "exact", True)
    assert "dequantizeLinear" not in facts["native"]
    got, want = executable.run(given)["y"], REFERENCE.compile(graph).run(given)["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", KEPT)
def test_integer_arithmetic_is_near_and_says_so(rust, on_isa, name):
    build, label, can_sum = KEPT[name]
    sketch = Sketch()
    graph = sketch.builder.build({"y": build(sketch)})
    options = CompileOptions(threads=2, session_options=on_isa.session_options, compute="int8")
    if not can_sum:
        with pytest.raises(UnsupportedByBackend, match="no layer with one scale of 8-bit weights per column"):
            rust.compile(graph, options)
        return
    executable, given = rust.compile(graph, options), data()
    facts = executable.describe()
    assert facts["compute"] == "int8"
    assert facts["fused"] == {"linear(integers)" + label.partition(")")[2]: 1}
    got, want = executable.run(given)["y"], REFERENCE.compile(graph).run(given)["y"]
    # Half a step of a row of about 4 wide is 0.008, and 24 of these meet weights of up to 0.15.
    np.testing.assert_allclose(got, want, atol=0.03)
    assert not np.array_equal(got, rust.compile(graph, on_isa).run(given)["y"])


FIXED = {
    "uint8": (lambda s: s.layer(s.integers(), s.fixed()), True),
    "int8": (lambda s: s.layer(s.integers("uint8"), s.fixed("int8", zero=-3)), True),
    "two scales": (lambda s: s.layer(s.integers(), s.fixed(back=0.02)), True),
    "weights in blocks": (lambda s: s.layer(s.integers(scales=(2, COLUMNS)), s.fixed()), False),
}


@pytest.mark.parametrize("name", FIXED)
def test_fixed_ranges_are_summed_in_integers_as_the_graph_says(rust, on_isa, name):
    build, can_sum = FIXED[name]
    sketch = Sketch()
    graph = sketch.builder.build({"y": build(sketch)})
    executable, given = rust.compile(graph, on_isa), data()
    # Halves of steps, which round to even, and what lies outside the range.
    given["x"][0, 0, :6] = [0.045, -0.045, 0.015, 99.0, -99.0, 3.81]
    facts = executable.describe()
    assert facts["compute"] == "exact"
    assert ("linear(integers, fixed ranges)+bias+gelu" in facts["fused"]) is can_sum
    got, want = executable.run(given)["y"], REFERENCE.compile(graph).run(given)["y"]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_queries_keys_and_values_are_one_layer_in_integers(rust):
    heads, depth = 3, 8
    sketch = Sketch()
    batch, length = symbol("batch"), symbol("length")

    def projected(kind="int8"):
        product = sketch.op("matmul", sketch.x, sketch.integers(kind, (INNER, INNER), (1, INNER)))
        split = sketch.op("reshape", product, new_shape=(batch, length, heads, depth))
        return sketch.op("transpose", split, permutation=(0, 2, 1, 3))

    q, k, v = (projected() for _ in range(3))
    scores = sketch.op("matmul", q, sketch.op("transpose", k, permutation=(0, 1, 3, 2)))
    graph = sketch.builder.build({"y": sketch.op("matmul", sketch.op("softmax", scores, axis=3), v)})
    given = data()
    want = REFERENCE.compile(graph).run(given)["y"]
    for compute, label, atol in (
        ("exact", "linear(int8 weights) x3", 2e-5),
        ("int8", "linear(integers) x3", 0.05),
    ):
        executable = rust.compile(graph, CompileOptions(threads=2, compute=compute))
        assert executable.describe()["fused"][label] == 1
        np.testing.assert_allclose(executable.run(given)["y"], want, atol=atol)


@pytest.mark.parametrize("are_values_rounded", [True, False])
def test_attention_rounds_to_bfloat16_where_its_values_were_rounded_to_eight_bits(rust, on_isa, are_values_rounded):
    heads, depth = 3, 8
    sketch = Sketch()
    batch, length = symbol("batch"), symbol("length")
    floats = sketch.builder.constant(RANDOM.standard_normal((INNER, INNER)).astype(np.float32) / 5)

    def projected(source, is_rounded):
        weights = sketch.integers("int8", (INNER, INNER), (1, INNER)) if is_rounded else floats
        product = sketch.op("matmul", source, weights)
        split = sketch.op("reshape", product, new_shape=(batch, length, heads, depth))
        return sketch.op("transpose", split, permutation=(0, 2, 1, 3))

    v = projected(sketch.op("neg", sketch.x), are_values_rounded)
    q, k = (projected(sketch.x, not are_values_rounded) for _ in range(2))
    scores = sketch.op("matmul", q, sketch.op("transpose", k, permutation=(0, 1, 3, 2)))
    graph = sketch.builder.build({"y": sketch.op("matmul", sketch.op("softmax", scores, axis=3), v)})
    given = data()
    want = REFERENCE.compile(graph).run(given)["y"]
    for compute, atol in (("exact", 2e-5), ("int8", 0.1)):
        options = CompileOptions(threads=2, session_options=on_isa.session_options, compute=compute)
        executable = rust.compile(graph, options)
        is_rounded = "attention(bfloat16)" in executable.describe()["fused"]
        assert is_rounded is (compute == "int8" and are_values_rounded)
        np.testing.assert_allclose(executable.run(given)["y"], want, atol=atol)


def test_a_matrix_that_something_else_reads_is_there_for_it(rust):
    sketch = Sketch()
    weights = sketch.integers(shape=(INNER, INNER), scales=(1, INNER))
    results = {
        "y": sketch.op("matmul", sketch.x, weights),
        "sum": sketch.op("reduceSum", weights, axes=(0,), keep_dimensions=False),
        "other": sketch.op("gemm", sketch.rows(), weights, b_transpose=True),
    }
    graph = sketch.builder.build(results)
    given = data()
    got, want = rust.compile(graph).run(given), REFERENCE.compile(graph).run(given)
    for name in results:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-5, atol=1e-5)


def test_integers_give_the_same_bits_in_any_batch_and_on_any_number_of_threads(rust, on_isa):
    sketch = Sketch()
    graph = sketch.builder.build({"y": sketch.layer(sketch.integers())})
    given = data(40, 9)["x"]
    compiled = [
        rust.compile(graph, CompileOptions(threads=n, session_options=on_isa.session_options, compute="int8"))
        for n in (1, 3)
    ]
    together = compiled[0].run({"x": given})["y"]
    assert np.array_equal(compiled[1].run({"x": given})["y"], together)
    for rows in (slice(0, 1), slice(7, 20), slice(39, 40)):
        assert np.array_equal(compiled[1].run({"x": given[rows]})["y"], together[rows])


def test_a_row_without_numbers_stays_without_them(rust):
    sketch = Sketch()
    graph = sketch.builder.build({"y": sketch.op("matmul", sketch.x, sketch.integers())})
    given = data()
    given["x"][1, 2, 3] = np.nan
    got = rust.compile(graph, CompileOptions(compute="int8")).run(given)["y"]
    assert np.isnan(got[1, 2]).all()
    assert np.isnan(got).sum() == COLUMNS


@pytest.mark.parametrize("backend", ["numpy", "onnxruntime"])
def test_backends_that_only_know_the_graph_refuse_integers(backend):
    sketch = Sketch()
    graph = sketch.builder.build({"y": sketch.layer(sketch.integers())})
    with pytest.raises(UnsupportedByBackend, match="for compute='int8' take backend='rust'"):
        get_backend(backend).compile(graph, CompileOptions(compute="int8"))
    stated = get_backend(backend).compile(graph, CompileOptions(stated="int8"))
    assert stated.describe()["compute"] == "exact"


def test_arithmetic_that_does_not_exist_is_refused(rust):
    graph = Sketch().builder
    graph = graph.build({"y": graph.op("relu", graph.input("a", F32, (2,)))})
    with pytest.raises(UnsupportedByBackend, match="there is no compute='fp4'; one of exact, int8"):
        rust.compile(graph, CompileOptions(compute="fp4"))


@pytest.mark.parametrize(
    ("stated", "compute", "found"),
    [
        (None, None, "exact"),
        (None, "int8", "int8"),
        ("int8", None, "int8"),
        ("int8", "exact", "exact"),
        ("exact", None, "exact"),
        ("exact", "int8", "int8"),
    ],
)
def test_the_manifest_says_the_arithmetic_and_the_caller_has_the_last_word(tmp_path, rust, stated, compute, found):
    sketch = Sketch()
    graph = sketch.builder.build({"y": sketch.layer(sketch.integers())})
    extra = None if stated is None else {"quantization": {"kind": "int8", "compute": stated, "options": {}}}
    folder = save_bundle(graph, tmp_path / "bundle", manifest_extra=extra)
    for backend in ("auto", rust.name):
        assert load(folder, backend, compute=compute).describe()["compute"] == found


def test_a_bundle_for_integers_without_layers_for_them_runs_as_it_is_written(tmp_path, rust):
    builder = GraphBuilder("plain")
    graph = builder.build({"y": builder.op("relu", builder.input("x", F32, (2,)))})
    folder = save_bundle(graph, tmp_path / "bundle", manifest_extra={"quantization": {"compute": "int8"}})
    assert load(folder, rust.name).describe()["compute"] == "exact"
    with pytest.raises(UnsupportedByBackend, match="webnn-convert --quantize int8"):
        load(folder, compute="int8")


@pytest.mark.parametrize("compute", ["exact", "int8"])
def test_texts_run_without_padding_from_a_packed_table_on(rust, compute):
    sketch = Sketch(ids=True)
    table = RANDOM.integers(-127, 128, (50, INNER)).astype(np.int8)
    steps = (RANDOM.random((50, 1)) / 50).astype(np.float32)
    parts = (table, steps, np.zeros((50, 1), np.int8))
    rows = (sketch.op("gather", sketch.builder.constant(part), sketch.x, axis=0) for part in parts)
    y = sketch.layer(sketch.integers(), sketch.op("dequantizeLinear", *rows))
    graph = sketch.builder.build({"y": y})
    model = rust.compile(graph, CompileOptions(threads=2, compute=compute))
    facts = model.describe()
    assert (facts["compute"], facts["unpadded"], facts["on_reference"]) == (compute, True, {})
    texts = [RANDOM.integers(0, 50, length) for length in (5, 1, 17, 2)]
    found = model.texts().run({"ids": np.concatenate(texts)}, [len(text) for text in texts])["y"]
    for text, own in zip(texts, np.split(found, np.cumsum([len(text) for text in texts])[:-1]), strict=True):
        assert own.tobytes() == model.run({"ids": text[None]})["y"].tobytes()
