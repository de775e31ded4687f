"""Constants, shapes and type conversions: what most models use to compute shapes with."""

from __future__ import annotations

from typing import Any

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim, bounds, ceil_div, dim_max, product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.carried import bring_back
from webnn_translator.context import Context
from webnn_translator.counted import counted_in_float32
from webnn_translator.elements import Elem
from webnn_translator.initializers import elem_of, read_sparse, read_tensor
from webnn_translator.minifloats import round_to_bfloat16
from webnn_translator.node import OnnxNode
from webnn_translator.registry import onnx_op
from webnn_translator.scaled_dims import over_one_denominator, whole
from webnn_translator.symbolic import Affine, map_items
from webnn_translator.tensor import Columns, Known, OnnxValue, Quantised, Symbols, Tensor
from webnn_translator.undecided import undecided

__all__ = ["cast_array", "convert"]

# Cast weights of at least this many elements stay quantised.
_WEIGHTS = 1 << 10
_LONGEST = 1 << 24


@onnx_op("Constant")
def constant(ctx: Context, node: OnnxNode) -> Tensor:
    """A tensor, or since version 12 a number or a list in one of six attributes."""
    if len(node.attributes) != 1:
        raise Refused(f"a Constant has exactly one value; this one has {len(node.attributes)}")
    (name,) = node.attributes
    if name == "value":
        elem, array = read_tensor(node.attributes["value"], None)
        return Tensor(elem, tuple(array.shape), Known(array))
    if name == "sparse_value":
        elem, array = read_sparse(node.attributes[name], None)
        return Tensor(elem, tuple(array.shape), Known(array))
    if name in ("value_int", "value_ints"):
        return ctx.known(np.asarray(node.attributes[name], np.int64))
    if name in ("value_float", "value_floats"):
        return ctx.known(np.asarray(node.attributes[name], np.float32))
    raise Refused(f"a Constant with {name} has no WebNN counterpart")


@onnx_op("Identity")
def identity(_: Context, node: OnnxNode) -> OnnxValue:
    """The same value, of any kind."""
    return node.value(0) or node.input(0)


