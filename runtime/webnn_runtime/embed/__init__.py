"""Sentence embeddings from a WebNN bundle, equal to those of sentence-transformers and without torch."""

from webnn_runtime.embed.embedder import PromptWarning, TruncationWarning, WebNNEmbedder
from webnn_runtime.embed.similarity import Comparison, compare, compute_similarity

__all__ = ["Comparison", "PromptWarning", "TruncationWarning", "WebNNEmbedder", "compare", "compute_similarity"]
