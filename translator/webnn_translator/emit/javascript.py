"""Graph -> the text of an ES module that builds it with a browser's WebNN.

Which arguments a method takes and in which order is read from the operator table. Names of the model are
string literals only, never identifiers or comments. The second half of each module is `module.js`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from webnn_runtime.format.bundle import Bundle
from webnn_runtime.format.errors import WeightsError
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType
from webnn_runtime.format.manifest import TensorEntry
from webnn_runtime.format.ops import OPS, Option
from webnn_runtime.format.version import VERSION
from webnn_translator.emit.literals import (
    dimension,
    json_text,
    literal,
    record,
    shape,
    string,
    typed_array,
)
from webnn_translator.emit.requirements import live_nodes, required_methods, requirements, widens

__all__ = ["MARK", "ModuleSource", "emit_module", "is_default"]

# How a later run knows a file that it may replace.
MARK: Final = "// A WebNN graph as an ES module, written by webnn-runtime"
_HEAD: Final = """%s %s; to change it, write it again.
//
//   import { load, run } from "./model.mjs";
//   const graph = await load(%s);
//   const results = await run(graph, %s);
//
// build(context, weights, dimensions) is there for those who bring their own context and bytes; unsupported(context)
// says what a browser lacks. The API is that of the Web Neural Network API draft of 2026-06-27.
"""
_STATIC: Final = Path(__file__).with_name("module.js")


@dataclass(frozen=True, slots=True)
class ModuleSource:
    """What a module is made of.

    Attributes:
        graph: with the values of its inline constants.
        names: identifier -> original name, for labels and as further names of inputs.
        tensors: where each weights key is in the weights file.
        weights_file: its name; None when the module is to hold all values itself.
        weights_bytes: its length.
        weights_sha256: its hash.
    """

    graph: Graph
    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tensors: Mapping[str, TensorEntry] = field(default_factory=lambda: MappingProxyType({}))
    weights_file: str | None = None
    weights_bytes: int = 0
    weights_sha256: str | None = None

    @classmethod
    def of(cls, bundle: Bundle, graph: Graph | None = None) -> ModuleSource:
        """A loaded bundle; `graph` in place of its own, with dimensions bound for instance.

        Reads all of the weights, to have their hash.

        Raises:
            OSError: the weights cannot be read any more.
        """
        graph = bundle.graph if graph is None else graph
        path = bundle.weights_path
        if path is None or all(constant.key is None for constant in graph.constants.values()):
            return cls(graph, bundle.names)
        whole, length = hashlib.sha256(), 0
        # Of the file as it is, which is what a browser will see, whatever a manifest says.
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                whole.update(chunk)
                length += len(chunk)
        return cls(graph, bundle.names, bundle.manifest.tensors, path.name, length, whole.hexdigest())


def emit_module(source: ModuleSource) -> str:
    """The whole module; the same source gives the same bytes.

    Raises:
        WeightsError: a constant whose bytes are not in the weights file.
    """
    return "\n".join([*_generated(source), _STATIC.read_text(encoding="utf-8").strip(), ""])


def used_dims(graph: Graph) -> list[str]:
    """Names that somebody has to give, in the order of the graph."""
    used = frozenset().union(*(kind.names for kind in graph.inputs.values())) if graph.inputs else frozenset()
    return [name for name in graph.dims if name in used]


def _generated(source: ModuleSource) -> Iterator[str]:
    graph = source.graph
    # A string literal has no line end, so no name ends the comment.
    given = ", ".join(f"{name}: {graph.dims[name].min_size or 1}" for name in used_dims(graph))
    dims = f"{{ dimensions: {{ {given} }} }}" if given else ""
    arrays = ", ".join(f"{string(name)}: ..." for name in graph.inputs)
    yield _HEAD % (MARK, VERSION, dims, f"{{ {arrays} }}" if arrays else "{}")
    yield "/** What the graph takes and gives. */"
    yield f"export const model = Object.freeze({{\n{_metadata(source)}}});"
    yield ""
    yield "// Methods of the builder, with the number of their required arguments."
    yield f"const METHODS = {_rows([string(op), str(count)] for op, count in _methods(graph).items())};"
    yield "// What opSupportLimits() has to allow: operator, operand, type, rank; how often, and where first."
    yield f"const REQUIREMENTS = {_rows(_requirement_rows(source))};"
    yield "// Spellings of options in older drafts."
    yield f"const OLDER = {_older(graph)};"
    yield "// Whether 4-bit constants may be given as 8-bit ones."
    yield f"const WIDENS = {'true' if widens(graph) else 'false'};"
    yield "// Where the weights are by default, written out: so bundlers find the file and take it along."
    yield f"const besideModule = () => {_address(source.weights_file)};"
    yield ""
    yield from _assemble(source)


def _address(file: str | None) -> str:
    if file is None:
        return "undefined"
    # What would end the path, or be left out of it.
    path = re.sub(r"[\x00-\x1f%?#\\]", lambda found: f"%{ord(found[0]):02X}", file)
    return f"new URL({string(f'./{path}')}, import.meta.url)"


def _metadata(source: ModuleSource) -> str:
    graph = source.graph
    dims = {name: graph.dims[name] for name in used_dims(graph)}
    # A browser has no empty tensors, so 0 is no size there.
    ranges = [(name, f"{{ min: {max(dim.min_size, 1)}, max: {dim.max_size} }}") for name, dim in dims.items()]
    weights = [
        ("file", "null" if source.weights_file is None else string(source.weights_file)),
        ("byteLength", str(source.weights_bytes)),
        ("sha256", "null" if source.weights_sha256 is None else string(source.weights_sha256)),
    ]
    inputs = (_port(name, kind, source.names.get(name)) for name, kind in graph.inputs.items())
    # An output that is called otherwise than its value has no name in the source model.
    own = {name: source.names.get(name) for name, value in graph.outputs.items() if name == value}
    outputs = (_port(name, kind, own.get(name)) for name, kind in graph.output_types.items())
    lines = [
        ("name", string(graph.name)),
        ("inputs", _lines(inputs)),
        ("outputs", _lines(outputs)),
        ("dimensions", record(ranges)),
        ("weights", record(weights)),
    ]
    return "".join(f"  {name}: {value},\n" for name, value in lines)


def _port(name: str, kind: TensorType, original: str | None) -> str:
    dims = [dim if isinstance(dim, int) else str(dim) for dim in kind.shape]
    items = [("name", string(name)), ("dataType", string(kind.dtype.value)), ("shape", json_text(dims))]
    if original not in (None, name):
        items.insert(1, ("original", string(str(original))))
    return record(items)


def _lines(items: Iterator[str]) -> str:
    inner = "".join(f"    {item},\n" for item in items)
    return f"[\n{inner}  ]" if inner else "[]"


def _rows(rows: Iterator[list[str]]) -> str:
    inner = "".join(f"  [{', '.join(row)}],\n" for row in rows)
    return f"[\n{inner}]" if inner else "[]"


def _methods(graph: Graph) -> dict[str, int]:
    found = required_methods(graph)
    if _copies(graph):
        found["identity"] = 1
    return dict(sorted(found.items()))


def _copies(graph: Graph) -> set[str]:
    """Outputs that are given as a copy.

    WebNN refuses inputs and constants, and over one value with two names Chromium loses the context.
    """
    first = {value: name for name, value in reversed(list(graph.outputs.items()))}
    bare = {*graph.inputs, *graph.constants}
    return {name for name, value in graph.outputs.items() if value in bare or name != first[value]}


def _requirement_rows(source: ModuleSource) -> Iterator[list[str]]:
    for row in requirements(source.graph, labels_of(source)):
        strings = [string(row.op), string(row.operand), string(row.dtype.value)]
        yield [*strings, str(row.rank), str(row.count), string(row.label)]


def _older(graph: Graph) -> str:
    """Aliases of the table for options that are members of a dictionary."""
    found = []
    for op in sorted({node.op for node in live_nodes(graph)}):
        aliases = [
            (option.name, json_text(list(option.aliases)))
            for option in OPS[op].options
            if option.aliases and not option.positional
        ]
        if aliases:
            found.append((op, record(aliases)))
    return record(found)


def labels_of(source: ModuleSource) -> dict[str, str]:
    """Value name -> what messages call it: the node's label, else the name in the source model."""
    labels = {name: source.names.get(name, name) for name in source.graph.types}
    return labels | {node.name: node.label for node in source.graph.nodes if node.label}


