"""What lowering rules work with: tensors in, tensors out.

It makes operands of tensors to compute with (`value`, `full`), and integers, arrays or dimension expressions
to know them by (`ints`, `array`, `items`, `dims`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, bounds, dim_max, is_equal, names_of
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.carried import representable
from webnn_translator.elements import Elem
from webnn_translator.emitter import Emitter
from webnn_translator.narrowing import narrowed_to_reach
from webnn_translator.symbolic import Affine, Items, affine_from_array, broadcast_shapes, concrete, items_from_array
from webnn_translator.tensor import Columns, Content, Known, Quantised, Symbols, Tensor
from webnn_translator.undecided import undecided

__all__ = ["Context"]

# Tensors of integers above this size are data, not shapes.
_MAX_ITEMS: Final = 4096
# Positions up to here are sliced from a constant; longer or unbounded ones are counted with a running sum.
_MAX_TABLE: Final = 8192


class Context:
    """State of one translation.

    Attributes:
        emit: writes WebNN nodes.
        notes: facts about the result that its user should know.
        derived: dimension name -> why its range was narrowed.
        mapped: element types that WebNN lacks and that something was computed or kept in.
        labels: name of a value that is a dictionary for each row in the model -> labels of its columns here.
        settings: operand -> name in the model of an input of rank 0 or 1, which `--bind` makes a constant of.
        float_states: LSTMs that do not round their states, as ONNX Runtime does; None if not asked for.
    """

    def __init__(self, emit: Emitter) -> None:
        self.emit = emit
        self.float_states: list[str] | None = None
        self.notes: list[str] = []
        self.settings: dict[str, str] = {}
        self.derived: dict[str, str] = {}
        self.mapped: set[Elem] = set()
        self.labels: dict[str, tuple[int | str, ...]] = {}
        self._values: dict[Tensor, Value] = {}
        self._full: dict[Tensor, Value] = {}

    @property
    def ranges(self) -> dict[str, DynamicDim]:
        """Ranges of the named dimensions."""
        return self.emit.dims

    # Making tensors

    def known(self, array: Array | np.generic, elem: Elem | None = None, shape: Sequence[Dim] | None = None) -> Tensor:
        """A constant; with `shape`, one that is broadcast to it."""
        values = np.asarray(array)
        dims = tuple(values.shape if shape is None else shape)
        return Tensor(elem or Elem.from_numpy(values.dtype), dims, Known(values))

    def nothing(self, elem: Elem, shape: Sequence[Dim]) -> Tensor:
        """A tensor without elements: a dimension of `shape` is 0."""
        return self.known(np.zeros([dim if isinstance(dim, int) else 1 for dim in shape], elem.numpy), elem, shape)

    def scalar(self, number: float | int | bool, elem: Elem) -> Tensor:
        """A rank-0 constant."""
        return self.known(np.asarray(number, elem.numpy), elem)

    def symbols(self, items: Items, elem: Elem = Elem.INT64) -> Tensor:
        """A tensor of dimension expressions, or a constant when none of them is symbolic."""
        array = concrete(items, elem)
        return Tensor(elem, tuple(items.shape), Known(array) if array is not None else Symbols(items))

    def from_dims(self, dims: Sequence[Dim]) -> Tensor:
        """A 1-D int64 tensor of dimensions."""
        items = np.empty(len(dims), object)
        items[:] = list(dims)
        return self.symbols(items)

    def tensor(self, value: Value, elem: Elem, shape: Sequence[Dim] | None = None) -> Tensor:
        """A computed tensor; with `shape`, one that is broadcast to it. Constants stay known."""
        array = self.emit.array(value)
        dims = tuple(value.shape if shape is None else shape)
        content: Content = value
        if array is not None and not elem.is_packed:
            content = Known(array.astype(elem.numpy, copy=False))
        made = Tensor(elem, dims, content)
        self._values[made] = value
        return made

    def computed(self, elem: Elem, op: str, *operands: Value | None, **options: Any) -> Tensor:
        """The result of one WebNN node."""
        return self.tensor(self.emit.op(op, *operands, **options), elem)

    # Knowing tensors

    def array(self, tensor: Tensor) -> Array | None:
        """All values of a constant, else None."""
        if isinstance(tensor.content, Known) and tensor.is_static:
            if 0 in tensor.shape:
                return np.zeros(tuple(dim for dim in tensor.shape if isinstance(dim, int)), tensor.elem.numpy)
            return np.broadcast_to(tensor.content.array, tuple(dim for dim in tensor.shape if isinstance(dim, int)))
        return None

    def uniform(self, tensor: Tensor) -> Any | None:
        """The one value that every element has, as a NumPy scalar; None where that is not known."""
        if isinstance(tensor.content, Known) and tensor.content.array.size == 1:
            return tensor.content.array.reshape(())[()]
        return None

    def items(self, tensor: Tensor) -> Items | None:
        """The elements of a small integer or bool tensor as dimension expressions, where they are known."""
        if tensor.elem.is_float or not tensor.is_static:
            return None
        if isinstance(tensor.content, Symbols):
            return tensor.content.items
        array = self.array(tensor)
        return items_from_array(array) if array is not None and array.size <= _MAX_ITEMS else None

    def affine(self, tensor: Tensor) -> Affine | None:
        """The grid that the elements form, where they do."""
        if tensor.elem.is_float or tensor.elem is Elem.BOOL:
            return None
        if isinstance(tensor.content, Affine):
            return tensor.content
        if isinstance(tensor.content, Symbols) and tensor.content.items.size == 1:
            return Affine(tensor.content.items.flat[0], (0,) * tensor.rank)
        if (number := self.uniform(tensor)) is not None:
            return Affine(int(number), (0,) * tensor.rank)
        if not isinstance(tensor.content, Known) or tensor.content.array.size > 1 << 16 or 0 in tensor.shape:
            return None
        grid = affine_from_array(tensor.content.array)
        # Along an axis that it is repeated along, it stays the same.
        return grid and Affine(grid.offset, (0,) * (tensor.rank - len(grid.strides)) + grid.strides)

    def constant(self, tensor: Tensor, what: str) -> Array:
        """The values of a tensor that has to be constant.

        Raises:
            Refused: it is not.
        """
        array = self.array(tensor)
        if array is not None:
            return array
        items = self.items(tensor)
        if items is not None:
            names = sorted(frozenset().union(*(names_of(item) for item in items.flat)))
            raise Refused(f"{what} depends on dimension {', '.join(names)}; its value is needed", names)
        raise undecided(self, {what: tensor}, "WebNN needs a constant")

    def ints(self, tensor: Tensor, what: str) -> tuple[int, ...]:
        """The values of a constant integer tensor of rank 0 or 1; see `constant`."""
        array = self.constant(tensor, what)
        if array.ndim > 1 or array.dtype.kind not in "iu":
            raise Refused(f"{what} is {tensor}; a list of integers is needed")
        return tuple(int(item) for item in array.reshape(-1))

    def integer(self, tensor: Tensor, what: str) -> int:
        """The value of a constant with one element; see `constant`."""
        values = self.ints(tensor, what)
        if len(values) != 1:
            raise Refused(f"{what} has {len(values)} values; one is needed")
        return values[0]

    def dims(self, tensor: Tensor, what: str) -> tuple[Dim, ...]:
        """The elements of a rank-0 or rank-1 tensor that has to be known in terms of dimensions.

        Raises:
            Refused: it is computed from data.
        """
        items = self.items(tensor)
        if items is None or items.ndim > 1:
            raise undecided(self, {what: tensor}, "the shape of the result would depend on it")
        return tuple(items.reshape(-1))

    def decided(self, parts: Mapping[str, Tensor | None]) -> None:
        """Say of all parts of a node at once that they have to be known in terms of dimensions.

        Raises:
            Refused: some are computed from data.
        """
        computed = {what: part for what, part in parts.items() if part is not None and self.items(part) is None}
        if computed:
            raise undecided(self, computed, "the shape of the result would depend on it")

    def axis(self, axis: int, rank: int) -> int:
        """A non-negative axis.

        Raises:
            Refused: it is out of range.
        """
        if not -rank <= axis < rank:
            raise Refused(f"axis {axis} is out of range for rank {rank}; the model is not valid")
        return axis + rank if axis < 0 else axis

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Distinct non-negative axes; see `axis`."""
        found = tuple(self.axis(axis, rank) for axis in axes)
        if len(set(found)) != len(found):
            raise Refused(f"axes {list(axes)} name an axis twice; the model is not valid")
        return found

    def size(self, dim: Dim, what: str) -> int:
        """A dimension that has to be an integer.

        Raises:
            Refused: it is named.
        """
        if isinstance(dim, SymbolicDim):
            names = sorted(names_of(dim))
            raise Refused(f"{what} is {dim}; its value is needed", names)
        return dim

    def same(self, left: Dim, right: Dim) -> bool:
        """Whether two dimensions are equal for all values of the names."""
        return is_equal(left, right, self.ranges) is True

    def narrow(self, name: str, high: int, why: str) -> None:
        """Bound a dimension that nothing else could exceed without an error.

        Raises:
            Refused: its range would be empty.
        """
        known = self.ranges.get(name)
        if known is None or known.max_size <= high:
            return
        if known.min_size > high:
            raise Refused(f"dimension {name} is at least {known.min_size}, but {why} allows {high}")
        self.restrict(DynamicDim(name, high, known.min_size), why)

    def demand(self, dim: Dim, low: int, why: str) -> bool:
        """Narrow the ranges that so make `dim` at least `low`; False where it is not certain which."""
        narrowed = narrowed_to_reach(dim, low, self.ranges)
        for one in narrowed:
            self.restrict(one, why)
        return bool(narrowed)

    def restrict(self, dim: DynamicDim, why: str) -> None:
        """Give a dimension the range that it has left."""
        known = self.ranges[dim.name]
        self.emit.builder.add_dim(dim)
        for side, limit, before in (("least", dim.min_size, known.min_size), ("most", dim.max_size, known.max_size)):
            if limit != before:
                # A tighter limit takes the place of the one before it on that side.
                parts = self.derived.get(dim.name, "").split("; ")
                others = [part for part in parts if part and not part.startswith(f"at {side} ")]
                self.derived[dim.name] = "; ".join([*others, f"at {side} {limit}: {why}"])

    # Operands

    def carrier(self, elem: Elem) -> DataType:
        """The WebNN type of constants of an element type."""
        if elem.mapping:
            self.mapped.add(elem)
        return elem.carrier

    def wire(self, elem: Elem) -> DataType:
        """The WebNN type of inputs and of what is computed; differs from `carrier` below a byte."""
        if elem.mapping:
            self.mapped.add(elem)
        return elem.wire

    def value(self, tensor: Tensor) -> Value:
        """An operand that broadcasts to the tensor; for element-wise operators."""
        made = self._values.get(tensor)
        if made is None:
            made = self._values[tensor] = self._materialise(tensor)
        return made

    def full(self, tensor: Tensor) -> Value:
        """An operand with exactly the tensor's shape."""
        made = self._full.get(tensor)
        if made is None:
            made = self._full[tensor] = self.emit.expand(self.value(tensor), tensor.shape)
        return made

    def elementwise(self, op: str, *operands: Tensor, elem: Elem | None = None, **options: Any) -> Tensor:
        """A WebNN operator that works element by element, with ONNX's (NumPy's) broadcasting."""
        if any(0 in operand.shape for operand in operands):
            return self.nothing(elem or operands[0].elem, self.broadcast(*(one.shape for one in operands))[0])
        shape, values = self.stretch(*operands)
        return self.tensor(self.emit.op(op, *values, **options), elem or operands[0].elem, shape)

    def broadcast(self, *shapes: tuple[Dim, ...]) -> tuple[tuple[Dim, ...], bool]:
        """Shape of the result, and whether every equality it rests on is certain.

        Raises:
            Refused: the shapes do not broadcast for any values of the names.
        """
        try:
            return broadcast_shapes(shapes, self.ranges)
        except ValueError as exc:
            raise Refused(f"{exc}; the model is not valid") from exc

    def stretch(self, *operands: Tensor) -> tuple[tuple[Dim, ...], tuple[Value, ...]]:
        """The broadcast shape of tensors, and operands that broadcast to it.

        Raises:
            Refused: the shapes do not broadcast.
        """
        shape, certain = self.broadcast(*(operand.shape for operand in operands))
        if certain:
            return shape, tuple(self.value(operand) for operand in operands)
        # The condition left open has to reach the graph: it is checked there at run.
        return shape, tuple(self.full(operand) for operand in operands)

    def count(self, size: Dim) -> Value:
        """The int64 operand 0, 1, ..., size - 1."""
        high = bounds(size, self.ranges)[1]
        if high <= _MAX_TABLE:
            table = self.emit.constant(np.arange(high, dtype=np.int64), DataType.INT64, f"positions_{high}")
            return self.emit.slice(table, (0,), (size,), (1,))
        ones = self.emit.expand(self.emit.constant(1, DataType.INT64), (size,))
        return self.emit.op("cumulativeSum", ones, axis=0, exclusive=True, reversed=False)

    def dim_value(self, dim: Dim) -> Value:
        """The int64 scalar operand that holds a dimension's value.

        WebNN cannot read a shape: the value is counted, as the sum of that many ones.
        """
        if isinstance(dim, int):
            return self.emit.constant(dim, DataType.INT64)
        low = bounds(dim, self.ranges)[0]
        if low < 0:
            # Count the positive and the negative part apart: an operand cannot have a negative size.
            parts = [SymbolicDim((term,)) if term[0] else term[1] for term in dim.terms]
            if len(parts) == 1:
                above, below = (dim_max(part, 0, self.ranges) for part in (dim, -dim))
                return self.emit.op("sub", self.dim_value(above), self.dim_value(below))
            total = self.emit.constant(sum(part for part in parts if isinstance(part, int)), DataType.INT64)
            for part in parts:
                if isinstance(part, SymbolicDim):
                    sign = 1 if part.terms[0][1] > 0 else -1
                    total = self.emit.op("add" if sign > 0 else "sub", total, self.dim_value(part * sign))
            return total
        ones = self.emit.expand(self.emit.constant(1, DataType.INT64), (dim,))
        return self.emit.op("reduceSum", ones, axes=(0,), keepDimensions=False)

    def _materialise(self, tensor: Tensor) -> Value:
        dtype = self.carrier(tensor.elem)
        content = tensor.content
        if isinstance(content, Known):
            if content.array.size == 0:
                sizes = list(content.array.shape)
                raise Refused(f"an operand is {sizes}; WebNN has no empty tensors: where --dim says 0, give 1 or more")
            return self.emit.constant(representable(content.array, dtype, tensor.elem), dtype, content.name)
        if isinstance(content, Quantised):
            return self.dequantised(content)
        if isinstance(content, Symbols):
            scalars = [self.dim_value(item) for item in content.items.flat]
            column = [self.emit.reshape(scalar, (1,)) for scalar in scalars]
            whole = self.emit.reshape(self.emit.concat(column, 0), tensor.shape)
            whole = self.emit.cast(whole, dtype)
            if content.denominator != 1:
                return self.emit.op("mul", whole, self.emit.constant(1 / content.denominator, dtype))
            return whole
        if isinstance(content, Affine):
            return self.emit.cast(self._grid(content, tensor.shape), dtype)
        if isinstance(content, Columns):
            shape = (*tensor.shape[:-1], 1)
            parts = [self.emit.expand(self._grid(part, shape), shape) for part in content.parts]
            return self.emit.cast(self.emit.concat(parts, len(shape) - 1), dtype)
        return content

    def dequantised(self, weights: Quantised) -> Value:
        """Float weights, computed from the quantised ones in the graph."""
        kind = self.carrier(weights.kind)
        name = weights.name or self.emit.stem
        values = self.emit.constant(weights.values, kind, name)
        number = self.carrier(Elem.from_numpy(weights.scale.dtype))
        scale = self.emit.constant(weights.scale, number, f"{name}_scale")
        zero_point = self.emit.constant(weights.zero_point, kind, f"{name}_zero_point")
        return self.emit.op("dequantizeLinear", values, scale, zero_point)

    def _grid(self, grid: Affine, shape: tuple[Dim, ...]) -> Value:
        """An operand that broadcasts to `shape`; axes the grid does not vary along have size 1."""
        total: Value | None = None
        for axis, (stride, dim) in enumerate(zip(grid.strides, shape, strict=True)):
            if stride == 0:
                continue
            column = [dim if k == axis else 1 for k in range(len(shape))]
            term = self.emit.reshape(self.count(dim), column)
            if stride != 1:
                term = self.emit.op("mul", term, self.dim_value(stride))
            total = term if total is None else self.emit.op("add", total, term)
        if total is None:
            return self.dim_value(grid.offset)
        return total if grid.offset == 0 else self.emit.op("add", total, self.dim_value(grid.offset))
