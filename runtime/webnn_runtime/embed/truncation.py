"""What happens to texts that are longer than a model takes: never silently cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, overload

from webnn_runtime.embed.settings import LengthLimit
from webnn_runtime.embed.tokenizer import Tokens
from webnn_runtime.embed.warned import warn_caller
from webnn_runtime.format.errors import EmbedError, EmbedMisuse

__all__ = ["OnTruncation", "TruncationChoice", "TruncationWarning", "count_truncated", "require_room"]

OnTruncation = Literal["warn", "error", "ignore"]
_CHOICES: Final = ("warn", "error", "ignore")


class TruncationWarning(UserWarning):
    """Texts were longer than the model takes and lost their ends."""


class TruncationChoice:
    """An attribute that takes one of the known choices; with any other word texts would be cut without a word."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._place = f"_{name}"

    @overload
    def __get__(self, instance: None, owner: type) -> TruncationChoice: ...
    @overload
    def __get__(self, instance: object, owner: type) -> OnTruncation: ...
    def __get__(self, instance: object | None, owner: type) -> TruncationChoice | OnTruncation:
        if instance is None:
            return self
        choice: OnTruncation = getattr(instance, self._place)
        return choice

    def __set__(self, instance: object, choice: OnTruncation) -> None:
        if choice not in _CHOICES:
            raise EmbedMisuse(f"on_truncation={choice!r}: expected one of {', '.join(_CHOICES)}")
        setattr(instance, self._place, choice)


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


def count_truncated(texts: Sequence[Tokens], limit: LengthLimit, on_truncation: str) -> int:
    """How many texts were cut; says so as the caller chose.

    Args:
        texts: as the tokenizer cut them.
        limit: what they were cut to.
        on_truncation: "warn", "error" or "ignore".

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
        warn_caller(f"{message}; what is beyond was left out", TruncationWarning)
    return len(cut)
