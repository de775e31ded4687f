"""Operators that move elements or change their type; ONNX booleans stay booleans on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType, cast_number

__all__: list[str] = []

_PAD_MODES: Final = {"constant": "constant", "edge": "edge", "reflection": "reflect"}
_TO_THE_END: Final = 2**63 - 1


@lowering("identity")
def _identity(g: Emitter, x: Tensor) -> str:
    return g.move(x, lambda name: g.node("Identity", name))


@lowering("cast")
def _cast(g: Emitter, x: Tensor, *, to: DataType) -> str:
    if to is x.dtype:
        return _identity(g, x)
    if g.has_truth(x):
        return g.cast(g.truth(x), to)
    return _saturated(g, x, to) if x.dtype.is_float and not to.is_float else g.cast(x, to)


def _saturated(g: Emitter, x: Tensor, to: DataType) -> str:
    """Floats as integers: toward zero, limited to the range, NaN as 0.

    The specification leaves open what is out of range; in onnxruntime it depends on the processor.
    """
    single = DataType.FLOAT32
    name = g.cast(x, single) if x.dtype is not single else x.name
    lowest, highest = to.bounds
    # The largest float32 within the range: above it are only floats that saturate.
    top = np.float32(highest)
    within = top if int(top) <= highest else np.nextafter(top, np.float32(0))
    inside = g.node("Clip", name, g.scalar(lowest, single), g.constant(np.array(within)))
    if to.bits == 8:
        return g.cast(inside, to)
    # Selection has no kernel for unsigned integers: it is done on an int64 of the same low bits.
    wide = to if to in (DataType.INT32, DataType.INT64) else DataType.INT64
    whole = g.cast(g.cast(inside, to), wide)
    limit = g.scalar(highest if to is not DataType.UINT64 else -1, wide)
    is_number, is_above = g.node("Equal", name, name), g.node("Greater", name, g.constant(np.array(within)))
    result = g.node("Where", is_above, limit, g.node("Where", is_number, whole, g.scalar(0, wide)))
    return result if wide is to else g.cast(result, to)


@lowering("reshape")
def _reshape(g: Emitter, x: Tensor, *, new_shape: tuple[Dim, ...]) -> str:
    plain = _plain_shape(g, x.shape, new_shape)
    if plain is not None:
        shape = g.ints(plain)
        return g.move(x, lambda name: g.node("Reshape", name, shape))
    return g.move(x, lambda name: g.reshape(name, new_shape))


def _plain_shape(g: Emitter, old: Sequence[Dim], new: Sequence[Dim]) -> list[int] | None:
    """The new shape as ONNX constants: 0 for "as it was here", one -1 for "what is left"; None if that is not enough.

    The element counts are known to agree, so -1 is right for the only dimension left over, unless another
    one may be 0 at run: then ONNX could not tell what is left.
    """
    plain = [
        dim if isinstance(dim, int) else (0 if index < len(old) and old[index] == dim else -1)
        for index, dim in enumerate(new)
    ]
    left = [index for index, dim in enumerate(plain) if dim == -1]
    if not left:
        return plain
    if len(left) == 1 and all(g.is_positive(dim) for index, dim in enumerate(new) if index not in left):
        return plain
    return None


@lowering("transpose")
def _transpose(g: Emitter, x: Tensor, *, permutation: tuple[int, ...]) -> str:
    return g.move(x, lambda name: g.transpose(name, permutation))


@lowering("expand")
def _expand(g: Emitter, x: Tensor, *, new_shape: tuple[Dim, ...]) -> str:
    # ONNX stretches both ways, so a dimension that stays can be given as 1: fewer of them need the run.
    padded = (1,) * (len(new_shape) - x.rank) + x.shape
    shape = g.dims([1 if have == want else want for have, want in zip(padded, new_shape, strict=True)])
    return g.move(x, lambda name: g.node("Expand", name, shape))


@lowering("concat")
def _concat(g: Emitter, inputs: list[Tensor], *, axis: int) -> str:
    if all(g.has_truth(value) for value in inputs):
        return g.from_truth(g.node("Concat", *(g.truth(value) for value in inputs), axis=axis))
    return g.node("Concat", *inputs, axis=axis)


@lowering("split")
def _split(g: Emitter, x: Tensor, *, axis: int, **_splits: object) -> tuple[str, ...]:
    sizes = [result.shape[axis] for result in g.results]
    return g.nodes("Split", x, g.dims(sizes), results=len(sizes), axis=axis)


@lowering("slice")
def _slice(g: Emitter, x: Tensor, *, starts: tuple[Dim, ...], sizes: tuple[Dim, ...], strides: tuple[Dim, ...]) -> str:
    axes = [axis for axis, dim in enumerate(x.shape) if (starts[axis], sizes[axis], strides[axis]) != (0, dim, 1)]
    if not axes:
        return _identity(g, x)
    ends: list[Dim] = [
        _TO_THE_END if starts[axis] + sizes[axis] == x.shape[axis] else starts[axis] + sizes[axis] for axis in axes
    ]
    bounds = (
        g.dims([starts[axis] for axis in axes]),
        g.dims(ends),
        g.ints(axes),
        g.dims([strides[axis] for axis in axes]),
    )
    return g.move(x, lambda name: g.node("Slice", name, *bounds))


@lowering("reverse")
def _reverse(g: Emitter, x: Tensor, *, axes: tuple[int, ...] | None) -> str:
    along = list(range(x.rank)) if axes is None else list(axes)
    if not along:
        return _identity(g, x)
    count = len(along)
    bounds = (g.ints([-1] * count), g.ints([-_TO_THE_END] * count), g.ints(along), g.ints([-1] * count))
    return g.move(x, lambda name: g.node("Slice", name, *bounds))


@lowering("pad")
def _pad(
    g: Emitter,
    x: Tensor,
    *,
    beginning_padding: tuple[Dim, ...],
    ending_padding: tuple[Dim, ...],
    mode: str,
    value: float | int,
) -> str:
    if not x.rank:
        return _identity(g, x)
    wide = kernel_type("Pad", x.dtype)
    filler = None
    if mode == "constant":
        filler = g.constant(np.array(cast_number(value, x.dtype), x.dtype.numpy).astype(wide.numpy))
    name = x.name if wide is x.dtype else g.cast(x, wide)
    pads = g.dims((*beginning_padding, *ending_padding))
    result = g.node("Pad", name, pads, filler, mode=_PAD_MODES[mode])
    return result if wide is x.dtype else g.cast(result, x.dtype)


@lowering("tile")
def _tile(g: Emitter, x: Tensor, *, repetitions: tuple[Dim, ...]) -> str:
    return g.node("Tile", x, g.dims(repetitions)) if x.rank else _identity(g, x)


@lowering("triangular")
def _triangular(g: Emitter, x: Tensor, *, upper: bool, diagonal: int) -> str:
    wide = kernel_type("Trilu", x.dtype)
    name = x.name if wide is x.dtype else g.cast(x, wide)
    result = g.node("Trilu", name, g.scalar(diagonal, DataType.INT64), upper=upper)
    return result if wide is x.dtype else g.cast(result, x.dtype)
