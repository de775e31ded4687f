"""Bodies written into the graph that calls them: functions, operators that ONNX defines by others, and subgraphs.

Every name inside gets the caller's as a prefix, so that two calls stay apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx

from webnn_translator._errors import Refused

__all__ = ["Body", "function_body", "graph_body", "is_defined", "operator_body"]


@dataclass(frozen=True, slots=True)
class Body:
    """A subgraph under other names.

    Attributes:
        nodes: in order; the last ones give the outputs their names.
        inputs: names that have to be defined first.
        tensors: initializers.
    """

    nodes: list[onnx.NodeProto]
    inputs: list[str]
    tensors: list[onnx.TensorProto]


def is_defined(op_type: str, version: int) -> bool:
    """Whether ONNX defines an operator by others."""
    try:
        schema = onnx.defs.get_schema(op_type, version, "")
    except onnx.defs.SchemaError:
        return False
    return bool(schema.has_function or schema.has_context_dependent_function)


def operator_body(
    call: onnx.NodeProto, version: int, types: Sequence[onnx.TypeProto], prefix: str
) -> tuple[list[onnx.NodeProto], dict[str, int]] | None:
    """The nodes by which ONNX itself defines an operator, and the versions they are of.

    Raises:
        Refused: the definition does not fit this call.
    """
    try:
        schema = onnx.defs.get_schema(call.op_type, version, "")
    except onnx.defs.SchemaError:
        return None
    try:
        function = _definition(schema, call, version, types)
    except (RuntimeError, ValueError) as exc:
        raise Refused(f"its definition by other operators does not fit: {exc}") from exc
    if function is None:
        return None
    defaults = [
        attribute.default_value
        for attribute in schema.attributes.values()
        if attribute.default_value.type != onnx.AttributeProto.UNDEFINED
    ]
    return _expanded(function, call, defaults, prefix)


def function_body(
    call: onnx.NodeProto, function: onnx.FunctionProto, prefix: str
) -> tuple[list[onnx.NodeProto], dict[str, int]]:
    """The nodes of a function of the model, and the versions they are of.

    Raises:
        Refused: the call does not fit the function.
    """
    if len(call.input) > len(function.input) or len(call.output) > len(function.output):
        raise Refused(
            f"the function has {len(function.input)} inputs and {len(function.output)} outputs, "
            f"the call {len(call.input)} and {len(call.output)}; the model is not valid"
        )
    # ONNX Runtime ends the process over such a function.
    made = [*function.input, *(name for node in function.node for name in node.output if name)]
    twice = sorted(name for name, count in Counter(made).items() if count > 1)
    if twice:
        raise Refused(f"'{twice[0]}' is made twice in the function; the model is not valid")
    stated = {*function.attribute, *(attribute.name for attribute in function.attribute_proto)}
    given = {attribute.name for attribute in call.attribute}
    if given - stated:
        raise Refused(f"the function has no attribute '{min(given - stated)}'; the model is not valid")
    if set(function.attribute) - given:
        raise Refused(f"attribute {min(set(function.attribute) - given)} is missing; the model is not valid")
    return _expanded(function, call, function.attribute_proto, prefix)


def _expanded(
    function: onnx.FunctionProto, call: onnx.NodeProto, defaults: Sequence[onnx.AttributeProto], prefix: str
) -> tuple[list[onnx.NodeProto], dict[str, int]]:
    given = {attribute.name: attribute for attribute in (*defaults, *call.attribute)}
    names = dict(zip(function.input, [*call.input, *[""] * len(function.input)], strict=False))
    made = {name for node in function.node for name in node.output}
    outputs = [(inner, outer) for inner, outer in zip(function.output, call.output, strict=False) if outer]
    # An output may be an input handed on: an Identity gives it its name outside.
    handed_on = [
        onnx.helper.make_node("Identity", [names[inner]], [outer])
        for inner, outer in outputs
        if inner not in made and names.get(inner)
    ]
    names |= {inner: outer for inner, outer in outputs if inner in made}
    nodes = [_renamed(node, names, prefix, given) for node in function.node] + handed_on
    versions = {"" if entry.domain == "ai.onnx" else entry.domain: entry.version for entry in function.opset_import}
    return nodes, versions


def _definition(
    schema: onnx.defs.OpSchema, call: onnx.NodeProto, version: int, types: Sequence[onnx.TypeProto]
) -> onnx.FunctionProto | None:
    if schema.has_context_dependent_function:
        fitting = [known for known in schema.context_dependent_function_opset_versions if known <= version]
        if fitting:
            data = schema.get_context_dependent_function_with_opset_version(
                max(fitting), call.SerializeToString(), [kind.SerializeToString() for kind in types]
            )
            return onnx.FunctionProto.FromString(data)
    if schema.has_function:
        fitting = [known for known in schema.function_opset_versions if known <= version]
        if fitting:
            return onnx.FunctionProto.FromString(schema.get_function_with_opset_version(max(fitting)))
    return None


def graph_body(graph: onnx.GraphProto, outputs: Sequence[str], prefix: str) -> Body:
    """A subgraph that makes `outputs`; names from outside stay as they are.

    Raises:
        Refused: it has another number of outputs.
    """
    if len(graph.output) != len(outputs):
        raise Refused(f"a subgraph has {len(graph.output)} outputs, {len(outputs)} are needed; the model is not valid")
    inside = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    inside |= {name for node in graph.node for name in node.output}
    names = {name: f"{prefix}/{name}" for name in inside if name}
    nodes = [_renamed(node, names, None, None) for node in graph.node]
    tensors = []
    for tensor in graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
        tensors.append(copy)
    # An output may be a value of the outer graph: an Identity gives it its name here.
    for inner, outer in zip(graph.output, outputs, strict=True):
        if outer:
            nodes.append(onnx.helper.make_node("Identity", [names.get(inner.name, inner.name)], [outer]))
    return Body(nodes, [names[value.name] for value in graph.input], tensors)


def _renamed(
    node: onnx.NodeProto,
    names: Mapping[str, str],
    prefix: str | None,
    attributes: Mapping[str, onnx.AttributeProto] | None,
) -> onnx.NodeProto:
    """A copy with other names; with a prefix, names that are not listed are local and get it.

    With `attributes`, references to a function's attributes are replaced by them, and left out where it has none.
    """
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:]
    copy.input.extend(_name(name, names, prefix) for name in node.input)
    del copy.output[:]
    copy.output.extend(_name(name, names, prefix) for name in node.output)
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name and attributes is not None:
            source = attributes.get(attribute.ref_attr_name)
            if source is not None:
                copy.attribute.add().CopyFrom(source)
                copy.attribute[-1].name = attribute.name
            continue
        made = copy.attribute.add()
        made.CopyFrom(attribute)
        if attribute.HasField("g"):
            _rename_graph(made.g, names, prefix, attributes)
    return copy


def _rename_graph(
    graph: onnx.GraphProto,
    names: Mapping[str, str],
    prefix: str | None,
    attributes: Mapping[str, onnx.AttributeProto] | None,
) -> None:
    nodes = [_renamed(node, names, prefix, attributes) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = _name(value.name, names, prefix)


def _name(name: str, names: Mapping[str, str], prefix: str | None) -> str:
    if not name:
        return ""
    if name in names:
        return names[name]
    return name if prefix is None else f"{prefix}/{name}"
