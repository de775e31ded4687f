"""MLGraphBuilder and MLOperand: one method per row of the operator table, in both spellings.

Every method takes the operands the specification makes positional, then its positional arguments
(softmax axis, reshape newShape, ...), then options as keywords or as one dictionary:

    builder.softmax(x, 1)
    builder.layerNormalization(x, {"axes": [2], "epsilon": 1e-12, "label": "ln"})
    builder.layer_normalization(x, axes=[2], epsilon=1e-12, label="ln")
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from webnn_runtime.api.errors import InvalidStateError, MLTypeError, with_label
from webnn_runtime.api.graph import MLGraph
from webnn_runtime.api.tensor import Buffer, MLTensor, array_from_buffer, tensor_type
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.errors import GraphError
from webnn_runtime.format.ops import OPS, OpSpec, snake_case

if TYPE_CHECKING:
    from webnn_runtime.api.context import MLContext

__all__ = ["MLGraphBuilder", "MLOperand"]


class MLOperand:
    """A value of one builder (WebNN section "The MLOperand interface")."""

    __slots__ = ("_builder", "_value")

    def __init__(self, builder: MLGraphBuilder, value: Value) -> None:
        self._builder = builder
        self._value = value

    @property
    def data_type(self) -> str:
        """WebNN name of the data type."""
        return self._value.dtype.value

    @property
    def shape(self) -> tuple[Any, ...]:
        """Dimensions; integers, or symbolic in an extended graph."""
        return self._value.shape

    dataType = data_type

    def __repr__(self) -> str:
        return f"MLOperand({self._value.type})"


class MLGraphBuilder:
    """Collects operands and builds one graph (WebNN section "The MLGraphBuilder interface").

    Operator methods are made from the operator table; `builder.pyi` beside this file lists their
    signatures for editors.
    """

    def __init__(self, context: MLContext) -> None:
        context._require_alive()
        self._context = context
        self._builder: GraphBuilder | None = GraphBuilder()
        self._sources: set[str] = set()
        self._constant_tensors: list[MLTensor] = []

    @property
    def context(self) -> MLContext:
        """The context graphs are built for."""
        return self._context

    def input(self, name: str, data_type: str, shape: list[int] | tuple[int, ...]) -> MLOperand:
        """Declare a graph input.

        Raises:
            InvalidStateError: the builder is spent or the context lost.
            MLTypeError: an empty or taken name, or an invalid descriptor.
        """
        builder = self._open()
        kind = tensor_type(data_type, shape)
        if not isinstance(name, str):
            raise MLTypeError(f"input: name {name!r} is not a string")
        try:
            value = builder.input(name, kind.dtype, kind.shape)
        except GraphError as exc:
            raise MLTypeError(f"input: {exc}") from exc
        return self._source(value)

    def constant(
        self,
        value: MLTensor | Buffer | float | int,
        data_type: str | None = None,
        shape: list[int] | tuple[int, ...] | None = None,
    ) -> MLOperand:
        """A constant from an array, from bytes with type and shape, from a number with a type, or from a tensor.

        Raises:
            InvalidStateError: the builder is spent or the context lost.
            MLTypeError: an invalid descriptor or buffer, or a tensor that is no constant tensor of this context.
        """
        builder = self._open()
        if isinstance(value, MLTensor):
            if value.context is not self._context or value.destroyed or not value.constant:
                raise MLTypeError("constant: give a live tensor made by create_constant_tensor of this context")
            self._constant_tensors.append(value)
            return self._source(builder.constant(value.storage()))
        if isinstance(value, (int, float)):
            if data_type is None:
                raise MLTypeError("constant: a number needs a data type")
            return self._source(builder.constant(_cast_number(value, data_type)))
        if isinstance(value, np.ndarray):
            data_type = data_type if data_type is not None else value.dtype.name
            shape = shape if shape is not None else value.shape
        if data_type is None or shape is None:
            raise MLTypeError("constant: bytes need a data type and a shape")
        kind = tensor_type(data_type, shape)
        return self._source(builder.constant(array_from_buffer(value, kind, "constant").copy()))

    def build(self, outputs: Mapping[str, MLOperand]) -> MLGraph:
        """The graph of everything the outputs depend on; the builder is spent afterwards.

        Raises:
            InvalidStateError: the builder is spent or the context lost.
            MLTypeError: no outputs, an empty name, or an operand that is an input, a constant or another builder's.
            OperationError: the backend cannot run the graph.
        """
        builder = self._open()
        if not outputs:
            raise MLTypeError("build: no outputs; name at least one")
        values: dict[str, Value] = {}
        for name, operand in outputs.items():
            if not name:
                raise MLTypeError("build: an output needs a name that is not empty")
            value = self._value(operand, "build")
            if value.name in self._sources:
                raise MLTypeError(f"build: output '{name}' is an input or a constant; wrap it in identity")
            values[name] = value
        if any(tensor.destroyed for tensor in self._constant_tensors):
            raise MLTypeError("build: a constant tensor was destroyed before the build")
        try:
            graph = builder.build(values)
        except GraphError as exc:
            raise MLTypeError(f"build: {exc}") from exc
        self._builder = None
        return self._context._adopt(MLGraph(self._context, graph, self._context.compile(graph)))

    def _open(self) -> GraphBuilder:
        self._context._require_alive()
        if self._builder is None:
            raise InvalidStateError("the builder has built its graph; create another one")
        return self._builder

    def _source(self, value: Value) -> MLOperand:
        self._sources.add(value.name)
        return MLOperand(self, value)

    def _value(self, operand: object, what: str) -> Value:
        if not isinstance(operand, MLOperand):
            raise MLTypeError(f"{what}: {operand!r} is not an MLOperand; make one with input or constant")
        if operand._builder is not self:
            raise MLTypeError(f"{what}: an operand belongs to another builder")
        return operand._value

    def _call(self, spec: OpSpec, arguments: tuple[object, ...], keywords: dict[str, object]) -> Any:
        builder = self._open()
        label = ""
        try:
            given = _gather_arguments(spec, arguments, keywords)
            label = str(given.pop("label", ""))
            operands: list[Value | None] = []
            for row in spec.operands:
                operand = given.pop(row.name, None)
                if row.variadic:
                    if not isinstance(operand, (list, tuple)):
                        raise MLTypeError(f"{spec.name}: operand '{row.name}' is a list of operands")
                    operands.extend(self._value(item, spec.name) for item in operand)
                else:
                    operands.append(self._value(operand, spec.name) if operand is not None else None)
            options: dict[str, Any] = given
            results = builder.op_many(spec.name, *operands, label=label, **options)
        except (GraphError, MLTypeError) as exc:
            raise MLTypeError(with_label(str(exc), label)) from exc
        if len(results) == 1 and len(spec.results) == 1 and not spec.results[0].variadic:
            return MLOperand(self, results[0])
        return [MLOperand(self, value) for value in results]


def positional_names(spec: OpSpec) -> list[str]:
    """Parameters in the order of the specification's method: operands, then positional arguments."""
    names = [row.name for row in spec.operands if not row.optional]
    positional = [option for option in spec.options if option.positional]
    return names + [option.name for option in sorted(positional, key=lambda option: option.positional)]


