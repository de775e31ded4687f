"""Turns calls into segments: native plans, and steps on the reference kernels where there is no native kernel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from webnn_runtime.backends.rust._assembly import Assembly, bytes_of
from webnn_runtime.backends.rust._calls import Call
from webnn_runtime.backends.rust._embeddings import join_embeddings
from webnn_runtime.backends.rust._errors import NATIVE, refused
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.dims import Dim, product
from webnn_runtime.format.graph import Array, Graph, Node, TensorType
from webnn_runtime.passes.batch import find_items

if TYPE_CHECKING:
    from webnn_kernels import Engine, Plan

__all__ = ["NativeSegment", "ReferenceSegment", "Segment", "rows_of_an_item", "segments"]

# Shapes of results are kept for as many sets of dimensions.
_MAX_SHAPES: Final = 1024


class Segment(ABC):
    """Some calls in a row.

    Attributes:
        reads: values it needs, in the order in which `run` takes them.
        makes: values it gives, in the order in which `run` returns them.
    """

    reads: tuple[str, ...]
    makes: tuple[str, ...]

    @abstractmethod
    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:
        """Compute; operands may have any memory layout, and results belong to the caller."""


class ReferenceSegment(Segment):
    """An operator on its reference kernel."""

    def __init__(self, node: Node, kinds: Sequence[TensorType]) -> None:
        self._node = node
        self._kinds = kinds
        self.reads = tuple(value for value in node.inputs if value is not None)
        self.makes = node.outputs
        self.label = node.op

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:
        given = iter(operands)
        aligned = [None if value is None else next(given) for value in self._node.inputs]
        from webnn_runtime.reference import evaluate

        return evaluate(self._node, aligned, bindings, self._kinds)


class NativeSegment(Segment):
    """A plan of the engine.

    Attributes:
        plan: the plan.
        steps: number of the step that makes a value.
        taken: constants that the plan has taken over, packed.
        patterns: what was fused, and how often.
        operators: operators by themselves, and how often.
    """

    def __init__(
        self,
        plan: Plan,
        names: tuple[str, ...],
        own: Assembly,
        makes: Mapping[str, TensorType],
    ) -> None:
        self.plan = plan
        self.steps = own.steps
        self._names = names
        self._kinds = tuple(makes.values())
        self._shapes: dict[tuple[int, ...], list[tuple[tuple[int, ...], np.dtype[np.generic]]]] = {}
        self.reads = tuple(own.reads)
        self.makes = tuple(makes)
        self.patterns = Counter(call.pattern for call in own.calls if call.pattern is not None)
        self.operators = Counter(call.operator for call in own.calls if call.pattern is None and call.kind != "view")
        self.taken = {
            str(call.operands[position])
            for call in own.calls
            if call.kind != "view"
            for position in plan.taken(own.steps[call.results[0]])
        }

    def run(self, operands: Sequence[Array], bindings: Mapping[str, int]) -> tuple[Array, ...]:
        values = tuple(bindings[name] for name in self._names)
        shapes = self._shapes.get(values)
        if shapes is None:
            shapes = [(concrete_shape(kind, bindings), kind.dtype.numpy) for kind in self._kinds]
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[values] = shapes
        try:
            results = tuple(np.empty(shape, dtype) for shape, dtype in shapes)
            self.plan.run(values, [bytes_of(array) for array in operands], [bytes_of(array) for array in results])
        except NATIVE as exc:
            raise refused(exc) from exc
        return results


def segments(
    graph: Graph, lowering: Values, engine: Engine, max_memory: int | None = None
) -> tuple[list[Segment], set[str]]:
    """The segments of a lowered graph in order, and the constants that reference steps or results read."""
    calls = join_embeddings(lowering.calls, lowering.types, graph.outputs.values())
    last_reads = {value: index for index, call in enumerate(calls) for value in call.reads}
    last_reads.update(dict.fromkeys(graph.outputs.values(), len(calls)))
    cutter = _Cutter(graph, engine, lowering, last_reads, max_memory)
    for index, call in enumerate(calls):
        cutter.add(index, call)
    cutter.finish(len(calls))
    plain = {value for step in cutter.found if isinstance(step, ReferenceSegment) for value in step.reads}
    plain |= set(graph.outputs.values())
    return cutter.found, plain & lowering.constants.keys()


class _Cutter:
    """Collects calls in a plan until one has no native kernel."""

    def __init__(
        self,
        graph: Graph,
        engine: Engine,
        lowering: Values,
        last_reads: Mapping[str, int],
        max_memory: int | None,
    ) -> None:
        self._max_memory = max_memory
        self.found: list[Segment] = []
        self._engine = engine
        self._names = tuple(graph.dims)
        self._lowering = lowering
        self._last_reads = last_reads
        self._items = find_items(graph)
        self._start()

    def _start(self) -> None:
        self._own = Assembly(self._engine, self._names, self._lowering.types, self._lowering.constants)

    def add(self, index: int, call: Call) -> None:
        """Put a call into the plan, or finish the plan and have the reference run the call."""
        try:
            self._own.add(call)
        except NotImplementedError:
            if call.node is None or call.kind != call.node.op:
                # The reference knows operators, and their operands under their own names.
                raise
            self.finish(index)
            kinds = [self._lowering.types[name] for name in call.node.outputs]
            self.found.append(ReferenceSegment(call.node, kinds))

    def finish(self, index: int) -> None:
        """Close the plan of what was collected before the call of this number."""
        own = self._own
        makes = [value for value in own.made if self._last_reads.get(value, -1) >= index]
        if makes:
            self._allow_chunks(makes)
            kinds = {value: self._lowering.types[value] for value in makes}
            self.found.append(NativeSegment(own.build(makes, self._max_memory), self._names, own, kinds))
        self._start()

    def _allow_chunks(self, makes: list[str]) -> None:
        """Let the plan be cut along the batch, if every result has items and every input has items or is free."""
        items, own = self._items, self._own
        if items is None or not items.values.issuperset(makes):
            return
        if not (items.values | items.free).issuperset(own.reads):
            return
        kinds = [self._lowering.types[value] for value in own.reads if value in items.values]
        if kinds:
            rows = product(max((rows_of_an_item(kind) for kind in kinds), key=len))
            own.builder.batch(items.name, [value in items.values for value in own.reads], own.dim(rows))


def rows_of_an_item(kind: TensorType) -> tuple[Dim, ...]:
    """The dimensions whose product says how many rows an item of a batch brings, for the size of chunks.

    [batch, tokens, hidden] and [batch, tokens] of ids have rows of one token, [batch, features] has one row, and an
    image as many as its channels have lines.
    """
    return kind.shape[1:-1] if kind.dtype.is_float else kind.shape[1:]
