"""What a classifier is given: texts and pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from webnn_runtime.embed.arguments import is_listed

__all__ = ["TextInput", "listed", "pair_of"]

# {"text": ..., "text_pair": ...} is a pair, as is a tuple of two.
TextInput: TypeAlias = "str | tuple[str, str] | Mapping[str, str]"


def pair_of(index: int, given: object) -> tuple[str, str | None]:
    """A text and what is paired with it, None for a text alone.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(given, str):
        return given, None
    parts: tuple[object, ...] = ()
    if isinstance(given, Mapping) and given.keys() <= {"text", "text_pair"}:
        parts = (given.get("text"), given["text_pair"]) if "text_pair" in given else (given.get("text"),)
    elif isinstance(given, tuple):
        parts = given
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) != len(parts) or not 1 <= len(texts) <= 2 or (isinstance(given, tuple) and len(texts) != 2):
        raise TypeError(
            f"text {index} is {given!r}; expected a string, or a pair as (text, pair) or "
            "{'text': ..., 'text_pair': ...}"
        )
    return texts[0], texts[1] if len(texts) == 2 else None


def listed(caller: str, inputs: object) -> list[Any]:
    """Texts and pairs in a list.

    Raises:
        TypeError: they are in none.
    """
    # What bytes hold are numbers.
    if not isinstance(inputs, Iterable) or isinstance(inputs, (bytes, bytearray)) or not is_listed(inputs):
        raise TypeError(f"{caller}: inputs are {type(inputs).__name__}; expected a text, a pair, or a list of them")
    return list(inputs)
