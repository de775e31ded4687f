"""What callers pass: texts that have to be strings, numbers that have to count something, and a precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import index
from typing import TYPE_CHECKING, Any, cast

from webnn_runtime.format.errors import EmbedMisuse

if TYPE_CHECKING:
    from webnn_runtime.embed.calls import EncodeMethod

__all__ = ["by_precision", "check_batch_size", "is_count", "strings_of"]


def by_precision(method: Callable[..., Any]) -> EncodeMethod:
    """The method itself; type checkers are told what a call gives by its `precision`."""
    return cast("EncodeMethod", method)


def strings_of(texts: str | Iterable[Any]) -> list[str]:
    """Texts in a list, or one alone.

    Raises:
        TypeError: they are not strings, or in no order.
    """
    if isinstance(texts, str):
        return [texts]
    try:
        # The keys of a mapping are hardly what was meant, and in the order of a set nobody knows whose result is whose.
        given = None if isinstance(texts, (Mapping, set, frozenset)) else list(texts)
    except TypeError as exc:
        raise TypeError(f"encode: texts are {type(texts).__name__}; expected a str or a list of them") from exc
    if given is None:
        raise TypeError(f"encode: texts are {type(texts).__name__}; expected a str or a list of them")
    for place, text in enumerate(given):
        if not isinstance(text, str):
            # What bytes hold are numbers, which nobody has written there.
            found = "bytes" if isinstance(texts, (bytes, bytearray)) else type(text).__name__
            raise TypeError(f"encode: text {place} is {found}; expected str")
    return given


def is_count(value: object, least: int, most: int | None = None) -> bool:
    """Whether something is a whole number within bounds."""
    # NumPy's integers are as good as Python's; a float is not, even a whole one, and yes is no number.
    if isinstance(value, bool):
        return False
    try:
        count = index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return least <= count and (most is None or count <= most)


def check_batch_size(batch_size: object) -> None:
    """Refuse what is no number of texts.

    Raises:
        EmbedError: it is not, or it is below 1.
    """
    if not is_count(batch_size, 1):
        # Where sentence-transformers has the name of a prompt.
        named = f"; a prompt is chosen by prompt_name={batch_size!r}" if isinstance(batch_size, str) else ""
        raise EmbedMisuse(f"encode: batch_size={batch_size!r}; expected a whole number, at least 1{named}")
