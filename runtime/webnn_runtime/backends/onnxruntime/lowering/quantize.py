"""Between floats and quantised integers.

onnxruntime has one scale for all, for each index of one axis, or for each block along one axis; what is
left (blocks along several axes, 32-bit integers) is computed step by step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.backends.onnxruntime.types import DOUBLE, passed_as
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType

__all__: list[str] = []

_NATIVE: Final = frozenset({DataType.INT8, DataType.UINT8, DataType.INT4, DataType.UINT4})


@lowering("dequantizeLinear")
def _dequantize_linear(g: Emitter, x: Tensor, scale: Tensor, zero_point: Tensor) -> str:
    form = _native_form(x.shape, scale.shape) if x.dtype in _NATIVE else None
    if form is not None:
        return _native(g, "DequantizeLinear", x, scale, zero_point, form)
    wide = DataType.INT32 if x.dtype in _NATIVE else DataType.INT64
    offset = _repeated(g, g.cast(zero_point, wide), zero_point.shape, x.shape)
    # float64 holds every difference of 32-bit integers; one rounding is left for the product.
    difference = g.cast(g.node("Sub", g.cast(x, wide), offset), DOUBLE)
    factor = g.cast(_repeated(g, scale.name, scale.shape, x.shape), DOUBLE)
    return g.cast(g.node("Mul", difference, factor), scale.dtype)


@lowering("quantizeLinear")
def _quantize_linear(g: Emitter, x: Tensor, scale: Tensor, zero_point: Tensor) -> str:
    dtype = zero_point.dtype
    form = _native_form(x.shape, scale.shape) if dtype in _NATIVE else None
    if form is not None:
        return _native(g, "QuantizeLinear", x, scale, zero_point, form)
    single = DataType.FLOAT32
    divisor = g.cast(_repeated(g, scale.name, scale.shape, x.shape), single)
    level = g.cast(g.node("Round", g.node("Div", g.cast(x, single), divisor)), DOUBLE)
    offset = g.cast(_repeated(g, g.cast(zero_point, DataType.INT64), zero_point.shape, x.shape), DOUBLE)
    low, high = dtype.bounds
    total = g.node("Add", level, offset)
    # A comparison with NaN is false, which leaves the 0 that the definition asks for.
    is_number = g.node("Equal", total, total)
    total = g.node("Where", is_number, total, g.constant(np.array(0.0)))
    total = g.node("Max", g.node("Min", total, g.constant(np.array(float(high)))), g.constant(np.array(float(low))))
    return g.cast(total, dtype)


def _native_form(shape: Sequence[Dim], blocks: Sequence[Dim]) -> dict[str, int] | None:
    """Attributes of the ONNX operator for these scale dimensions; None when it has no such form."""
    split = [axis for axis, (dim, count) in enumerate(zip(shape, blocks, strict=True)) if count != dim]
    if all(count == 1 for count in blocks):
        return {}
    whole = [axis for axis in range(len(shape)) if axis not in split]
    if all(blocks[axis] == 1 for axis in split) and len(whole) == 1:
        return {"axis": whole[0]}
    if len(split) == 1:
        dim, count = shape[split[0]], blocks[split[0]]
        if isinstance(dim, int) and isinstance(count, int):
            return {"axis": split[0], "block_size": dim // count}
    return None


def _native(g: Emitter, onnx_op: str, x: Tensor, scale: Tensor, zero_point: Tensor, form: dict[str, int]) -> str:
    if "block_size" in form:
        return g.node(onnx_op, x, scale, zero_point, **form)
    # One scale for all is a scalar in ONNX, one for each index of an axis a vector.
    shape: list[Dim] = [scale.shape[form["axis"]]] if form else []
    factor, offset = _flat(g, scale, shape), _flat(g, zero_point, shape)
    if onnx_op == "QuantizeLinear" and x.dtype is DataType.FLOAT16:
        # Up to onnxruntime 1.29 halves are cut off here and not rounded: 3.67 becomes 3. In float32 the quotient of two
        # halves is never as near to a tie as to be taken for one.
        return g.node(onnx_op, g.cast(x, DataType.FLOAT32), g.cast(factor, DataType.FLOAT32), offset, **form)
    return g.node(onnx_op, x, factor, offset, **form)


def _flat(g: Emitter, value: Tensor, shape: Sequence[Dim]) -> str:
    array = g.array(value)
    if array is None or not all(isinstance(dim, int) for dim in shape):
        if value.rank == len(shape):
            return value.name
        # onnxruntime reshapes no 4-bit types.
        passed = passed_as(value.type).dtype
        flat = g.reshape(value if passed is value.dtype else g.cast(value, passed), shape)
        return flat if passed is value.dtype else g.cast(flat, value.dtype)
    return g.constant(array.reshape(tuple(shape)), value.dtype)


def _repeated(g: Emitter, name: str, blocks: Sequence[Dim], shape: Sequence[Dim]) -> str:
    """Each value repeated along the axes that have blocks of several elements; single ones broadcast."""
    split: list[Dim] = []
    stretched: list[Dim] = []
    merged: list[Dim] = []
    for dim, count in zip(shape, blocks, strict=True):
        size: Dim = 1 if count in (1, dim) else dim // count
        split += [count, 1] if size != 1 else [count]
        stretched += [count, size] if size != 1 else [count]
        merged.append(count * size)
    if len(split) == len(shape):
        return name
    return g.reshape(g.node("Expand", g.reshape(name, split), g.dims(stretched)), merged)
