"""Texts without padding: what is proven to be packed, what is not, and that a text's bits are its own."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import OperandError, ShapeError

pytestmark = pytest.mark.native

F32, I64 = DataType.FLOAT32, DataType.INT64
LOWEST = float(np.finfo(np.float32).min)
HEADS, DEPTH, LONGEST, WORDS = 2, 8, 40, 50
WIDTH = HEADS * DEPTH
B, L = symbol("batch"), symbol("length")
LENGTHS = [5, 1, 17, 2, 40, 9, 9, 3]


class Encoder:
    """A layer of attention over words and places; its parts can be made in other ways."""

    def __init__(self, **parts):
        self.random = np.random.default_rng(3)
        self.builder = GraphBuilder("encoder", dims=[DynamicDim("batch", 64), DynamicDim("length", LONGEST)])
        self.op = self.builder.op
        self.ids = self.builder.input("ids", I64, (B, L))
        self.mask = self.builder.input("mask", I64, (B, L))
        self.hides = None
        self.parts = {"places": table, "hidden": additive(LOWEST), "bias": None, "pooled": tokens, **parts}

    def constant(self, *shape):
        return self.builder.constant((self.random.standard_normal(shape) / 4).astype(np.float32), F32)

    def number(self, value, dtype=F32):
        return self.builder.constant(value, dtype)

    def linear(self, x):
        return self.op("add", self.op("matmul", x, self.constant(WIDTH, WIDTH)), self.constant(WIDTH))

    def heads(self, x):
        return self.op("transpose", self.op("reshape", x, new_shape=(B, L, HEADS, DEPTH)), permutation=(0, 2, 1, 3))

    def attention(self, x):
        q, k, v = (self.heads(self.linear(x)) for _ in range(3))
        scores = self.op("matmul", q, self.op("transpose", k, permutation=(0, 1, 3, 2)))
        scores = self.op("mul", scores, self.number(0.3))
        if self.parts["bias"] is not None:
            scores = self.op("add", scores, self.parts["bias"](self))
        scores = self.parts["hidden"](self, scores)
        weights = self.op("softmax", scores, axis=3)
        if self.hides is not None:
            highest = self.op("reduceMax", self.hides, axes=(3,), keep_dimensions=True)
            is_empty = self.op("equal", highest, self.number(-np.inf))
            weights = self.op("where", is_empty, self.number(0.0), weights)
        mixed = self.op("matmul", weights, v)
        merged = self.op("reshape", self.op("transpose", mixed, permutation=(0, 2, 1, 3)), new_shape=(B, L, WIDTH))
        return self.op("add", self.linear(merged), x)

    def build(self):
        x = self.op("gather", self.constant(WORDS, WIDTH), self.ids, axis=0)
        x = self.parts["places"](self, x)
        x = self.op("layerNormalization", x, self.constant(WIDTH), self.constant(WIDTH), axes=(2,), epsilon=1e-5)
        return self.builder.build({"found": self.parts["pooled"](self, self.attention(x))})


def table(e, x):
    rows = e.op("slice", e.constant(LONGEST, WIDTH), starts=(0, 0), sizes=(L, WIDTH))
    return e.op("add", x, e.op("reshape", rows, new_shape=(1, L, WIDTH)))


def counted(e, x):
    """RoBERTa's places: words that are no padding are counted."""
    real = e.op("cast", e.op("notEqual", e.ids, e.number(1, I64)), to=I64)
    places = e.op("mul", e.op("cumulativeSum", real, axis=1), real)
    return e.op("add", x, e.op("gather", e.constant(LONGEST + 1, WIDTH), places, axis=0))


def additive(lowest):
    def hidden(e, scores):
        keep = e.op("cast", e.op("reshape", e.mask, new_shape=(B, 1, 1, L)), to=F32)
        return e.op("add", scores, e.op("mul", e.op("sub", e.number(1.0), keep), e.number(lowest)))

    return hidden


