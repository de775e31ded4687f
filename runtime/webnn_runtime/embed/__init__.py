"""Sentence embeddings from a WebNN bundle, equal to those of sentence-transformers and without torch.

Each name below is loaded when it is first used: most programs embed, and neither search nor compare.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
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

_HOMES: Final = {
    **dict.fromkeys(("PromptWarning", "TruncationWarning", "WebNNEmbedder"), "embedder"),
    **dict.fromkeys(("PRECISIONS", "dequantize_embeddings", "quantize_embeddings"), "precision"),
    **dict.fromkeys(("Comparison", "compare", "compute_similarity"), "similarity"),
    "Ranges": "ranges",
    "semantic_search": "search",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{home}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
