"""Searching vectors of every precision: definitions written out, and sentence-transformers' own rescoring."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

from webnn_runtime.embed import Ranges, dequantize_embeddings, quantize_embeddings, semantic_search
from webnn_runtime.embed import search as module
from webnn_runtime.format.errors import EmbedError

FEATURES = 44  # no whole number of bytes


def unit(rows: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).standard_normal((rows, FEATURES)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


DOCUMENTS = unit(500, 1)
QUERIES = unit(7, 2)
RANGES = Ranges.of(DOCUMENTS, is_unit=True)


def ids(results) -> list[list[int]]:
    return [[entry["corpus_id"] for entry in row] for row in results]


def scores(results) -> list[list[float]]:
    return [[entry["score"] for entry in row] for row in results]


def best(values: np.ndarray, count: int) -> np.ndarray:
    """Indices of the greatest, the first of equal ones first."""
    return np.array(sorted(range(len(values)), key=lambda index: (-values[index], index))[:count])


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "uint8"])
def test_floats_and_bytes_are_searched_by_dot_product(precision) -> None:
    stored = quantize_embeddings(DOCUMENTS, precision, RANGES)
    got = semantic_search(QUERIES, stored, corpus_precision=precision, top_k=5, ranges=RANGES)
    exact = QUERIES.astype(np.float64) @ dequantize_embeddings(stored, precision, RANGES).astype(np.float64).T
    for row, expected in zip(got, exact, strict=True):
        assert [entry["corpus_id"] for entry in row] == best(expected, 5).tolist()
        np.testing.assert_allclose([entry["score"] for entry in row], expected[best(expected, 5)], rtol=1e-12)


@pytest.mark.parametrize("precision", ["binary", "ubinary"])
def test_bits_are_searched_by_how_many_differ(precision) -> None:
    stored, asked = (quantize_embeddings(each, precision) for each in (DOCUMENTS, QUERIES))
    gaps = ((DOCUMENTS > 0)[None] != (QUERIES > 0)[:, None]).sum(axis=2)
    expected = [best(-row, 9).tolist() for row in gaps]
    for queries in (asked, QUERIES):
        got = semantic_search(queries, stored, corpus_precision=precision, top_k=9, rescore=False)
        assert ids(got) == expected
        assert scores(got) == [gaps[query, row].tolist() for query, row in enumerate(expected)]


class Index:
    """As much of a faiss index as sentence-transformers uses to search and rescore, exactly."""

    def __init__(self, stored: np.ndarray) -> None:
        self.stored = stored
        self.d = 8 * stored.shape[1]

    def search(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        gaps = np.unpackbits(queries[:, None] ^ self.stored[None], axis=2).sum(axis=2, dtype=np.int32)
        order = np.argsort(gaps, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(gaps, order, axis=1), order

    def reconstruct(self, index: int) -> np.ndarray:
        return self.stored[index]


@pytest.mark.torch
@pytest.mark.parametrize(("top_k", "multiplier"), [(10, 2), (3, 8), (500, 1)])
def test_bits_are_rescored_as_sentence_transformers_does(top_k, multiplier, optional, monkeypatch) -> None:
    theirs = optional("sentence_transformers.util.quantization").semantic_search_faiss
    # The function imports the library whose index it is given.
    monkeypatch.setitem(sys.modules, "faiss", ModuleType("faiss"))
    stored = quantize_embeddings(DOCUMENTS, "ubinary")
    expected, _ = theirs(
        QUERIES, corpus_index=Index(stored), corpus_precision="ubinary", top_k=top_k, rescore_multiplier=multiplier
    )
    for precision, documents in (("ubinary", stored), ("binary", quantize_embeddings(DOCUMENTS, "binary"))):
        got = semantic_search(
            QUERIES, documents, corpus_precision=precision, top_k=top_k, rescore_multiplier=multiplier
        )
        assert ids(got) == ids(expected)
        np.testing.assert_allclose(scores(got), scores(expected), rtol=1e-12)


@pytest.mark.parametrize("precision", ["int8", "uint8", "float16", "float32"])
def test_bits_find_and_better_documents_rescore(precision) -> None:
    stored = quantize_embeddings(DOCUMENTS, "ubinary")
    better = quantize_embeddings(DOCUMENTS, precision, RANGES)
    got = semantic_search(
        QUERIES,
        stored,
        corpus_precision="ubinary",
        top_k=10,
        rescore_multiplier=4,
        rescore_corpus=better,
        rescore_precision=precision,
        ranges=RANGES,
    )
    floats = dequantize_embeddings(better, precision, RANGES).astype(np.float64)
    for query, row in zip(QUERIES.astype(np.float64), got, strict=True):
        gaps = ((DOCUMENTS > 0) != (query > 0)).sum(axis=1)
        candidates = np.sort(best(-gaps, 40))
        expected = candidates[best(floats[candidates] @ query, 10)]
        assert [entry["corpus_id"] for entry in row] == expected.tolist()
        np.testing.assert_allclose([entry["score"] for entry in row], floats[expected] @ query, rtol=1e-12)


def test_rescoring_brings_the_right_documents_back() -> None:
    exact = ids(semantic_search(QUERIES, DOCUMENTS, top_k=10))
    stored = quantize_embeddings(DOCUMENTS, "ubinary")
    options = {"corpus_precision": "ubinary", "top_k": 10}

    def shared(results) -> int:
        return sum(len(set(one) & set(two)) for one, two in zip(ids(results), exact, strict=True))

    plain = shared(semantic_search(QUERIES, stored, rescore=False, **options))
    better = shared(semantic_search(QUERIES, stored, rescore_multiplier=10, rescore_corpus=DOCUMENTS, **options))
    whole = semantic_search(QUERIES, stored, rescore_multiplier=50, rescore_corpus=DOCUMENTS, **options)
    assert plain < better
    assert ids(whole) == exact


@pytest.mark.parametrize("precision", ["float32", "uint8", "ubinary"])
def test_the_parts_a_search_is_done_in_do_not_show(precision, monkeypatch) -> None:
    stored = quantize_embeddings(DOCUMENTS, precision, RANGES)

    def search():
        return semantic_search(QUERIES, stored, corpus_precision=precision, ranges=RANGES)

    whole = search()
    monkeypatch.setattr(module, "_DOCUMENTS_AT_ONCE", 33)
    monkeypatch.setattr(module, "_QUERIES_AT_ONCE", 2)
    assert ids(search()) == ids(whole)
    np.testing.assert_allclose(scores(search()), scores(whole), rtol=1e-12)


@pytest.mark.parametrize("precision", ["float32", "ubinary"])
def test_few_documents_and_one_query_are_fine(precision) -> None:
    stored = quantize_embeddings(DOCUMENTS[:4], precision)
    (row,) = semantic_search(QUERIES[0], stored, corpus_precision=precision)
    assert sorted(entry["corpus_id"] for entry in row) == [0, 1, 2, 3]
    assert semantic_search(QUERIES[:0], stored, corpus_precision=precision) == []
    assert semantic_search(QUERIES[:2], stored[:0], corpus_precision=precision) == [[], []]


def spoilt(rows: np.ndarray, value: float) -> np.ndarray:
    rows = rows.copy()
    rows[3, 5] = value
    return rows


BYTES = quantize_embeddings(DOCUMENTS, "int8", RANGES)
BITS = quantize_embeddings(DOCUMENTS, "ubinary")


@pytest.mark.parametrize(
    ("queries", "documents", "options", "message"),
    [
        (QUERIES, BITS, {}, "documents are uint8; 'float32' is float32"),
        (QUERIES, DOCUMENTS, {"corpus_precision": "int4"}, "corpus_precision='int4': expected one of"),
        (QUERIES, BYTES, {"corpus_precision": "int8"}, "needs the bounds of each feature"),
        (QUERIES, DOCUMENTS[:, :5], {}, "queries of 44 features, documents of 5"),
        (QUERIES, BITS[:, :5], {"corpus_precision": "ubinary"}, "queries of 6 bytes, documents of 5"),
        (QUERIES, DOCUMENTS, {"rescore": True}, "searched exactly; leave rescore= out"),
        (QUERIES, BITS, {"corpus_precision": "ubinary", "rescore": "no"}, "rescore='no'; expected True or False"),
        (BYTES[:2], BYTES, {"corpus_precision": "int8"}, "queries are int8; expected floats"),
        (BITS[:2], BITS, {"corpus_precision": "ubinary", "rescore": True}, "bits have nothing to rescore with"),
        (BYTES[:2], BITS, {"corpus_precision": "ubinary"}, "queries are int8 and documents uint8"),
        (QUERIES, BITS, {"corpus_precision": "ubinary", "rescore_corpus": DOCUMENTS[:9]}, "expected 500 rows"),
        (QUERIES, BITS, {"corpus_precision": "ubinary", "rescore_corpus": DOCUMENTS[:, :9]}, "rescore_corpus of 9"),
        (
            QUERIES,
            BITS,
            {"corpus_precision": "ubinary", "rescore_corpus": BITS, "rescore_precision": "ubinary"},
            "rescore_precision='ubinary'; expected",
        ),
        (QUERIES, DOCUMENTS, {"rescore_corpus": DOCUMENTS}, "for float queries on bits"),
        (QUERIES, DOCUMENTS, {"top_k": 0}, "top_k=0"),
        (QUERIES, DOCUMENTS, {"top_k": 1.5}, "top_k=1.5; expected a whole number"),
        (QUERIES, BITS, {"corpus_precision": "ubinary", "rescore_multiplier": "2"}, "rescore_multiplier='2'; expected"),
        (QUERIES, spoilt(DOCUMENTS, np.nan), {}, "documents hold values that are not finite"),
        (QUERIES, spoilt(DOCUMENTS, -np.inf), {}, "documents hold values that are not finite"),
        (spoilt(QUERIES, np.nan), DOCUMENTS, {}, "queries hold values that are not finite"),
        (
            QUERIES,
            BITS,
            {"corpus_precision": "ubinary", "rescore_corpus": spoilt(DOCUMENTS, np.inf), "top_k": 500},
            "documents hold values that are not finite",
        ),
        (QUERIES, DOCUMENTS[0], {}, "documents of 1 dimensions"),
    ],
)
def test_what_does_not_fit_together_is_refused(queries, documents, options, message) -> None:
    with pytest.raises(EmbedError, match=message):
        semantic_search(queries, documents, **options)
