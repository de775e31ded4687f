"""Bodies written into the graph that calls them: operators that ONNX defines by others, and branches.

Every name inside gets the caller's as a prefix, so that two calls stay apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from webnn_translator._errors import Refused

__all__ = ["branch_nodes", "is_defined", "operator_body"]


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
    given = {attribute.name: attribute for attribute in call.attribute}
    for name, attribute in schema.attributes.items():
        if name not in given and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            given[name] = attribute.default_value
    names = dict(zip(function.input, [*call.input, *[""] * len(function.input)], strict=False))
    names |= {inner: outer for inner, outer in zip(function.output, call.output, strict=False) if outer}
    nodes = [_renamed(node, names, prefix, given) for node in function.node]
    return nodes, {entry.domain: entry.version for entry in function.opset_import}


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


def branch_nodes(
    graph: onnx.GraphProto, outputs: Sequence[str], prefix: str
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """The nodes and initializers of a branch, which makes `outputs`; names from outside stay as they are."""
    inside = {tensor.name for tensor in graph.initializer} | {name for node in graph.node for name in node.output}
    names = {name: f"{prefix}/{name}" for name in inside if name}
    nodes = [_renamed(node, names, None, {}) for node in graph.node]
    tensors = []
    for tensor in graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
        tensors.append(copy)
    # An output may be a value of the outer graph: an Identity gives it its name here.
    for inner, outer in zip(graph.output, outputs, strict=True):
        nodes.append(onnx.helper.make_node("Identity", [names.get(inner.name, inner.name)], [outer]))
    return nodes, tensors


def _renamed(
    node: onnx.NodeProto,
    names: dict[str, str],
    prefix: str | None,
    attributes: Mapping[str, onnx.AttributeProto],
) -> onnx.NodeProto:
    """A copy with other names; with a prefix, names that are not listed are local and get it."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    del copy.input[:]
    copy.input.extend(_name(name, names, prefix) for name in node.input)
    del copy.output[:]
    copy.output.extend(_name(name, names, prefix) for name in node.output)
    del copy.attribute[:]
    for attribute in node.attribute:
        if attribute.ref_attr_name:
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
    names: dict[str, str],
    prefix: str | None,
    attributes: Mapping[str, onnx.AttributeProto],
) -> None:
    nodes = [_renamed(node, names, prefix, attributes) for node in graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = _name(value.name, names, prefix)


def _name(name: str, names: dict[str, str], prefix: str | None) -> str:
    if not name:
        return ""
    if name in names:
        return names[name]
    return name if prefix is None else f"{prefix}/{name}"
