"""Graphs as modules that the page imports, and inputs as it takes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Constant, Graph
from webnn_runtime.format.ops import OPS
from webnn_translator.emit import ModuleSource, emit_module

__all__ = ["array_of", "module_of", "plan_of"]

# Operands that this browser takes as constants only.
_CONSTANT: Final = {"gatherElements": ("indices",), "scatterElements": ("indices",)}


def module_of(graph: Graph, feeds: Mapping[str, Array]) -> tuple[str, dict[str, Array]]:
    """The module of a graph, and the inputs it still has."""
    fixed = {
        name: feeds[name]
        for node in graph.nodes
        for operand, name in zip(OPS[node.op].operands, node.inputs, strict=False)
        if operand.name in _CONSTANT.get(node.op, ()) and name is not None
    }
    with_constants = Graph.create(
        graph.name,
        dims=graph.dims,
        inputs={name: kind for name, kind in graph.inputs.items() if name not in fixed},
        constants={**graph.constants, **{name: Constant(graph.types[name], array) for name, array in fixed.items()}},
        nodes=graph.nodes,
        outputs=graph.outputs,
    )
    module = emit_module(ModuleSource(with_constants))
    return module, {name: array for name, array in feeds.items() if name not in fixed}


def plan_of(
    key: str, module: str, feeds: Mapping[str, Array], dimensions: Mapping[str, int] | None = None, patience: int = 3
) -> dict[str, Any]:
    """One item as the page takes it.

    Args:
        key: what the answer is called.
        module: address of the module on the page's server.
        feeds: inputs.
        dimensions: values of the named dimensions.
        patience: seconds after which the browser is given up.
    """
    return {
        "id": key,
        "module": module,
        "dimensions": dict(dimensions or {}),
        "inputs": {
            name: {"dataType": DataType.from_numpy(array.dtype).value, "data": _base64(array)}
            for name, array in feeds.items()
        },
        "patience": patience,
    }


def array_of(answer: Mapping[str, Any]) -> Array:
    """A result that the page sent."""
    dtype = DataType(answer["dataType"]).numpy
    return np.frombuffer(base64.b64decode(answer["data"]), dtype).reshape(answer["shape"])


def _base64(array: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
