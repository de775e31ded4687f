"""What a context decides before it runs a graph: whose it is, and whether the tensors or arrays fit it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from webnn_runtime.api.errors import MLTypeError
from webnn_runtime.api.graph import MLGraph
from webnn_runtime.api.tensor import MLTensor
from webnn_runtime.format.graph import Array, TensorType

if TYPE_CHECKING:
    from webnn_runtime.api.context import MLContext

__all__ = ["check_dispatch", "check_graph", "check_shapes", "check_targets"]


def check_graph(context: MLContext, graph: MLGraph, method: str) -> None:
    """Refuse what is no live graph of this context.

    Raises:
        MLTypeError: no graph, or another context's.
        InvalidStateError: it is destroyed.
    """
    if not isinstance(graph, MLGraph):
        raise MLTypeError(f"{method}: a {type(graph).__name__} is no MLGraph; MLGraphBuilder.build makes one")
    if graph.context is not context:
        raise MLTypeError(f"{method}: the graph belongs to another context")
    graph.require_alive()


def check_dispatch(
    context: MLContext, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]
) -> None:
    """Refuse tensors that do not fit the graph, or each other.

    Raises:
        MLTypeError: foreign, destroyed or repeated tensors, unknown names, or types and shapes that differ.
        InvalidStateError: the graph is destroyed.
    """
    check_graph(context, graph, "dispatch")
    _check_tensors(context, "inputs", inputs)
    _check_tensors(context, "outputs", outputs)
    tensors = [*inputs.values(), *outputs.values()]
    if len({id(tensor) for tensor in tensors}) != len(tensors):
        raise MLTypeError("dispatch: a tensor occurs twice among inputs and outputs")
    for what, given, declared in (("input", inputs, graph.inputs), ("output", outputs, graph.outputs)):
        if given.keys() != declared.keys():
            raise MLTypeError(
                f"dispatch: {what}s given: {', '.join(map(str, given)) or 'none'}; "
                f"the graph has: {', '.join(declared) or 'none'}"
            )
        for name, tensor in given.items():
            _check_tensor(what, name, tensor, declared[name])
    try:
        shapes = graph.output_shapes({name: tensor.shape for name, tensor in inputs.items()})
    except MLTypeError as exc:
        raise MLTypeError(f"dispatch: {exc}") from exc
    for name, tensor in outputs.items():
        # Not left to the copy of the result, which would be repeated until it fills a larger tensor.
        if tensor.shape != shapes[name]:
            raise MLTypeError(
                f"dispatch: output '{name}' is {tensor.kind}; with these inputs its shape is {list(shapes[name])}"
            )


def check_targets(targets: object, declared: Mapping[str, TensorType]) -> None:
    """Refuse arrays that no result can be copied into, before anything runs.

    Raises:
        MLTypeError: an unknown name, no array, another type, or one that cannot be written.
    """
    if not isinstance(targets, Mapping):
        raise MLTypeError(f"compute: outputs are a {type(targets).__name__}; give a dict from name to array")
    for name, target in targets.items():
        if name not in declared:
            raise MLTypeError(f"compute: the graph has no output '{name}'; it has {', '.join(declared)}")
        kind = declared[name]
        if not isinstance(target, np.ndarray) or target.dtype != kind.dtype.numpy:
            found = getattr(target, "dtype", type(target).__name__)
            raise MLTypeError(f"compute: output '{name}' is {kind}; give an array of {kind.dtype.numpy}, not {found}")
        if not target.flags.writeable:
            raise MLTypeError(f"compute: the array for output '{name}' is read-only; give a writable one")


def check_shapes(targets: Mapping[str, Array], results: Mapping[str, Array]) -> None:
    """Refuse arrays of other shapes than the results, before any is written.

    Raises:
        MLTypeError: a shape that differs, also where NumPy would repeat the result in it.
    """
    for name, target in targets.items():
        if target.shape != results[name].shape:
            raise MLTypeError(
                f"compute: the array for output '{name}' has shape {list(target.shape)}; the result has "
                f"{list(results[name].shape)}"
            )


def _check_tensors(context: MLContext, what: str, given: Mapping[str, MLTensor]) -> None:
    if not isinstance(given, Mapping):
        raise MLTypeError(f"dispatch: {what} are a {type(given).__name__}; give a dict from name to MLTensor")
    for name, tensor in given.items():
        if not isinstance(tensor, MLTensor):
            raise MLTypeError(
                f"dispatch: '{name}' of the {what} is a {type(tensor).__name__}; give an MLTensor, or call compute "
                "with arrays"
            )
        if tensor.context is not context:
            raise MLTypeError("dispatch: a tensor belongs to another context")
        if tensor.destroyed:
            raise MLTypeError("dispatch: a tensor is destroyed")


def _check_tensor(what: str, name: str, tensor: MLTensor, kind: TensorType) -> None:
    if tensor.constant:
        raise MLTypeError(f"dispatch: {what} '{name}' is a constant tensor")
    if (kind.is_static and tensor.kind != kind) or tensor.kind.dtype != kind.dtype:
        raise MLTypeError(f"dispatch: {what} '{name}' is {tensor.kind}; the graph needs {kind}")
