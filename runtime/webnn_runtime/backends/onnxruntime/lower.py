"""A whole WebNN graph as one ONNX model."""

from __future__ import annotations

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor
from webnn_runtime.backends.onnxruntime.lowering import LOWERINGS
from webnn_runtime.backends.onnxruntime.model import OnnxModel
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.ops.spec import keywords
from webnn_runtime.passes.gelu import find_gelu

__all__ = ["lower"]


def lower(graph: Graph) -> OnnxModel:
    """Lower every node in order; the graph holds no operator that is a stated gap.

    Raises:
        WeightsError: a constant has no values.
        UnsupportedByBackend: a combination of options that only the node shows.
    """
    emitter = Emitter(graph)
    values: dict[str, Tensor] = {name: emitter.input(name) for name in graph.inputs}
    for name, constant in graph.constants.items():
        values[name] = Tensor(emitter.constant(constant.values, constant.type.dtype), constant.type)
    # onnxruntime recognises fewer spellings of GELU than the exporters have.
    gelus = {match.result: match.source for match in find_gelu(graph)}
    inside = frozenset().union(*(match.nodes - {match.result} for match in find_gelu(graph)))
    for node in graph.nodes:
        if node.name in inside:
            continue
        emitter.label = node.label or node.name
        emitter.results = tuple(graph.types[output] for output in node.outputs)
        if node.name in gelus:
            values[node.name] = emitter.describe(emitter.node("Gelu", values[gelus[node.name]]), emitter.results[0])
            continue
        operands = [values[value] if value is not None else None for value in node.inputs]
        arguments = [operands] if OPS[node.op].is_variadic else operands
        found = LOWERINGS[node.op](emitter, *arguments, **keywords(dict(node.options)))
        results = found if isinstance(found, tuple) else (found,)
        for output, result, kind in zip(node.outputs, results, emitter.results, strict=True):
            values[output] = emitter.describe(result, kind)
    return emitter.finish([values[value] for value in graph.outputs.values()])