def _assemble(source: ModuleSource) -> Iterator[str]:
    graph, labels = source.graph, labels_of(source)
    used = graph.needed(graph.outputs.values())
    variables: dict[str, str] = {}
    yield "// The graph: b is the builder, d the values of the dimensions."
    yield "function assemble(b, { input, weight, literal }, d) {"
    for check in graph.checks:
        text = f"{check.what}: needs {check.left} {check.relation} {check.right}"
        sides = [dimension(check.left), string(check.relation), dimension(check.right)]
        yield f"  need({', '.join([*sides, string(f'{labels.get(check.node, check.node)}: {text}')])});"
    for name, kind in graph.inputs.items():
        if name in used:
            variables[name] = f"x{len(variables)}"
            yield f"  const {variables[name]} = input({string(name)}, {_descriptor(kind)});"
    constants = [name for name in graph.constants if name in used]
    for place, name in enumerate(constants):
        variables[name] = f"c{place}"
        yield f"  const c{place} = {_constant(source, name, labels[name])};"
    place = 0
    for node in live_nodes(graph):
        made = []
        for value in node.outputs:
            variables[value] = f"v{place}"
            made.append(f"v{place}")
            place += 1
        # A list of results, except where the specification has one result by itself.
        spec = OPS[node.op]
        single = len(spec.results) == 1 and not spec.results[0].variadic
        left = made[0] if single else f"[{', '.join(made)}]"
        types = ", ".join(_comment(graph.types[value]) for value in node.outputs)
        yield f"  const {left} = b.{node.op}({_arguments(graph, node, variables, labels[node.name])}); // {types}"
    copies = _copies(graph)
    yield "  return ["
    for name, value in graph.outputs.items():
        operand = variables[value]
        if name in copies:
            operand = f"b.identity({operand}, {record([('label', string(name))])})"
        yield f"    [{string(name)}, {operand}, {_descriptor(graph.types[value])}],"
    yield "  ];"
    yield "}"
    yield ""


