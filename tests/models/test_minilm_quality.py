"""The real all-MiniLM-L6-v2: what its published int8 export costs, and what smaller vectors still find."""

from __future__ import annotations

import numpy as np

from webnn_runtime import WebNNEmbedder
from webnn_runtime.embed import semantic_search
from webnn_runtime.evaluation import ScoredPairs, builtin_texts, compare_embedders

# Sentences of our own with what follows them: a sentence, another of the same topic, one of a topic far away.
SENTENCES = builtin_texts()[24:144]
PAIRS = ScoredPairs(
    [*SENTENCES[0:60:5], *SENTENCES[0:60:5], *SENTENCES[0:60:5]],
    [*SENTENCES[0:60:5], *SENTENCES[1:60:5], *SENTENCES[60:120:5]],
    [5.0] * 12 + [3.0] * 12 + [0.0] * 12,
)


def test_an_int8_export_is_near_the_float_one_and_measured_so(minilm_bundle, minilm_variant) -> None:
    right = WebNNEmbedder(minilm_bundle, backend="onnxruntime")
    judged = WebNNEmbedder(minilm_variant("int8"), backend="onnxruntime")
    found = compare_embedders(judged, right, SENTENCES[::2], pairs=PAIRS)
    assert found.cosine is not None
    assert 0.99 < found.cosine.minimum <= found.cosine.p01 <= found.cosine.mean < 0.9999
    assert found.overlap is not None
    assert 0.9 < found.overlap < 1
    assert found.correlation is not None
    assert found.correlation.reference is not None
    assert found.correlation.reference > 0.9
    assert abs(found.correlation.loss or 0) < 0.02


def test_bits_and_bytes_find_what_floats_find(minilm_bundle) -> None:
    embedder = WebNNEmbedder(minilm_bundle, backend="onnxruntime")
    ranges = embedder.calibrate(SENTENCES)
    exact = embedder.encode(SENTENCES)
    queries = embedder.encode(builtin_texts()[:24])
    stored = {name: embedder.encode(SENTENCES, precision=name) for name in ("int8", "ubinary")}
    assert (stored["int8"].nbytes, stored["ubinary"].nbytes) == (exact.nbytes // 4, exact.nbytes // 32)

    def first(*arguments, **options) -> list[int]:
        return [row[0]["corpus_id"] for row in semantic_search(*arguments, top_k=1, **options)]

    right = first(queries, exact)
    # A question's nearest sentence is mostly of its own topic; by chance it would be once in 24.
    assert np.mean([found // 5 == query for query, found in enumerate(right)]) > 0.5
    assert np.mean(np.equal(first(queries, stored["int8"], corpus_precision="int8", ranges=ranges), right)) > 0.9
    rescored = first(
        queries,
        stored["ubinary"],
        corpus_precision="ubinary",
        rescore_multiplier=8,
        rescore_corpus=stored["int8"],
        rescore_precision="int8",
        ranges=ranges,
    )
    assert np.mean(np.equal(rescored, right)) > 0.9
