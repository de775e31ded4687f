"""Why operators are refused whatever their inputs are: (domain, operator) -> reason."""

from __future__ import annotations

from typing import Final

__all__ = ["REFUSED"]

_RANDOM: Final = "it draws random numbers; WebNN computes the same result every time"
_TEXT: Final = "it works on text; WebNN has numbers only"
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
    ("", "ImageDecoder"): "it decodes compressed images; decode them before, with a library for images",
    ("", "NonMaxSuppression"): f"{_LENGTH}; leave it out of the model and select boxes after it",
}
