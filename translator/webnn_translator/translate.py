"""ONNX model -> WebNN graph.

Every node is either translated exactly or refused with a reason; all refusals are collected, so that one
run tells everything that stands in the way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import GraphError
from webnn_runtime.format.graph import DimCheck, Graph
from webnn_translator._errors import (
    DynamicShape,
    InvalidModel,
    Refusal,
    Refused,
    TranslateError,
    UnsupportedOp,
    UnsupportedType,
)
from webnn_translator.context import Context
from webnn_translator.dimensions import DimTable, NamedDim
from webnn_translator.elements import Elem
from webnn_translator.emitter import Emitter
from webnn_translator.external import ExternalFiles
from webnn_translator.given_inputs import is_bindable
from webnn_translator.initializers import elem_of
from webnn_translator.lowering import Lowering
from webnn_translator.model import check_names, check_text, live_nodes, opset_versions, ordered
from webnn_translator.naming import Names, identifier, rename
from webnn_translator.narrowing import left_by
from webnn_translator.passes.int32 import CARRIED_AS_INT32, as_int32
from webnn_translator.tensor import Tensor

if TYPE_CHECKING:
    import onnx

__all__ = ["NamedDim", "Translation", "translate"]


@dataclass(frozen=True, slots=True)
class Translation:
    """A model as a WebNN graph.

    Attributes:
        graph: the graph.
        input_names: ONNX input name -> name in the graph, in declared order.
        output_names: ONNX output name -> name in the graph, in declared order.
        weight_names: ONNX initializer name -> name in the graph, for those that the graph holds.
        dims: named dimensions that stayed free.
        source_types: graph inputs and outputs whose ONNX type WebNN lacks -> that type.
        mappings: ONNX type that WebNN lacks -> what it means that another one carries it.
        values: ONNX value name -> its type and shape, of every tensor that was met.
        empty_inputs: ONNX input without elements, which the graph lacks -> its shape.
        empty_outputs: ONNX outputs without elements, which the graph lacks.
        output_labels: output -> labels of its columns, where the model gives a dictionary for each row.
        float_states: nodes whose kernel in ONNX Runtime rounds its states, and that do not here.
        notes: facts a user of the graph should know.
    """

    graph: Graph
    input_names: Mapping[str, str]
    output_names: Mapping[str, str]
    weight_names: Mapping[str, str]
    dims: tuple[NamedDim, ...]
    source_types: Mapping[str, Elem]
    mappings: Mapping[str, str]
    values: Mapping[str, tuple[Elem, tuple[Dim, ...]]]
    empty_inputs: Mapping[str, tuple[Dim, ...]]
    empty_outputs: tuple[str, ...]
    output_labels: Mapping[str, tuple[int | str, ...]]
    float_states: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def unbounded(self) -> tuple[str, ...]:
        """Names of dimensions that nothing bounds."""
        return tuple(dim.name for dim in self.dims if dim.max_size is None)


def translate(
    model: onnx.ModelProto,
    *,
    name: str = "",
    file: Path | None = None,
    dims: Mapping[str, int] | None = None,
    max_dims: Mapping[str, int] | None = None,
    min_dims: Mapping[str, int] | None = None,
    int64: str = "keep",
    lstm_states: str = "keep",
) -> Translation:
    """Translate a model.

    Args:
        model: the model; external data may still be in its files.
        name: name of the graph; the model's own when empty.
        file: the model's file, beside or in which external data lies.
        dims: dimension name -> value, for dimensions to be fixed.
        max_dims: dimension name -> largest value.
        min_dims: dimension name -> smallest value, where it is not 1: 0 for a cache that may be empty.
        int64: "keep", or "int32" to carry int64 by int32 where that is proved to be the same.
        lstm_states: "keep", or "float32" for quantised LSTMs that do not round their data and states.

    Raises:
        TranslateError: it cannot be expressed; the leaf says why.
    """
    check_text(model)
    check_names(model.graph)
    versions = opset_versions(model)
    tensors = [value for value in _declared_inputs(model) if _is_tensor(value)]
    table = DimTable(tensors, dims or {}, max_dims or {}, min_dims or {})
    run = _Translation(model, name, file, table, versions)
    if lstm_states == "float32":
        run.ctx.float_states = []
    return run.run(int64)


def _declared_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs without a default: one that is an initializer too is a constant."""
    held = {tensor.name for tensor in model.graph.initializer}
    held |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    return [value for value in model.graph.input if value.name not in held]


