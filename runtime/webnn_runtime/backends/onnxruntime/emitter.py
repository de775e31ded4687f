"""The ONNX graph under construction: nodes, constants, casts, and runtime dimensions.

Lowering functions get one `Emitter` and name values by strings that it generates: WebNN names may be any
Unicode text, ONNX names must not clash. What no output needs is dropped at the end, so emitting both
forms of a value (a boolean and its uint8) costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime import proto
from webnn_runtime.backends.onnxruntime.model import INLINE_BYTES, Call, Needed, OnnxModel, serialize
from webnn_runtime.backends.onnxruntime.types import BOOL, DOUBLE, ELEM_TYPES, KERNEL_TYPES, WIDER, passed_as
from webnn_runtime.format.dims import Dim, SymbolicDim, bounds, dim_max, product, rebuild, symbol
from webnn_runtime.format.dtypes import DataType, cast_number
from webnn_runtime.format.errors import UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph, TensorType
from webnn_runtime.format.records import dataclass

__all__ = ["Emitter", "Tensor", "as_attribute", "kernel_type"]

_LOWEST_INT64: Final = np.array(-(2**63), np.int64)


@dataclass(frozen=True, slots=True)
class Tensor:
    """An operand of a WebNN node: its ONNX name and its WebNN type."""

    name: str
    type: TensorType

    @property
    def dtype(self) -> DataType:
        """WebNN type."""
        return self.type.dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Dimensions."""
        return self.type.shape

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return self.type.rank