def chosen(e, scores):
    keep = e.op("notEqual", e.op("reshape", e.mask, new_shape=(B, 1, 1, L)), e.number(0, I64))
    return e.op("where", e.op("expand", keep, new_shape=(B, 1, L, L)), scores, e.number(-np.inf))


def places_of(e):
    """Of queries and of keys."""
    row = e.op("slice", e.builder.constant(np.arange(LONGEST), I64), starts=(0,), sizes=(L,))
    return e.op("reshape", row, new_shape=(L, 1)), e.op("reshape", row, new_shape=(1, L))


def seen_by_places(op):
    """Keys at places that do not compare so are hidden, and padding."""
    return lambda e, scores: hide(e, scores, e.op(op, *places_of(e)))


def near(apart):
    """Keys more than two places away are hidden; exporters write in several ways how far two places are apart."""
    return lambda e, scores: hide(
        e, scores, e.op("lesserOrEqual", e.op("abs", apart(e, *places_of(e))), e.number(2, I64))
    )


def by_a_sum(factor, order=1):
    return near(lambda e, i, j: e.op("add", i, e.op("mul", *(j, e.number(factor, I64))[::order])))


def seen_by_table(diagonal, is_made=False):
    """The same, by the triangle of a constant, or one that is made at the run."""

    def hidden(e, scores):
        whole = e.builder.constant(np.tri(LONGEST, k=diagonal, dtype=np.float32))
        ones = e.op("expand", e.number(1.0), new_shape=(L, L))
        made = e.op("triangular", ones, upper=False, diagonal=diagonal)
        seen = made if is_made else e.op("slice", whole, starts=(0, 0), sizes=(L, L))
        return hide(e, scores, e.op("notEqual", seen, e.number(0.0)))

    return hidden


def hide(e, scores, seen):
    seen = e.op("reshape", seen, new_shape=(1, 1, L, L))
    keep = e.op("notEqual", e.op("reshape", e.mask, new_shape=(B, 1, 1, L)), e.number(0, I64))
    return e.op("add", scores, e.op("where", e.op("logicalAnd", seen, keep), e.number(0.0), e.number(LOWEST)))


def taken_from_all(e, scores):
    """A formula that is as low for words as for padding."""
    keep = e.op("cast", e.op("reshape", e.mask, new_shape=(B, 1, 1, L)), to=F32)
    return e.op("add", scores, e.op("mul", e.op("pow", e.number(1.0), keep), e.number(-10000.0)))


def chosen_never(e, scores):
    keep = e.op(
        "notEqual", e.op("mul", e.op("reshape", e.mask, new_shape=(B, 1, 1, L)), e.number(0, I64)), e.number(0, I64)
    )
    return e.op("where", e.op("expand", keep, new_shape=(B, 1, L, L)), scores, e.number(LOWEST))


def lengths_of(e):
    return e.op("reduceSum", e.mask, axes=(1,), keep_dimensions=True)


def longer(e):
    return e.op("add", lengths_of(e), e.number(1, I64))


def by_lengths(op="lesser", places="table", length=lengths_of):
    """A mask of numbers of tokens, as ONNX Runtime's optimiser has it."""

    def hidden(e, scores):
        if places == "counted":
            ones = e.op("expand", e.number(1, I64), new_shape=(L,))
            row = e.op("cumulativeSum", ones, axis=0, exclusive=True)
        else:
            numbers = {
                "table": np.arange,
                "from one": lambda n: np.arange(1, n + 1),
                "down": lambda n: np.arange(n)[::-1],
            }
            row = e.op("slice", e.builder.constant(numbers[places](LONGEST), I64), starts=(0,), sizes=(L,))
        both = e.op("reshape", row, new_shape=(1, L)), length(e)
        seen = e.op(op, *(both[::-1] if op.startswith("greater") else both))
        number = e.op("where", seen, e.number(0.0), e.number(-10000.0))
        return e.op("add", scores, e.op("reshape", number, new_shape=(B, 1, 1, L)))

    return hidden


