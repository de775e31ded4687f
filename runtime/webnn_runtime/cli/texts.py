"""Texts of the command line: as arguments, or one a line on stdin; UTF-8 whatever the locale says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.embed.progress import progress
from webnn_runtime.format.errors import EmbedError, FormatError, WebnnError

if TYPE_CHECKING:
    from webnn_runtime.cli.report import Report

__all__ = ["MANY_TEXTS", "Portion", "given_file", "given_texts", "placed", "portions_of", "warn_of_cuts"]

_STDIN = "-"
# From here on it takes long enough for a bar.
MANY_TEXTS = 500
# Texts that are read, run and printed together: few enough for a pipe to see the first ones soon, and enough to sort by
# length (by 512, onnxruntime, which pads, took a seventh longer than for all 2,400 at once). Always so many, however
# they come: what runs together is the same each time.
_TOGETHER: Final = 2048


@dataclass(frozen=True)
class Portion:
    """Neighbours among the texts of a command.

    Attributes:
        first: place of the first one among all texts.
        texts: these.
    """

    first: int
    texts: list[str]


def given_file(path: Path) -> Path:
    """A file of texts; `-` is stdin."""
    return Path("/dev/stdin") if str(path) == _STDIN else path


def given_texts(report: Report, arguments: list[str] | None) -> Iterable[str]:
    """The arguments, or the lines of stdin as they come where there are none, or `-` alone.

    An argument that is the name of a file is a text as well, which is said: elsewhere such an argument is read.

    Raises:
        Misuse: stdin is a terminal, or an argument is not UTF-8: a vector of what is left of it would be wrong.
        FormatError: stdin is not UTF-8; raised where that line is read.
    """
    if arguments and arguments != [_STDIN]:
        texts = [_argument(index, text) for index, text in enumerate(arguments)]
        if file := next((text for text in texts if os.path.isfile(text)), None):
            report.warn(f"'{file}' is taken for a text, and is the name of a file; for the lines in it: - < '{file}'")
        return texts
    if sys.stdin is None or sys.stdin.isatty():
        raise Misuse("no texts; pass them as arguments, or one a line on stdin")
    return _lines()


def portions_of(report: Report, texts: Iterable[str], what: str, *, is_streamed: bool) -> Iterator[Portion]:
    """The texts in portions, at least one, with a bar that shows how far they are.

    Args:
        report: whether anybody looks.
        texts: what `given_texts` gave.
        what: the word before the bar.
        is_streamed: whether results are printed portion by portion, which on a terminal show it by themselves.

    Raises:
        EmbedError: what the embedder or classifier raised, with the place of the portion where it is not the first.
    """
    total = len(texts) if isinstance(texts, list) else None
    is_shown = report.is_watched and (total is None or total > MANY_TEXTS) and not (is_streamed and sys.stdout.isatty())
    rest, first, is_last = iter(texts), 0, False
    with progress(total, is_shown, what) as advance:
        while not is_last:
            portion = list(islice(rest, _TOGETHER))
            is_last = len(portion) < _TOGETHER
            if portion or not first:
                yield Portion(first, portion)
            first += len(portion)
            if advance is not None:
                advance(len(portion))


@contextmanager
def placed(portion: Portion) -> Iterator[None]:
    """Say which texts an error counts, where they are not the first ones.

    Raises:
        EmbedError: of the same class, with their places.
    """
    try:
        yield
    except EmbedError as exc:
        if not portion.first:
            raise
        raise type(exc)(f"counted from text {portion.first} on, {exc}") from exc


def warn_of_cuts(report: Report, cut: int, count: int, info: Mapping[str, object], limit: str) -> None:
    """One warning for all texts that were longer than the model takes.

    Args:
        report: takes the warning.
        cut: how many were.
        count: how many texts there are.
        info: what `backend_info()` says.
        limit: its key for the longest text.
    """
    if cut:
        report.warn(
            f"{cut} of {count} texts are longer than {info[limit]} tokens ({info[f'{limit}_origin']}); "
            "what is beyond was left out"
        )


def _lines() -> Iterator[str]:
    # A stream that stands in for stdin may have no bytes beneath.
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        yield from (line.rstrip("\r\n") for line in sys.stdin)
        return
    for number, line in enumerate(stream, 1):
        text = _decoded(line, f"stdin:{number}", FormatError)
        # A byte order mark is how some editors begin a file.
        yield text.removeprefix("\ufeff") if number == 1 else text


def _argument(index: int, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        # Python keeps bytes that the locale does not know as halves of surrogate pairs.
        return _decoded(os.fsencode(text), f"text {index}", Misuse)
    return text


def _decoded(line: bytes, where: str, error: type[WebnnError]) -> str:
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as exc:
        if exc.object.startswith(b"\x1f\x8b"):
            raise error(f"{where}: compressed by gzip; unpack it first, with gunzip -c FILE |") from exc
        raise error(f"{where}: not UTF-8 at byte {exc.start}; convert it, for example with iconv") from exc
