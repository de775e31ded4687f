"""ONNX model -> WebNN graph.

Every node is either translated exactly or refused with a reason; all refusals are collected, so that one
run tells everything that stands in the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError
from webnn_runtime.format.graph import Graph
from webnn_translator._errors import DynamicShape, InvalidModel, Refusal, Refused, TranslateError, UnsupportedOp
from webnn_translator.carried import within_type
from webnn_translator.context import Context
from webnn_translator.control import CONTROL
from webnn_translator.dimensions import DimTable, NamedDim
from webnn_translator.elements import Elem
from webnn_translator.emitter import Emitter
from webnn_translator.external import ExternalFiles
from webnn_translator.initializers import elem_of, read_tensor
from webnn_translator.model import (
    NEWEST_OPSET,
    OLDEST_OPSET,
    check_names,
    check_text,
    label_of,
    live_nodes,
    opset_versions,
    ordered,
    reads,
)
from webnn_translator.naming import Names, identifier, rename
from webnn_translator.node import Attributes, OnnxNode, decode_attributes
from webnn_translator.ops.refused import REFUSED
from webnn_translator.passes.inline import function_body, graph_body, is_defined, operator_body
from webnn_translator.passes.int32 import CARRIED_AS_INT32, as_int32
from webnn_translator.registry import find
from webnn_translator.signatures import check_signature, why_missing
from webnn_translator.tensor import Absent, Known, OnnxValue, Tensor, TensorList

__all__ = ["NamedDim", "Translation", "translate"]

# Constants up to here are shared by the emitter; looking for larger ones that are equal costs reading them.
_SMALL: Final = 64
_LONGEST_SCOPE: Final = 200
# Nodes of bodies; thirty functions of two calls each would be a thousand million.
_MAX_WRITTEN_OUT: Final = 40_000


@dataclass(frozen=True, slots=True)
class Translation:
    """A model as a WebNN graph.

    Attributes:
        graph: the graph.
        input_names: ONNX input name -> name in the graph, in declared order.
        output_names: ONNX output name -> name in the graph, in declared order.
        weight_names: ONNX initializer name -> name in the graph, for those that the graph holds.
        dims: named dimensions that stayed free.
        source_types: graph inputs and outputs whose ONNX type WebNN lacks -> that type.
        mappings: ONNX type that WebNN lacks -> what it means that another one carries it.
        values: ONNX value name -> its type and shape, of every tensor that was met.
        notes: facts a user of the graph should know.
    """

    graph: Graph
    input_names: Mapping[str, str]
    output_names: Mapping[str, str]
    weight_names: Mapping[str, str]
    dims: tuple[NamedDim, ...]
    source_types: Mapping[str, Elem]
    mappings: Mapping[str, str]
    values: Mapping[str, tuple[Elem, tuple[Dim, ...]]]
    notes: tuple[str, ...]

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Names of dimensions that nothing bounds."""
        return tuple(dim.name for dim in self.dims if dim.max_size is None)


def translate(
    model: onnx.ModelProto,
    *,
    name: str = "",
    file: Path | None = None,
    dims: Mapping[str, int] | None = None,
    max_dims: Mapping[str, int] | None = None,
    min_dims: Mapping[str, int] | None = None,
    int64: str = "keep",
) -> Translation:
    """Translate a model.

    Args:
        model: the model; external data may still be in its files.
        name: name of the graph; the model's own when empty.
        file: the model's file, beside or in which external data lies.
        dims: dimension name -> value, for dimensions to be fixed.
        max_dims: dimension name -> largest value.
        min_dims: dimension name -> smallest value, where it is not 1: 0 for a cache that may be empty.
        int64: "keep", or "int32" to carry int64 by int32 where that is proved to be the same.

    Raises:
        TranslateError: it cannot be expressed; the leaf says why.
    """
    check_text(model)
    check_names(model.graph)
    versions = opset_versions(model)
    tensors = [value for value in _declared_inputs(model) if _is_tensor(value)]
    table = DimTable(tensors, dims or {}, max_dims or {}, min_dims or {})
    return _Translation(model, name, file, table, versions).run(int64)