def without_keys(e, scores):
    """ONNX's own attention: rows without a key have weights of zero."""
    keep = e.op("notEqual", e.op("reshape", e.mask, new_shape=(B, 1, 1, L)), e.number(0, I64))
    e.hides = e.op("where", keep, e.number(0.0), e.number(-np.inf))
    return e.op("add", scores, e.hides)


def relative(e):
    """A bias by distance, as MPNet has it: a table read at the places' differences."""
    bucket = e.op("min", e.op("abs", e.op("sub", *places_of(e))), e.number(7, I64))
    bias = e.op("transpose", e.op("gather", e.constant(8, HEADS), bucket, axis=0), permutation=(2, 0, 1))
    return e.op("expand", e.op("reshape", bias, new_shape=(1, HEADS, L, L)), new_shape=(B, HEADS, L, L))


def earlier(e, op="greater", others=LOWEST):
    """A bias of nothing for keys before a token."""
    return e.op("where", e.op(op, *places_of(e)), e.number(0.0), e.number(others))


def tokens(e, x):
    """What is there as it is."""
    return x


def mean(e, x):
    keep = e.op("cast", e.op("expand", e.op("reshape", e.mask, new_shape=(B, L, 1)), new_shape=(B, L, WIDTH)), to=F32)
    total = e.op("reduceSum", e.op("mul", x, keep), axes=(1,), keep_dimensions=False)
    count = e.op("max", e.op("reduceSum", keep, axes=(1,), keep_dimensions=False), e.number(1e-9))
    return e.op("div", total, count)


def first(e, x, places=0):
    return e.op("tanh", e.linear(e.op("gather", x, e.builder.constant(np.array(places), I64), axis=1)))


def careless(e, x):
    return e.op("reduceMean", x, axes=(1,), keep_dimensions=False)


def unmasked_layer(e, x):
    e.parts["hidden"] = tokens
    return e.attention(x)


def backwards(e, x):
    return e.op("cumulativeSum", x, axis=1, reversed=True)


def with_rows(e, x):
    """Summands for 6 tokens, be they of one text or of several."""
    flat = e.op("reshape", x, new_shape=(B * L, WIDTH))
    return e.op("reshape", e.op("gemm", flat, e.constant(WIDTH, WIDTH), e.constant(6, 1)), new_shape=(B, L, WIDTH))


def between_places(e, x):
    return e.op("softmax", x, axis=1)


def turned(e, x):
    return e.op("reshape", e.op("transpose", x, permutation=(1, 0, 2)), new_shape=(B, L, WIDTH))


def texts(lengths=LENGTHS, seed=0):
    random = np.random.default_rng(seed)
    return [random.integers(2, WORDS, length) for length in lengths]


