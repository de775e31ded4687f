"""Give named dimensions a value once and for all."""

from __future__ import annotations

from collections.abc import Mapping

from webnn_runtime.format.dims import Dim, SymbolicDim, substitute
from webnn_runtime.format.errors import ShapeError
from webnn_runtime.format.graph import Graph, OptionValue, TensorType
from webnn_runtime.format.records import replace

__all__ = ["bind_dims"]


def bind_dims(graph: Graph, values: Mapping[str, int]) -> Graph:
    """The graph with these names replaced by integers; other names stay free.

    Raises:
        ShapeError: a name the graph does not have, a value outside its range, or one that some shape
            rule refuses.
    """
    for name, value in values.items():
        limits = graph.dims.get(name)
        if limits is None:
            known = ", ".join(graph.dims) or "none"
            raise ShapeError(f"the graph has no dimension '{name}'; its dimensions: {known}")
        if not limits.min_size <= value <= limits.max_size:
            raise ShapeError(f"{name} = {value}; the graph allows {limits.min_size} to {limits.max_size}")
    return Graph.create(
        graph.name,
        dims={name: dim for name, dim in graph.dims.items() if name not in values},
        inputs={
            name: TensorType(kind.dtype, tuple(substitute(dim, values) for dim in kind.shape))
            for name, kind in graph.inputs.items()
        },
        constants=graph.constants,
        nodes=tuple(
            replace(node, options={name: _bound(value, values) for name, value in node.options.items()})
            for node in graph.nodes
        ),
        outputs=graph.outputs,
    )


def _bound(option: OptionValue, values: Mapping[str, int]) -> OptionValue:
    if isinstance(option, SymbolicDim):
        bound: Dim = substitute(option, values)
        return bound
    if isinstance(option, tuple):
        return tuple(substitute(item, values) if isinstance(item, SymbolicDim) else item for item in option)  # type: ignore[return-value]  # homogeneous as before
    return option