def _descriptor(kind: TensorType) -> str:
    return f"{string(kind.dtype.value)}, {shape(kind.shape)}"


def _comment(kind: TensorType) -> str:
    """Types, integers, identifiers and operators: nothing that a name of the model could shape."""
    return f"{kind.dtype.value} [{', '.join(str(dim) for dim in kind.shape)}]"


def _constant(source: ModuleSource, name: str, label: str) -> str:
    constant = source.graph.constants[name]
    head = f"{string(label)}, {_descriptor(constant.type)}"
    if constant.key is None or source.weights_file is None:
        return f"literal({head}, {typed_array(constant.type.dtype, constant.values)})"
    entry = _entry(source, name, constant)
    packed = ", true" if entry.is_packed else ""
    return f"weight({head}, {entry.offset}, {entry.length}{packed})"


def _entry(source: ModuleSource, name: str, constant: Constant) -> TensorEntry:
    entry = source.tensors.get(str(constant.key))
    if entry is None or entry.type != constant.type:
        raise WeightsError(
            f"constant '{name}' has no bytes in a .weights file, which is all that a module reads; "
            "write it as a bundle: webnn_runtime.save_bundle(webnn_runtime.load_bundle(...).graph, FOLDER)"
        )
    return entry


def _arguments(graph: Graph, node: Node, variables: Mapping[str, str], label: str) -> str:
    """Required operands, positional options, and one dictionary of the rest."""
    spec = OPS[node.op]
    members: list[tuple[str, str]] = []
    if spec.is_variadic:
        arguments = [f"[{', '.join(variables[str(value)] for value in node.inputs)}]"]
    else:
        pairs = list(zip(spec.operands, node.inputs, strict=True))
        arguments = [variables[str(value)] for row, value in pairs if not row.optional]
        members = [(row.name, variables[value]) for row, value in pairs if row.optional and value is not None]
    wide = any(graph.types[value].dtype.bits == 64 for value in node.inputs if value is not None)
    for option in sorted(spec.options, key=lambda option: option.positional):
        value = node.options[option.name]
        if option.positional:
            arguments.append(literal(option.kind.write(value), wide=wide))
        elif not is_default(graph, node, option):
            members.append((option.name, literal(option.kind.write(value), wide=wide)))
    inner = ", ".join(f"{name}: {value}" for name, value in [*members, ("label", string(label))])
    return ", ".join([*arguments, f"{{ {inner} }}"])


def is_default(graph: Graph, node: Node, option: Option) -> bool:
    """Whether leaving the option out says the same: then every draft agrees, also one without the option."""
    value = node.options[option.name]
    if value is None:
        return True
    if option.is_required:
        return False
    types = [graph.types[operand] if operand is not None else None for operand in node.inputs]
    default = option.value_when_absent(types, node.options, older=False)
    # -0.0 equals 0 but is another bound.
    return default == value and str(default) == str(value) if isinstance(value, float) else default == value
