"""Random encoders and networks of images, spelled as exporters spell them: every pattern that backends fuse.

Unlike `random_graphs`, where any operator may follow any other, these are layers in an order that a model has, so
that fusions, packed texts and cuts along the batch happen. `graph_mutations` then breaks them in small ways.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np

from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import DynamicDim, product, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph

__all__ = [
    "FAMILIES",
    "feeds_of",
    "random_encoder",
    "random_foreign_encoder",
    "random_image_network",
    "random_quantised_encoder",
]

F32, I64, U8 = DataType.FLOAT32, DataType.INT64, DataType.UINT8
HEADS, DEPTH, LONGEST, WORDS = 2, 4, 12, 20
WIDTH = HEADS * DEPTH
B, L = symbol("batch"), symbol("length")
INTEGERS = (
    (-127, 127, DataType.INT8),
    (0, 255, DataType.UINT8),
    (-8, 7, DataType.INT4),
    (0, 15, DataType.UINT4),
)
LOWEST = float(np.finfo(np.float32).min)


class Encoder:
    """A builder, the choices, and what every layer reads."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.numbers = np.random.default_rng(random.randrange(2**32))
        self.builder = GraphBuilder("encoder", dims=[DynamicDim("batch", 16), DynamicDim("length", LONGEST)])
        self.op = self.builder.op
        self.ids = self.builder.input("ids", I64, (B, L))
        self.mask = self.builder.input("mask", I64, (B, L))

    def any(self, *choices):
        """One of them."""
        return self.random.choice(choices)

    def weights(self, *shape: int) -> Value:
        return self.builder.constant((self.numbers.standard_normal(shape) / 2).astype(np.float32))

    def number(self, value: float, dtype: DataType = F32) -> Value:
        return self.builder.constant(value, dtype)

    def joined(self, op: str, a: Value, b: Value) -> Value:
        """Either way round."""
        return self.op(op, *self.any((a, b), (b, a)))

    # Layers.

    def matrix(self, rows: int, columns: int) -> Value:
        """Weights as they are, in 8 or 4 bits, in halves, or behind a transpose."""
        kind = self.any("float", "float", "integers", "float16", "turned")
        if kind == "integers":
            return self.integers(rows, columns)
        if kind == "float16":
            halves = self.numbers.standard_normal((rows, columns)).astype(np.float16)
            return self.op("cast", self.builder.constant(halves), to=F32)
        if kind == "turned":
            return self.op("transpose", self.weights(columns, rows), permutation=(1, 0))
        return self.weights(rows, columns)

    def integers(self, rows: int, columns: int) -> Value:
        """Weights in 8 or 4 bits, with a scale per column, or per column and block of rows."""
        least, most, dtype = INTEGERS[self.numbers.integers(len(INTEGERS))]
        blocks = self.numbers.choice([1, 1, 2 - rows % 2])
        packed = self.numbers.integers(least, most + 1, (rows, columns)).astype(dtype.numpy)
        scale = (self.numbers.uniform(0.25, 1.25, (blocks, columns)) / most).astype(np.float32)
        zeros = (self.numbers.integers(-3, 4, scale.shape) + (most + least + 1) // 2).astype(dtype.numpy)
        constants = self.builder.constant(packed, dtype), self.builder.constant(zeros, dtype)
        return self.op("dequantizeLinear", constants[0], self.builder.constant(scale), constants[1])

    def linear(self, x: Value, columns: int, bias: bool | None = None) -> Value:
        rows = int(str(x.type.shape[-1]))
        if self.random.random() < 0.2:
            flat = self.op("reshape", x, new_shape=(product(x.type.shape[:-1]), rows))
            options = self.any({}, {"b_transpose": True}, {"alpha": 0.5}, {"beta": 2.0})
            shape = (columns, rows) if "b_transpose" in options else (rows, columns)
            own = self.op("gemm", flat, self.weights(*shape), self.weights(columns), **options)
            return self.op("reshape", own, new_shape=(*x.type.shape[:-1], columns))
        made = self.op("matmul", x, self.matrix(rows, columns))
        has_bias = self.random.random() < 0.8 if bias is None else bias
        return self.joined("add", made, self.weights(*self.any((columns,), (1, 1, columns)))) if has_bias else made

    def gelu(self, x: Value) -> Value:
        if self.random.random() < 0.3:
            return self.op("gelu", x)
        inner = self.op("div", x, self.number(math.sqrt(2))) if self.any(0, 1) else None
        inner = inner or self.joined("mul", x, self.number(math.sqrt(0.5)))
        one = self.joined("add", self.op("erf", inner), self.number(1.0))
        half = self.number(0.5)
        return self.any(
            lambda: self.joined("mul", self.joined("mul", x, half), one),
            lambda: self.joined("mul", self.joined("mul", x, one), half),
            lambda: self.joined("mul", self.joined("mul", one, half), x),
        )()

    def activation(self, x: Value) -> Value:
        return self.any(
            self.gelu,
            self.gelu,
            lambda x: self.op("relu", x),
            lambda x: self.op("tanh", x),
            lambda x: self.joined("mul", x, self.op("sigmoid", x)),
            lambda x: self.op("clamp", x, min_value=-1.0, max_value=2.0),
            lambda x: self.joined("mul", x, self.op("hardSigmoid", x, alpha=1 / 6, beta=0.5)),
        )(x)

    def layer_norm(self, x: Value) -> Value:
        last, width = x.type.rank - 1, int(str(x.type.shape[-1]))
        scale, bias, epsilon = self.weights(width), self.weights(width), self.any(1e-12, 1e-5, 1e-2)
        if self.random.random() < 0.5:
            bias = self.any(bias, None)
            return self.op("layerNormalization", x, scale, bias, axes=(last,), epsilon=epsilon)
        mean = self.op("reduceMean", x, axes=(last,), keep_dimensions=True)
        away = self.op("sub", x, mean)
        square = self.op("pow", away, self.number(2.0)) if self.any(0, 1) else self.op("mul", away, away)
        variance = self.op("reduceMean", square, axes=(last,), keep_dimensions=True)
        root = self.op("sqrt", self.joined("add", variance, self.number(epsilon)))
        return self.joined("add", self.joined("mul", self.op("div", away, root), scale), bias)

    def rms_norm(self, x: Value) -> Value:
        last, width = x.type.rank - 1, int(str(x.type.shape[-1]))
        square = self.op("pow", x, self.number(2.0)) if self.any(0, 1) else self.op("mul", x, x)
        mean = self.op("reduceMean", square, axes=(last,), keep_dimensions=True)
        root = self.op("sqrt", self.joined("add", mean, self.number(self.any(1e-6, 1e-2))))
        scaled = self.any(
            lambda: self.joined("mul", x, self.op("reciprocal", root)),
            lambda: self.joined("mul", x, self.op("div", self.number(1.0), root)),
            lambda: self.op("div", x, root),
        )()
        return self.joined("mul", scaled, self.weights(width)) if self.any(0, 1) else scaled

    def norm(self, x: Value) -> Value:
        return self.any(self.layer_norm, self.layer_norm, self.rms_norm)(x)

    # Attention.

    def split(self, x: Value, heads: int) -> Value:
        cut = self.op("reshape", x, new_shape=(B, L, heads, DEPTH))
        if self.random.random() < 0.2:
            cut = self.rms_norm(cut)
        return self.op("transpose", cut, permutation=(0, 2, 1, 3))

    def rotated(self, x: Value) -> Value:
        heads, half = x.type.shape[1], DEPTH // 2
        row = self.op("slice", self.weights(LONGEST, half), starts=(0, 0), sizes=(L, half))
        angles = self.op("reshape", self.op("concat", row, row, axis=1), new_shape=(1, 1, L, DEPTH))
        low, high = (
            self.op("slice", x, starts=(0, 0, 0, start), sizes=(B, heads, L, half), strides=(1, 1, 1, 1))
            for start in (0, half)
        )
        turned = self.op("concat", self.op("neg", high), low, axis=3)
        straight = self.joined("mul", x, self.op("cos", angles))
        return self.joined("add", straight, self.joined("mul", turned, self.op("sin", angles)))

    def causal(self) -> Value:
        row = self.op("slice", self.builder.constant(np.arange(LONGEST)), starts=(0,), sizes=(L,))
        before = self.op("reshape", row, new_shape=(L, 1)), self.op("reshape", row, new_shape=(1, L))
        return self.op("reshape", self.op("greaterOrEqual", *before), new_shape=(1, 1, L, L))

    def keep(self) -> Value:
        kept = self.op("notEqual", self.op("reshape", self.mask, new_shape=(B, 1, 1, L)), self.number(0, I64))
        return self.op("logicalAnd", kept, self.causal()) if self.random.random() < 0.25 else kept

    def hidden(self, scores: Value) -> Value:
        """Scores under a mask."""
        form = self.any("none", "formula", "formula", "choice of numbers", "choice of scores", "other way")
        lowest = self.number(self.any(LOWEST, -math.inf, -1e9))
        if form == "none":
            return scores
        if form == "formula":
            kept = self.op("cast", self.op("reshape", self.mask, new_shape=(B, 1, 1, L)), to=F32)
            away = self.op("sub", self.number(1.0), kept)
            return self.joined("add", scores, self.joined("mul", away, self.number(self.any(LOWEST, -1e9))))
        if form == "choice of numbers":
            return self.joined("add", scores, self.op("where", self.keep(), self.number(0.0), lowest))
        keep = self.op("expand", self.keep(), new_shape=(B, scores.type.shape[1], L, L))
        if form == "choice of scores":
            return self.op("where", keep, scores, lowest)
        return self.op("where", self.op("logicalNot", keep), lowest, scores)

    def repeated(self, x: Value) -> Value:
        """One head of keys for all queries, as grouped attention writes it out."""
        return self.op("reshape", self.op("expand", x, new_shape=(B, HEADS, L, DEPTH)), new_shape=(B, HEADS, L, DEPTH))

    def attention(self, x: Value) -> Value:
        grouped, rotary = self.random.random() < 0.25, self.random.random() < 0.3
        few = 1 if grouped else HEADS
        q = self.split(self.linear(x, WIDTH), HEADS)
        k, v = (self.split(self.linear(x, few * DEPTH), few) for _ in range(2))
        if rotary:
            q, k = self.rotated(q), self.rotated(k)
        if grouped:
            k, v = self.repeated(k), self.repeated(v)
        factor, where = self.number(self.any(0.5, 0.25, 1.0)), self.any("scores", "both", "queries", "nowhere")
        if where in ("both", "queries"):
            q = self.op("mul", q, factor)
        turned = self.op("transpose", k, permutation=(0, 1, 3, 2))
        if where == "both":
            turned = self.op("mul", turned, factor)
        scores = self.op("matmul", q, turned)
        if where == "scores":
            scores = self.op(self.any("mul", "div"), scores, factor)
        if self.random.random() < 0.25:
            scores = self.joined("add", scores, self.distances())
        weights = self.op("softmax", self.hidden(scores), axis=3)
        if self.random.random() < 0.25:
            weights = self.op("where", self.op("isNaN", weights), self.number(0.0), weights)
        mixed = self.op("transpose", self.op("matmul", weights, v), permutation=(0, 2, 1, 3))
        return self.op("reshape", mixed, new_shape=(B, L, WIDTH))

    def distances(self) -> Value:
        row = self.op("slice", self.builder.constant(np.arange(LONGEST)), starts=(0,), sizes=(L,))
        apart = self.op("sub", self.op("reshape", row, new_shape=(1, L)), self.op("reshape", row, new_shape=(L, 1)))
        bucket = self.op("min", self.op("abs", apart), self.number(3, I64))
        bias = self.op("transpose", self.op("gather", self.weights(4, HEADS), bucket, axis=0), permutation=(2, 0, 1))
        return self.op("reshape", bias, new_shape=(1, HEADS, L, L))

    # Models.

    def embedded(self) -> Value:
        x = self.op("gather", self.weights(WORDS, WIDTH), self.ids, axis=0)
        places = self.any("none", "table", "counted")
        if places == "table":
            rows = self.op("slice", self.weights(LONGEST, WIDTH), starts=(0, 0), sizes=(L, WIDTH))
            x = self.joined("add", x, self.op("reshape", rows, new_shape=(1, L, WIDTH)))
        elif places == "counted":
            real = self.op("cast", self.op("notEqual", self.ids, self.number(1, I64)), to=I64)
            number = self.op("mul", self.op("cumulativeSum", real, axis=1), real)
            x = self.joined("add", x, self.op("gather", self.weights(LONGEST + 1, WIDTH), number, axis=0))
        return self.norm(x) if self.any(0, 1) else x

    def fed_forward(self, x: Value) -> Value:
        wide = self.activation(self.linear(x, 2 * WIDTH))
        if self.random.random() < 0.3:
            wide = self.joined("mul", wide, self.linear(x, 2 * WIDTH))
        return self.linear(wide, WIDTH)

    def layer(self, x: Value) -> Value:
        norm = self.any(self.layer_norm, self.rms_norm)
        first = self.any(self.attention, self.attention, self.fed_forward)
        for part in (first, self.fed_forward)[: self.any(1, 2)]:
            x = self.joined("add", x, part(norm(x))) if self.any(0, 1) else norm(self.joined("add", part(x), x))
        return x

    def pooled(self, x: Value) -> Value:
        kind = self.any("tokens", "tokens", "first", "mean", "mean and normalised", "softmax")
        if kind == "first":
            return self.op("tanh", self.linear(self.op("gather", x, self.number(0, I64), axis=1), WIDTH))
        if kind == "softmax":
            return self.op("softmax", x, axis=self.any(1, 2))
        if kind == "tokens":
            return x
        keep = self.op("cast", self.op("reshape", self.mask, new_shape=(B, L, 1)), to=F32)
        keep = self.op("expand", keep, new_shape=(B, L, WIDTH))
        total = self.op("reduceSum", self.op("mul", x, keep), axes=(1,), keep_dimensions=False)
        count = self.op("reduceSum", keep, axes=(1,), keep_dimensions=False)
        mean = self.op("div", total, self.op("clamp", count, min_value=1e-9))
        if kind == "mean":
            return mean
        length = self.op("reduceL2", mean, axes=(1,), keep_dimensions=True)
        return self.op("div", mean, self.op("max", length, self.number(1e-12)))


def random_encoder(random: Random) -> Graph:
    """A layer or two; now and then inputs and constants are results as well."""
    made = Encoder(random)
    x = made.embedded()
    for _ in range(made.any(1, 1, 2)):
        x = made.layer(x)
    outputs = {"found": made.pooled(x)}
    extra = random.random()
    if extra < 0.1:
        outputs |= {"ids_again": made.ids, "fixed": made.weights(3), "whole": x}
    elif extra < 0.2:
        outputs |= {"twice": outputs["found"], "flat": made.op("reshape", x, new_shape=(B * L, WIDTH))}
    return made.builder.build(outputs)


class QuantisedEncoder(Encoder):
    """As `Encoder`, its layers as models state them whose products are sums of 8-bit integers."""

    def linear(self, x: Value, columns: int, bias: bool | None = None) -> Value:
        rows = int(str(x.type.shape[-1]))
        if self.random.random() < 0.2:
            return super().linear(x, columns, bias)
        q, scale, zero = self.quantised(x)
        left = self.op("cast", q, to=F32)
        if zero is not None:
            left = self.op("sub", left, self.op("cast", zero, to=F32))
        total = None
        cut = self.any(rows, rows, rows // 2)
        right = self.integers(rows, columns)
        for start in range(0, rows, cut):
            part, own = left, right
            if cut < rows:
                begin = (*(0 for _ in x.type.shape[1:]), start)
                part = self.op("slice", left, starts=begin, sizes=(*x.type.shape[:-1], cut), strides=(1,) * x.type.rank)
                own = self.op("slice", right, starts=(start, 0), sizes=(cut, columns), strides=(1, 1))
            whole = self.op("cast", self.op("matmul", part, own), to=DataType.INT32)
            total = whole if total is None else self.joined("add", total, whole)
        assert total is not None
        made = self.op("cast", total, to=F32)
        if self.any(0, 1, 1, 1):
            shape = self.any((), (1,), (columns,), (1, columns))
            steps = self.builder.constant(self.numbers.uniform(0.002, 0.01, shape).astype(np.float32))
            made = self.joined("mul", made, self.any(lambda: steps, lambda: self.joined("mul", steps, scale))())
        has_bias = self.random.random() < 0.8 if bias is None else bias
        return self.joined("add", made, self.weights(columns)) if has_bias else made

    def integers(self, rows: int, columns: int) -> Value:
        """Weights less their zero points, as floats."""
        dtype, is_turned = self.any(np.int8, np.uint8), self.any(0, 0, 1)
        low = -127 if dtype is np.int8 else 0
        shape = (columns, rows) if is_turned else (rows, columns)
        made = self.builder.constant(self.numbers.integers(low, low + 255, shape).astype(dtype))
        if is_turned and self.any(0, 1):
            made, is_turned = self.op("transpose", made, permutation=(1, 0)), False
        made = self.op("cast", made, to=F32)
        if self.any(0, 1):
            per_column = (columns, 1) if is_turned else (1, columns)
            zeros = self.numbers.integers(low, low + 255, self.any((), per_column)).astype(dtype)
            made = self.op("sub", made, self.op("cast", self.builder.constant(zeros), to=F32))
        return self.op("transpose", made, permutation=(1, 0)) if is_turned else made

    def quantised(self, x: Value) -> tuple[Value, Value, Value | None]:
        """8-bit integers, their scale and their zero point, by the range of the data or by numbers."""
        ones = (1,) * x.type.rank
        if self.random.random() < 0.3:
            kind = self.any(U8, DataType.INT8)
            scale, zero = self.number(self.any(0.02, 0.1)), self.number(self.any(0, 3, 100), kind)
            parts = [self.op("expand", part, new_shape=ones) for part in (scale, zero)]
            is_zero = self.random.random() < 0.2
            return self.op("quantizeLinear", x, *parts), scale, None if is_zero else zero
        axes = tuple(range(x.type.rank))
        nothing = self.number(0.0)
        high = self.joined("max", self.op("reduceMax", x, axes=axes, keep_dimensions=False), nothing)
        low = self.joined("min", self.op("reduceMin", x, axes=axes, keep_dimensions=False), nothing)
        spread = self.op("div", self.op("sub", high, low), self.number(255.0))
        scale = self.op("where", self.op("equal", spread, nothing), self.number(1.0), spread)
        point = self.op("roundEven", self.op("neg", self.op("div", low, scale)))
        zero = self.op("cast", self.op("clamp", point, min_value=0.0, max_value=255.0), to=U8)
        parts = [self.op("reshape", part, new_shape=ones) for part in (scale, zero)]
        return self.op("quantizeLinear", x, *parts), scale, zero


class ForeignEncoder(Encoder):
    """As `Encoder`, its attention as ONNX defines it, and as ONNX Runtime's optimiser leaves it behind."""

    def attention(self, x: Value) -> Value:
        cut = [self.op("reshape", self.linear(x, WIDTH), new_shape=(B, L, HEADS, DEPTH)) for _ in range(3)]
        if self.any(0, 1):
            cut[:2] = [self.turned(part) if self.any(0, 1, 1) else part for part in cut[:2]]
        q, v = (self.op("transpose", part, permutation=(0, 2, 1, 3)) for part in (cut[0], cut[2]))
        k = self.op("transpose", cut[1], permutation=(0, 2, 3, 1))
        factor = self.number(self.any(0.5, 0.25))
        scores = self.op("matmul", self.op("mul", q, factor), self.op("mul", k, factor))
        scores = self.joined("add", scores, self.number(0.0)) if self.any(0, 0, 1) else scores
        mask = self.added()
        if mask is not None:
            scores = self.joined("add", scores, mask)
        weights = self.op("softmax", scores, axis=3)
        if self.random.random() < 0.7:
            given = mask if mask is not None else self.op("expand", self.number(0.0), new_shape=(L, L))
            if mask is not None and self.any(0, 1):
                given = self.op("expand", mask, new_shape=(B, 1, L, L))
            top = self.op("reduceMax", given, axes=(given.type.rank - 1,), keep_dimensions=True)
            is_empty = self.joined("equal", top, self.number(-math.inf))
            weights = self.op("where", is_empty, self.number(0.0), weights)
        mixed = self.op("transpose", self.op("matmul", weights, v), permutation=(0, 2, 1, 3))
        return self.op("reshape", mixed, new_shape=(B, L, WIDTH))

    def turned(self, x: Value) -> Value:
        """Rotary positions before the heads are set apart."""
        half = DEPTH // 2
        row = self.op("slice", self.weights(LONGEST, half), starts=(0, 0), sizes=(L, half))
        angles = self.op("reshape", self.op("concat", row, row, axis=1), new_shape=(1, L, 1, DEPTH))
        low, high = (
            self.op("slice", x, starts=(0, 0, 0, start), sizes=(B, L, HEADS, half), strides=(1, 1, 1, 1))
            for start in (0, half)
        )
        swapped = self.op("concat", self.op("neg", high), low, axis=3)
        straight = self.joined("mul", x, self.op("cos", angles))
        return self.joined("add", straight, self.joined("mul", swapped, self.op("sin", angles)))

    def added(self) -> Value | None:
        """What is added to the scores."""
        lowest = self.number(self.any(-math.inf, -math.inf, -10000.0, LOWEST))
        form = self.any("none", "choice", "choice", "lengths", "causal", "causal and choice")
        if form == "none":
            return None
        if form == "lengths":
            count = self.op("reduceSum", self.mask, axes=(1,), keep_dimensions=True)
            if self.any(0, 1):
                row = self.op("slice", self.builder.constant(np.arange(LONGEST)), starts=(0,), sizes=(L,))
            else:
                ones = self.op("expand", self.number(1, I64), new_shape=(L,))
                row = self.op("cumulativeSum", ones, axis=0, exclusive=True)
            row = self.op("reshape", row, new_shape=(1, L))
            seen = self.op("lesser", row, count) if self.any(0, 1) else self.op("greater", count, row)
            mask = self.op("where", seen, self.number(0.0), lowest)
            return self.op("reshape", mask, new_shape=(B, 1, 1, L))
        kept = self.op("notEqual", self.op("reshape", self.mask, new_shape=(B, 1, 1, L)), self.number(0, I64))
        choice = self.op("where", kept, self.number(0.0), lowest)
        if form == "choice":
            return choice
        later = self.op("where", self.causal(), self.number(0.0), self.number(-math.inf))
        return later if form == "causal" else self.joined("add", choice, later)


def random_foreign_encoder(random: Random) -> Graph:
    """One layer or two of such attention."""
    made = ForeignEncoder(random)
    x = made.embedded()
    for _ in range(made.any(1, 1, 2)):
        x = made.layer(x)
    return made.builder.build({"found": made.pooled(x)})


def random_quantised_encoder(random: Random) -> Graph:
    """One layer whose products are sums of integers."""
    made = QuantisedEncoder(random)
    return made.builder.build({"found": made.pooled(made.layer(made.embedded()))})


def random_image_network(random: Random) -> Graph:
    """Convolutions with what follows them, pooling, and a classifier."""
    made = Encoder(random)
    made.builder = GraphBuilder("images", dims=[DynamicDim("batch", 16)])
    made.op = op = made.builder.op
    channels, side = made.any(3, 4), made.any(9, 12)
    x = made.builder.input("image", F32, (B, channels, side, side))
    for _ in range(made.any(1, 2, 3)):
        channels = int(str(x.type.shape[1]))
        groups = made.any(1, 1, channels)
        after, size = made.any(channels, channels * 2, 17), made.any(1, 3)
        after = channels if groups > 1 and after == 17 else after
        filters = made.weights(after, channels // groups, size, size)
        step = made.any((1, 1), (1, 1), (2, 1), (2, 2))
        bias = made.any(None, made.weights(after))
        y = op("conv2d", x, filters, bias, padding=(size // 2,) * 4, strides=step, groups=groups)
        if made.any(0, 1):
            spread = made.builder.constant(made.numbers.uniform(0.5, 2.0, after).astype(np.float32))
            y = op("batchNormalization", y, made.weights(after), spread, made.weights(after), made.weights(after))
        if made.any(0, 1):
            y = made.activation(y)
        if x.type == y.type and made.any(0, 1):
            y = made.joined("add", x, y)
        if made.any(0, 1):
            y = made.joined(made.any("mul", "add"), y, made.weights(1, after, 1, 1))
        if made.any(0, 0, 1):
            # Attention to channels: each is scaled by what a small network makes of all their means.
            mean = op("reduceMean", y, axes=(2, 3), keep_dimensions=True)
            few = op("relu", op("conv2d", mean, made.weights(2, after, 1, 1)))
            y = made.joined("mul", y, op("sigmoid", op("conv2d", few, made.weights(after, 2, 1, 1))))
        x = op("relu", y) if made.any(0, 1) else y
    if made.any(0, 1):
        x = op(made.any("maxPool2d", "averagePool2d"), x, window_dimensions=(2, 2), strides=(2, 2))
    flat = op("reduceMean", x, axes=(2, 3), keep_dimensions=False)
    return made.builder.build({"found": made.linear(flat, 5, bias=False), "features": x})


FAMILIES = {
    "encoder": random_encoder,
    "foreign": random_foreign_encoder,
    "images": random_image_network,
    "quantised": random_quantised_encoder,
}


def feeds_of(graph: Graph, shapes: dict[str, int], random: Random) -> dict[str, Array]:
    """Arrays for the inputs of any of these: words, masks with at least one 1 in a row, and numbers."""
    numbers = np.random.default_rng(random.randrange(2**32))
    feeds: dict[str, Array] = {}
    for name, kind in graph.inputs.items():
        shape = concrete_shape(kind, shapes)
        if kind.dtype.is_float:
            feeds[name] = numbers.standard_normal(shape).astype(kind.dtype.numpy)
        elif "mask" in name:
            lengths = numbers.integers(1, shape[-1] + 1, (*shape[:-1], 1))
            feeds[name] = (np.arange(shape[-1]) < lengths).astype(kind.dtype.numpy)
        else:
            feeds[name] = numbers.integers(2, WORDS, shape).astype(kind.dtype.numpy)
    return feeds
