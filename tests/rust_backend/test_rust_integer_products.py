"""Sums of 8-bit integers, as models state them that were quantised elsewhere: they run in integers, and are right."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native

F32, I32, I8, U8 = DataType.FLOAT32, DataType.INT32, DataType.INT8, DataType.UINT8
B, L = symbol("batch"), symbol("length")
INNER, COLUMNS = 600, 20


class Sums:
    """A builder with its inputs, and the parts of a sum of integers, which a case changes."""

    def __init__(self):
        self.builder = GraphBuilder("sums", dims=[DynamicDim("batch", 64), DynamicDim("length", 64)])
        self.op = self.builder.op
        self.x = self.builder.input("x", F32, (B, L, INNER))
        self.q = self.builder.input("q", U8, (B, L, INNER))
        self.random = np.random.default_rng(5)

    def number(self, value, dtype=F32):
        return self.builder.constant(value, dtype)

    def range(self, x, least="reduceMin", steps=255.0, flat=1.0, point="roundEven", axes=(0, 1, 2)):
        """Step and zero point as DynamicQuantizeLinear takes them."""
        zero = self.number(0.0)
        high = self.op("max", self.op("reduceMax", x, axes=axes, keep_dimensions=False), zero)
        low = self.op("min", self.op(least, x, axes=axes, keep_dimensions=False), zero)
        spread = self.op("div", self.op("sub", high, low), self.number(steps))
        step = self.op("where", self.op("equal", spread, zero), self.number(flat), spread)
        shift = self.op(point, self.op("neg", self.op("div", low, step)))
        return step, self.op("cast", self.op("clamp", shift, min_value=0.0, max_value=255.0), to=U8)

    def quantised(self, x, step, zero):
        parts = [self.op("reshape", part, new_shape=(1, 1, 1)) for part in (step, zero)]
        return self.op("quantizeLinear", x, *parts)

    def centred(self, q, zero):
        return self.op("sub", self.op("cast", q, to=F32), self.op("cast", zero, to=F32))

    def weights(self, dtype=I8, zeros=(COLUMNS,)):
        low, high = (-128, 128) if dtype is I8 else (0, 256)
        numbers, points = (
            self.random.integers(low, high, shape).astype(dtype.numpy) for shape in ((INNER, COLUMNS), zeros)
        )
        wide = self.op("cast", self.builder.constant(numbers), to=F32)
        return self.op("sub", wide, self.op("cast", self.builder.constant(points), to=F32))

    def moved(self, permutation, *, as_integers):
        """Square weights behind a transpose, of the integers or of what is cast from them."""
        numbers = self.builder.constant(self.random.integers(-128, 128, (INNER, INNER)).astype(np.int8))
        if as_integers:
            return self.op("cast", self.op("transpose", numbers, permutation=permutation), to=F32)
        return self.op("transpose", self.op("cast", numbers, to=F32), permutation=permutation)

    def total(self, left, right, cuts=((0, 200), (200, 400))):
        """The sums, cut so that float32 holds each part exactly."""
        total = None
        for start, size in cuts:
            part = self.op("slice", left, starts=(0, 0, start), sizes=(B, L, size), strides=(1, 1, 1))
            own = self.op("slice", right, starts=(start, 0), sizes=(size, right.type.shape[1]), strides=(1, 1))
            whole = self.op("cast", self.op("matmul", part, own), to=I32)
            total = whole if total is None else self.op("add", total, whole)
        return self.op("cast", total, to=F32)

    def scaled(self, total, step, size=COLUMNS):
        steps = self.builder.constant(self.random.uniform(0.002, 0.01, size).astype(np.float32))
        return self.op("mul", total, self.op("mul", step, steps))


def dynamic(sums, dtype=I8, **changes):
    step, zero = sums.range(sums.x, **changes)
    left = sums.centred(sums.quantised(sums.x, step, zero), zero)
    return sums.scaled(sums.total(left, sums.weights(dtype)), step)


def given(sums, zero=100, dtype=I8, scale=0.01, **changes):
    """Integers that are an input; bits decide."""
    left = sums.centred(sums.q, sums.number(zero, U8))
    return sums.op("mul", sums.total(left, sums.weights(dtype), **changes), sums.number(scale))


def moved(sums, permutation, *, as_integers):
    """As `given`, with square weights: a transpose that leaves them as they are has their shape as well."""
    left = sums.centred(sums.q, sums.number(100, U8))
    return sums.total(left, sums.moved(permutation, as_integers=as_integers))


def of_another(sums, what):
    """The scale or the zero point is that of another tensor."""
    step, zero = sums.range(sums.x)
    other_step, other_zero = sums.range(sums.op("mul", sums.x, sums.x))
    q = sums.quantised(sums.x, step, zero)
    total = sums.total(sums.centred(q, other_zero if what == "zero" else zero), sums.weights())
    return sums.scaled(total, other_step if what == "scale" else step)


def of_a_quantised_input(sums):
    """The zero point is computed, and the integers are not."""
    _, zero = sums.range(sums.x)
    return sums.total(sums.centred(sums.q, zero), sums.weights())


RUN_TIME, FIXED = "linear(integers, ranges at run time)", "linear(integers, fixed ranges)"
# What it is built by; how its sums are called, None where they are floats; whether it sums nothing but integers.
CASES = {
    "ranges at run time": (dynamic, RUN_TIME, False),
    "unsigned weights": (lambda s: dynamic(s, U8), RUN_TIME, False),
    "integers that are given": (given, FIXED, True),
    "integers that are given, unsigned weights": (lambda s: given(s, 255, U8), FIXED, True),
    "a zero point at run time": (of_a_quantised_input, RUN_TIME, True),
    "the scale of another tensor": (lambda s: of_another(s, "scale"), RUN_TIME, False),
    "the zero point of another tensor": (lambda s: of_another(s, "zero"), RUN_TIME, False),
    "slices that overlap": (lambda s: given(s, cuts=((0, 200), (100, 500))), None, True),
    "slices that leave some out": (lambda s: given(s, cuts=((0, 200), (300, 300))), None, True),
    "a slice twice": (lambda s: given(s, cuts=((0, 200), (0, 200), (200, 400))), None, True),
    "turned weights": (lambda s: moved(s, (1, 0), as_integers=False), FIXED, True),
    "turned integers": (lambda s: moved(s, (1, 0), as_integers=True), FIXED, True),
    "weights as they are": (lambda s: moved(s, (0, 1), as_integers=False), None, True),
    "integers as they are": (lambda s: moved(s, (0, 1), as_integers=True), None, True),
    "only a part": (lambda s: given(s, cuts=((0, 200),)), None, True),
}


def feeds(batch=3, length=4):
    random = np.random.default_rng(batch)
    x = random.standard_normal((batch, length, INNER)).astype(np.float32)
    # The first text is the widest one, so that the others' numbers depend on it.
    x[0] *= 3
    return {"x": x, "q": random.integers(0, 256, x.shape).astype(np.uint8)}


def run(graph, options=None, **given):
    model = get_backend("rust").compile(graph, options)
    return model, model.run({name: feeds(**given)[name] for name in graph.inputs})["y"]


def by_definition(graph, given):
    return REFERENCE.compile(graph).run({name: given[name] for name in graph.inputs})["y"]


@pytest.fixture(autouse=True)
def native(optional):
    optional("webnn_kernels")


@pytest.mark.parametrize("isa", ["scalar", None])
@pytest.mark.parametrize("name", CASES)
def test_sums_of_integers_are_exact(name, isa):
    build, label, is_exact = CASES[name]
    sums = Sums()
    graph = sums.builder.build({"y": build(sums)})
    options = CompileOptions(threads=2, session_options={} if isa is None else {"isa": isa})
    model, found = run(graph, options)
    assert {name for name in model.describe()["fused"] if "integers" in name} == ({label} if label else set())
    assert model.describe()["compute"] == "exact"
    wanted = by_definition(graph, feeds())
    if is_exact:
        np.testing.assert_array_equal(found, wanted)
    else:
        # The sums are equal; their scale is multiplied in another order.
        np.testing.assert_allclose(found, wanted, rtol=3e-7)


@pytest.mark.parametrize(
    "change", [{"least": "reduceMax"}, {"steps": 256.0}, {"flat": 2.0}, {"point": "ceil"}, {"point": "floor"}]
)
def test_other_ranges_are_taken_as_they_are(change):
    sums = Sums()
    graph = sums.builder.build({"y": dynamic(sums, **change)})
    model, found = run(graph)
    assert "range of a tensor" not in model.describe()["fused"]
    np.testing.assert_allclose(found, by_definition(graph, feeds()), rtol=3e-7)


def test_a_range_of_a_whole_batch_keeps_texts_together():
    """A text's numbers depend on the texts beside it: the graph says so, and nothing may cut or pack it."""
    sums = Sums()
    graph = sums.builder.build({"y": dynamic(sums)})
    model, found = run(graph, CompileOptions(threads=2))
    assert "range of a tensor" in model.describe()["fused"]
    assert model.describe()["unpadded"] is not True
    _, alone = run(graph, CompileOptions(threads=1), batch=3)
    np.testing.assert_array_equal(found, alone)
    second = {"x": feeds()["x"][1:2]}
    apart = model.run(second)["y"]
    np.testing.assert_allclose(apart, by_definition(graph, second), rtol=3e-7)
    assert not np.array_equal(apart, found[1:2])
