"""MLGraphBuilder and MLOperand: inputs, constants, operators (see `operators`) and the build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from webnn_runtime.api.errors import InvalidStateError, MLTypeError, with_label
from webnn_runtime.api.graph import MLGraph
from webnn_runtime.api.kept import Kept
from webnn_runtime.api.operators import Operators
from webnn_runtime.api.tensor import Buffer, Descriptor, MLTensor, array_from_buffer, read_descriptor, tensor_type
from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dtypes import DataType, cast_number
from webnn_runtime.format.errors import GraphError
from webnn_runtime.format.graph import Array
from webnn_runtime.format.ops import OpSpec

if TYPE_CHECKING:
    from webnn_runtime.api.context import MLContext

__all__ = ["MLGraphBuilder", "MLOperand"]


class MLOperand(Kept):
    """A value of one builder (WebNN section "The MLOperand interface").

    Example:
        >>> from webnn_runtime import ML, MLGraphBuilder
        >>> builder = MLGraphBuilder(ML().create_context())
        >>> builder.softmax(builder.input("x", [2, 3], "float32"), 1)
        MLOperand(f32[2, 3])
    """

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


class MLGraphBuilder(Operators, Kept):
    """Collects operands and builds one graph (WebNN section "The MLGraphBuilder interface").

    The operator methods come from `Operators`.

    Example:
        >>> from webnn_runtime import ML, MLGraphBuilder
        >>> context = ML().create_context()
        >>> builder = MLGraphBuilder(context)
        >>> x = builder.input("x", [2, 3], "float32")
        >>> graph = builder.build({"y": builder.relu(x)})
        >>> graph
        MLGraph(x: f32[2, 3] -> y: f32[2, 3])
    """

    def __init__(self, context: MLContext) -> None:
        if not hasattr(context, "_require_alive"):
            raise MLTypeError(f"MLGraphBuilder: {context!r} is no MLContext; ML().create_context() makes one")
        context._require_alive()
        self._context = context
        self._builder: GraphBuilder | None = GraphBuilder()
        self._sources: set[str] = set()
        self._constant_tensors: list[MLTensor] = []

    def __repr__(self) -> str:
        state = "spent" if self._builder is None else "open"
        return f"MLGraphBuilder({self._context!r}, {state})"

    @property
    def context(self) -> MLContext:
        """The context graphs are built for."""
        return self._context

    def input(self, name: str, shape: Descriptor, data_type: str | None = None) -> MLOperand:
        """Declare a graph input.

        Args:
            name: any text that is not empty.
            shape: dimensions, or the specification's dictionary (dataType, shape).
            data_type: WebNN name of the type, beside a shape.

        Raises:
            InvalidStateError: the builder is spent or the context lost.
            MLTypeError: an empty or taken name, or an invalid descriptor.
        """
        builder = self._open()
        kind, _ = read_descriptor(shape, data_type)
        if not isinstance(name, str):
            raise MLTypeError(f"input: name {name!r} is not a string")
        try:
            value = builder.input(name, kind.dtype, kind.shape)
        except GraphError as exc:
            raise MLTypeError(f"input: {exc}") from exc
        return self._source(value)

    def constant(
        self,
        value: MLTensor | Mapping[str, object] | Buffer | Sequence[Any] | str | float,
        shape: Sequence[int] | Buffer | float | None = None,
        data_type: str | None = None,
    ) -> MLOperand:
        """A constant; bytes are copied at the call.

        Called as the specification says, with a descriptor and a buffer, with a type and a number, or with a
        constant tensor; or with a value (array, bytes, list, number) and, where it does not say them, a shape and
        a type.

        Raises:
            InvalidStateError: the builder is spent or the context lost.
            MLTypeError: an invalid descriptor or buffer, or a tensor that is no constant tensor of this context.
        """
        builder = self._open()
        if isinstance(value, MLTensor):
            if value.context is not self._context or value.destroyed or not value.constant:
                raise MLTypeError("constant: give a live tensor made by create_constant_tensor of this context")
            self._constant_tensors.append(value)
            return self._source(builder.constant(value.storage(), value._type.dtype))
        if isinstance(value, Mapping):
            kind, _ = read_descriptor(value, data_type)
            values = array_from_buffer(cast("Buffer", shape), kind, "constant").copy()
            return self._source(builder.constant(values, kind.dtype))
        if isinstance(value, str):
            if not isinstance(shape, (int, float)):
                raise MLTypeError(f"constant: {shape!r} is not a number")
            return self._source(builder.constant(*_scalar(shape, value)))
        return self._source(builder.constant(*_constant_array(value, shape, data_type)))

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
        if not hasattr(outputs, "items"):
            raise MLTypeError(f"build: outputs are a {type(outputs).__name__}; give a dict from name to operand")
        values: dict[str, Value] = {}
        for name, operand in outputs.items():
            if not isinstance(name, str):
                raise MLTypeError(f"build: output name {name!r} is not a string")
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

    def add_node(self, spec: OpSpec, given: dict[str, object]) -> Any:
        """Add one node; what the operator methods call."""
        builder = self._open()
        rest = dict(given)
        label = str(rest.pop("label", None) or "")
        try:
            operands: list[Value | None] = []
            for row in spec.operands:
                operand = rest.pop(row.name, None)
                if row.variadic:
                    if not isinstance(operand, (list, tuple)):
                        raise MLTypeError(f"{spec.name}: operand '{row.name}' is a list of operands")
                    operands.extend(self._value(item, spec.name) for item in operand)
                else:
                    operands.append(self._value(operand, spec.name) if operand is not None else None)
            options: dict[str, Any] = rest
            results = builder.op_many(spec.name, *operands, label=label, **options)
        except (GraphError, MLTypeError) as exc:
            raise MLTypeError(with_label(str(exc), label)) from exc
        if len(results) == 1 and len(spec.results) == 1 and not spec.results[0].variadic:
            return MLOperand(self, results[0])
        return [MLOperand(self, value) for value in results]


def _constant_array(value: object, shape: object, data_type: str | None) -> tuple[Array, DataType]:
    """An array, and its type, from a value that brings its own shape or type, or has them named."""
    if isinstance(value, np.ndarray):
        if data_type is None and value.dtype.name not in [each.value for each in DataType]:
            raise MLTypeError(
                f"constant: the array is {value.dtype.name}, which WebNN lacks; convert it, as by astype(np.float32)"
            )
        data_type = data_type if data_type is not None else value.dtype.name
        kind = tensor_type(data_type, shape if shape is not None else value.shape)
        return array_from_buffer(value, kind, "constant").copy(), kind.dtype
    if data_type is None:
        raise MLTypeError("constant: only an array says its data type; name it")
    if isinstance(value, (int, float)):
        number, dtype = _scalar(value, data_type)
        filled: Array = np.full(tensor_type(data_type, shape if shape is not None else ()).static_shape, number)
        return filled, dtype
    if isinstance(value, (list, tuple)):
        array = _listed(value, data_type)
        kind = tensor_type(data_type, shape if shape is not None else array.shape)
        return array_from_buffer(array, kind, "constant"), kind.dtype
    if shape is None:
        raise MLTypeError("constant: bytes need a shape")
    kind = tensor_type(data_type, shape)
    return array_from_buffer(cast("Buffer", value), kind, "constant").copy(), kind.dtype


def _listed(values: Sequence[Any], data_type: str) -> Array:
    """The numbers of a list, each as it is, or the nearest one of a float type.

    Raises:
        MLTypeError: one that the type does not hold; nothing is cut or limited.
    """
    dtype = tensor_type(data_type, ()).dtype
    try:
        with np.errstate(over="raise"):
            array = np.array(values, dtype.numpy)
        exact = array if dtype.is_float else np.array(values)
    except (ValueError, TypeError, OverflowError, FloatingPointError) as exc:
        raise MLTypeError(f"constant: the list is no {data_type} array: {exc}") from exc
    if (exact != array).any() and not dtype.is_float:
        raise MLTypeError(f"constant: the list is no {data_type} array: {exact[exact != array][0]} is no whole number")
    return array


def _scalar(value: float, data_type: str) -> tuple[Array, DataType]:
    dtype = tensor_type(data_type, ()).dtype
    array: Array = np.asarray(cast_number(value, dtype), dtype.numpy)
    return array, dtype
