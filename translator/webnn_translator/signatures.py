"""Whether a node is a call that its operator set knows, and why it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import onnx

from webnn_translator._errors import Refused
from webnn_translator.ops.refused import REFUSED
from webnn_translator.registry import DOMAINS, operators

__all__ = ["check_signature", "mixed_types", "why_missing"]

# ONNX Runtime's optimiser writes them at the level `all`.
_LAYOUTS: Final = ("com.microsoft.nchwc", "com.ms.internal.nhwc")


def why_missing(domain: str, op_type: str, version: int) -> str:
    """Why an operator of this domain and version is not translated."""
    if domain in _LAYOUTS:
        return "its layout is that of one processor; let ONNX Runtime optimise to the level extended at most"
    if domain not in DOMAINS:
        return f"operators of the domain '{domain}' are unknown"
    if (domain, op_type) in operators():
        return f"version {version} of {DOMAINS[domain]} has no such form of it"
    if (domain, op_type) in REFUSED or onnx.defs.has(op_type, domain):
        return REFUSED.get((domain, op_type), "it has no WebNN counterpart")
    if domain == "com.microsoft":
        return "it is not translated; convert the model as it was before ONNX Runtime's tools wrote this into it"
    return (
        f"{DOMAINS[domain]} has no such operator; exporters copy what they cannot translate, which then does not run"
        " anywhere: write it with other operators before the export"
    )


def check_signature(
    proto: onnx.NodeProto, domain: str, version: int, attributes: Mapping[str, Any], stated: frozenset[str] | None
) -> None:
    """Refuse inputs and attributes that the operator does not have in this version: none is ever ignored."""
    if stated is None:
        try:
            schema = onnx.defs.get_schema(proto.op_type, version, domain)
        except onnx.defs.SchemaError:
            raise Refused(f"opset {version} has no such operator; the model is not valid") from None
        stated = frozenset(schema.attributes)
        _check_kinds(proto, schema)
        if not schema.min_input <= len(proto.input) <= schema.max_input:
            raise Refused(f"it has {len(proto.input)} inputs in opset {version}; the model is not valid")
        if len(proto.output) > schema.max_output:
            raise Refused(f"it has {len(proto.output)} outputs in opset {version}; the model is not valid")
    unknown = sorted(attributes.keys() - stated)
    if unknown:
        raise Refused(f"opset {version} has no attribute '{unknown[0]}' for it; the model is not valid")


def mixed_types(proto: onnx.NodeProto, domain: str, version: int, types: Mapping[str, str]) -> str:
    """Says that inputs which ONNX wants of one type are of several; empty where they are not, or it has no schema."""
    try:
        formal = onnx.defs.get_schema(proto.op_type, version, domain).inputs
    except onnx.defs.SchemaError:
        return ""
    groups: dict[str, dict[str, str]] = {}
    for index, name in enumerate(proto.input):
        parameter = formal[min(index, len(formal) - 1)]
        if name in types and (index < len(formal) or parameter.is_homogeneous):
            groups.setdefault(parameter.type_str, {})[name] = types[name]
    for group in groups.values():
        if len(set(group.values())) > 1:
            stated = ", ".join(f"'{name}' is {kind}" for name, kind in group.items())
            return f"{stated}: the operator takes them in one type; the model is not valid"
    return ""


def _check_kinds(proto: onnx.NodeProto, schema: onnx.defs.OpSchema) -> None:
    """Refuse an attribute of another kind than the operator's: rules read it as what it has to be."""
    kinds = onnx.AttributeProto.AttributeType
    for attribute in proto.attribute:
        wanted = schema.attributes.get(attribute.name)
        if wanted is not None and attribute.type != wanted.type.value:
            given, right = kinds.Name(attribute.type), kinds.Name(wanted.type.value)
            raise Refused(f"attribute {attribute.name} is {given}, not {right}; the model is not valid")