def padded(given):
    ids = np.ones((len(given), max(map(len, given))), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(given):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
    return {"ids": ids, "mask": mask}


PACKED = {
    "additive mask": {},
    "mask of minus 10000": {"hidden": additive(-10000.0)},
    "mask by choice": {"hidden": chosen},
    "causal": {"hidden": seen_by_places("greaterOrEqual")},
    "causal by a constant": {"hidden": seen_by_table(0)},
    "causal by a triangle": {"hidden": seen_by_table(0, is_made=True)},
    "keys that are near": {"hidden": near(lambda e, query, key: e.op("sub", query, key))},
    "keys that are near, by a sum": {"hidden": by_a_sum(-1)},
    "keys that are near, by a sum, the other way round": {"hidden": by_a_sum(-1, order=-1)},
    "keys that are near, by a negation": {"hidden": near(lambda e, query, key: e.op("add", e.op("neg", key), query))},
    "mask of lengths": {"hidden": by_lengths()},
    "mask of lengths, the other way round": {"hidden": by_lengths("greater", "counted")},
    "rows without keys": {"hidden": without_keys},
    "bias by distance": {"bias": relative},
    "counted places": {"places": counted},
    "mean": {"pooled": mean},
    "first token": {"pooled": first, "bias": relative},
}
PADDED = {
    "one layer of two without a mask": ({"pooled": unmasked_layer}, "has no mask"),
    "weak mask": ({"hidden": additive(-100.0)}, "does not hide padding"),
    "mask over all": ({"hidden": taken_from_all}, "does not hide padding"),
    "mask that keeps nothing": ({"hidden": chosen_never}, "does not hide padding"),
    # The first token has no key then, and its weights are spread over all scores alike, padding's too.
    "keys before a token": ({"hidden": seen_by_places("greater")}, "does not hide padding"),
    # Every token has a key by the first, which nothing proves; the fourth one has none by the second.
    "keys that are twice as far": ({"hidden": by_a_sum(-2)}, "does not hide padding"),
    "keys by the sum of places": ({"hidden": by_a_sum(1)}, "does not hide padding"),
    "other keys": ({"hidden": seen_by_places("notEqual")}, "does not hide padding"),
    "keys before a token, by a constant": ({"hidden": seen_by_table(-1)}, "does not hide padding"),
    "keys before a token, by a triangle": ({"hidden": seen_by_table(-1, is_made=True)}, "does not hide padding"),
    "keys before a token, by a bias": ({"bias": earlier, "hidden": additive(-10000.0)}, "does not hide padding"),
    "a bias that lifts padding over a token": (
        {"bias": lambda e: earlier(e, "greaterOrEqual", 20000.0), "hidden": additive(-10000.0)},
        "does not hide padding",
    ),
    "one place more than the length": ({"hidden": by_lengths("lesserOrEqual")}, "joins whole texts with places"),
    "places counted from one": ({"hidden": by_lengths(places="from one")}, "joins whole texts with places"),
    "places counted down": ({"hidden": by_lengths(places="down")}, "joins whole texts with places"),
    "another length": ({"hidden": by_lengths(length=longer)}, "joins whole texts with places"),
    "mean over padding": ({"pooled": careless}, "takes padding into account"),
    "last place": ({"pooled": lambda e, x: first(e, x, -1)}, "is not the first token"),
    "first token twice": ({"pooled": lambda e, x: first(e, x, [0, 0])}, "is not the first token"),
    "counted from the end": ({"pooled": backwards}, "counts from the padding"),
    "rows beside all tokens": ({"pooled": with_rows}, "adds rows of their own to places"),
    "softmax over places": ({"pooled": between_places}, "mixes places"),
    "texts and places swapped": ({"pooled": turned}, "moves texts"),
}


@pytest.mark.parametrize("parts", PACKED.values(), ids=PACKED)
def test_a_text_among_others_has_the_bits_it_has_alone_and_the_numbers_it_has_padded(parts, rust):
    graph = Encoder(**parts).build()
    given, runs = texts(), []
    reference = REFERENCE.compile(graph).run(padded(given))["found"]
    for threads in (1, 2, 4):
        model = rust.compile(graph, CompileOptions(threads=threads))
        assert model.describe()["unpadded"] is True
        runner = model.texts()
        assert set(runner.inputs) == {"ids"}
        found = runner.run({"ids": np.concatenate(given)}, LENGTHS)["found"]
        parts_of = np.split(found, np.cumsum(LENGTHS)[:-1]) if len(found) == sum(LENGTHS) else found
        for text, own, row in zip(given, parts_of, reference, strict=True):
            runs.append(own.tobytes())
            alone = model.run(padded([text]))["found"][0]
            assert own.tobytes() == alone.tobytes()
            np.testing.assert_allclose(own, row[: len(text)] if own.ndim == 2 else row, rtol=1e-4, atol=1e-5)
    assert runs[: len(given)] * 3 == runs


@pytest.mark.parametrize(("parts", "reason"), PADDED.values(), ids=PADDED)
def test_what_padding_could_change_is_padded_and_the_reason_told(parts, reason, rust):
    model = rust.compile(Encoder(**parts).build())
    assert model.texts() is None
    assert reason in model.describe()["unpadded"]


def test_a_padded_batch_that_gives_one_vector_for_each_text_runs_without_its_padding(rust, monkeypatch):
    from webnn_runtime.backends.rust import RustExecutable

    model = rust.compile(Encoder(pooled=mean).build())
    given = texts()
    wanted = model.texts().run({"ids": np.concatenate(given)}, LENGTHS)["found"]
    with monkeypatch.context() as patch:
        patch.setattr(RustExecutable, "_execute", None)
        assert model.run(padded(given))["found"].tobytes() == wanted.tobytes()
    # No text at all in a row, a hole, weights in place of a mask: as the graph says, padding and all.
    for row, values in [(0, 0), (2, [1, 0, 1]), (4, 3)]:
        feeds = padded(given)
        feeds["mask"][row, : np.size(values)] = values
        if row == 0:
            feeds["mask"][0] = 0
        reference = REFERENCE.compile(model.graph).run(feeds)["found"]
        np.testing.assert_allclose(model.run(feeds)["found"], reference, rtol=1e-3, atol=1e-5)


def test_a_graph_without_a_mask_computes_each_text_as_if_it_were_alone(rust):
    model = rust.compile(Encoder(hidden=tokens, pooled=careless).build())
    runner, given = model.texts(), texts()
    assert set(model.inputs) == {"ids"}
    found = runner.run({"ids": np.concatenate(given)}, LENGTHS)["found"]
    for text, own in zip(given, found, strict=True):
        assert own.tobytes() == model.run({"ids": text[None]})["found"].tobytes()


def test_only_the_outputs_that_are_asked_for_have_to_be_provable(rust):
    encoder = Encoder()
    x = encoder.op("gather", encoder.constant(WORDS, WIDTH), encoder.ids, axis=0)
    hidden = encoder.attention(x)
    model = rust.compile(encoder.builder.build({"found": hidden, "spoilt": careless(encoder, hidden)}))
    assert model.texts() is None
    runner = model.texts(["found"])
    assert runner is model.texts(["found"])
    assert list(runner.run({"ids": np.arange(2, 9)}, [3, 4])) == ["found"]


def test_many_texts_run_in_chunks_and_keep_their_order(on_isa, rust):
    graph = Encoder(pooled=mean).build()
    model = rust.compile(graph, on_isa)
    lengths = [1 + (number * 7) % LONGEST for number in range(60)]
    given = texts(lengths)
    runner = model.texts()
    found = runner.run({"ids": np.concatenate(given)}, lengths)["found"]
    order = np.random.default_rng(1).permutation(60)
    shuffled = runner.run({"ids": np.concatenate([given[i] for i in order])}, [lengths[i] for i in order])["found"]
    assert shuffled.tobytes() == found[order].tobytes()
    by_seven = [
        runner.run({"ids": np.concatenate(given[at : at + 7])}, lengths[at : at + 7])["found"] for at in range(0, 60, 7)
    ]
    assert np.concatenate(by_seven).tobytes() == found.tobytes()


def test_wrong_inputs_are_refused_by_name(rust):
    runner = rust.compile(Encoder().build()).texts()
    ids = np.concatenate(texts([3, 4]))
    with pytest.raises(OperandError, match="texts need ids"):
        runner.run({"ids": ids, "mask": np.ones(7, np.int64)}, [3, 4])
    for wrong in (ids[:6], ids.astype(np.int32), ids[None]):
        with pytest.raises(OperandError, match=r"need int64\[7\]"):
            runner.run({"ids": wrong}, [3, 4])
    for lengths in ([], [0, 7], [LONGEST + 1]):
        with pytest.raises(ShapeError, match="the graph takes texts of 1 to 40"):
            runner.run({"ids": np.zeros(sum(lengths), np.int64)}, lengths)