@onnx_op("Dropout", since=7)
def dropout_before_12(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Inference: nothing is dropped."""
    node.ignore("ratio")
    return [node.input(0), _mask(ctx, node)]


@onnx_op("Dropout", since=12)
def dropout(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Inference only: `training_mode` has to be false."""
    node.ignore("seed")
    training = node.optional(2)
    if training is not None and ctx.constant(training, "training_mode").any():
        raise Refused("training_mode is true, so that it draws random numbers; export the model after model.eval()")
    return [node.input(0), _mask(ctx, node)]


def _mask(ctx: Context, node: OnnxNode) -> Tensor | None:
    return ctx.known(np.asarray(True), Elem.BOOL, node.input(0).shape) if node.wants(1) else None


@onnx_op("Shape")
def shape_before_15(ctx: Context, node: OnnxNode) -> Tensor:
    """All dimensions."""
    return ctx.from_dims(node.input(0).shape)


@onnx_op("Shape", since=15)
def shape(ctx: Context, node: OnnxNode) -> Tensor:
    """Dimensions start to end - 1, both clamped to the rank."""
    dims = node.input(0).shape
    return ctx.from_dims(dims[slice(node.integer("start", 0), node.integer("end", len(dims)))])


@onnx_op("Size")
def size(ctx: Context, node: OnnxNode) -> Tensor:
    """Number of elements."""
    items = np.empty((), object)
    items[()] = product(list(node.input(0).shape))
    return ctx.symbols(items)


@onnx_op("ConstantOfShape", since=9)
def constant_of_shape(ctx: Context, node: OnnxNode) -> Tensor:
    """One value in every element."""
    dims = ctx.dims(node.input(0), "the shape")
    if node.has("value"):
        elem, array = read_tensor(node.attributes["value"], None)
        if array.size != 1:
            raise Refused(f"attribute value has {array.size} elements; one is needed")
    else:
        elem, array = Elem.FLOAT, np.zeros(1, np.float32)
    return ctx.known(array.reshape(()), elem, dims)


@onnx_op("Range", since=11)
def range_(ctx: Context, node: OnnxNode) -> Tensor:
    """start, start + delta, ... below limit; the length has to be known in terms of dimensions."""
    start, limit, delta = numbers = tuple(node.input(index) for index in range(3))
    named = dict(zip(("start", "limit", "delta"), numbers, strict=True))
    arrays = [ctx.array(tensor) for tensor in numbers]
    if all(array is not None for array in arrays):
        return ctx.known(_numbers(*(array.reshape(())[()] for array in arrays if array is not None)), start.elem)
    if not start.elem.is_float:
        ctx.decided(named)
        first, last = ctx.dims(start, "start")[0], ctx.dims(limit, "limit")[0]
        return _counted(ctx, start.elem, first, last, ctx.integer(delta, "delta"))
    # An arange of torch: dimensions on their way through float, which holds them exactly up to 2**24.
    read = over_one_denominator(ctx, (start, limit, delta))
    if read is None or not isinstance(step := read[0][2], int):
        computed = {what: part for what, part in named.items() if ctx.array(part) is None}
        raise undecided(ctx, computed, "the length of the result would depend on it")
    (first, last, _), denominator = read
    counted = convert(ctx, _counted(ctx, Elem.INT64, first, last, step), start.elem)
    # From 0.5 on, the middle of each pixel: in halves, and then halved.
    return counted if denominator == 1 else ctx.elementwise("mul", counted, ctx.scalar(1 / denominator, start.elem))


def _numbers(first: Any, last: Any, step: Any) -> Array:
    """What NumPy scalars of one type count; how many there are is computed in double, as by ONNX Runtime."""
    if step == 0:
        raise Refused("delta is 0; the model is not valid")
    count = np.ceil((float(last) - float(first)) / float(step))
    if not count <= _LONGEST:
        raise Refused(f"it counts {count:.0f} numbers at once, which no model needs")
    if first.dtype.kind == "f":
        floats: Array = (first + np.arange(max(0, count)).astype(first.dtype) * step).astype(first.dtype)
        return floats
    return np.arange(int(first), int(last), int(step)).astype(first.dtype)


def _counted(ctx: Context, elem: Elem, first: Dim, last: Dim, step: int) -> Tensor:
    if step == 0:
        raise Refused("delta is 0; the model is not valid")
    length: Dim = ceil_div(last - first, step) if step > 0 else ceil_div(first - last, -step)
    if bounds(length, ctx.ranges)[0] < 0:
        length = dim_max(length, 0, ctx.ranges)
    return Tensor(elem, (length,), Affine(first, (step,)))


@onnx_op("Cast", since=6)
def cast(ctx: Context, node: OnnxNode) -> Tensor:
    """Convert to another element type."""
    node.flag("saturate", 1)  # as the next, for casts to 8-bit floats, which are refused
    node.ignore("round_mode")
    return convert(ctx, node.input(0), elem_of(node.integer("to"), "the target of a Cast"))


@onnx_op("CastLike", since=15)
def cast_like(ctx: Context, node: OnnxNode) -> Tensor:
    """Convert to the element type of another tensor."""
    node.flag("saturate", 1)
    node.ignore("round_mode")
    return convert(ctx, node.input(0), node.input(1).elem)


def convert(ctx: Context, x: Tensor, elem: Elem) -> Tensor:
    """ONNX Cast. What is not defined there (float to integer out of range) stays undefined."""
    if elem is x.elem:
        return x
    if elem.is_minifloat:
        raise Refused(f"values are rounded to {elem.text}, which WebNN cannot compute; constants may be stored in it")
    content = x.content
    if x.elem is Elem.FLOAT16 and elem.is_integer and isinstance(content, (Known, Value)):
        wide = counted_in_float32(ctx.emit, ctx.value(x))
        if wide is not None:
            return convert(ctx, ctx.tensor(wide, Elem.FLOAT, x.shape), elem)
    if isinstance(content, Known):
        array = content.array
        narrow = x.elem in (Elem.INT8, Elem.UINT8) or (x.elem.is_packed and x.elem.is_integer)
        if narrow and elem.is_float and array.size >= _WEIGHTS and array.shape == x.shape:
            # Quantised weights on their way to a Mul with their scale: stay as they are.
            ones = np.ones((1,) * array.ndim, elem.numpy)
            return Tensor(
                elem, x.shape, Quantised(array, x.elem, ones, np.zeros(ones.shape, array.dtype), content.name)
            )
        return Tensor(elem, x.shape, Known(cast_array(array, elem), content.name and f"{content.name}_{elem.text}"))
    if isinstance(content, Symbols) and elem in (Elem.INT32, Elem.INT64) and x.elem.is_float:
        return whole(ctx, x, elem)
    if isinstance(content, Symbols) and elem in (Elem.FLOAT, Elem.DOUBLE) and x.elem in (Elem.FLOAT, Elem.DOUBLE):
        return Tensor(elem, x.shape, content)
    if isinstance(content, Symbols) and elem in (Elem.INT32, Elem.INT64):
        # Dimensions fit int32; plain integers beside them (2**63 - 1 for "the end") lose their high bits.
        return Tensor(elem, x.shape, Symbols(map_items(lambda item: _wrapped(item, elem), content.items)))
    if isinstance(content, Symbols) and elem in (Elem.FLOAT, Elem.DOUBLE) and not x.elem.is_float:
        return Tensor(elem, x.shape, content)
    if isinstance(content, (Affine, Columns)) and elem in (Elem.INT32, Elem.INT64):
        return Tensor(elem, x.shape, content)
    value = ctx.value(x)
    if elem is Elem.BOOL:
        zero = ctx.emit.constant(0, value.dtype)
        return ctx.tensor(ctx.emit.op("notEqual", value, zero), elem, x.shape)
    target = ctx.wire(elem)
    if elem.is_packed or elem.may_wrap:
        # Through a type that holds more, so that the low bits are kept as ONNX Runtime keeps them.
        wide = value if value.dtype in (DataType.INT32, DataType.INT64) else ctx.emit.cast(value, DataType.INT32)
        if value.dtype in (DataType.UINT32, DataType.UINT64):
            wide = ctx.emit.cast(value, DataType.INT64)
        return bring_back(ctx, ctx.tensor(wide, elem, x.shape))
    if x.elem.is_float and elem in (Elem.UINT8, Elem.INT8):
        # Through int32, so that the low bits are kept as ONNX Runtime keeps them.
        value = ctx.emit.cast(value, DataType.INT32)
    return ctx.tensor(ctx.emit.cast(value, target), elem, x.shape)


def _wrapped(item: Dim, elem: Elem) -> Dim:
    if not isinstance(item, int):
        return item
    low, high = elem.integer_range
    return (item - low) % (high - low + 1) + low


def cast_array(array: Array, elem: Elem) -> Array:
    """The same for constants; floats are truncated toward zero, integers keep their low bits."""
    if elem is Elem.BFLOAT16:
        with np.errstate(over="ignore"):
            return round_to_bfloat16(array.astype(np.float32))
    if elem.is_packed:
        low, high = elem.integer_range
        whole: Any = array.astype(np.int64)
        wrapped: Array = ((whole - low) % (high - low + 1) + low).astype(elem.numpy)
        return wrapped
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f" and elem.is_integer and elem is not Elem.UINT64:
            return array.astype(np.int64).astype(elem.numpy)
        return array.astype(elem.numpy)
