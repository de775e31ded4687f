"""The nodes of a model, one after another: each by its rule, its definition, or the body that it stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
import onnx

from webnn_runtime.format.builder import Value
from webnn_runtime.format.errors import GraphError
from webnn_translator._errors import InvalidModel, Refusal, Refused, TranslateError, UnsupportedType
from webnn_translator.carried import within_type
from webnn_translator.context import Context
from webnn_translator.control import CONTROL
from webnn_translator.elements import Elem
from webnn_translator.external import ExternalFiles
from webnn_translator.initializers import read_sparse, read_tensor
from webnn_translator.model import NEWEST_OPSET, OLDEST_OPSET, label_of, live_nodes, reads
from webnn_translator.naming import identifier
from webnn_translator.node import Attributes, OnnxNode, decode_attributes
from webnn_translator.ops.fitted import FITTED
from webnn_translator.ops.refused import REFUSED
from webnn_translator.passes.inline import function_body, graph_body, is_defined, operator_body
from webnn_translator.registry import find
from webnn_translator.signatures import check_signature, mixed_types, why_missing
from webnn_translator.tensor import Absent, Known, OnnxValue, Tensor, TensorList

__all__ = ["Lowering"]

# Constants up to here are shared by the emitter; looking for larger ones that are equal costs reading them.
_SMALL: Final = 64
_LONGEST_SCOPE: Final = 200
# Nodes of bodies; thirty functions of two calls each would be a thousand million.
_MAX_WRITTEN_OUT: Final = 40_000


class Lowering:
    """State of one run; a `Translator` for control flow.

    Attributes:
        ctx: for lowering.
        initializers: by name, those of subgraphs too.
        values: what is made so far, by ONNX name.
        claimed: name of an operand -> the ONNX name that it is known by first.
        unknown: values that depend on something refused.
        refusals: what cannot be expressed so far.
        unexamined: nodes that read the result of a refused one, which is all that is known of them.
        unrolled: nodes of loop bodies written out so far.
    """

    def __init__(
        self, model: onnx.ModelProto, ctx: Context, files: ExternalFiles | None, versions: Mapping[str, int]
    ) -> None:
        graph = model.graph
        self.ctx = ctx
        self.files = files
        self.versions = versions
        self.initializers: dict[str, onnx.TensorProto | onnx.SparseTensorProto] = {
            **{tensor.name: tensor for tensor in graph.initializer},
            **{sparse.values.name: sparse for sparse in graph.sparse_initializer},
        }
        self.values: dict[str, OnnxValue] = {}
        self.claimed: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.refusals: list[Refusal] = []
        self.unexamined: list[str] = []
        # The node whose body is being lowered: what is refused inside is refused of it.
        self.caller: tuple[str, str] | None = None
        self.functions = {(_domain(one.domain), one.name, one.overload): one for one in model.functions}
        self.calls: list[tuple[str, str, str]] = []
        self.unrolled = 0
        # What names of values start with, up to a slash: no scope may be one of these.
        given = (value.name for value in (*graph.input, *graph.initializer))
        made = (name for node in graph.node for name in node.output)
        self.scopes = {name[:end] for name in (*given, *made) for end in _slashes(name)}
        self.numbers: dict[str, int] = {}
        # Nodes of bodies that were lowered so far.
        self.written_out = 0
        # Constants of bodies that are written out again and again are held once.
        self.interned: dict[tuple[Elem, tuple[int, ...], bytes], Known] = {}

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
            held = self.initializers[name]
            is_sparse = isinstance(held, onnx.SparseTensorProto)
            elem, array = read_sparse(held, self.files) if is_sparse else read_tensor(held, self.files)
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

    def lower(self, proto: onnx.NodeProto) -> None:
        """Make the node's results known, or its refusal."""
        domain = _domain(proto.domain)
        op_type = f"{proto.domain}.{proto.op_type}" if domain else proto.op_type
        self.ctx.emit.stem = identifier(_prefix(proto))
        refused = len(self.refusals)
        try:
            results = self._apply(proto, domain)
            for name, value in zip(proto.output, results or (), strict=False):
                if name and value is not None:
                    self.define(name, value)
        except Refused as exc:
            self._refuse(proto, op_type, exc.reason, exc.dims)
        except GraphError as exc:
            found = {name: self.values.get(name) for name in proto.input}
            types = {name: value.elem.text for name, value in found.items() if isinstance(value, Tensor)}
            mixed = mixed_types(proto, domain, self.versions.get(domain, 0), types)
            self._refuse(proto, op_type, mixed or f"WebNN does not allow it: {exc.reason}")
        except UnsupportedType as exc:
            self._refuse(proto, op_type, exc.reason)
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
        if proto.op_type in FITTED:
            proto = self._fitted(proto)
        types = [self._type_of(name) for name in proto.input]
        body = operator_body(proto, version, types, self.scope(_prefix(proto)))
        if body is None:
            raise Refused(why_missing(domain, proto.op_type, version))
        check_signature(proto, domain, version, decode_attributes(proto), None)
        nodes, versions = body
        wanted = [name for name in proto.output if name]
        self._lower_body(proto, live_nodes(nodes, wanted), {**self.versions, **versions})
        return None

    def _fitted(self, proto: onnx.NodeProto) -> onnx.NodeProto:
        """The node with inputs whose sizes are those that its definition takes for granted."""
        inputs = [self.find(name) if name else None for name in proto.input]
        fitted = FITTED[proto.op_type](self.ctx, [one if isinstance(one, Tensor) else None for one in inputs])
        copy = onnx.NodeProto()
        copy.CopyFrom(proto)
        scope = self.scope(_prefix(proto))
        for index, (before, after) in enumerate(zip(inputs, fitted, strict=True)):
            if after is not None and after is not before:
                copy.input[index] = f"{scope}/{index}"
                self.define(copy.input[index], after)
        return copy

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
                self.lower(node)
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


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _slashes(name: str) -> Iterable[int]:
    return (index for index, letter in enumerate(name) if letter == "/")


def _prefix(proto: onnx.NodeProto) -> str:
    """A name of its own for a node; the names that nodes have need not be unique."""
    return next((str(name) for name in proto.output if name), str(proto.op_type))
