"""What callers pass: texts that have to be strings, a number of texts, yes or no, and a precision."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from webnn_runtime.format.counts import is_count, is_flag
from webnn_runtime.format.errors import EmbedError, EmbedMisuse

if TYPE_CHECKING:
    from webnn_runtime.embed.calls import EncodeMethod

__all__ = ["by_precision", "check_batch_size", "check_flags", "is_listed", "named_after", "strings_of"]


@contextmanager
def named_after(source: str) -> Iterator[None]:
    """Put the model's name before what is wrong with its files, where the message has no place yet.

    Raises:
        EmbedError: of the same class, with the name.
    """
    try:
        yield
    except EmbedError as exc:
        # A folder of the caller's is in the message already; an id of the Hub is not.
        if str(exc).startswith((f"{source}:", f"{source}{os.sep}")):
            raise
        raise type(exc)(f"{source}: {exc}") from exc


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
        given = list(texts) if is_listed(texts) else None
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


def is_listed(texts: object) -> bool:
    """Whether what holds texts gives each of them, in an order."""
    # The keys of a mapping are hardly what was meant, nor are the names of a table's columns; in the order of a set
    # nobody knows whose result is whose.
    return not isinstance(texts, (Mapping, set, frozenset)) and getattr(texts, "ndim", 1) == 1


def check_batch_size(batch_size: object) -> None:
    """Refuse what is no number of texts.

    Raises:
        EmbedError: it is not, or it is below 1.
    """
    if not is_count(batch_size, 1):
        # Where sentence-transformers has the name of a prompt.
        named = f"; a prompt is chosen by prompt_name={batch_size!r}" if isinstance(batch_size, str) else ""
        raise EmbedMisuse(f"encode: batch_size={batch_size!r}; expected a whole number, at least 1{named}")


def check_flags(call: str, **flags: object) -> None:
    """Refuse what is neither yes nor no.

    Raises:
        EmbedError: one of them is something else, as the word "false" is, which would count as yes.
    """
    for name, value in flags.items():
        if not is_flag(value):
            raise EmbedMisuse(f"{call}: {name}={value!r}; expected True or False")
