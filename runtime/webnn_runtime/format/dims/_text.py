"""Text -> dimension, for expressions that may come from hostile files."""

from __future__ import annotations

import re
from typing import Final

from webnn_runtime.format.dims._expression import Dim, is_name, symbol
from webnn_runtime.format.dims._ranges import dim_max, dim_min, from_zero

__all__ = ["parse_dim"]

# What real exporters produce stays far below these.
_MAX_TEXT: Final = 4096
_MAX_DEPTH: Final = 64
_MAX_DIGITS: Final = 19


def parse_dim(text: str) -> Dim:
    """Read what `str(dim)` prints: + - * // ( ) min(a, b) max(a, b), integers and names; a power is a product.

    Raises:
        ValueError: the text is no such expression, divides by zero, or is unreasonably large.
    """
    if len(text) > _MAX_TEXT:
        raise ValueError(f"dimension expression of {len(text)} characters; at most {_MAX_TEXT} are read")
    # Most are plain names.
    return symbol(text) if is_name(text) else _Reader(text).whole()


class _Reader:
    """Recursive descent over: sum = term {(+|-) term}; term = factor {(*|//) factor}."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[str] = re.findall(r"\s*(//|[-+*(),]|\d+|[A-Za-z_][A-Za-z0-9_]*|\S)", text)
        self.position = 0

    def whole(self) -> Dim:
        try:
            value = self.sum(0)
        except ZeroDivisionError as exc:
            raise ValueError(f"dimension expression '{self.text}' divides by zero") from exc
        if self.position != len(self.tokens):
            raise self.error()
        return value

    def error(self) -> ValueError:
        found = self.tokens[self.position] if self.position < len(self.tokens) else "the end"
        return ValueError(f"dimension expression '{self.text}': unexpected {found}")

    def take(self, *expected: str) -> str | None:
        if self.position < len(self.tokens) and self.tokens[self.position] in expected:
            self.position += 1
            return self.tokens[self.position - 1]
        return None

    def sum(self, depth: int) -> Dim:
        if depth > _MAX_DEPTH:
            raise ValueError("dimension expression is nested too deeply")
        value: Dim = self.term(depth) if not self.take("-") else -self.term(depth)
        while sign := self.take("+", "-"):
            value = value + self.term(depth) if sign == "+" else value - self.term(depth)
        return value

    def term(self, depth: int) -> Dim:
        value = self.factor(depth)
        while sign := self.take("*", "//"):
            right = self.factor(depth)
            value = value * right if sign == "*" else value // right
        return value

    def factor(self, depth: int) -> Dim:
        if self.take("("):
            value = self.sum(depth + 1)
            self.expect(")")
            return value
        if self.position >= len(self.tokens):
            raise self.error()
        token = self.tokens[self.position]
        self.position += 1
        if token.isascii() and token.isdigit():
            if len(token) > _MAX_DIGITS:
                raise ValueError(f"dimension expression holds an integer of {len(token)} digits")
            return int(token)
        if token in ("min", "max") and self.take("("):
            left = self.sum(depth + 1)
            self.expect(",")
            right = self.sum(depth + 1)
            self.expect(")")
            ranges = from_zero(left, right)
            return dim_max(left, right, ranges) if token == "max" else dim_min(left, right, ranges)
        if is_name(token):
            return symbol(token)
        self.position -= 1
        raise self.error()

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.error()
