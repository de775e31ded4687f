"""The steps of a plan: what each reads, what it makes, and how it runs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from webnn_runtime.backends.rust._layout import dense, heads, permuted
from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.graph import Array, Graph, Node, TensorType
from webnn_runtime.passes.attention import AttentionMatch
from webnn_runtime.passes.layer_norm import LayerNormMatch
from webnn_runtime.passes.linear import LinearMatch
from webnn_runtime.reference import evaluate

if TYPE_CHECKING:
    from webnn_kernels import Engine

__all__ = [
    "ActivationStep",
    "AttentionStep",
    "LayerNormStep",
    "LinearStep",
    "MatmulStep",
    "ReferenceStep",
    "Step",
    "ViewStep",
]


class Step(ABC):
    """One step.

    Attributes:
        reads: values it needs, in the order in which `run` takes them.
        makes: values it gives, in the order in which `run` returns them.
        label: what it is, for reports.
        is_native: whether the engine computes it.
    """

    reads: tuple[str, ...]
    makes: tuple[str, ...]
    label: str
    is_native = True

    @abstractmethod
    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:
        """Compute; operands may have any memory layout, and results belong to the plan."""


class ReferenceStep(Step):
    """An operator on its reference kernel."""

    is_native = False

    def __init__(self, node: Node, kinds: Sequence[TensorType]) -> None:
        self._node = node
        self._kinds = kinds
        self.reads = tuple(value for value in node.inputs if value is not None)
        self.makes = node.outputs
        self.label = node.op

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:
        given = iter(operands)
        aligned = [None if value is None else next(given) for value in self._node.inputs]
        return evaluate(self._node, aligned, bindings, self._kinds)


class ViewStep(Step):
    """`reshape` or `transpose`: the same numbers under other strides, copied only where there are no such strides."""

    def __init__(self, graph: Graph, node: Node) -> None:
        self._axes = node.options["permutation"] if node.op == "transpose" else None
        self._type = graph.types[node.name]
        self.reads = tuple(value for value in node.inputs if value is not None)
        self.makes = node.outputs
        self.label = node.op

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:
        (x,) = operands
        if self._axes is not None:
            return (x.transpose(self._axes),)  # type: ignore[arg-type]  # the table says they are integers
        return (x.reshape(concrete_shape(self._type, bindings)),)


class LinearStep(Step):
    """A product with constant weights, packed once, and its epilogue."""

    def __init__(self, engine: Engine, match: LinearMatch) -> None:
        self._engine = engine
        self._weights = engine.pack(permuted(match.weights))
        self._bias = None if match.bias is None else dense(match.bias)
        self._activation = match.activation
        self.reads = match.operands
        self.makes = (match.result,)
        self.label = match.label

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:  # noqa: ARG002
        source, *rest = (dense(operand) for operand in operands)
        residual = rest[0] if rest else None
        out = np.empty((*source.shape[:-1], self._weights.shape[1]), np.float32)
        return (self._engine.linear(source, self._weights, self._bias, self._activation, residual, out),)


class MatmulStep(Step):
    """A product of two computed matrices, or of a batch of them."""

    label = "matmul"

    def __init__(self, engine: Engine, node: Node) -> None:
        self._engine = engine
        self.reads = tuple(value for value in node.inputs if value is not None)
        self.makes = node.outputs

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:  # noqa: ARG002
        a, b = operands
        return (self._engine.matmul(dense(a), permuted(b)),)


class LayerNormStep(Step):
    """A layer normalisation over the last axes."""

    label = "layerNormalization"

    def __init__(self, engine: Engine, match: LayerNormMatch) -> None:
        self._engine = engine
        self._match = match
        self.reads = match.operands
        self.makes = (match.result,)

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:  # noqa: ARG002
        match = self._match
        x, *rest = (dense(operand) for operand in operands)
        scale = rest.pop(0).reshape(-1) if match.scale is not None else None
        bias = rest.pop(0).reshape(-1) if match.bias is not None else None
        rows = x.reshape(-1, math.prod(x.shape[-match.axes :]))
        out = np.empty(rows.shape, np.float32)
        return (self._engine.layer_norm(rows, scale, bias, match.epsilon, out).reshape(x.shape),)


class ActivationStep(Step):
    """An activation that follows no product."""

    def __init__(self, engine: Engine, activation: str, source: str, result: str) -> None:
        self._engine = engine
        self.reads = (source,)
        self.makes = (result,)
        self.label = activation

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:  # noqa: ARG002
        x = dense(operands[0])
        return (self._engine.activate(x, self.label, np.empty(x.shape, np.float32)),)


class AttentionStep(Step):
    """A whole attention; its result is a view whose heads can be merged without a copy."""

    def __init__(self, engine: Engine, match: AttentionMatch) -> None:
        self._engine = engine
        self._match = match
        self.reads = match.operands
        self.makes = (match.result,)
        self.label = match.label

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:  # noqa: ARG002
        match = self._match
        given = dict(zip(self.reads, operands, strict=True))
        q, k, v = given[match.q], given[match.k], given[match.v]
        rank = q.ndim
        if match.k_transposed:
            k = k.swapaxes(-1, -2)
        q, k, v = heads(q), heads(k), heads(v)
        bias = _over_scores(given[match.bias], rank, k.shape[2]) if match.bias is not None else None
        mask = None
        if match.mask is not None:
            mask = given[match.mask]
            if match.fill is not None:
                # A condition becomes ones where scores stay.
                mask = (mask != 0) if match.keep_if else (mask == 0)
            mask = _over_scores(mask, rank, k.shape[2])
        out = np.empty((q.shape[0], q.shape[2], q.shape[1], v.shape[3]), np.float32)
        self._engine.attention(
            q,
            k,
            v,
            match.scale,
            mask=mask,
            fill=match.fill,
            undefined_is_zero=match.undefined_is_zero,
            bias=bias,
            out=out,
        )
        result = out.swapaxes(1, 2)
        return (result if rank == 4 else result[:, 0],)


def _over_scores(values: Array, rank: int, keys: int) -> Array:
    """A mask or bias as the engine takes it: four dimensions, the last one the keys."""
    values = values.reshape((1,) * (rank - values.ndim) + values.shape)
    if rank == 3:
        values = values[:, None]
    return dense(np.broadcast_to(values, (*values.shape[:-1], keys)))
