"""Tokens of the text graph: five kinds, blanks and comments between them, and errors that know their place."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import islice
from operator import itemgetter
from typing import Final, NoReturn

from webnn_runtime.format.errors import ParseError
from webnn_runtime.format.records import dataclass

__all__ = ["Source", "Tokens"]

# Longer than any 64-bit integer or any double that somebody wrote down on purpose.
_MAX_NUMBER: Final = 400
_MAX_INTEGER: Final = 40

# One token and the blanks before it, which can be given back, as nothing begins with one. A character that begins no
# token is one of its own, so that nothing is passed over.
_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*
    ( [A-Za-z_/$][A-Za-z0-9_./]*
    | [{}\[\]();:,=]
    | -?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?
    | "[^"\\]*(?:\\.[^"\\]*)*"
    | @bytes BLANK \( BLANK \[ [0-9, \t\r\n]* (?:\#[^\n]*\n[0-9, \t\r\n]*)* \] BLANK \)
    | @[a-z]+
    | \#[^\n]*
    | [^ \t\r\n]
    | \Z
    )""".replace("BLANK", r"[ \t\r\n]* (?:\#[^\n]*\n[ \t\r\n]*)*"),
    re.VERBOSE | re.DOTALL,
)
# What begins with these is of one kind; `Tokens._kind` knows the rest.
_KINDS: Final = {
    **dict.fromkeys("ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz$", "identifier"),
    **dict.fromkeys("{}[]();:,=", "punctuation"),
    **dict.fromkeys("0123456789", "number"),
    "": "end",
}
_ESCAPE: Final = r'\\(["\\])'


@dataclass(frozen=True, slots=True)
class Source:
    """The text, and where it is from, for errors that point into it."""

    text: str
    path: str | None

    def place(self, offset: int) -> tuple[int, int]:
        """1-based line and column."""
        line = self.text.count("\n", 0, offset) + 1
        return line, offset - self.text.rfind("\n", 0, offset)

    def error(self, offset: int, message: str) -> ParseError:
        line, column = self.place(offset)
        return ParseError(message, path=self.path, line=line, column=column)


class Tokens:
    """The token at hand: its kind, its text and its number.

    Numbers stand for places: where a token is matters only to an error, and is found when there is one.
    """

    __slots__ = ("_rest", "index", "kind", "source", "text")

    def __init__(self, source: Source) -> None:
        self.source = source
        self._rest = _texts(source.text)
        self.index = -1
        self.advance()

    def advance(self) -> None:
        self.index += 1
        self.text = text = next(self._rest, "")
        self.kind = _KINDS.get(text[:1]) or self._kind()

    def _kind(self) -> str:
        """The kind of what its first character alone does not tell; steps over comments."""
        while self.text[:1] == "#":
            self.text = next(self._rest, "")
        text = self.text
        known = _KINDS.get(text[:1])
        if known is not None:
            return known
        if text[0] == "/":
            if text[:2] == "//":
                raise self.error("'//' does not start a comment; write '#'")
            return "identifier"
        if len(text) == 1:
            self._refuse_character()
        if text[0] == "@":
            return "bytes" if text[-1] == ")" else "annotation"
        return "string" if text[0] == '"' else "number"

    def _refuse_character(self) -> NoReturn:
        if self.text == '"':
            raise self.error("a string starts here and never ends; close it with '\"'")
        hint = (
            '; numbers look like 0.5 and -1e-5, infinities are "Infinity" and "-Infinity"' if self.text in "+-." else ""
        )
        raise self.error(f"character {self.text!r} is not part of the grammar{hint}")

    def error(self, message: str, index: int | None = None) -> ParseError:
        """An error at the token at hand, or at the one of this number."""
        return self.source.error(self._offset(self.index if index is None else index), message)

    def place(self, index: int) -> tuple[int, int]:
        """1-based line and column of the token of this number."""
        return self.source.place(self._offset(index))

    def _offset(self, index: int) -> int:
        matches = (match for match in _TOKEN.finditer(self.source.text) if match[1][:1] != "#")
        found = next(islice(matches, index, None), None)
        return len(self.source.text) if found is None else found.start(1)

    @property
    def found(self) -> str:
        """The token, for a message."""
        if self.kind == "end":
            return "the end of the file"
        shown = self.text if len(self.text) <= 40 else f"{self.text[:37]}..."
        return f"'{shown}'"

    def at(self, mark: str) -> bool:
        """Whether the token is this mark or word; strings and annotations keep their own marks in their text."""
        return self.text == mark

    def skip(self, mark: str) -> bool:
        if self.text == mark:
            self.advance()
            return True
        return False

    def expect(self, mark: str, where: str) -> None:
        if self.text != mark:
            raise self.error(f"found {self.found} {where}; '{mark}' is needed")
        self.advance()

    def take(self, kind: str, what: str) -> str:
        if self.kind != kind:
            raise self.error(f"found {self.found}; {what} is needed")
        text = self.text
        self.advance()
        return text

    def identifier(self, what: str) -> str:
        return self.take("identifier", what)

    def string(self, what: str) -> str:
        text = self.take("string", what)[1:-1]
        return re.sub(_ESCAPE, r"\1", text) if "\\" in text else text

    def integer(self, what: str) -> int:
        at = self.index
        text = self.take("number", what)
        if not text.isdigit() or len(text) > _MAX_INTEGER:
            raise self.error(f"{text[:40]} is not {what}; write a plain decimal integer", at)
        return int(text)

    def number(self, what: str) -> int | float:
        at = self.index
        text = self.take("number", what)
        if len(text) > _MAX_NUMBER:
            raise self.error(f"a number of {len(text)} characters; at most {_MAX_NUMBER} are read", at)
        if text.lstrip("-").isdigit() and len(text) <= _MAX_INTEGER:
            return int(text)
        value = float(text)
        if not math.isfinite(value):
            raise self.error(f"{text} is too large for a number", at)
        return value


def _texts(text: str) -> Iterator[str]:
    """All tokens and comments of a text, made as they are taken."""
    return map(itemgetter(1), _TOKEN.finditer(text))
