"""Why operators are refused whatever their inputs are: (domain, operator) -> reason."""

from __future__ import annotations

from typing import Final

__all__ = ["REFUSED"]

_RANDOM: Final = "it draws random numbers; WebNN computes the same result every time"
_TEXT: Final = "it works on text; WebNN has numbers only"
_GENERATION: Final = "it runs a whole generation inside itself; convert the decoder, and generate with it step by step"
_PAGES: Final = "its rows are packed without padding, which WebNN cannot address; export with padded batches"
_ROUTING: Final = "it runs experts that data chooses; WebNN computes every node"
_MAPS: Final = (
    "it works on maps or categories by name, and WebNN has tensors of numbers only; "
    "onnx.utils.extract_model cuts a file where it has tensors"
)
_LENGTH: Final = "the number of its results depends on data at run time; WebNN needs to know shapes before"

REFUSED: Final[dict[tuple[str, str], str]] = {
    **{
        ("", op_type): _RANDOM
        for op_type in (
            "Bernoulli",
            "Multinomial",
            "RandomNormal",
            "RandomNormalLike",
            "RandomUniform",
            "RandomUniformLike",
        )
    },
    **{("", op_type): _TEXT for op_type in ("RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit")},
    **{
        ("com.microsoft", op_type): _GENERATION
        for op_type in ("BeamSearch", "BifurcationDetector", "GreedySearch", "Sampling", "WhisperBeamSearch")
    },
    **{
        ("com.microsoft", op_type): _PAGES
        for op_type in ("PackedAttention", "PackedMultiHeadAttention", "PagedAttention", "SparsePagedAttention")
    },
    **{("com.microsoft", op_type): _ROUTING for op_type in ("MoE", "QMoE")},
    **{("com.microsoft", op_type): _TEXT for op_type in ("Tokenizer", "WordConvEmbedding")},
    **{("ai.onnx.ml", op_type): _MAPS for op_type in ("CastMap", "CategoryMapper", "DictVectorizer")},
    ("com.microsoft", "CropAndResize"): "the places it samples are data; crop and resize before the model",
    ("com.microsoft", "Inverse"): "WebNN has no solver of linear systems",
    ("com.microsoft", "Unique"): _LENGTH,
    ("", "ImageDecoder"): "it decodes compressed images; decode them before, with a library for images",
    ("", "NonMaxSuppression"): f"{_LENGTH}; leave it out of the model and select boxes after it",
}
