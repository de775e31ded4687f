"""Searching vectors of any precision exactly, and rescoring what bits have found.

Made for as many vectors as fit in memory; an index of its own is the business of other libraries. Results have the
form and the scores of sentence-transformers' `semantic_search_faiss`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from webnn_runtime.embed.arguments import check_flags
from webnn_runtime.embed.precision import BITS, PRECISIONS, dequantize_embeddings, quantize_embeddings
from webnn_runtime.embed.ranges import Ranges
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.errors import EmbedError, EmbedMisuse

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["semantic_search"]

Vectors: TypeAlias = "npt.NDArray[Any]"
Doubles: TypeAlias = "npt.NDArray[np.float64]"
Bounds: TypeAlias = "Ranges | npt.ArrayLike | None"

# Documents that are held as float64 at a time: 16,384 of 384 features are 50 MB.
_DOCUMENTS_AT_ONCE: Final = 16_384
_QUERIES_AT_ONCE: Final = 256


def semantic_search(
    query_embeddings: npt.ArrayLike,
    corpus_embeddings: npt.ArrayLike,
    *,
    corpus_precision: str = "float32",
    top_k: int = 10,
    ranges: Bounds = None,
    rescore: bool | None = None,
    rescore_multiplier: int = 2,
    rescore_corpus: npt.ArrayLike | None = None,
    rescore_precision: str = "float32",
) -> list[list[dict[str, Any]]]:
    """The documents nearest to each query, best first.

    Floats and bytes are compared by dot product with the query's floats, which for vectors of length 1 is the
    cosine. Bits are compared by the number of those that differ; of `top_k * rescore_multiplier` documents found
    that way the best are chosen by the dot product of the query's floats with the bits (0 and 1), or with the
    documents of `rescore_corpus`. Of equally good documents the first wins.

    Args:
        query_embeddings: floats [features] or [queries, features]; for bits also bits of the same precision.
        corpus_embeddings: [documents, ...], of `corpus_precision`.
        corpus_precision: "float32", "float16", "int8", "uint8", "binary" or "ubinary".
        top_k: so many documents for each query.
        ranges: bounds that bytes were made with.
        rescore: whether to rescore what bits find; None does where the queries are floats.
        rescore_multiplier: how many times `top_k` to take from the bits.
        rescore_corpus: the same documents in `rescore_precision`, to rescore with; memory-mapped ones are read
            only where needed.
        rescore_precision: "float32", "float16", "int8" or "uint8".

    Returns:
        For each query a list of `{"corpus_id": index, "score": number}`. The score of bits that are not rescored is
        the number that differ, so that less is better.

    Raises:
        EmbedError: arguments that do not fit together.

    Example:
        >>> import numpy as np
        >>> from webnn_runtime.embed import semantic_search
        >>> documents = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)
        >>> semantic_search([[0.5, 0.25]], documents, top_k=1)
        [[{'corpus_id': 1, 'score': 0.5}]]
    """
    queries, documents = np.atleast_2d(np.asarray(query_embeddings)), np.asanyarray(corpus_embeddings)
    _check(queries, documents, corpus_precision, top_k, rescore_multiplier, rescore)
    is_float = queries.dtype.kind == "f"
    if rescore_corpus is not None and (corpus_precision not in BITS or not is_float or rescore is False):
        raise EmbedError("semantic_search: rescore_corpus= is for float queries on bits; leave it out")
    if corpus_precision not in BITS:
        if not is_float:
            raise EmbedError(f"semantic_search: queries are {queries.dtype}; expected floats, as encode gives them")
        if rescore:
            raise EmbedError(f"semantic_search: '{corpus_precision}' is searched exactly; leave rescore= out")
        return _by_product(queries, documents, corpus_precision, ranges, top_k)
    if rescore and not is_float:
        raise EmbedError("semantic_search: bits have nothing to rescore with; pass the queries as floats")
    if not is_float and queries.dtype != documents.dtype:
        raise EmbedError(f"semantic_search: queries are {queries.dtype} and documents {documents.dtype}")
    bits = quantize_embeddings(queries, corpus_precision) if is_float else queries
    if bits.shape[1] != documents.shape[1]:
        raise EmbedError(f"semantic_search: queries of {bits.shape[1]} bytes, documents of {documents.shape[1]}")
    if not is_float or rescore is False:
        return _entries(*_nearest_bits(bits, documents, corpus_precision, top_k))
    found, _ = _nearest_bits(bits, documents, corpus_precision, top_k * rescore_multiplier)
    second = documents if rescore_corpus is None else np.asanyarray(rescore_corpus)
    precision = corpus_precision if rescore_corpus is None else rescore_precision
    if rescore_corpus is not None and (precision in BITS or precision not in PRECISIONS):
        raise EmbedError(f"semantic_search: rescore_precision={precision!r}; expected float32, float16, int8 or uint8")
    if len(second) != len(documents) or second.ndim != 2:
        raise EmbedError(
            f"semantic_search: rescore_corpus of shape {list(second.shape)}; expected {len(documents)} rows"
        )
    return _rescored(queries, found, second, precision, ranges, top_k)


def _check(
    queries: Vectors, documents: Vectors, precision: str, top_k: int, multiplier: int, rescore: bool | None
) -> None:
    if precision not in PRECISIONS:
        raise EmbedError(f"corpus_precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    if queries.ndim != 2 or documents.ndim != 2:
        raise EmbedError(
            f"semantic_search: queries of {queries.ndim} and documents of {documents.ndim} dimensions; expected rows"
        )
    if rescore is not None:
        check_flags("semantic_search", rescore=rescore)
    for name, count in (("top_k", top_k), ("rescore_multiplier", multiplier)):
        if not is_count(count, 1):
            raise EmbedMisuse(f"semantic_search: {name}={count!r}; expected a whole number, at least 1")
    wanted = {"binary": "int8", "ubinary": "uint8"}.get(precision, precision)
    if documents.dtype != wanted:
        raise EmbedError(f"semantic_search: documents are {documents.dtype}; '{precision}' is {wanted}")


def _by_product(
    queries: Vectors, documents: Vectors, precision: str, ranges: Bounds, top_k: int
) -> list[list[dict[str, Any]]]:
    if queries.shape[1] != documents.shape[1]:
        raise EmbedError(f"semantic_search: queries of {queries.shape[1]} features, documents of {documents.shape[1]}")
    wide = queries.astype(np.float64)
    results: list[list[dict[str, Any]]] = []
    for some in _slices(len(wide), _QUERIES_AT_ONCE):
        scores = np.empty((len(wide[some]), len(documents)))
        for part in _slices(len(documents), _DOCUMENTS_AT_ONCE):
            scores[:, part] = _products(wide[some], _floats(documents[part], precision, ranges, queries.shape[1]))
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        results += _entries(best, np.take_along_axis(scores, best, axis=1))
    return results


def _nearest_bits(
    bits: Vectors, documents: Vectors, precision: str, count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int64]]:
    """Documents [queries, count] whose bits differ least, and in how many."""
    found, distances = [], []
    total = 8 * bits.shape[1]
    for some in _slices(len(bits), _QUERIES_AT_ONCE):
        signs = dequantize_embeddings(bits[some], precision) * 2 - 1
        gaps = np.empty((len(signs), len(documents)), np.int64)
        for part in _slices(len(documents), _DOCUMENTS_AT_ONCE):
            # Signs agree (1) or not (-1), so their product counts; whole numbers below 2^24 are exact in float32.
            agreement = signs @ (dequantize_embeddings(documents[part], precision) * 2 - 1).T
            gaps[:, part] = (total - agreement) / 2
        best = np.argsort(gaps, axis=1, kind="stable")[:, :count]
        found.append(best)
        distances.append(np.take_along_axis(gaps, best, axis=1))
    width = min(count, len(documents))
    return (
        np.concatenate([np.empty((0, width), np.intp), *found]),
        np.concatenate([np.empty((0, width), np.int64), *distances]),
    )


def _rescored(
    queries: Vectors,
    found: npt.NDArray[np.intp],
    documents: Vectors,
    precision: str,
    ranges: Bounds,
    top_k: int,
) -> list[list[dict[str, Any]]]:
    results: list[list[dict[str, Any]]] = []
    for query, candidates in zip(queries.astype(np.float64), found, strict=True):
        rows = _floats(documents[candidates], precision, ranges, len(query))
        if rows.shape[1] != len(query):
            raise EmbedError(f"semantic_search: queries of {len(query)} features, rescore_corpus of {rows.shape[1]}")
        (scores,) = _products(query[None], rows)
        # By score, then by index: candidates come by distance.
        best = np.lexsort((candidates, -scores))[:top_k]
        results += _entries(candidates[None, best], scores[None, best])
    return results


def _products(queries: Doubles, documents: Doubles) -> Doubles:
    """Products of all rows with all rows.

    Raises:
        EmbedError: one holds NaN or an infinity, and would be found first, or never, whatever it is compared with.
    """
    with np.errstate(invalid="ignore"):
        scores: Doubles = queries @ documents.T
    if not np.isfinite(scores).all():
        what = "documents" if np.isfinite(queries).all() else "queries"
        raise EmbedError(f"semantic_search: {what} hold values that are not finite; embed their texts again")
    return scores


def _floats(documents: Vectors, precision: str, ranges: Bounds, dimension: int) -> Doubles:
    return dequantize_embeddings(documents, precision, ranges, dimension=dimension).astype(np.float64, copy=False)


def _entries(found: npt.NDArray[np.intp], scores: npt.NDArray[Any]) -> list[list[dict[str, Any]]]:
    return [
        [{"corpus_id": index, "score": float(score)} for index, score in zip(row, values, strict=True)]
        for row, values in zip(found.tolist(), scores.tolist(), strict=True)
    ]


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