class Emitter:
    """Collects one ONNX graph.

    Attributes:
        label: name of the WebNN node being lowered, for messages of onnxruntime.
        results: types of its results.
    """

    def __init__(self, graph: Graph) -> None:
        self.label = ""
        self.results: tuple[TensorType, ...] = ()
        self._graph = graph
        self._calls: list[Call] = []
        self._producers: dict[str, str] = {}
        self._count = 0
        self._arrays: dict[str, tuple[Array, int]] = {}
        self._shared: dict[tuple[str, tuple[int, ...], bytes, int], str] = {}
        self._casts: dict[tuple[str, int], str] = {}
        self._truths: dict[str, str] = {}
        self._dims: dict[Dim, str] = {}
        self._dim_inputs: dict[str, str] = {}
        self._described: dict[str, TensorType] = {}
        self._needed: list[Needed] = []
        self._inputs = {name: f"input_{index}" for index, name in enumerate(graph.inputs)}

    # Values and nodes

    def input(self, name: str) -> Tensor:
        """The graph input called `name`."""
        kind, value = self._graph.inputs[name], self._inputs[name]
        return Tensor(value if passed_as(kind) == kind else self.cast(value, kind.dtype), kind)

    def node(self, op_type: str, *inputs: Tensor | str | None, **attributes: proto.Attribute | None) -> str:
        """Emit a node with one result; attributes that are None are left out."""
        return self.nodes(op_type, *inputs, results=1, **attributes)[0]

    def nodes(
        self,
        op_type: str,
        *inputs: Tensor | str | None,
        results: int,
        **attributes: proto.Attribute | None,
    ) -> tuple[str, ...]:
        """Emit a node with several results."""
        outputs = tuple(self._fresh("v") for _ in range(results))
        names = [value.name if isinstance(value, Tensor) else (value or "") for value in inputs]
        while names and not names[-1]:
            names.pop()
        given = {key: value for key, value in attributes.items() if value is not None}
        self._calls.append(Call(op_type, self.label, tuple(names), outputs, given))
        self._producers.update(dict.fromkeys(outputs, op_type))
        return outputs

    def producer(self, value: Tensor) -> str | None:
        """ONNX operator that computes a value; None for inputs and constants."""
        return self._producers.get(value.name)

    def describe(self, name: str, kind: TensorType) -> Tensor:
        """Note the WebNN type of a value, which onnxruntime's planner gets to see."""
        self._described[name] = kind
        return Tensor(name, kind)

    # Constants

    def constant(self, array: Array, dtype: DataType | None = None) -> str:
        """A constant; `dtype` names 4-bit types, all others follow from the array (bool and float64 too)."""
        elem_type = ELEM_TYPES[dtype] if dtype is not None else _elem_type(array)
        if array.nbytes > INLINE_BYTES:
            name = self._fresh("c")
        else:
            key = (array.dtype.str, array.shape, array.tobytes(), elem_type)
            name = self._shared.get(key) or self._shared.setdefault(key, self._fresh("c"))
        self._arrays[name] = (array, elem_type)
        return name

    def scalar(self, value: float | int, dtype: DataType) -> str:
        """A constant without dimensions."""
        return self.constant(np.array(value, dtype.numpy))

    def ints(self, values: Sequence[int]) -> str:
        """A constant int64 vector."""
        return self.constant(np.array(values, np.int64))

    def array(self, value: Tensor | str) -> Array | None:
        """The values of a constant; None for what only the run knows."""
        found = self._arrays.get(value.name if isinstance(value, Tensor) else value)
        return found[0] if found is not None else None

    # Types

    def cast(self, value: Tensor | str, to: DataType | int) -> str:
        """A cast, made once per value and type."""
        name = value.name if isinstance(value, Tensor) else value
        elem_type = ELEM_TYPES[to] if isinstance(to, DataType) else to
        known = self._casts.get((name, elem_type))
        if known is None:
            known = self._casts[name, elem_type] = self.node("Cast", name, to=elem_type)
        return known

    def truth(self, value: Tensor) -> str:
        """The ONNX boolean that says where a uint8 is not 0; free where the uint8 was made from one."""
        known = self._truths.get(value.name)
        if known is None:
            array = self.array(value)
            known = self.constant(array != 0) if array is not None else self.cast(value, BOOL)
            self._truths[value.name] = known
        return known

    def has_truth(self, value: Tensor) -> bool:
        """Whether a uint8 was made from an ONNX boolean, so that it holds 0 and 1 only."""
        return value.name in self._truths and self._casts.get((self._truths[value.name], 2)) == value.name

    def from_truth(self, name: str) -> str:
        """The uint8 of an ONNX boolean."""
        value = self.cast(name, DataType.UINT8)
        self._truths[value] = name
        return value

    def move(self, value: Tensor, emit: Callable[[str], str]) -> str:
        """Move elements about; a boolean stays one, so that a mask is not cast back and forth."""
        return self.from_truth(emit(self._truths[value.name])) if self.has_truth(value) else emit(value.name)

    def widened(self, op_type: str, *inputs: Tensor, **attributes: proto.Attribute | None) -> str:
        """Apply an ONNX operator in the nearest type it has a kernel for, and cast back.

        Only for operators where keeping the low bits of a wider result is right (see `WIDER`).
        """
        dtype = inputs[0].dtype
        wide = kernel_type(op_type, dtype)
        if wide is dtype:
            return self.node(op_type, *inputs, **attributes)
        result = self.node(op_type, *(self.cast(value, wide) for value in inputs), **attributes)
        return self.cast(result, dtype)

    def ordered(self, op_type: str, value: Tensor) -> str:
        """`value` in a type that `op_type` has a kernel for, in the same order also for uint64."""
        if value.dtype is DataType.UINT64 and kernel_type(op_type, value.dtype) is not value.dtype:
            # Adding the lowest int64 flips the top bit: unsigned order becomes signed order.
            return self.node("Add", self.cast(value, DataType.INT64), self.constant(_LOWEST_INT64))
        wide = kernel_type(op_type, value.dtype)
        return value.name if wide is value.dtype else self.cast(value, wide)

    def from_ordered(self, op_type: str, name: str, dtype: DataType) -> str:
        """The inverse of `ordered`."""
        wide = kernel_type(op_type, dtype)
        if wide is dtype:
            return name
        if dtype is DataType.UINT64:
            name = self.node("Add", name, self.constant(_LOWEST_INT64))
        return self.cast(name, dtype)

    # Layout

    def transpose(self, value: Tensor | str, permutation: Sequence[int]) -> str:
        """Transpose, unless nothing moves."""
        name = value.name if isinstance(value, Tensor) else value
        if list(permutation) == list(range(len(permutation))):
            return name
        return self.node("Transpose", name, perm=list(permutation))

    def reshape(self, value: Tensor | str, shape: Sequence[Dim]) -> str:
        """Reshape to dimensions that may be symbolic, and 0 at run: that is no elements, not "as it was here"."""
        return self.node("Reshape", value, self.dims(shape), allowzero=1)

    def filled(self, shape: Sequence[Dim], value: float | int, dtype: DataType) -> str:
        """A tensor of one value."""
        if all(isinstance(dim, int) for dim in shape):
            return self.constant(np.full(tuple(shape), value, dtype.numpy))  # type: ignore[arg-type]  # all integers
        return self.node("Expand", self.scalar(value, dtype), self.dims(shape))

    # Dimensions

    def dims(self, shape: Sequence[Dim]) -> str:
        """An int64 vector of dimensions, computed at run where they are symbolic."""
        parts: list[str] = []
        known: list[int] = []
        for dim in shape:
            if isinstance(dim, int):
                known.append(dim)
                continue
            if known:
                parts.append(self.ints(known))
                known = []
            parts.append(self._dim(dim))
        if known or not parts:
            parts.append(self.ints(known))
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=0)

    def integers(self, dims: Sequence[Dim], what: str) -> list[int]:
        """Dimensions that ONNX wants in the model itself.

        Raises:
            UnsupportedByBackend: one is symbolic.
        """
        known = [dim for dim in dims if isinstance(dim, int)]
        if len(known) != len(dims):
            text = ", ".join(str(dim) for dim in dims)
            raise UnsupportedByBackend(
                f"node '{self.label}': {what} [{text}] must be integers; bind the names", backend="onnxruntime"
            )
        return known

    def is_positive(self, dim: Dim) -> bool:
        """Whether no value of the names makes `dim` 0."""
        return bounds(dim, self._graph.dims)[0] > 0

    def larger(self, left: Dim, right: Dim) -> Dim:
        """The larger one of two dimensions."""
        return dim_max(left, right, self._graph.dims)

    def largest(self, dim: Dim) -> int:
        """The largest value that `dim` may have."""
        return bounds(dim, self._graph.dims)[1]

    def demand_elements(self, op: str, sizes: Sequence[Dim], results: Sequence[Dim], reason: str) -> None:
        """Have runs refused in which dimensions of these sizes hold no elements to choose from, for any result."""
        if not all(map(self.is_positive, sizes)):
            self._needed.append(Needed(self.label, op, product(list(sizes)), product(list(results)), reason))

    def _dim(self, dim: SymbolicDim) -> str:
        known = self._dims.get(dim)
        if known is None:
            known = self._read_dim(dim) or rebuild(
                dim, integer=lambda value: self.ints([value]), name=self._named_dim, combine=self._combine_dims
            )
            self._dims[dim] = known
        return known

    def _read_dim(self, dim: SymbolicDim) -> str | None:
        """The dimension as it stands in the shape of an input."""
        for name, kind in self._graph.inputs.items():
            if dim in kind.shape:
                axis = kind.shape.index(dim)
                return self.node("Shape", self._inputs[name], start=axis, end=axis + 1)
        return None

    def _named_dim(self, name: str) -> str:
        dim = symbol(name)
        if dim not in self._dims:
            read = self._read_dim(dim)
            if read is None:
                # It occurs only within expressions: the executable has solved them and passes the value.
                read = f"dim_{len(self._dim_inputs)}"
                self._dim_inputs[read] = name
            self._dims[dim] = read
        return self._dims[dim]

    def _combine_dims(self, sign: str, left: str, right: str) -> str:
        if sign == "//":
            # ONNX truncates; its Mod takes the sign of the divisor, as rounding down needs.
            remainder = self.node("Mod", left, right)
            return self.node("Div", self.node("Sub", left, remainder), right)
        return self.node({"+": "Add", "*": "Mul", "min": "Min", "max": "Max"}[sign], left, right)

    # The model

    def finish(self, outputs: Sequence[Tensor]) -> OnnxModel:
        """The model of what the outputs depend on."""
        names = tuple(f"output_{index}" for index in range(len(outputs)))
        # Where a Pad becomes part of a convolution, onnxruntime forgets that its operand has another reader, gives it
        # the output's name and refuses the model. It leaves the largest of one value alone.
        padded = {call.inputs[0] for call in self._calls if call.op_type == "Pad"}
        for name, value in zip(names, outputs, strict=True):
            passed = passed_as(value.type)
            source = value.name if passed == value.type else self.cast(value, passed.dtype)
            copy = "Max" if source in padded and passed.dtype.is_float else "Identity"
            self._calls.append(Call(copy, name, (source,), (name,), {}))
        return serialize(
            self._graph.name or "graph",
            self._calls,
            arrays=self._arrays,
            inputs={name: (onnx_name, passed_as(self._graph.inputs[name])) for name, onnx_name in self._inputs.items()},
            dims=self._dim_inputs,
            outputs={name: passed_as(value.type) for name, value in zip(names, outputs, strict=True)},
            described=self._described,
            needed=self._needed,
        )

    def _fresh(self, stem: str) -> str:
        self._count += 1
        return f"{stem}{self._count}"


def kernel_type(op_type: str, dtype: DataType) -> DataType:
    """The nearest type that holds all values of `dtype` and that `op_type` has a kernel for."""
    kernels = KERNEL_TYPES.get(op_type)
    while kernels is not None and dtype not in kernels:
        dtype = WIDER[dtype]
    return dtype


def as_attribute(value: float, dtype: DataType) -> float:
    """An option number for an ONNX attribute, which is float32: rounded to the operand's type first."""
    return float(cast_number(value, dtype))


def _elem_type(array: Array) -> int:
    if array.dtype == np.bool_:
        return BOOL
    if array.dtype == np.float64:
        return DOUBLE
    return ELEM_TYPES[DataType.from_numpy(array.dtype)]
