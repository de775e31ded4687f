"""Text -> Graph. Knows the grammar, not the operators: those come from the table.

One function per rule, with the rule above it. A rule commits as early as it can, so an error points at
the token that is wrong. Where more is accepted than our printer writes, the comment says whose files
need it. The normative description is docs/format.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NoReturn

from webnn_runtime.format.document import (
    Bytes,
    Call,
    ConstDecl,
    Document,
    DynDecl,
    Scalar,
    Shape,
    WeightsRef,
    attach,
    build,
)
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError, ParseError
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.tokens import Source, Tokens

__all__ = ["MAX_TEXT", "attach", "parse_graph"]

# Graphs of thousands of nodes take a few megabytes; only inline constants take more.
MAX_TEXT: Final = 64 << 20
_MAX_NESTING: Final = 32
_WORDS: Final[Mapping[str, object]] = MappingProxyType({"true": True, "false": False, "null": None})


def parse_graph(text: str | bytes, *, path: str | None = None) -> Graph:
    """Read a text graph; constants in the weights file have no values until `attach` gives them.

    Raises:
        ParseError: not the grammar, with line and column.
        GraphError: a graph that WebNN does not allow; the message starts with its place.
    """
    source = Source(_decode(text, path), path)
    parser = _Parser(source)
    document = parser.file()
    try:
        return build(document)
    except GraphError as exc:
        places = {**parser.listed, **parser.places}
        index = places.get(str(exc.value if exc.node is None else exc.node))
        exc.locate(path, *(parser.tokens.place(index) if index is not None else ()))
        raise


def _decode(text: str | bytes, path: str | None) -> str:
    if len(text) > MAX_TEXT:
        raise ParseError(f"the text has {len(text)} bytes; at most {MAX_TEXT} are read", path=path)
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as exc:
            raise ParseError(f"byte {exc.start} is not UTF-8; write the file as UTF-8", path=path) from exc
    if text.startswith("\ufeff"):
        raise ParseError("the file starts with a byte order mark; remove it", path=path, line=1, column=1)
    return text


class _Parser:
    """Fills a document, block by block."""

    def __init__(self, source: Source) -> None:
        self.tokens = Tokens(source)
        self.source = source
        self.places: dict[str, int] = {}
        self.listed: dict[str, int] = {}
        self.document = Document(self._error_at)

    def _error_at(self, name: str, message: str) -> ParseError:
        index = self.places.get(name)
        return self.source.error(0, message) if index is None else self.tokens.error(message, index)

    # file = header "{" block* "}"
    def file(self) -> Document:
        self.header()
        self.tokens.expect("{", "after the header")
        while not self.tokens.skip("}"):
            self.block()
        if self.tokens.kind != "end":
            raise self.tokens.error(f"found {self.tokens.found} after the closing '}}'; the file ends there")
        return self.document

    # header = "webnn_graph" string "v" int "@quantized"?          ("v1" and "v 1" are the same)
    def header(self) -> None:
        tokens = self.tokens
        if not tokens.skip("webnn_graph"):
            raise tokens.error(f'found {tokens.found}; a graph starts with: webnn_graph "name" v1 {{')
        self.document.name = tokens.string("the graph's name in quotes")
        at = tokens.index
        word = tokens.identifier("the version, v1 or v2,")
        version = f"v{tokens.integer('a version')}" if word == "v" else word
        if version not in ("v1", "v2"):
            raise self.tokens.error(f"version {version} is not known; v1 and v2 are", at)
        self.document.version = int(version[1:])
        # Carries no meaning here: what is quantised shows in the operators.
        if tokens.kind == "annotation" and tokens.text == "@quantized":
            tokens.advance()

    # block = ("inputs" | "consts" | "nodes" | "outputs") "{" ... "}"
    # In any order, and repeated blocks are merged, as the first grammar of the family has it.
    def block(self) -> None:
        rules = {"inputs": self.input, "consts": self.const, "nodes": self.statement, "outputs": self.output}
        tokens = self.tokens
        rule = rules.get(tokens.text) if tokens.kind == "identifier" else None
        if rule is None:
            raise tokens.error(f"found {tokens.found}; a block (inputs, consts, nodes, outputs) or '}}' is needed")
        word = tokens.text
        tokens.advance()
        tokens.expect("{", f"after '{word}'")
        while not tokens.skip("}"):
            rule()

    # input = identifier ":" type ";"
    def input(self) -> None:
        name = self.declared_name("an input's name, or '}',")
        self.tokens.expect(":", f"after the input '{name}'")
        self.document.inputs[name] = self.type()
        self.tokens.expect(";", f"after the type of '{name}'")

    # const = identifier ":" type annotation? ";"                  (none: weights under its own name)
    def const(self) -> None:
        name = self.declared_name("a constant's name, or '}',")
        self.tokens.expect(":", f"after the constant '{name}'")
        dtype, shape = self.type()
        init: WeightsRef | Scalar | Bytes = WeightsRef(name)
        if self.tokens.kind in ("annotation", "bytes"):
            init = self.annotation()
        if self.tokens.kind in ("annotation", "bytes"):
            raise self.tokens.error(f"constant '{name}' has two annotations; give one")
        self.document.consts[name] = ConstDecl(dtype, shape, init)
        self.tokens.expect(";", f"after the declaration of '{name}'")

    # type = dtype "[" (dimension ("," dimension)*)? "]"
    def type(self) -> tuple[DataType, Shape]:
        tokens = self.tokens
        try:
            dtype = DataType.from_text(tokens.text)
        except KeyError:
            known = " ".join(dtype.text for dtype in DataType)
            raise tokens.error(f"found {tokens.found}; a data type is needed: {known}") from None
        tokens.advance()
        tokens.expect("[", f"after '{dtype.text}'")
        shape: list[int | DynDecl] = []
        while not tokens.skip("]"):
            if shape:
                tokens.expect(",", "in a shape")
            shape.append(self.dimension())
        return dtype, tuple(shape)

    # dimension = int | dyn
    def dimension(self) -> int | DynDecl:
        tokens = self.tokens
        if not tokens.at("dyn"):
            if tokens.kind == "identifier":
                raise tokens.error(f'found {tokens.found}; a named dimension is dyn("{tokens.text}", maximum), in v2')
            return tokens.integer("a dimension")
        if self.document.version == 1:
            raise tokens.error("a v1 graph has no dyn dimensions; write v2 in the header")
        return self.dyn(0)

    # dyn = "dyn" "(" string "," int ("," int)? ("," dyn)* ")"      (minimum and ranges: ours)
    def dyn(self, depth: int) -> DynDecl:
        tokens = self.tokens
        tokens.expect("dyn", "in a range")
        tokens.expect("(", "after 'dyn'")
        expression = tokens.string("a dimension's name in quotes")
        tokens.expect(",", "after the dimension's name")
        maximum = tokens.integer("a maximum")
        minimum: int | None = None
        where: list[DynDecl] = []
        while tokens.skip(","):
            if tokens.kind == "number" and minimum is None and not where:
                minimum = tokens.integer("a minimum")
            elif depth:
                raise tokens.error("a range holds no ranges of its own")
            else:
                where.append(self.dyn(depth + 1))
        tokens.expect(")", "in a dyn dimension")
        return DynDecl(expression, maximum, minimum, tuple(where))

    # annotation = "@weights" "(" string ")" | "@scalar" "(" number ")" | "@bytes" "(" "[" int,* "]" ")"
    def annotation(self) -> WeightsRef | Scalar | Bytes:
        tokens = self.tokens
        if tokens.kind == "bytes":
            return self.bytes()
        word = tokens.text
        if word == "@bytes":
            self.refuse_bytes()
        if word not in ("@weights", "@scalar"):
            raise tokens.error(
                f'found {tokens.found}; an annotation is @weights("key"), @scalar(n) or @bytes([n, ...])'
            )
        tokens.advance()
        tokens.expect("(", f"after '{word}'")
        init = WeightsRef(tokens.string("a weights key")) if word == "@weights" else Scalar(tokens.number("a number"))
        tokens.expect(")", f"in '{word}'")
        return init

    def bytes(self) -> Bytes:
        """All numbers at once: as tokens, a megabyte of them would take a hundred."""
        tokens = self.tokens
        text = re.sub(r"#[^\n]*", "", tokens.text) if "#" in tokens.text else tokens.text
        body = text[text.index("[") + 1 : text.rindex("]")].strip()
        items = [item.strip() for item in body.split(",")] if body else []
        if not all(item.isdigit() and len(item) <= 3 and int(item) <= 255 for item in items):
            self.refuse_bytes()
        tokens.advance()
        return Bytes(bytes(map(int, items)))

    def refuse_bytes(self) -> NoReturn:
        raise self.tokens.error("@bytes([...]) holds integers from 0 to 255 with commas between, and nothing else")

    # statement = (identifier | "[" identifier ("," identifier)* "]") "=" call ";"
    def statement(self) -> None:
        tokens = self.tokens
        names: list[str] = []
        if tokens.skip("["):
            while not names or tokens.skip(","):
                names.append(self.declared_name("a result's name"))
            tokens.expect("]", "in a list of results")
        else:
            names.append(self.declared_name("a result's name, or '}',"))
        tokens.expect("=", f"after '{names[-1]}'")
        self.call(tuple(names))
        tokens.expect(";", f"after the call that makes '{names[0]}'")

    # call = identifier "(" (argument ("," argument)*)? ")"
    def call(self, results: tuple[str, ...]) -> None:
        tokens = self.tokens
        op = tokens.identifier("an operator call")
        tokens.expect("(", f"after '{op}'")
        operands: list[str] = []
        named: dict[str, object] = {}
        if not tokens.at(")"):
            self.argument(op, operands, named)
            while tokens.skip(","):
                self.argument(op, operands, named)
        tokens.expect(")", f"in the arguments of '{op}'")
        self.document.calls.append(Call(op, tuple(operands), named, results))

    # argument = identifier "=" value | operand
    # operand = identifier | string | "[" operand ("," operand)* "]"   (the list: torch exporters' concat)
    def argument(self, op: str, operands: list[str], named: dict[str, object]) -> None:
        tokens = self.tokens
        at, name, is_word = tokens.index, tokens.text, tokens.kind == "identifier"
        value = self.value(0)
        if is_word and tokens.skip("="):
            if name in named:
                raise self.tokens.error(f"{op} is given '{name}' twice", at)
            named[name] = self.value(0)
        elif isinstance(value, str):
            operands.append(value)
        elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            operands.extend(value)
        else:
            raise self.tokens.error(f"{op} is given a literal by position; {_instead_of(value, op)}", at)

    # value = number | string | "true" | "false" | "null" | identifier | array | object
    def value(self, depth: int) -> object:
        tokens = self.tokens
        if depth > _MAX_NESTING:
            raise tokens.error(f"values are nested more than {_MAX_NESTING} deep")
        if tokens.kind == "identifier":
            word = tokens.text
            tokens.advance()
            return _WORDS.get(word, word)
        if tokens.kind == "number":
            return tokens.number("a number")
        if tokens.kind == "string":
            return tokens.string("a string")
        if tokens.skip("["):
            return self.array(depth)
        if tokens.skip("{"):
            return self.object(depth)
        raise tokens.error(f"found {tokens.found}; a value is needed")

    # array = "[" (value ("," value)*)? "]"
    def array(self, depth: int) -> list[object]:
        items: list[object] = []
        while not self.tokens.skip("]"):
            if items:
                self.tokens.expect(",", "in a list")
            items.append(self.value(depth + 1))
        return items

    # object = "{" key ":" value ("," key ":" value)* "}"           key = identifier | string
    def object(self, depth: int) -> dict[str, object]:
        tokens = self.tokens
        found: dict[str, object] = {}
        while not tokens.skip("}"):
            if found:
                tokens.expect(",", "in an object")
            at = tokens.index
            key = tokens.string("a key") if tokens.kind == "string" else tokens.identifier("a key")
            if key in found:
                raise self.tokens.error(f"key '{key}' occurs twice in an object", at)
            tokens.expect(":", f"after the key '{key}'")
            found[key] = self.value(depth + 1)
        return found

    # outputs hold: identifier ("," identifier)* ";"?               (the family allows every separator)
    def output(self) -> None:
        tokens = self.tokens
        at = tokens.index
        name = tokens.identifier("an output's name, or '}',")
        if name in self.document.outputs:
            raise self.tokens.error(f"output '{name}' is listed twice", at)
        self.document.outputs[name] = name
        self.listed[name] = at
        if tokens.skip(",") and tokens.kind != "identifier":
            raise tokens.error(f"found {tokens.found} after ','; an output's name is needed")
        tokens.skip(";")

    def declared_name(self, what: str) -> str:
        """A name that nothing has yet: the family's readers let the later one win, silently."""
        at = self.tokens.index
        name = self.tokens.identifier(what)
        if name in self.places:
            line, column = self.tokens.place(self.places[name])
            raise self.tokens.error(f"'{name}' is already declared, at line {line}, column {column}", at)
        self.places[name] = at
        return name


def _instead_of(value: object, op: str) -> str:
    """What to write for a literal by position, from the operator's row."""
    spec = OPS.get(op)
    options = [option.name for option in spec.options if option.positional] if spec else []
    if options:
        return f"write it by name, as in {op}(x, {', '.join(f'{name}=...' for name in options)})"
    if value is None:
        return "leave an absent operand out, and write those behind it by name, as in bias=b"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"an operand is a value: declare it in consts, as in c: f32[] @scalar({value}), and write c"
    return "write it by name, as in name=value"
