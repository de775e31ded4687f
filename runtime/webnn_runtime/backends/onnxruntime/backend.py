"""The backend: checks for gaps, lowers, opens a session."""

from __future__ import annotations

from webnn_runtime.backends.base import (
    Backend,
    CompileOptions,
    Executable,
    refuse_impossible,
    refuse_max_memory,
    refuse_unsupported,
)
from webnn_runtime.backends.onnxruntime.executable import OnnxRuntimeExecutable
from webnn_runtime.backends.onnxruntime.lower import lower
from webnn_runtime.backends.onnxruntime.lowering import UNSUPPORTED
from webnn_runtime.backends.onnxruntime.session import NAME, library
from webnn_runtime.format.graph import Graph

__all__ = ["BACKEND", "OnnxRuntimeBackend"]


class OnnxRuntimeBackend(Backend):
    """Runs a graph with ONNX Runtime."""

    name = NAME
    unsupported = UNSUPPORTED

    def require(self) -> None:
        library()

    def compile(self, graph: Graph, options: CompileOptions | None = None) -> Executable:
        chosen = options or CompileOptions()
        refuse_impossible(self, chosen)
        refuse_unsupported(self, graph)
        refuse_max_memory(self, chosen)
        return OnnxRuntimeExecutable(graph, lower(graph), chosen)


BACKEND = OnnxRuntimeBackend()
