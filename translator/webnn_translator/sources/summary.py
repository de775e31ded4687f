"""What is in an ONNX file, whether it can be translated or not. No weight is read beyond what parsing reads."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import onnx

from webnn_translator.sources.onnx_file import parse_onnx

__all__ = ["summarise"]

_BITS: Final = {"int4": 4, "uint4": 4, "float4e2m1": 4, "int2": 2, "uint2": 2}
_MAX_DEPTH: Final = 40


def summarise(path: Path) -> dict[str, Any]:
    """Facts about the model at `path`, ready for JSON.

    Raises:
        FormatError: the file is no ONNX model.
    """
    model = parse_onnx(path)
    graph = model.graph
    nodes = [*_nodes(graph, 0), *(node for function in model.functions for node in _of(function.node, 0))]
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    tensors = [*graph.initializer, *(tensor for node in nodes for tensor in _constants(node))]
    sizes = [(_size(tensor), tensor) for tensor in tensors]
    largest = max(sizes, key=lambda item: item[0], default=None)
    kinds = Counter[str]()
    for size, tensor in sizes:
        kinds[_kind(tensor.data_type)] += size
    operators: dict[str, dict[str, int]] = {}
    used = Counter((str(node.domain) or "ai.onnx", str(node.op_type)) for node in nodes)
    for (domain, op_type), count in used.most_common():
        operators.setdefault(domain, {})[op_type] = count
    return {
        "format": "onnx",
        "name": str(graph.name),
        "file_bytes": path.stat().st_size,
        "ir_version": int(model.ir_version),
        "producer": " ".join(part for part in (str(model.producer_name), str(model.producer_version)) if part),
        "opsets": {str(entry.domain) or "ai.onnx": int(entry.version) for entry in model.opset_import},
        "functions": len(model.functions),
        "inputs": [_value(value) for value in inputs],
        "outputs": [_value(value) for value in graph.output],
        "dimensions": _free(inputs),
        "nodes": len(nodes),
        "operators": operators,
        "tensors": len(tensors),
        "weights_bytes": sum(size for size, _ in sizes),
        "types": dict(kinds.most_common()),
        "largest": None if largest is None else _described(*largest),
        "external_data": _external(tensors, path),
    }


def _nodes(graph: onnx.GraphProto, depth: int) -> Iterator[onnx.NodeProto]:
    yield from _of(graph.node, depth)


def _of(nodes: Any, depth: int) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of their subgraphs."""
    for node in nodes:
        yield node
        if depth < _MAX_DEPTH:
            for attribute in node.attribute:
                for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                    yield from _nodes(graph, depth + 1)


def _constants(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        if attribute.HasField("g"):
            yield from attribute.g.initializer


def _kind(data_type: int) -> str:
    known = onnx.TensorProto.DataType
    if data_type not in known.values():
        return f"type {data_type}"
    name = str(known.Name(data_type)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


def _size(tensor: onnx.TensorProto) -> int:
    """Bytes as its type and shape state them; strings and unknown types count as nothing."""
    elements = math.prod(max(0, int(dim)) for dim in tensor.dims)
    kind = _kind(tensor.data_type)
    if kind in _BITS:
        return (elements * _BITS[kind] + 7) // 8
    if kind in ("string", "undefined") or kind.startswith("type "):
        return 0
    return elements * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def _described(size: int, tensor: onnx.TensorProto) -> dict[str, Any]:
    return {
        "name": str(tensor.name),
        "type": _kind(tensor.data_type),
        "shape": [int(dim) for dim in tensor.dims],
        "bytes": size,
    }


def _value(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.WhichOneof("value") or "unknown"
    if kind != "tensor_type":
        return {"name": str(value.name), "type": str(kind).removesuffix("_type"), "shape": None}
    tensor = value.type.tensor_type
    shape = [_dim(dim) for dim in tensor.shape.dim] if tensor.HasField("shape") else None
    return {"name": str(value.name), "type": _kind(tensor.elem_type), "shape": shape}


def _dim(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return str(dim.dim_param) or "?"


def _free(inputs: list[onnx.ValueInfoProto]) -> dict[str, list[str]]:
    """Name of a dimension -> the inputs' axes that it is the size of."""
    found: dict[str, list[str]] = {}
    for value in inputs:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param:
                found.setdefault(str(dim.dim_param), []).append(f"{value.name}[{axis}]")
    return found


def _external(tensors: list[onnx.TensorProto], path: Path) -> dict[str, dict[str, Any]]:
    """Files that hold values, as the model names them: how many tensors, and whether a plain name is there."""
    found: dict[str, dict[str, Any]] = {}
    for tensor in tensors:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            location = next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "")
            if location == path.name:
                continue
            entry = found.setdefault(location, {"tensors": 0, "is_there": _is_there(path, location)})
            entry["tensors"] += 1
    return found


def _is_there(path: Path, location: str) -> bool:
    # Only names beside the model are looked at: a stranger's file does not get to ask about other places.
    plain = Path(location).name == location and location not in ("", ".", "..") and len(location) < 200
    return plain and "\0" not in location and (path.parent / location).is_file()
