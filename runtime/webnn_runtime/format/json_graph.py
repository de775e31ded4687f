"""The JSON form of a graph: any names, renamed outputs, and constants inline if asked.

Same declarations as the text, other clothes: both readers fill a `Document`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, names_of
from webnn_runtime.format.document import (
    Bytes,
    Call,
    ConstDecl,
    Document,
    DynDecl,
    Scalar,
    Shape,
    WeightsRef,
    build,
)
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError, ParseError
from webnn_runtime.format.graph import Constant, Graph, Node
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.printer import (
    hidden_names,
    inline_bytes,
    named_arguments,
    positional_operands,
    scalar_of,
    upper_bound,
)
from webnn_runtime.format.strict_json import MAX_JSON, read_json, write_json

__all__ = ["parse_json_graph", "print_json_graph"]

FORMAT: Final = "webnn-graph-json"


def parse_json_graph(data: bytes, *, path: str | None = None) -> Graph:
    """Read a JSON graph; constants in the weights file have no values until `attach` gives them.

    Raises:
        ParseError: not JSON, or not this format.
        GraphError: a graph that WebNN does not allow.
    """
    if len(data) > MAX_JSON:
        raise ParseError(f"the graph has {len(data)} bytes; at most {MAX_JSON} are read", path=path)
    raw = read_json(data, ParseError, path)
    try:
        return build(_Reader(path).document(raw))
    except GraphError as exc:
        exc.locate(path)
        raise


class _Reader:
    def __init__(self, path: str | None) -> None:
        self.path = path

    def error(self, where: str, message: str) -> ParseError:
        return ParseError(f"'{where[:80]}': {message}", path=self.path)

    def document(self, raw: object) -> Document:
        top = self.mapping(raw, "graph")
        if top.get("format") != FORMAT:
            raise self.error("format", f"it must be '{FORMAT}', else this is no graph; pass a bundle's folder")
        version = top.get("version")
        if isinstance(version, bool) or version not in (1, 2):
            raise self.error("version", "1 and 2 are known")
        document = Document(self.error, version=version)
        if top.get("name") is not None:
            document.name = self.string(top["name"], "name")
        for name, declared in self.mapping(top.get("inputs"), "inputs").items():
            document.inputs[name] = self.type(declared, name, version)
        for name, declared in self.mapping(top.get("consts", {}), "consts").items():
            document.consts[name] = self.const(declared, name, version)
        for index, node in enumerate(self.items(top.get("nodes"), "nodes")):
            document.calls.append(self.call(node, f"nodes[{index}]"))
        for name, value in self.mapping(top.get("outputs"), "outputs").items():
            document.outputs[name] = self.string(value, name)
        return document

    def type(self, raw: object, where: str, version: int) -> tuple[DataType, Shape]:
        declared = self.mapping(raw, where)
        try:
            dtype = DataType(declared.get("dataType"))
        except ValueError:
            known = ", ".join(dtype.value for dtype in DataType)
            raise self.error(where, f"dataType must be one of {known}") from None
        shape = self.items(declared.get("shape"), where)
        return dtype, tuple(self.dimension(dim, where, version) for dim in shape)

    def dimension(self, raw: object, where: str, version: int) -> int | DynDecl:
        if isinstance(raw, dict):
            if version == 1:
                raise self.error(where, "a version 1 graph has no named dimensions; write version 2")
            return self.dyn(raw, where, 0)
        return self.integer(raw, where)

    def dyn(self, raw: Mapping[str, Any], where: str, depth: int) -> DynDecl:
        unknown = raw.keys() - {"name", "maxSize", "minSize", "where"}
        if unknown or (depth and "where" in raw):
            raise self.error(where, "a dimension has the keys name, maxSize, minSize and where, nested once")
        inner = tuple(
            self.dyn(self.mapping(item, where), where, depth + 1) for item in self.items(raw.get("where", []), where)
        )
        minimum = self.integer(raw["minSize"], where) if "minSize" in raw else None
        return DynDecl(self.string(raw.get("name"), where), self.integer(raw.get("maxSize"), where), minimum, inner)

    def const(self, raw: object, where: str, version: int) -> ConstDecl:
        dtype, shape = self.type(raw, where, version)
        init = self.mapping(self.mapping(raw, where).get("init"), where)
        kind = init.get("kind")
        if kind == "weights":
            return ConstDecl(dtype, shape, WeightsRef(self.string(init.get("ref"), where)))
        if kind == "scalar":
            value = init.get("value")
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise self.error(where, "a scalar's value must be a number")
            return ConstDecl(dtype, shape, Scalar(value))
        if kind == "inlineBytes":
            return ConstDecl(dtype, shape, Bytes(self.bytes(init.get("bytes"), where)))
        raise self.error(where, "init must be of kind weights, scalar or inlineBytes")

    def bytes(self, raw: object, where: str) -> bytes:
        try:
            if isinstance(raw, str):
                # The older spelling of the same.
                return base64.b64decode(raw, validate=True)
            if isinstance(raw, list) and not any(isinstance(item, bool) for item in raw):
                return bytes(raw)
        except (ValueError, TypeError, binascii.Error) as exc:
            raise self.error(where, "bytes must be integers from 0 to 255, or base64") from exc
        raise self.error(where, "bytes must be a list of integers from 0 to 255, or base64")

    def call(self, raw: object, where: str) -> Call:
        node = self.mapping(raw, where)
        name = self.string(node.get("id"), where)
        outputs = node.get("outputs")
        results = [name] if outputs is None else [self.string(item, where) for item in self.items(outputs, where)]
        if not results:
            raise self.error(where, "a node has at least one result")
        operands = tuple(self.string(item, where) for item in self.items(node.get("inputs"), where))
        options = node.get("options")
        named = {} if options is None else self.mapping(options, where)
        # One level down, where the depth of a hostile file cannot reach the stack of what reads it.
        _refuse_depth(named, lambda: self.error(where, "options are nested too deeply"))
        op = self.string(node.get("op"), where)
        return Call(op, operands, {key: _operand(op, key, value) for key, value in named.items()}, tuple(results))

    def mapping(self, raw: object, where: str) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise self.error(where, "an object is needed")
        return raw

    def items(self, raw: object, where: str) -> list[Any]:
        if not isinstance(raw, list):
            raise self.error(where, "a list is needed")
        return raw

    def string(self, raw: object, where: str) -> str:
        if not isinstance(raw, str):
            raise self.error(where, "a string is needed")
        return raw

    def integer(self, raw: object, where: str) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw < 1 << 62:
            raise self.error(where, "a size that is an integer is needed")
        return raw


def _operand(op: str, key: str, raw: object) -> object:
    """Numbers by which pywebnn refers to operands among the options; it calls the values operand_1, operand_2, ..."""
    operand = OPS[op].operand(key) if op in OPS else None
    return f"operand_{raw}" if type(raw) is int and operand is not None and operand.optional else raw


def _refuse_depth(named: object, error: Any) -> None:
    level = [named]
    for _ in range(32):
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value if isinstance(value, list) else ())
            if isinstance(item, (dict, list))
        ]
        if not level:
            return
    raise error()


def print_json_graph(graph: Graph, *, inline: bool = False) -> bytes:
    """The JSON form; `inline` puts all values into it, so that no weights file is needed."""
    hidden = hidden_names(graph)
    dynamic = not all(kind.is_static for kind in graph.inputs.values())
    return write_json(
        {
            "format": FORMAT,
            "version": 2 if dynamic else 1,
            "name": graph.name,
            "quantized": False,
            "inputs": {
                name: {"dataType": kind.dtype.value, "shape": _shape(kind.shape, graph, list(hidden.get(name, ())))}
                for name, kind in sorted(graph.inputs.items(), key=lambda item: item[0])
            },
            "consts": {
                name: {
                    "dataType": constant.type.dtype.value,
                    "shape": list(constant.type.static_shape),
                    "init": _init(constant, inline),
                }
                for name, constant in sorted(graph.constants.items(), key=lambda item: item[0])
            },
            "nodes": [_node(node, graph) for node in graph.nodes],
            "outputs": dict(sorted(graph.outputs.items())),
        }
    )


def _shape(shape: tuple[Dim, ...], graph: Graph, pending: list[DynamicDim]) -> list[Any]:
    found: list[Any] = []
    for dim in shape:
        if isinstance(dim, int):
            found.append(dim)
            continue
        known = graph.dims.get(str(dim))
        own = [item for item in pending if item.name in names_of(dim)] if known is None else []
        pending = [item for item in pending if item not in own]
        entry = _range(known) if known else {"name": str(dim), "maxSize": upper_bound(dim, graph.dims)}
        found.append({**entry, **({"where": [_range(item) for item in own]} if own else {})})
    return found


def _range(dim: DynamicDim) -> dict[str, object]:
    return {"name": dim.name, "maxSize": dim.max_size, **({} if dim.min_size == 1 else {"minSize": dim.min_size})}


def _init(constant: Constant, inline: bool) -> dict[str, object]:
    if constant.key is not None and not inline:
        return {"kind": "weights", "ref": constant.key}
    scalar = scalar_of(constant)
    if scalar is not None:
        return {"kind": "scalar", "value": float(scalar) if constant.type.dtype.is_float else int(scalar)}
    return {"kind": "inlineBytes", "bytes": list(inline_bytes(constant.values))}


def _node(node: Node, graph: Graph) -> dict[str, object]:
    return {
        "id": node.name,
        "op": node.op,
        "inputs": list(positional_operands(node)),
        "options": {name: _option(value, graph) for name, value in named_arguments(node)},
        "outputs": None if len(node.outputs) == 1 else list(node.outputs),
    }


def _option(value: object, graph: Graph) -> object:
    if isinstance(value, SymbolicDim):
        return {"name": str(value), "maxSize": upper_bound(value, graph.dims)}
    if isinstance(value, (list, tuple)):
        return [_option(item, graph) for item in value]
    return value
