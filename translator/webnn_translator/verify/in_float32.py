"""A model in bfloat16 as one in float32, which holds its values and is what a bundle of it computes in.

ONNX Runtime's CPU has few operators in bfloat16 and NumPy no such type, so that the model itself cannot be asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from webnn_translator.external import ExternalFiles

__all__ = ["in_float32"]

_FLOAT32: Final = 1
_BFLOAT16: Final = 16
# Attributes whose number is a type.
_TYPES: Final = frozenset({"to", "dtype", "output_dtype", "output_datatype", "stash_type", "softmax_precision"})


def in_float32(model: Any, files: ExternalFiles) -> bool:
    """Put float32 for every bfloat16 of the model; returns whether there was one.

    Initialisers stay where they are, also beside the file, and are cast; other tensors are written anew.
    """
    changed = _graph_changed(model.graph, files)
    for function in model.functions:
        changed |= _nodes_changed(function.node, files)
    return changed


def _graph_changed(graph: Any, files: ExternalFiles) -> bool:
    from onnx import helper

    changed = _nodes_changed(graph.node, files)
    for value in (*graph.input, *graph.output, *graph.value_info):
        changed |= _type_changed(value.type)
    for sparse in graph.sparse_initializer:
        changed |= _tensor_changed(sparse.values, files)
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == _BFLOAT16:
            casts.append(helper.make_node("Cast", [f"{tensor.name}//stored"], [tensor.name], to=_FLOAT32))
            tensor.name = f"{tensor.name}//stored"
    if casts:
        made = {name for cast in casts for name in cast.output}
        inputs = [value for value in graph.input if value.name not in made]
        nodes = [*casts, *graph.node]
        del graph.input[:], graph.node[:]
        graph.input.extend(inputs)
        graph.node.extend(nodes)
    return changed or bool(casts)


def _nodes_changed(nodes: Any, files: ExternalFiles) -> bool:
    changed = False
    for attribute in (one for node in nodes for one in node.attribute):
        if attribute.name in _TYPES and attribute.i == _BFLOAT16:
            attribute.i = _FLOAT32
            changed = True
        for tensor in _tensors(attribute):
            changed |= _tensor_changed(tensor, files)
        for kind in (attribute.tp, *attribute.type_protos):
            changed |= _type_changed(kind)
        for graph in (attribute.g, *attribute.graphs):
            changed |= _graph_changed(graph, files)
    return changed


def _tensors(attribute: Any) -> Iterator[Any]:
    yield from (attribute.t, *attribute.tensors)
    yield from (sparse.values for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors))


def _tensor_changed(tensor: Any, files: ExternalFiles) -> bool:
    import numpy as np
    from onnx import numpy_helper

    if tensor.data_type != _BFLOAT16:
        return False
    files.take_inside(tensor, 2 * math.prod(tensor.dims))
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    return True


def _type_changed(kind: Any) -> bool:
    """A type of a value, which may be that of the members of a sequence or an optional."""
    which = kind.WhichOneof("value")
    if which in ("sequence_type", "optional_type"):
        return _type_changed(getattr(kind, which).elem_type)
    if which not in ("tensor_type", "sparse_tensor_type") or getattr(kind, which).elem_type != _BFLOAT16:
        return False
    getattr(kind, which).elem_type = _FLOAT32
    return True
