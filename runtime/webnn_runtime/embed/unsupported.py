"""Modules of sentence-transformers that are not supported, and what to do about a model that has one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["way_out"]

_ROUTES: Final = (
    "each route is a model of its own: save it with sentence-transformers, SentenceTransformer(modules=["
    "*model[0].sub_modules['query'], *list(model)[1:]]).save_pretrained('query'), and convert it"
)
_WHOLE: Final = (
    "export the whole model as an ONNX file from input_ids and attention_mask to an output 'sentence_embedding' of "
    "rank 2, in onnx/model.onnx; then the modules are taken to be in it"
)
_WORDS: Final = (
    "its words are split by code and not by a tokenizer.json; a StaticEmbedding with a tokenizer of the tokenizers "
    "library and the same table is supported"
)
_WAYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Asym": _ROUTES,
        "Router": _ROUTES,
        "WeightedLayerPooling": _WHOLE,
        "CNN": _WHOLE,
        "LSTM": _WHOLE,
        "CLIPModel": "pass the model's folder to webnn-convert, which makes one graph of what embeds texts in it",
        "WordEmbeddings": _WORDS,
        "WordWeights": _WORDS,
        "BoW": "counts of words are no embedding; scikit-learn's CountVectorizer makes them",
    }
)


def way_out(name: str) -> str:
    """What to do about a module of this class; empty for one of which nothing is known."""
    return _WAYS.get(name, "")