def _gather_arguments(spec: OpSpec, arguments: tuple[object, ...], keywords: dict[str, object]) -> dict[str, object]:
    """One dictionary of operands and options in WebNN spelling from all the ways to pass them."""
    order = positional_names(spec)
    options: Mapping[str, object] = {}
    if len(arguments) > len(order):
        *arguments_, last = arguments
        if len(arguments) > len(order) + 1 or not isinstance(last, Mapping):
            raise MLTypeError(f"{spec.name} takes {', '.join(order)} and options; {len(arguments)} arguments are given")
        arguments, options = tuple(arguments_), last
    given: dict[str, object] = dict(zip(order, arguments, strict=False))
    spellings = {snake_case(name): name for name in _all_names(spec)}
    for key, value in [*options.items(), *keywords.items()]:
        name = spellings.get(key, key)
        if name in given:
            raise MLTypeError(f"{spec.name}: '{key}' is given twice")
        given[name] = value
    missing = [name for name in order if name not in given]
    if missing:
        raise MLTypeError(f"{spec.name} lacks {', '.join(missing)}")
    return given


def _all_names(spec: OpSpec) -> list[str]:
    return [row.name for row in spec.operands] + [option.name for option in spec.options]


def _cast_number(value: int | float, data_type: str) -> np.ndarray[Any, Any]:
    """The specification's "cast a number": clamp integers into range, then round half to even; NaN is 0."""
    kind = tensor_type(data_type, ())
    if kind.dtype.is_float:
        with np.errstate(over="ignore"):
            return np.asarray(value, kind.dtype.numpy)
    low, high = kind.dtype.bounds
    if isinstance(value, float):
        value = 0 if np.isnan(value) else (high if value > high else low if value < low else round(value))
    return np.asarray(min(max(value, low), high), kind.dtype.numpy)


def _method(spec: OpSpec, name: str) -> Callable[..., Any]:
    def method(self: MLGraphBuilder, *arguments: object, **keywords: object) -> Any:
        return self._call(spec, arguments, keywords)

    method.__name__ = name
    method.__qualname__ = f"MLGraphBuilder.{name}"
    method.__doc__ = (
        f"{spec.doc}\n\nRaises:\n    MLTypeError: an operand or option that `{spec.name}` does not allow.\n"
    )
    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)]
    order = positional_names(spec)
    parameters += [inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD) for key in order]
    rest = [key for key in _all_names(spec) if key not in order]
    parameters += [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None) for key in (*rest, "label")]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # functions take it
    return method


for _spec in OPS.values():
    for _name in {_spec.name, snake_case(_spec.name)}:
        # `where`, `max`, `abs`, ... are fine as attributes; nothing here is a Python keyword.
        setattr(MLGraphBuilder, _name, _method(_spec, _name))
del _spec, _name
