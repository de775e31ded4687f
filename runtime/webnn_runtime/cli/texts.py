"""Texts of the command line: as arguments, or one a line on stdin; UTF-8 whatever the locale says."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.format.errors import FormatError, WebnnError

__all__ = ["MANY_TEXTS", "given_file", "given_texts"]

_STDIN = "-"
# From here on it takes long enough for a bar.
MANY_TEXTS = 500


def given_file(path: Path) -> Path:
    """A file of texts; `-` is stdin."""
    return Path("/dev/stdin") if str(path) == _STDIN else path


def given_texts(arguments: list[str] | None) -> list[str]:
    """The arguments, or the lines of stdin where there are none, or `-` alone.

    Raises:
        Misuse: stdin is a terminal, or an argument is not UTF-8: a vector of what is left of it would be wrong.
        FormatError: stdin is not UTF-8.
    """
    if arguments and arguments != [_STDIN]:
        return [_argument(index, text) for index, text in enumerate(arguments)]
    if sys.stdin is None or sys.stdin.isatty():
        raise Misuse("no texts; pass them as arguments, or one a line on stdin")
    # A stream that stands in for stdin may have no bytes beneath.
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return [line.rstrip("\r\n") for line in sys.stdin]
    texts = [_decoded(line, f"stdin:{number}", FormatError) for number, line in enumerate(stream, 1)]
    # A byte order mark is how some editors begin a file.
    return [text.removeprefix("\ufeff") if place == 0 else text for place, text in enumerate(texts)]


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
        raise error(f"{where}: not UTF-8 at byte {exc.start}; convert it, for example with iconv") from exc
