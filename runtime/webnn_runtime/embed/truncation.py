"""What happens to texts that are longer than a model takes: never silently cut."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final, Literal

from webnn_runtime.embed.settings import LengthLimit
from webnn_runtime.embed.tokenizer import Tokens
from webnn_runtime.format.errors import EmbedError, EmbedMisuse

__all__ = ["OnTruncation", "TruncationWarning", "check_choice", "count_truncated", "require_room"]

OnTruncation = Literal["warn", "error", "ignore"]
_CHOICES: Final = ("warn", "error", "ignore")


class TruncationWarning(UserWarning):
    """Texts were longer than the model takes and lost their ends."""


def check_choice(on_truncation: str) -> None:
    """Refuse anything but a known choice.

    Raises:
        EmbedError: it is unknown.
    """
    if on_truncation not in _CHOICES:
        raise EmbedMisuse(f"on_truncation={on_truncation!r}: expected one of {', '.join(_CHOICES)}")


def require_room(limit: LengthLimit, special_count: int) -> LengthLimit:
    """The limit, which the special tokens of a text may not exceed by themselves.

    Raises:
        EmbedError: they do.
    """
    if limit.tokens is not None and limit.tokens < special_count:
        raise EmbedError(
            f"texts have at most {limit.tokens} tokens ({limit.origin}), and the tokenizer adds {special_count} "
            "special ones to each; correct what the model's files say"
        )
    return limit


def count_truncated(texts: Sequence[Tokens], limit: LengthLimit, on_truncation: str, *, stacklevel: int) -> int:
    """How many texts were cut; says so as the caller chose.

    Args:
        texts: as the tokenizer cut them.
        limit: what they were cut to.
        on_truncation: "warn", "error" or "ignore".
        stacklevel: of the warning, counted from the caller of this function.

    Raises:
        EmbedError: texts were cut under "error".
    """
    cut = [index for index, each in enumerate(texts) if each.dropped]
    if not cut:
        return 0
    worst = max(cut, key=lambda index: texts[index].dropped)
    message = (
        f"{len(cut)} of {len(texts)} texts are longer than {limit.tokens} tokens ({limit.origin}); "
        f"text {worst} has {len(texts[worst]) + texts[worst].dropped}"
    )
    if on_truncation == "error":
        raise EmbedError(f"{message}; shorten them, or pass on_truncation='warn' to cut them")
    if on_truncation == "warn":
        warnings.warn(f"{message}; what is beyond was left out", TruncationWarning, stacklevel=stacklevel + 1)
    return len(cut)
