"""Sentence embeddings from a WebNN bundle, equal to those of sentence-transformers and without torch."""

from webnn_runtime.embed.embedder import PromptWarning, TruncationWarning, WebNNEmbedder
from webnn_runtime.embed.precision import PRECISIONS, dequantize_embeddings, quantize_embeddings
from webnn_runtime.embed.ranges import Ranges
from webnn_runtime.embed.search import semantic_search
from webnn_runtime.embed.similarity import Comparison, compare, compute_similarity

__all__ = [
    "PRECISIONS",
    "Comparison",
    "PromptWarning",
    "Ranges",
    "TruncationWarning",
    "WebNNEmbedder",
    "compare",
    "compute_similarity",
    "dequantize_embeddings",
    "quantize_embeddings",
    "semantic_search",
]
