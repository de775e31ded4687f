"""A compiled graph: one session, kept, fed by name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from webnn_runtime.backends.base import CompileOptions, Executable
from webnn_runtime.backends.onnxruntime.forked import KeptSession
from webnn_runtime.backends.onnxruntime.model import OnnxModel
from webnn_runtime.backends.onnxruntime.session import NAME, library, library_errors, threads_of
from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.dims import bounds, evaluate, product
from webnn_runtime.format.errors import ExecutionError, ShapeError
from webnn_runtime.format.graph import Array, Graph

__all__ = ["OnnxRuntimeExecutable"]


class OnnxRuntimeExecutable(Executable):
    """Runs a graph as one onnxruntime session; sessions are safe to run from many threads at once."""

    def __init__(self, graph: Graph, model: OnnxModel, options: CompileOptions) -> None:
        super().__init__(graph)
        self._model = model
        self._device = options.device
        self._threads = threads_of(options)
        self._session = KeptSession(model, options)
        self._errors = library_errors(library())
        self._outputs = tuple(graph.outputs)
        self._may_be_empty = all(
            bounds(product(kind.shape), graph.dims)[0] <= 0 for kind in graph.output_types.values()
        )

    def execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        model = self._model
        for need in model.needed:
            if evaluate(need.elements, bindings) == 0 and evaluate(need.results, bindings) > 0:
                raise ShapeError(f"{need.op}: {need.reason}", node=need.label, op=need.op)
        if self._may_be_empty:
            # onnxruntime's pools, transposed convolutions and resizings refuse to make no elements.
            shapes = {name: concrete_shape(kind, bindings) for name, kind in self.outputs.items()}
            if all(0 in shape for shape in shapes.values()):
                return {name: np.empty(shape, self.outputs[name].dtype.numpy) for name, shape in shapes.items()}
        feeds = {onnx_name: inputs[name] for name, onnx_name in model.inputs.items()}
        for onnx_name, dim in model.dims.items():
            feeds[onnx_name] = np.array([bindings[dim]], np.int64)
        try:
            results: list[Array] = self._session.run(model.outputs, feeds)
        except self._errors as exc:
            raise ExecutionError(f"onnxruntime failed: {exc}", backend=NAME) from exc
        return dict(zip(self._outputs, results, strict=True))

    def describe(self) -> dict[str, object]:
        return {
            "backend": NAME,
            "device": self._device,
            "threads": self._threads,
            "compute": "exact",
            "all_native": True,
            "providers": self._session.get_providers(),
            "version": library().__version__,
            "onnx_nodes": self._model.nodes,
        }