def _is_tensor(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.WhichOneof("value")
    return kind is None or kind == "tensor_type"


class _Translation:
    """State of one run."""

    def __init__(
        self,
        model: onnx.ModelProto,
        name: str,
        file: Path | None,
        table: DimTable,
        versions: Mapping[str, int],
    ) -> None:
        self.model = model
        self.inputs = _declared_inputs(model)
        self.table = table
        self.emit = Emitter(identifier(name or model.graph.name or "graph"), self.table.free())
        self.ctx = Context(self.emit)
        self.lowering = Lowering(model, self.ctx, None if file is None else ExternalFiles(file), versions)

    def run(self, int64: str) -> Translation:
        graph = self.model.graph
        available = {value.name for value in self.inputs} | self.lowering.initializers.keys()
        nodes = ordered(graph.node, available)
        outputs = [value.name for value in graph.output]
        if not outputs:
            raise InvalidModel("the graph has no outputs")
        for output in outputs:
            if output not in available and not any(output in node.output for node in nodes):
                raise InvalidModel(f"output '{output}' is made by no node")
        self._declare_inputs()
        for node in live_nodes(nodes, outputs):
            self.lowering.lower(node)
        self._raise_refusals()
        return self._finish(outputs, int64)

    def _declare_inputs(self) -> None:
        lowering = self.lowering
        for value in self.inputs:
            if value.name in lowering.values or value.name in lowering.unknown:
                raise InvalidModel(f"input '{value.name}' is declared twice")
            if not _is_tensor(value):
                kind = str(value.type.WhichOneof("value")).removesuffix("_type")
                reason = f"it is of the type {kind}; WebNN has tensors only"
                lowering.refusals.append(Refusal(value.name, "input", reason))
                lowering.unknown.add(value.name)
                continue
            try:
                elem = elem_of(value.type.tensor_type.elem_type, "it")
            except UnsupportedType as exc:
                lowering.refusals.append(Refusal(value.name, "input", exc.reason))
                lowering.unknown.add(value.name)
                continue
            shape = self.table.shapes[value.name]
            if 0 in shape:
                lowering.define(value.name, self.ctx.nothing(elem, shape))
                continue
            wire = self.ctx.wire(elem)
            operand = self.emit.builder.input(f"in{len(lowering.values)}", wire, shape)
            if elem.is_integer or elem is Elem.BOOL:
                self.emit.declare(operand, *elem.integer_range)
            if len(shape) <= 1 and is_bindable(elem):
                self.ctx.settings[operand.name] = value.name
            lowering.define(value.name, self.ctx.tensor(operand, elem))

    def _raise_refusals(self) -> None:
        lowering = self.lowering
        if not lowering.refusals:
            return
        opset = lowering.versions.get("")
        if all(refusal.dims for refusal in lowering.refusals):
            missing: dict[str, str] = {}
            for refusal in lowering.refusals:
                for dim in refusal.dims:
                    missing.setdefault(dim, f"node '{refusal.node}' ({refusal.op_type}): {refusal.reason}")
            raise DynamicShape(missing, opset=opset, refusals=lowering.refusals, unexamined=lowering.unexamined)
        raise UnsupportedOp(lowering.refusals, opset=opset, unexamined=lowering.unexamined)

    def _finish(self, outputs: Sequence[str], int64: str) -> Translation:
        names, lowering = Names(), self.lowering
        outputs, hollow = self._with_elements(outputs)
        input_names = {value.name: names.unique(value.name, exact=True) for value in self.inputs}
        output_names = {output: names.unique(output, exact=True) for output in dict.fromkeys(outputs)}
        built = self._built(output_names)
        mapping = {f"out:{final}": final for final in output_names.values()}
        for position, value in enumerate(self.inputs):
            mapping[f"in{position}"] = input_names[value.name]
        for name in _value_names(built):
            if name not in mapping:
                mapping[name] = names.unique(lowering.claimed.get(name) or self.emit.origins.get(name) or "c")
        graph = rename(built, mapping)
        wide = graph.types
        if int64 == "int32":
            graph = as_int32(graph)
        unused = [value.name for value in self.inputs if input_names[value.name] not in graph.inputs]
        empty = {name: shape for name in unused if 0 in (shape := self.table.shapes[name])}
        labels = {output_names[name]: found for name, found in self.ctx.labels.items() if name in output_names}
        kept_inputs = {onnx_name: final for onnx_name, final in input_names.items() if onnx_name not in unused}
        source_types = {
            final: elem
            for onnx_name, final in (*kept_inputs.items(), *output_names.items())
            if (elem := lowering.tensor(onnx_name).elem).mapping or graph.types[final] != wide[final]
        }
        mappings = {elem.text: elem.mapping for elem in sorted(self.ctx.mapped | set(source_types.values()))}
        if int64 == "int32" and any(kind.dtype is DataType.INT64 for kind in wide.values()):
            mappings[Elem.INT64.text] = CARRIED_AS_INT32
        weight_names = {
            origin: mapping[name]
            for name in built.constants
            if (origin := self.emit.origins.get(name)) is not None and origin in lowering.initializers
        }
        described = self.table.describe(graph.dims, self.ctx.derived)
        notes = [*self._notes(unused, empty, hollow, labels), *self.table.narrowed(described)]
        values = {name: (one.elem, one.shape) for name, one in lowering.values.items() if isinstance(one, Tensor)}
        return Translation(
            graph,
            kept_inputs,
            output_names,
            weight_names,
            described,
            source_types,
            mappings,
            values,
            empty,
            tuple(hollow),
            labels,
            tuple(self.ctx.float_states or ()),
            tuple(notes),
        )

    def _notes(
        self,
        unused: Sequence[str],
        empty: Collection[str],
        hollow: Sequence[str],
        labels: Mapping[str, Sequence[object]],
    ) -> Iterator[str]:
        """What a person should know of the result."""
        yield from self.ctx.notes
        for name in unused:
            if name not in empty:
                yield f"input '{name}' has no influence on the outputs and is left out"
        for name, found in labels.items():
            listed = ", ".join(map(repr, found))
            yield f"output '{name}' has a column for each label, {listed}; the model has dictionaries"
        if hollow:
            yield f"outputs without elements are left out, {len(hollow)} of them: {', '.join(hollow)}"
        if empty:
            yield f"inputs without elements are left out, {len(empty)} of them: {', '.join(empty)}"
        if rounded := self.ctx.float_states:
            yield f"data and states of quantised LSTMs stay float32: {', '.join(rounded)}"

    def _built(self, output_names: Mapping[str, str]) -> Graph:
        """The graph under the names that values got on the way."""
        operands: dict[str, Value] = {}
        self.emit.stem = "output"
        for output, final in output_names.items():
            try:
                operands[f"out:{final}"] = self.ctx.full(self.lowering.tensor(output))
            except (Refused, GraphError) as exc:
                raise TranslateError(f"output '{output}': {exc.reason}") from exc
        graph = self.emit.builder.build(operands)
        return self.emit.builder.build(operands) if self._narrowed(graph.checks) else graph

    def _narrowed(self, checks: Sequence[DimCheck]) -> bool:
        """Leave out sizes that every run refuses, as all but those of an exporter's example; whether there are any."""
        ranges = self.emit.builder.dims
        before = dict(ranges)
        # What one condition leaves may decide another.
        for _ in before:
            for check in checks:
                why = f"{check.what.partition(':')[0]} needs {check.left} {check.relation} {check.right}"
                try:
                    for one in left_by(check, ranges):
                        self.ctx.restrict(one, why)
                except ValueError as exc:
                    raise TranslateError(f"the model runs at no size: {why}, and {exc}") from exc
        return ranges != before

    def _with_elements(self, outputs: Sequence[str]) -> tuple[list[str], list[str]]:
        """The outputs that have elements, and those that never have any, as the unused caches of a merged decoder."""
        found = {output: self.lowering.find(output) for output in outputs}
        hollow = [name for name, one in found.items() if isinstance(one, Tensor) and 0 in one.shape]
        # Without any other output there is no graph, which is refused with the first of them.
        if len(hollow) == len(found):
            return [*outputs], []
        return [name for name in outputs if name not in hollow], hollow


def _value_names(graph: Graph) -> Iterable[str]:
    yield from graph.inputs
    yield from graph.constants
    for node in graph.nodes:
        yield from node.outputs
