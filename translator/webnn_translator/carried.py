"""Values carried by a wider type than their own: kept in their range, or refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import SymbolicDim, names_of, substitute, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.elements import Elem

if TYPE_CHECKING:
    from webnn_translator.context import Context
    from webnn_translator.tensor import Tensor

__all__ = ["bring_back", "keep_inside", "representable", "within_type"]


def bring_back(ctx: Context, tensor: Tensor) -> Tensor:
    """Integers that a wider type carries, with the bits that their own type lacks dropped.

    `div` truncates, so that the remainder of x lies in (-span, span), and that of one moved to be positive
    in [0, span); nothing here can leave int32.
    """
    low, high = tensor.elem.integer_range
    span = high - low + 1
    x = ctx.value(tensor)
    number = x.dtype

    def remainder(value: Value) -> Value:
        whole = ctx.emit.op("div", value, ctx.emit.constant(span, number))
        return ctx.emit.op("sub", value, ctx.emit.op("mul", whole, ctx.emit.constant(span, number)))

    moved = ctx.emit.op("add", remainder(x), ctx.emit.constant(span - low, number))
    found = ctx.emit.op("add", remainder(moved), ctx.emit.constant(low, number))
    narrow = ctx.emit.cast(found, ctx.wire(tensor.elem))
    ctx.emit.declare(narrow, low, high)
    return ctx.tensor(narrow, tensor.elem, tensor.shape)


def within_type(ctx: Context, tensor: Tensor) -> Tensor:
    """A result that a wider integer type carries, proved to be in its own range or brought back into it.

    Raises:
        Refused: it may have left the carrier as well, or how the type overflows is not known.
    """
    elem = tensor.elem
    if elem.is_float or elem.wire.bits == elem.bits or not isinstance(tensor.content, Value):
        return tensor
    known = ctx.emit.interval(tensor.content)
    if known is not None and known.within(*elem.integer_range, ctx.ranges):
        return tensor
    if known is None or not elem.may_wrap:
        raise Refused(f"its {elem.text} result may leave the range of {elem.wire.value}, which carries it")
    return bring_back(ctx, tensor)


def keep_inside(ctx: Context, indices: Tensor, rows: int) -> None:
    """Bound the dimension that computed indices grow with, so that they stay inside a table.

    WebNN clamps an index where ONNX has an error, so that a longer sequence would be silently wrong.
    """
    if not isinstance(indices.content, Value):
        return
    known = ctx.emit.interval(indices.content)
    if known is None or not isinstance(known.high, SymbolicDim):
        return
    names = sorted(names_of(known.high))
    slope = known.high - substitute(known.high, {names[0]: symbol(names[0]) - 1})
    if len(names) != 1 or not isinstance(slope, int) or slope <= 0:
        return
    start = substitute(known.high, {names[0]: 0})
    assert isinstance(start, int)
    ctx.narrow(names[0], (rows - 1 - start) // slope, f"a table of {rows} rows is read at up to {known.high}")


def representable(array: Array, dtype: DataType, elem: Elem) -> Array:
    """Values for a narrower float type, which has to have their magnitude.

    Raises:
        Refused: a value would become infinite, or all of them 0.
    """
    if elem is not Elem.DOUBLE:
        return array
    with np.errstate(over="ignore", under="ignore"):
        narrow = array.astype(dtype.numpy)
    finite = np.isfinite(array)
    if not np.isfinite(narrow[finite]).all():
        largest = float(np.abs(array[finite]).max())
        raise Refused(f"a {elem.text} constant holds {largest:g}, which {dtype.value} cannot hold")
    if array.any() and not narrow.any():
        raise Refused(f"a {elem.text} constant holds {float(array[array != 0][0]):g}, which is 0 in {dtype.value}")
    return narrow
