"""What the Web IDL of the specification says about `MLGraphBuilder`: methods, dictionaries, enumerations."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Method", "Specification"]

_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_DICTIONARY: Final = re.compile(r"(?<!partial )dictionary (\w+)(?: : (\w+))? \{(.*?)\};", re.DOTALL)
_METHOD: Final = re.compile(r"([\w<>]+)\s+(\w+)\(([^;]*?options = \{)")
_ATTRIBUTES: Final = re.compile(r"\[\w+\]\s*")


@dataclass(frozen=True)
class Method:
    """One operation of the interface.

    Attributes:
        result: type of what it gives.
        required: (type, name) of each required argument.
        options: dictionary of the last, optional argument.
    """

    result: str
    required: tuple[tuple[str, str], ...]
    options: str


class Specification:
    """A `.idl` file, read as far as this project needs it.

    Attributes:
        methods: name -> operation of `MLGraphBuilder` that ends with a dictionary of options.
        enums: name -> words.
    """

    def __init__(self, text: str) -> None:
        text = _COMMENT.sub("", text)
        self._dictionaries = {name: (parent, body) for name, parent, body in _DICTIONARY.findall(text)}
        self.enums = {
            name: tuple(re.findall(r'"([^"]*)"', body))
            for name, body in re.findall(r"enum (\w+) \{(.*?)\};", text, re.DOTALL)
        }
        self.methods: dict[str, Method] = {}
        for body in re.findall(r"interface MLGraphBuilder \{(.*?)\};", text, re.DOTALL):
            # The default of the last argument is the only brace in there, and holds nothing.
            for result, name, arguments in _METHOD.findall(body.replace("\n", " ")):
                self.methods[name] = _method(result, arguments)

    def members(self, dictionary: str) -> dict[str, tuple[str, Any]]:
        """Name -> (type, default or None) of all members, those of what it extends included."""
        parent, body = self._dictionaries[dictionary]
        found = self.members(parent) if parent else {}
        for line in filter(None, (_ATTRIBUTES.sub("", part).strip() for part in body.split(";"))):
            left, _, default = line.partition(" = ")
            kind, _, name = left.removeprefix("required ").rpartition(" ")
            found[name] = (kind, json.loads(default) if default else None)
        return found


def _method(result: str, arguments: str) -> Method:
    parts = [_ATTRIBUTES.sub("", part).strip() for part in _top_level(arguments)]
    required = [tuple(part.rsplit(" ", 1)) for part in parts if not part.startswith("optional ")]
    options = next(part for part in parts if part.startswith("optional ")).split()[1]
    return Method(result, tuple((kind, name) for kind, name in required), options)


def _top_level(arguments: str) -> list[str]:
    """Split at commas outside of brackets: a union of types may hold none, a list of attributes may."""
    parts, depth, start = [], 0, 0
    for place, char in enumerate(arguments):
        depth += char in "(<["
        depth -= char in ")>]"
        if char == "," and depth == 0:
            parts.append(arguments[start:place])
            start = place + 1
    return [*parts, arguments[start:]]