def _declared_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs without a default: one that is an initializer too is a constant."""
    held = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in held]


def _is_tensor(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.WhichOneof("value")
    return kind is None or kind == "tensor_type"


class _Translation:
    """State of one run."""

    def __init__(
        self,
        model: onnx.ModelProto,
        name: str,
        file: Path | None,
        table: DimTable,
        versions: Mapping[str, int],
    ) -> None:
        self.model = model
        self.files = None if file is None else ExternalFiles(file)
        self.versions = versions
        graph = model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = _declared_inputs(model)
        self.table = table
        self.emit = Emitter(identifier(name or graph.name or "graph"), self.table.free())
        self.ctx = Context(self.emit)
        self.values: dict[str, OnnxValue] = {}
        self.claimed: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.refusals: list[Refusal] = []
        # Nodes that read the result of a refused one, which is all that is known of them.
        self.unexamined: list[str] = []
        # The node whose body is being lowered: what is refused inside is refused of it.
        self.caller: tuple[str, str] | None = None
        self.functions = {(_domain(one.domain), one.name, one.overload): one for one in model.functions}
        self.calls: list[tuple[str, str, str]] = []
        self.unrolled = 0
        # What names of values start with, up to a slash: no scope may be one of these.
        self.scopes: set[str] = set()
        self.numbers: dict[str, int] = {}
        # Nodes of bodies that were lowered so far.
        self.written_out = 0
        # Constants of bodies that are written out again and again are held once.
        self.interned: dict[tuple[Elem, tuple[int, ...], bytes], Known] = {}

    def run(self, int64: str) -> Translation:
        graph = self.model.graph
        if graph.sparse_initializer:
            raise InvalidModel(f"{len(graph.sparse_initializer)} sparse initializers; dense ones are supported")
        available = {value.name for value in self.inputs} | self.initializers.keys()
        nodes = ordered(graph.node, available)
        made = (name for node in nodes for name in node.output)
        self.scopes = {name[:end] for name in (*available, *made) for end in _slashes(name)}
        outputs = [value.name for value in graph.output]
        if not outputs:
            raise InvalidModel("the graph has no outputs")
        for output in outputs:
            if output not in available and not any(output in node.output for node in nodes):
                raise InvalidModel(f"output '{output}' is made by no node")
        self._declare_inputs()
        for node in live_nodes(nodes, outputs):
            self._lower(node)
        self._raise_refusals()
        return self._finish(outputs, int64)

    def _declare_inputs(self) -> None:
        for value in self.inputs:
            if value.name in self.values or value.name in self.unknown:
                raise InvalidModel(f"input '{value.name}' is declared twice")
            if not _is_tensor(value):
                kind = str(value.type.WhichOneof("value")).removesuffix("_type")
                self.refusals.append(Refusal(value.name, "input", f"it is of the type {kind}; WebNN has tensors only"))
                self.unknown.add(value.name)
                continue
            elem = elem_of(value.type.tensor_type.elem_type, f"input '{value.name}'")
            wire = self.ctx.wire(elem)
            operand = self.emit.builder.input(f"in{len(self.values)}", wire, self.table.shapes[value.name])
            if elem.is_integer or elem is Elem.BOOL:
                self.emit.declare(operand, *elem.integer_range)
            self.define(value.name, self.ctx.tensor(operand, elem))

    @property
    def opset(self) -> int:
        """Version of ai.onnx where the node stands."""
        return self.versions.get("", NEWEST_OPSET)

    def find(self, name: str) -> OnnxValue:
        """A value that is already made, or an initializer.

        Raises:
            Refused: there is none.
        """
        if name not in self.values and name not in self.initializers:
            raise Refused(f"reads '{name}', which nothing before it makes; the model is not valid")
        if name not in self.values:
            # Initializers are read when something needs them: unused ones cost nothing.
            elem, array = read_tensor(self.initializers[name], self.files)
            self.values[name] = self._interned(Tensor(elem, tuple(array.shape), Known(array, name)))
        return self.values[name]

    def tensor(self, name: str) -> Tensor:
        """The same, where it has to be a tensor.

        Raises:
            Refused: it is none.
        """
        found = self.find(name)
        if not isinstance(found, Tensor):
            raise Refused(f"'{name}' is {found}, not a tensor")
        return found

    def define(self, name: str, value: OnnxValue) -> None:
        """Make a value known under its name.

        Raises:
            Refused: the name is taken.
        """
        if name in self.values:
            raise Refused(f"'{name}' is made twice; the model is not valid")
        self.values[name] = self._interned(value) if isinstance(value, Tensor) else value
        if isinstance(value, Tensor) and isinstance(value.content, Value):
            self.claimed.setdefault(value.content.name, name)

    def _interned(self, tensor: Tensor) -> Tensor:
        """Inside of bodies, one array for equal constants; small ones are shared anyway."""
        content = tensor.content
        if self.caller is None or not isinstance(content, Known) or content.array.size <= _SMALL:
            return tensor
        array = content.array
        key = (tensor.elem, tuple(array.shape), hashlib.sha256(np.ascontiguousarray(array).data).digest())
        return Tensor(tensor.elem, tensor.shape, self.interned.setdefault(key, content))

    def scope(self, text: str) -> str:
        """A prefix that no name of the model starts with."""
        # Bodies in bodies would double their names with every level.
        text = made = text[:_LONGEST_SCOPE]
        while made in self.scopes:
            # A loop asks for the same text in each round: from the beginning each time would be quadratic.
            self.numbers[text] = self.numbers.get(text, 1) + 1
            made = f"{text}~{self.numbers[text]}"
        self.scopes.add(made)
        return made

    def _lower(self, proto: onnx.NodeProto) -> None:
        domain = _domain(proto.domain)
        op_type = f"{proto.domain}.{proto.op_type}" if domain else proto.op_type
        self.emit.stem = identifier(_prefix(proto))
        refused = len(self.refusals)
        try:
            results = self._apply(proto, domain)
            for name, value in zip(proto.output, results or (), strict=False):
                if name and value is not None:
                    self.define(name, value)
        except Refused as exc:
            self._refuse(proto, op_type, exc.reason, exc.dims)
        except GraphError as exc:
            self._refuse(proto, op_type, f"WebNN does not allow it: {exc.reason}")
        except InvalidModel as exc:
            raise InvalidModel(exc.reason, node=label_of(proto), op_type=op_type) from exc
        except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as exc:
            # Rules rely on what ONNX promises of ranks and attributes; a model that breaks it can break them anywhere.
            what = str(exc) or type(exc).__name__
            self._refuse(proto, op_type, f"its inputs or attributes do not fit the operator: {what}")
        lacking = [name for name in proto.output if name and name not in self.values]
        if lacking and refused == len(self.refusals):
            if not any(name in self.unknown for name in reads(proto)):
                self._refuse(proto, op_type, f"its definition does not give output '{lacking[0]}'")
            elif self.caller is None:
                self.unexamined.append(label_of(proto))
        self.unknown.update(lacking)

    def _apply(self, proto: onnx.NodeProto, domain: str) -> Sequence[OnnxValue | None] | None:
        """The node's results; None where it only depends on a refused one, or its body has made them."""
        key = (domain, proto.op_type, proto.overload)
        if key in self.functions:
            self._call(proto, key)
            return None
        version = self.versions.get(domain)
        if version is None:
            raise Refused(f"the model does not import the domain '{domain}'; it is not valid")
        if not domain and proto.op_type in CONTROL:
            attributes = decode_attributes(proto)
            check_signature(proto, domain, version, attributes, None)
            return CONTROL[proto.op_type](self, proto, attributes)
        entry = find(domain, proto.op_type, version)
        if entry is None:
            return self._expand(proto, domain, version)
        attributes = decode_attributes(proto)
        check_signature(proto, domain, version, attributes, entry.attributes)
        if any(name in self.unknown for name in proto.input):
            return None
        inputs = tuple(self.find(name) if name else None for name in proto.input)
        node = OnnxNode(
            label_of(proto), proto.op_type, domain, version, inputs, tuple(proto.output), Attributes(attributes)
        )
        results = entry.rule(self.ctx, node)
        unread = sorted(attributes.keys() - node.attributes.asked)
        if unread:
            # A later version of the operator has an attribute that the rule does not know of.
            raise Refused(f"attribute {unread[0]} = {attributes[unread[0]]!r} is not supported")
        listed = [results] if isinstance(results, (Tensor, TensorList, Absent)) else list(results)
        for index, name in enumerate(proto.output):
            if name and (index >= len(listed) or listed[index] is None):
                raise Refused(f"its output {index} has no WebNN counterpart")
        return [within_type(self.ctx, value) if isinstance(value, Tensor) else value for value in listed]

    def _refuse(self, proto: onnx.NodeProto, op_type: str, reason: str, dims: tuple[str, ...] = ()) -> None:
        label = label_of(proto)
        if self.caller is not None:
            (label, outer), reason = self.caller, f"inside it, {op_type}: {reason}"
            op_type = outer
        self.refusals.append(Refusal(label, op_type, reason, dims))

    def _call(self, proto: onnx.NodeProto, key: tuple[str, str, str]) -> None:
        """A function of the model, written out in the versions that it imports itself."""
        if key in self.calls:
            raise InvalidModel(f"function '{key[1]}' calls itself")
        if any(name in self.unknown for name in proto.input):
            return
        nodes, versions = function_body(proto, self.functions[key], self.scope(_prefix(proto)))
        opset = versions.get("", NEWEST_OPSET)
        if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
            raise Refused(f"the function uses opset {opset}; {OLDEST_OPSET} to {NEWEST_OPSET} can be translated")
        self.calls.append(key)
        try:
            self._lower_body(proto, live_nodes(nodes, [name for name in proto.output if name]), versions)
        finally:
            self.calls.pop()

    def _expand(self, proto: onnx.NodeProto, domain: str, version: int) -> Sequence[OnnxValue | None] | None:
        """An operator without a rule of its own, by ONNX's definition of it in terms of others."""
        if domain or (domain, proto.op_type) in REFUSED or not is_defined(proto.op_type, version):
            raise Refused(why_missing(domain, proto.op_type, version))
        if any(name in self.unknown for name in proto.input):
            return None
        types = [self._type_of(name) for name in proto.input]
        body = operator_body(proto, version, types, self.scope(_prefix(proto)))
        if body is None:
            raise Refused(why_missing(domain, proto.op_type, version))
        check_signature(proto, domain, version, decode_attributes(proto), None)
        nodes, versions = body
        wanted = [name for name in proto.output if name]
        self._lower_body(proto, live_nodes(nodes, wanted), {**self.versions, **versions})
        return None

    def lower_graph(
        self, proto: onnx.NodeProto, graph: onnx.GraphProto, inputs: Sequence[OnnxValue], outputs: Sequence[str]
    ) -> int:
        """Lower a subgraph of `proto` so that it makes `outputs`; returns the number of its nodes.

        Raises:
            Refused: it has another number of inputs or outputs.
        """
        body = graph_body(graph, outputs, self.scope(_prefix(proto)))
        if len(body.inputs) != len(inputs):
            raise Refused(f"a subgraph has {len(body.inputs)} inputs for {len(inputs)}; the model is not valid")
        for name, value in zip(body.inputs, inputs, strict=True):
            self.define(name, value)
        self.initializers |= {tensor.name: tensor for tensor in body.tensors}
        nodes = live_nodes(body.nodes, [name for name in outputs if name])
        self._lower_body(proto, nodes, self.versions)
        return len(nodes)

    def _lower_body(self, proto: onnx.NodeProto, nodes: Sequence[onnx.NodeProto], versions: Mapping[str, int]) -> None:
        outer, caller = self.versions, self.caller
        self.versions = versions
        self.caller = caller or (label_of(proto), proto.op_type)
        try:
            for node in nodes:
                self.written_out += 1
                if self.written_out > _MAX_WRITTEN_OUT:
                    raise TranslateError(
                        f"written out, its functions and subgraphs have more than {_MAX_WRITTEN_OUT} nodes; "
                        "functions that call one another grow with every level",
                        node=self.caller[0],
                        op_type=self.caller[1],
                    )
                self._lower(node)
        finally:
            self.versions, self.caller = outer, caller

    def _type_of(self, name: str) -> onnx.TypeProto:
        value = self.find(name) if name else None
        if isinstance(value, TensorList):
            return onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(int(value.elem), None))
        if not isinstance(value, Tensor):
            return onnx.TypeProto()
        return onnx.helper.make_tensor_type_proto(
            int(value.elem), [dim if isinstance(dim, int) else str(dim) for dim in value.shape]
        )

    def _raise_refusals(self) -> None:
        if not self.refusals:
            return
        opset = self.versions.get("")
        if all(refusal.dims for refusal in self.refusals):
            missing: dict[str, str] = {}
            for refusal in self.refusals:
                for dim in refusal.dims:
                    missing.setdefault(dim, f"node '{refusal.node}' ({refusal.op_type}): {refusal.reason}")
            raise DynamicShape(missing, opset=opset, refusals=self.refusals, unexamined=self.unexamined)
        raise UnsupportedOp(self.refusals, opset=opset, unexamined=self.unexamined)

    def _finish(self, outputs: Sequence[str], int64: str) -> Translation:
        names = Names()
        input_names = {value.name: names.unique(value.name, exact=True) for value in self.inputs}
        output_names = {output: names.unique(output, exact=True) for output in dict.fromkeys(outputs)}
        operands: dict[str, Value] = {}
        self.emit.stem = "output"
        for output, final in output_names.items():
            try:
                operands[f"out:{final}"] = self.ctx.full(self.tensor(output))
            except (Refused, GraphError) as exc:
                raise TranslateError(f"output '{output}': {exc.reason}") from exc
        built = self.emit.builder.build(operands)
        mapping = {f"out:{final}": final for final in output_names.values()}
        for position, value in enumerate(self.inputs):
            mapping[f"in{position}"] = input_names[value.name]
        for name in _value_names(built):
            if name not in mapping:
                mapping[name] = names.unique(self.claimed.get(name) or self.emit.origins.get(name) or "c")
        graph = rename(built, mapping)
        wide = graph.types
        if int64 == "int32":
            graph = as_int32(graph)
        unused = [value.name for value in self.inputs if input_names[value.name] not in graph.inputs]
        notes = list(self.ctx.notes)
        notes += [f"input '{name}' has no influence on the outputs and is left out" for name in unused]
        kept_inputs = {onnx_name: final for onnx_name, final in input_names.items() if onnx_name not in unused}
        source_types = {
            final: elem
            for onnx_name, final in (*kept_inputs.items(), *output_names.items())
            if (elem := self.tensor(onnx_name).elem).mapping or graph.types[final] != wide[final]
        }
        mappings = {elem.text: elem.mapping for elem in sorted(self.ctx.mapped | set(source_types.values()))}
        if int64 == "int32" and any(kind.dtype is DataType.INT64 for kind in wide.values()):
            mappings[Elem.INT64.text] = CARRIED_AS_INT32
        weight_names = {
            origin: mapping[name]
            for name in built.constants
            if (origin := self.emit.origins.get(name)) is not None and origin in self.initializers
        }
        described = self.table.describe(graph.dims, self.ctx.derived)
        notes += self.table.narrowed(described)
        values = {name: (one.elem, one.shape) for name, one in self.values.items() if isinstance(one, Tensor)}
        return Translation(
            graph, kept_inputs, output_names, weight_names, described, source_types, mappings, values, tuple(notes)
        )


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _slashes(name: str) -> Iterable[int]:
    return (index for index, letter in enumerate(name) if letter == "/")


def _prefix(proto: onnx.NodeProto) -> str:
    """A name of its own for a node; the names that nodes have need not be unique."""
    return next((str(name) for name in proto.output if name), str(proto.op_type))


def _value_names(graph: Graph) -> Iterable[str]:
    yield from graph.inputs
    yield from graph.constants
    for node in graph.nodes:
        yield from node.outputs
