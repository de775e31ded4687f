"""TfIdfVectorizer on numbers: runs of tokens compared with a list of known ones, and counted."""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Final

import numpy as np

from webnn_runtime.format.dims import bounds, is_at_least, names_of
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# Lengths of runs times distances between their tokens; each is a few nodes.
_MOST_KINDS: Final = 128


@onnx_op("TfIdfVectorizer", since=9)
def tf_idf_vectorizer(ctx: Context, node: OnnxNode) -> Tensor:
    """How often known runs of tokens occur, with up to some tokens left out between; weighed if asked for."""
    x = node.input(0)
    if node.has("pool_strings"):
        raise Refused("it works on text; WebNN has numbers only")
    if x.rank not in (1, 2) or not x.elem.is_integer:
        raise Refused(f"the input is {x}; one or several rows of integers are supported")
    mode = node.choice("mode", "TF", "TF", "IDF", "TFIDF")
    shortest, longest = node.integer("min_gram_length"), node.integer("max_gram_length")
    skips = node.integer("max_skip_count")
    if shortest < 1 or longest < shortest or skips < 0 or longest * (skips + 1) > _MOST_KINDS:
        raise Refused(
            f"runs of {shortest} to {longest} tokens with up to {skips} left out; at most {_MOST_KINDS} kinds"
        )
    places = np.asarray(node.integers("ngram_indexes"), np.int64)
    pool = _pool(node)
    rows = x if x.rank == 2 else reshape_to(ctx, x, (1, *x.shape))
    weights = np.asarray(node.numbers("weights", (1.0,) * places.size), np.float32)
    if weights.size != places.size or (mode != "TF" and len(np.unique(places)) != places.size):
        raise Refused(
            f"{weights.size} weights for {len(np.unique(places))} of {places.size} runs; one for each is needed"
        )
    counts: Tensor | None = None
    f = Formula(ctx, Elem.FLOAT)
    first = 0
    for length, grams in enumerate(pool, 1):
        if len(grams) and shortest <= length <= longest:
            found = _occurrences(ctx, rows, grams, 1 if length == 1 else skips + 1)
            if found is not None:
                if mode == "IDF":
                    found = f("where", f("greater", found, 0), 1, ctx.scalar(0, Elem.FLOAT))
                spread = np.zeros((len(grams), int(places.max()) + 1), np.float32)
                own = slice(first, first + len(grams))
                spread[np.arange(len(grams)), places[own]] = 1 if mode == "TF" else weights[own]
                share = matmul_of(ctx, found, ctx.known(spread))
                counts = share if counts is None else f("add", counts, share)
        first += len(grams)
    if counts is None:
        counts = ctx.known(np.zeros((), np.float32), Elem.FLOAT, (rows.shape[0], int(places.max()) + 1))
    return counts if x.rank == 2 else reshape_to(ctx, counts, (int(places.max()) + 1,))


def _pool(node: OnnxNode) -> list[Array]:
    """Runs of one token, of two, ...: [runs, tokens] each."""
    tokens = np.asarray(node.integers("pool_int64s"), np.int64)
    starts = [*node.integers("ngram_counts"), len(tokens)]
    pool = []
    for length, (begin, end) in enumerate(pairwise(starts), 1):
        if not 0 <= begin <= end <= len(tokens) or (end - begin) % length:
            raise Refused("ngram_counts does not fit pool_int64s; the model is not valid")
        grams = tokens[begin:end].reshape(-1, length)
        if len(np.unique(grams, axis=0)) != len(grams):
            raise Refused("a run occurs twice in its pool; which of the two counts is not defined")
        pool.append(grams)
    if sum(map(len, pool)) != len(node.integers("ngram_indexes")):
        raise Refused("ngram_indexes does not fit pool_int64s; the model is not valid")
    return pool


def _occurrences(ctx: Context, rows: Tensor, grams: Array, distances: int) -> Tensor | None:
    """[rows, runs]: how often each run occurs with each distance between its tokens; None where it cannot."""
    ints, f = Formula(ctx, Elem.INT64), Formula(ctx, Elem.FLOAT)
    tokens = convert(ctx, rows, Elem.INT64)
    size = rows.shape[1]
    total: Tensor | None = None
    for distance in range(1, distances + 1):
        count = size - distance * (grams.shape[1] - 1)
        if bounds(count, ctx.ranges)[1] < 1:
            break
        if is_at_least(count, 1, ctx.ranges) is not True:
            raise Refused(f"whether {size} tokens hold a run of {grams.shape[1]} is not known", sorted(names_of(size)))
        hits = []
        for k in range(grams.shape[1]):
            part = slice_of(ctx, tokens, {1: (k * distance, count, 1)})
            hits.append(ints("equal", reshape_to(ctx, part, (*part.shape, 1)), ctx.known(grams[:, k])))
        hit = convert(ctx, reduce(lambda a, b: ints("logicalAnd", a, b), hits), Elem.FLOAT)
        found = f.reduce("reduceSum", hit, (1,))
        total = found if total is None else f("add", total, found)
    return total
