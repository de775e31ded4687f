"""Writes WebNN nodes, and none that would do nothing.

Constants are folded, equal calls are made once, and reshapes, transposes, casts and slices that change
nothing are left out. Every such step is exact, so lowering rules need not think of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from webnn_runtime.format.builder import GraphBuilder, Value
from webnn_runtime.format.dims import Dim, DynamicDim, SymbolicDim, names_of
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Node
from webnn_runtime.format.ops.node import infer_node
from webnn_runtime.reference import KERNELS, evaluate
from webnn_translator.intervals import Interval, Known, interval_of_array, interval_of_type, intervals_of_node

__all__ = ["Emitter"]

# A folded constant may be larger than what it is made of up to here: more would only move work into the file.
_FOLD_ELEMENTS = 1 << 14
# Weights above this size stay in their 8-bit form when they are cast or dequantised.
_KEEP_QUANTISED = 1 << 10
# Constants up to here are one where they are equal.
_SHARED = 64
_NARROW = (DataType.INT8, DataType.UINT8, DataType.INT4, DataType.UINT4)


_Made: TypeAlias = "tuple[str, tuple[Value | None, ...], dict[str, Any]]"


class Emitter:
    """A `GraphBuilder` that folds, shares and simplifies.

    Attributes:
        builder: receives inputs, constants and nodes.
        origins: value name -> name it should get in the finished graph.
        stem: prefix of the names of values that have no ONNX name of their own.
    """

    def __init__(self, name: str, dims: Iterable[DynamicDim]) -> None:
        self.builder = GraphBuilder(name, dims)
        self.origins: dict[str, str] = {}
        self.stem = ""
        self._made_by: dict[str, _Made] = {}
        # What constants of float16 were folded from; small ones are shared, and may be made of anything.
        self._halves: dict[str, _Made] = {}
        self._shared: dict[object, tuple[Value, ...]] = {}
        self._intervals: dict[str, Known] = {}
        # Weights used twice are one constant; the array is kept so that its id stays its own.
        self._large: dict[tuple[int, DataType], tuple[object, Value]] = {}
        self._scalars: dict[tuple[DataType, tuple[int, ...], bytes], Value] = {}

    @property
    def dims(self) -> dict[str, DynamicDim]:
        """Ranges of the named dimensions, as far as they are known."""
        return self.builder.dims

    def constant(self, array: Array | float | int, dtype: DataType, name: str = "") -> Value:
        """A constant; small ones are shared."""
        values = np.asarray(array).astype(dtype.numpy, copy=False)
        key = (dtype, tuple(values.shape), values.tobytes()) if values.size <= _SHARED else None
        if key is not None and key in self._scalars:
            return self._scalars[key]
        large = (id(array), dtype)
        if key is None and large in self._large:
            return self._large[large][1]
        made = self.builder.constant(values, dtype, name=self.builder.fresh("c"))
        if name:
            self.origins[made.name] = name
        elif values.ndim:
            self.origins[made.name] = f"{self.stem}_const" if self.stem else "const"
        if key is not None:
            self._scalars[key] = made
        else:
            self._large[large] = array, made
        return made

    def array(self, value: Value) -> Array | None:
        """Values of a constant, else None."""
        return self.builder.constant_array(value)

    def interval(self, value: Value) -> Known:
        """Between what the elements of an integer value lie; None where nothing is known."""
        pending = [value]
        while pending:
            current = pending[-1]
            if current.name in self._intervals:
                pending.pop()
                continue
            made = self._made_by.get(current.name)
            if made is None:
                array = self.array(current)
                known = interval_of_type(current.dtype) if array is None else interval_of_array(array, current.dtype)
                self._intervals[current.name] = known
                continue
            op, operands, options = made
            waits = [one for one in operands if one is not None and one.name not in self._intervals]
            if waits:
                pending.extend(waits)
                continue
            known_operands = [None if one is None else self._intervals[one.name] for one in operands]
            kinds = [None if one is None else one.type for one in operands]
            results = intervals_of_node(op, known_operands, kinds, options, [current.type], self.dims)
            self._intervals[current.name] = results[0]
        return self._intervals[value.name]

    def origin(self, value: Value) -> _Made | None:
        """Operator, operands and options that made a value, also one that was folded if it is a large float16."""
        return self._made_by.get(value.name) or self._halves.get(value.name)

    def sources(self, value: Value) -> set[str]:
        """Names of the graph's inputs that a value is computed from."""
        return {one.name for one in self._behind(value) if one.name not in self._made_by and self.array(one) is None}

    def sizes(self, value: Value) -> set[str]:
        """Names of the dimensions in the shapes of a value and of what it is computed from."""
        return {name for one in self._behind(value) for dim in one.shape for name in names_of(dim)}

    def _behind(self, value: Value) -> Iterator[Value]:
        """A value, and every one that it is computed from."""
        pending, seen = [value], {value.name}
        while pending:
            current = pending.pop()
            yield current
            made = self._made_by.get(current.name)
            for operand in () if made is None else made[1]:
                if operand is not None and operand.name not in seen:
                    seen.add(operand.name)
                    pending.append(operand)

    def declare(self, value: Value, low: int, high: int) -> None:
        """State what is known of a value from elsewhere: the range of its ONNX type, or of a remainder."""
        self._intervals[value.name] = Interval(low, high)

    def op(self, op: str, *operands: Value | None, **options: Any) -> Value:
        """One node with one result; options in the WebNN spelling."""
        results = self.op_many(op, *operands, **options)
        assert len(results) == 1
        return results[0]

    def op_many(self, op: str, *operands: Value | None, **options: Any) -> tuple[Value, ...]:
        """One node; see `op`."""
        key = (op, tuple(operand.name if operand else None for operand in operands), _frozen(options))
        known = self._shared.get(key)
        if known is None:
            folded = self._fold(op, operands, options)
            known = folded or self.builder.op_many(op, *operands, **options)
            for made in known:
                self.origins.setdefault(made.name, f"{self.stem}_{op}" if self.stem else op)
                if folded is None:
                    # A constant is not made: equal ones are shared, and two could each be made of the other.
                    self._made_by[made.name] = (op, operands, options)
                elif made.dtype is DataType.FLOAT16 and math.prod(made.type.static_shape) > _SHARED:
                    self._halves.setdefault(made.name, (op, operands, options))
            self._shared[key] = known
        return known

    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        """Reshape; a reshape of a reshape is one."""
        made = self._made_by.get(x.name)
        if made is not None and made[0] == "reshape" and made[1][0] is not None:
            x = made[1][0]
        return x if tuple(shape) == x.shape else self.op("reshape", x, newShape=tuple(shape))

    def transpose(self, x: Value, permutation: Sequence[int]) -> Value:
        """Transpose; a transpose of a transpose is one."""
        made = self._made_by.get(x.name)
        if made is not None and made[0] == "transpose" and made[1][0] is not None:
            inner = made[2]["permutation"]
            assert isinstance(inner, tuple)
            x, permutation = made[1][0], [inner[axis] for axis in permutation]
        if list(permutation) == list(range(x.rank)):
            return x
        return self.op("transpose", x, permutation=tuple(permutation))

    def expand(self, x: Value, shape: Sequence[Dim]) -> Value:
        """Broadcast to `shape`."""
        return x if tuple(shape) == x.shape else self.op("expand", x, newShape=tuple(shape))

    def cast(self, x: Value, dtype: DataType) -> Value:
        """Convert as WebNN's cast does."""
        return x if x.dtype is dtype else self.op("cast", x, dataType=dtype)

    def slice(self, x: Value, starts: Sequence[Dim], sizes: Sequence[Dim], strides: Sequence[int]) -> Value:
        """Slice; sizes count input elements."""
        if all(start == 0 for start in starts) and tuple(sizes) == x.shape and all(step == 1 for step in strides):
            return x
        return self.op("slice", x, starts=tuple(starts), sizes=tuple(sizes), strides=tuple(strides))

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """Concatenate one or more values."""
        return parts[0] if len(parts) == 1 else self.op("concat", *parts, axis=axis)

    def _fold(self, op: str, operands: tuple[Value | None, ...], options: dict[str, Any]) -> tuple[Value, ...] | None:
        arrays: list[Array | None] = []
        for operand in operands:
            array = self.array(operand) if operand is not None else None
            if operand is not None and array is None:
                return None
            arrays.append(array)
        given = [operand for operand in operands if operand is not None]
        if not given or op not in KERNELS or op == "dequantizeLinear":
            return None
        total = sum(math.prod(operand.type.static_shape) for operand in given)
        if op == "cast" and given[0].dtype in _NARROW and total > _KEEP_QUANTISED:
            return None
        types = {operand.name: operand.type for operand in given}
        node = Node(op, tuple(operand.name if operand else None for operand in operands), options, ("?",))
        if op == "split":
            return None
        whole, kinds = infer_node(node, types, self.dims, [])
        # A row of a table at a free position has a known shape, and no known value.
        if not all(kind.is_static for kind in kinds) or any(_is_free(value) for value in whole.options.values()):
            return None
        if sum(math.prod(kind.static_shape) for kind in kinds) > max(_FOLD_ELEMENTS, total):
            return None
        results = evaluate(whole, arrays, {})
        return tuple(self.constant(array, kind.dtype) for array, kind in zip(results, kinds, strict=True))


def _is_free(value: object) -> bool:
    parts = value if isinstance(value, tuple) else (value,)
    return any(isinstance(part, SymbolicDim) for part in parts)


def _frozen(options: dict[str, Any]) -> tuple[tuple[str, object], ...]:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in sorted(options.items()))
