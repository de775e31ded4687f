"""Graphs as calls of the browser's builder: the order of arguments comes from the operator table."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.format.ops import OPS

__all__ = ["CONSTANT", "array_of", "beyond_limits", "plan_of"]

# Operands that this browser takes as constants only.
CONSTANT: Final = {"gatherElements": ("indices",), "scatterElements": ("indices",)}


def plan_of(graph: Graph, feeds: Mapping[str, Array], key: str) -> dict[str, Any]:
    """A graph as the page takes it."""
    fixed = {
        name
        for node in graph.nodes
        for operand, name in zip(OPS[node.op].operands, node.inputs, strict=False)
        if operand.name in CONSTANT.get(node.op, ())
    }
    tensors = {name: _tensor(kind.dtype, feeds[name]) for name, kind in graph.inputs.items()}
    constants = {name: _tensor(item.type.dtype, item.values) for name, item in graph.constants.items()}
    return {
        "id": key,
        "inputs": {name: tensor for name, tensor in tensors.items() if name not in fixed},
        "constants": constants | {name: tensor for name, tensor in tensors.items() if name in fixed},
        "calls": [
            {"op": node.op, "arguments": _arguments(graph, node), "outputs": node.outputs} for node in graph.nodes
        ],
        "outputs": dict(graph.outputs),
    }


def array_of(answer: Mapping[str, Any]) -> Array:
    """A result that the page sent."""
    dtype = DataType(answer["dataType"]).numpy
    return np.frombuffer(base64.b64decode(answer["data"]), dtype).reshape(answer["shape"])


def beyond_limits(graph: Graph, limits: Mapping[str, Any]) -> str | None:
    """The operand or result that the browser's `opSupportLimits()` do not hold, or None."""
    for node in graph.nodes:
        spec, known = OPS[node.op], limits.get(node.op)
        if known is None:
            return f"no {node.op}"
        rows = [spec.operands[0]] * len(node.inputs) if spec.is_variadic else spec.operands
        pairs = [(row.name, name) for row, name in zip(rows, node.inputs, strict=False) if name is not None]
        results = list(spec.results) * len(node.outputs) if spec.results[0].variadic else spec.results
        pairs += [(row.name, name) for row, name in zip(results, node.outputs, strict=False)]
        for row, name in pairs:
            kind, limit = graph.types[name], known.get(row)
            if limit is None:
                continue
            ranks = limit["rankRange"]
            if kind.dtype.value not in limit["dataTypes"] or not ranks["min"] <= kind.rank <= ranks["max"]:
                return f"{node.op} operand '{row}' {kind}"
    return None


def _tensor(dtype: DataType, array: Array) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dataType": dtype.value, "shape": array.shape, "data": data}


def _arguments(graph: Graph, node: Node) -> list[Any]:
    """Required operands, options with a place, and a dictionary of all others."""
    spec = OPS[node.op]
    if spec.is_variadic:
        arguments: list[Any] = [[{"operand": name} for name in node.inputs]]
        rest: dict[str, Any] = {}
    else:
        pairs = list(zip(spec.operands, node.inputs, strict=True))
        arguments = [{"operand": name} for row, name in pairs if not row.optional]
        rest = {row.name: {"operand": name} for row, name in pairs if row.optional and name is not None}
    wide = any(graph.types[name].dtype.bits == 64 for name in node.inputs if name is not None)
    places = sorted((option for option in spec.options if option.positional), key=lambda option: option.positional)
    written = {
        option.name: _value(option.kind.write(node.options[option.name]), wide)
        for option in spec.options
        if node.options[option.name] is not None
    }
    arguments += [written.pop(option.name) for option in places]
    return [*arguments, rest | written]


def _value(raw: Any, wide: bool) -> Any:
    if isinstance(raw, list):
        return [_value(item, wide) for item in raw]
    if raw in ("Infinity", "-Infinity", "NaN") or (isinstance(raw, float) and not math.isfinite(raw)):
        return {"special": str(raw)}
    # Beyond 2^53 a JavaScript number is not the integer any more.
    if wide and type(raw) is int and abs(raw) > 2**53:
        return {"bigint": str(raw)}
    return raw
