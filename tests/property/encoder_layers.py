"""The layers of random encoders, spelled as exporters spell them: every pattern that backends fuse, in many forms."""

from __future__ import annotations

import math
from random import Random

import numpy as np

from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import DynamicDim, product, symbol
from webnn_runtime.format.dtypes import DataType

__all__ = ["DEPTH", "F32", "HEADS", "I64", "LONGEST", "LOWEST", "U8", "WIDTH", "WORDS", "B", "Encoder", "L"]

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

    def from_one(self, x: Value) -> list[Value]:
        """Queries, keys and values of one layer, cut before or after heads are set apart."""
        wide = self.linear(x, 3 * WIDTH)
        if self.any(0, 1):
            parts = self.builder.op_many("split", wide, splits=(WIDTH,) * 3, axis=2)
            return [self.split(part, HEADS) for part in parts]
        apart = self.op("reshape", wide, new_shape=(B, L, *self.any((3, HEADS), (HEADS, 3)), DEPTH))
        axis = 2 if apart.type.shape[2] == 3 else 3
        parts = self.builder.op_many("split", apart, splits=(1, 1, 1), axis=axis)
        return [self.split(part, HEADS) for part in parts]

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

    def places(self) -> tuple[Value, Value]:
        """Of queries and of keys."""
        row = self.op("slice", self.builder.constant(np.arange(LONGEST)), starts=(0,), sizes=(L,))
        return self.op("reshape", row, new_shape=(L, 1)), self.op("reshape", row, new_shape=(1, L))

    def causal(self) -> Value:
        return self.op("reshape", self.op("greaterOrEqual", *self.places()), new_shape=(1, 1, L, L))

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
        if not grouped and self.random.random() < 0.25:
            q, k, v = self.from_one(x)
        else:
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
        scores = self.product(q, turned)
        if where == "scores":
            scores = self.op(self.any("mul", "div"), scores, factor)
        if self.random.random() < 0.25:
            scores = self.joined("add", scores, self.distances())
        elif self.random.random() < 0.25:
            scores = self.joined("add", scores, self.read_distances(q, k))
        weights = self.op("softmax", self.hidden(scores), axis=3)
        if self.random.random() < 0.25:
            weights = self.op("where", self.op("isNaN", weights), self.number(0.0), weights)
        mixed = self.op("transpose", self.product(weights, v), permutation=(0, 2, 1, 3))
        return self.op("reshape", mixed, new_shape=(B, L, WIDTH))

    def product(self, a: Value, b: Value) -> Value:
        """Of four dimensions, or of three between reshapes."""
        if self.random.random() < 0.75:
            return self.op("matmul", a, b)
        heads = a.type.shape[1]
        a, b = (self.op("reshape", x, new_shape=(B * heads, *x.type.shape[2:])) for x in (a, b))
        both = self.op("matmul", a, b)
        return self.op("reshape", both, new_shape=(B, heads, *both.type.shape[1:]))

    def read_distances(self, q: Value, k: Value) -> Value:
        """What each query, and each key, has for how far it is from the other."""
        terms = []
        for x, is_by_key in ((q, False), (k, True))[self.any(0, 0, 1) :]:
            vectors = self.weights(HEADS, DEPTH, 5)
            merged = self.op("reshape", x, new_shape=(B * HEADS, L, DEPTH))
            repeated = self.op("tile", vectors, repetitions=(B, 1, 1))
            each = self.op("matmul", merged, repeated)
            apart = self.op("clamp", self.op("sub", *self.places()), min_value=self.any(-2, 0), max_value=2)
            columns = self.op("reshape", self.op("add", apart, self.number(2, I64)), new_shape=(1, L, L))
            columns = self.op("expand", columns, new_shape=(B * HEADS, L, L))
            term = self.op("gatherElements", each, columns, axis=2)
            if is_by_key and self.random.random() < 0.8:
                term = self.op("transpose", term, permutation=(0, 2, 1))
            terms.append(self.op("mul", term, self.number(0.5)) if self.any(0, 1) else term)
        total = self.joined("add", *terms) if len(terms) == 2 else terms[0]
        return self.op("reshape", total, new_shape=(B, HEADS, L, L))

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

    def gated(self, x: Value) -> Value:
        """Both halves from one matrix, cut by `slice` or `split`; now and then they are no halves, or cut elsewhere."""
        wide = self.linear(x, 4 * WIDTH)
        cuts = self.any((0, 2), (0, 2), (2, 0), (0, 1), (1, 1))
        if cuts == (0, 2) and self.any(0, 1):
            parts = self.builder.op_many("split", wide, splits=(2 * WIDTH, 2 * WIDTH), axis=2)
        else:
            sizes = (B, L, 2 * WIDTH)
            parts = [self.op("slice", wide, starts=(0, 0, cut * WIDTH), sizes=sizes) for cut in cuts]
        return self.linear(self.joined("mul", self.activation(parts[0]), parts[1]), WIDTH)

    def fed_forward(self, x: Value) -> Value:
        if self.random.random() < 0.25:
            return self.gated(x)
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
