"""AsyncMLContext: a context whose work is awaited, in pywebnn's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from webnn_runtime.api.context import MLContext
from webnn_runtime.api.graph import MLGraph
from webnn_runtime.api.kept import Kept
from webnn_runtime.api.tensor import Buffer, Descriptor, MLTensor
from webnn_runtime.format.graph import Array

if TYPE_CHECKING:
    from webnn_runtime.api.builder import MLGraphBuilder

__all__ = ["AsyncMLContext"]


class AsyncMLContext(Kept):
    """Wraps a context; `MLContext` has the same methods itself, with the ending `_async`.

    Args:
        context: the context that does the work, in the order of the calls.

    Example:
        >>> import asyncio
        >>> import numpy as np
        >>> from webnn_runtime import ML, AsyncMLContext, MLGraphBuilder
        >>> context = ML().create_context()
        >>> builder = MLGraphBuilder(context)
        >>> graph = builder.build({"y": builder.relu(builder.input("x", [2], "float32"))})
        >>> work = AsyncMLContext(context).compute_async(graph, {"x": np.array([-1, 1], np.float32)})
        >>> asyncio.run(work)["y"].tolist()
        [0.0, 1.0]
    """

    def __init__(self, context: MLContext) -> None:
        self.context = context

    async def dispatch(self, graph: MLGraph, inputs: Mapping[str, MLTensor], outputs: Mapping[str, MLTensor]) -> None:
        """See `MLContext.dispatch_async`."""
        await self.context.dispatch_async(graph, inputs, outputs)

    async def compute_async(self, graph: MLGraph, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `MLContext.compute_async`."""
        return await self.context.compute_async(graph, inputs)

    async def read_tensor_async(self, tensor: MLTensor) -> Array:
        """See `MLContext.read_tensor_async`."""
        return await self.context.read_tensor_async(tensor)

    async def write_tensor_async(self, tensor: MLTensor, data: Buffer) -> None:
        """See `MLContext.write_tensor_async`."""
        await self.context.write_tensor_async(tensor, data)

    def compute(self, graph: MLGraph, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `MLContext.compute`."""
        return self.context.compute(graph, inputs)

    def create_tensor(
        self, shape: Descriptor, data_type: str | None = None, *, readable: bool = True, writable: bool = True
    ) -> MLTensor:
        """See `MLContext.create_tensor`; readable and writable unless said otherwise, as in pywebnn."""
        return self.context.create_tensor(shape, data_type, readable=readable, writable=writable)

    def read_tensor(self, tensor: MLTensor) -> Array:
        """See `MLContext.read_tensor`."""
        return self.context.read_tensor(tensor)

    def write_tensor(self, tensor: MLTensor, data: Buffer) -> None:
        """See `MLContext.write_tensor`."""
        self.context.write_tensor(tensor, data)

    def create_graph_builder(self) -> MLGraphBuilder:
        """See `MLContext.create_graph_builder`."""
        return self.context.create_graph_builder()
