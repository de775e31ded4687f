"""Tokens of the text graph: five kinds, blanks and comments between them, and errors that know their place."""

from __future__ import annotations

import math
import re
from typing import Final, NoReturn

from webnn_runtime.format.errors import ParseError
from webnn_runtime.format.records import dataclass

__all__ = ["Source", "Tokens"]

# Longer than any 64-bit integer or any double that somebody wrote down on purpose.
_MAX_NUMBER: Final = 400
_MAX_INTEGER: Final = 40

# On its own, so that a token that does not match cannot make a comment give back characters; blanks alone can be
# given back, as nothing begins with one.
_BLANK: Final = re.compile(r"[ \t\r\n]*(?:#[^\n]*(?:\n[ \t\r\n]*|\Z))*")
_TOKEN: Final = re.compile(
    r"""[ \t\r\n]*
    (?: (?P<identifier>[A-Za-z_/$][A-Za-z0-9_./]*)
      | (?P<punctuation>[{}\[\]();:,=])
      | (?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<string>"[^"\\]*(?:\\.[^"\\]*)*")
      | (?P<bytes>@bytes[ \t\r\n]*\([ \t\r\n]*\[[0-9, \t\r\n]*\][ \t\r\n]*\))
      | (?P<annotation>@[a-z]+)
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r'\\(["\\])')


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
    """The token at hand: its kind, its text and where it starts."""

    __slots__ = ("_end", "kind", "offset", "source", "text")

    def __init__(self, source: Source) -> None:
        self.source = source
        self._end = 0
        self.advance()

    def advance(self) -> None:
        text = self.source.text
        match = _TOKEN.match(text, self._end)
        if match is None:
            # A comment, or nothing that may stand here.
            blank = _BLANK.match(text, self._end)
            self.offset = blank.end() if blank else self._end
            match = _TOKEN.match(text, self.offset)
            if match is None:
                self.refuse_character()
        kind = match.lastgroup
        assert kind is not None  # every alternative is a named group
        self.kind = kind
        self.text = found = match[kind]
        self._end = end = match.end()
        self.offset = end - len(found)
        if found[:2] == "//":
            raise self.error("'//' does not start a comment; write '#'")

    def refuse_character(self) -> NoReturn:
        found = self.source.text[self.offset]
        if found == '"':
            raise self.error("a string starts here and never ends; close it with '\"'")
        raise self.error(f"character {found!r} is not part of the grammar")

    def error(self, message: str) -> ParseError:
        return self.source.error(self.offset, message)

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
        return _ESCAPE.sub(r"\1", self.take("string", what)[1:-1])

    def integer(self, what: str) -> int:
        at = self.offset
        text = self.take("number", what)
        if not text.isdigit() or len(text) > _MAX_INTEGER:
            raise self.source.error(at, f"{text[:40]} is not {what}; write a plain decimal integer")
        return int(text)

    def number(self, what: str) -> int | float:
        at = self.offset
        text = self.take("number", what)
        if len(text) > _MAX_NUMBER:
            raise self.source.error(at, f"a number of {len(text)} characters; at most {_MAX_NUMBER} are read")
        if text.lstrip("-").isdigit() and len(text) <= _MAX_INTEGER:
            return int(text)
        value = float(text)
        if not math.isfinite(value):
            raise self.source.error(at, f"{text} is too large for a number")
        return value
