"""Fourier transforms as products with matrices of waves or filters of them; the mel filter bank is a constant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, bounds, dim_min, names_of
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.conv import convolved
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.ops.windows import Span
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

# The matrix of a transform has as many rows and columns as the signal has samples.
_LONGEST: Final = 4096


@onnx_op("DFT", since=17)
def dft_before_20(ctx: Context, node: OnnxNode) -> Tensor:
    """The axis is an attribute."""
    return _dft(ctx, node, node.integer("axis", 1))


@onnx_op("DFT", since=20)
def dft(ctx: Context, node: OnnxNode) -> Tensor:
    """The axis is an input."""
    axis = node.optional(2)
    return _dft(ctx, node, -2 if axis is None else ctx.integer(axis, "the axis"))


def _dft(ctx: Context, node: OnnxNode, axis: int) -> Tensor:
    """[..., samples, ..., 1 or 2], the last axis holding real and imaginary parts."""
    x, length = node.input(0), node.optional(1)
    axis = ctx.axis(axis, x.rank)
    inverse, one_sided = node.flag("inverse", 0), node.flag("onesided", 0)
    if axis == x.rank - 1 or x.shape[-1] not in (1, 2):
        raise Refused(f"axis {axis} of {x}; the model is not valid")
    order = [*(a for a in range(x.rank - 1) if a != axis), axis, x.rank - 1]
    if not inverse:
        natural = x.shape[axis]
        points = natural if length is None else _length(ctx, length)
        _require_short(ctx, points)
        taken = natural if points == natural else dim_min(natural, points, ctx.ranges)
        parts = _parts(ctx, transposed(ctx, slice_of(ctx, x, {axis: (0, taken, 1)}), order))
        made = _transformed(ctx, parts, taken, points, keep=points // 2 + 1 if one_sided else points)
        return _joined(ctx, made, order)
    size = x.shape[axis]
    # The inverse of one half of a spectrum begins with the other half of it.
    natural = 2 * (size - 1) if one_sided else size
    count = natural if length is None else _length(ctx, length)
    if not ctx.demand(count, 1, "a transform has samples") and bounds(count, ctx.ranges)[0] < 1:
        raise Refused(f"a transform of {count} samples; 1 to {_LONGEST} are supported", sorted(names_of(count)))
    _require_short(ctx, count)
    used = dim_min(size, count // 2 + 1 if one_sided else count, ctx.ranges)
    parts = _parts(ctx, transposed(ctx, slice_of(ctx, x, {axis: (0, used, 1)}), order))
    made = [_real_inverse(ctx, parts, used, count)] if one_sided else _complex_inverse(ctx, parts, used, count)
    return _joined(ctx, made, order)


def _length(ctx: Context, length: Tensor) -> Dim:
    dims = ctx.dims(length, "the length of the transform")
    if len(dims) != 1:
        raise Refused(f"the length of the transform has {len(dims)} values; one is needed")
    return dims[0]


def _require_short(ctx: Context, count: Dim) -> None:
    """The matrix fits in memory; a free size is narrowed to what does."""
    if isinstance(count, int):
        if not 1 <= count <= _LONGEST:
            raise Refused(f"a transform of {count} samples; 1 to {_LONGEST} are supported")
        return
    why = f"a transform of up to {_LONGEST} samples is supported"
    if bounds(count, ctx.ranges)[1] > _LONGEST and not ctx.demand(-count, -_LONGEST, why):
        raise Refused(f"a transform of {count} samples; 1 to {_LONGEST} are supported", sorted(names_of(count)))


def _joined(ctx: Context, made: Sequence[Tensor], order: Sequence[int]) -> Tensor:
    """Real and imaginary part as the last axis, and the transformed axis back at its place."""
    rank = len(order)
    whole = ctx.tensor(ctx.emit.concat([ctx.full(part) for part in made], rank - 1), made[0].elem)
    return transposed(ctx, whole, [order.index(a) for a in range(rank)])


def _parts(ctx: Context, x: Tensor) -> list[Tensor]:
    """Real and imaginary part, [..., samples] each; one part of a real signal."""
    last = x.rank - 1
    count = 1 if x.shape[-1] == 1 else 2
    return [reshape_to(ctx, slice_of(ctx, x, {last: (k, 1, 1)}), x.shape[:-1]) for k in range(count)]


def _angles(rows: int, columns: int, count: int) -> Array:
    # Reduced before the division: angles stay small and exact.
    product = np.outer(np.arange(rows), np.arange(columns)) % count
    angles: Array = 2 * np.pi * product / count
    return angles


def _waves(ctx: Context, elem: Elem, rows: Dim, columns: Dim, count: Dim) -> tuple[Tensor, Tensor]:
    """Cosine and sine of minus the angles, [rows, columns]; computed in the graph where a size is free."""
    if isinstance(rows, int) and isinstance(columns, int) and isinstance(count, int):
        angles = _angles(rows, columns, count)
        return ctx.known(np.cos(angles).astype(elem.numpy), elem), ctx.known(-np.sin(angles).astype(elem.numpy), elem)
    ints, f = Formula(ctx, Elem.INT64), Formula(ctx, Elem.FLOAT)
    product, whole = ints("mul", positions(rows, 0, 2), positions(columns, 1, 2)), ints.size(count)
    rest = ints("sub", product, ints("mul", ints("div", product, whole), whole))
    turns = f("div", convert(ctx, rest, Elem.FLOAT), f.size(count))
    angle = f("mul", turns, 2 * np.pi)
    return convert(ctx, f("cos", angle), elem), convert(ctx, f("neg", f("sin", angle)), elem)


def _transformed(ctx: Context, parts: list[Tensor], used: Dim, count: Dim, *, keep: Dim) -> list[Tensor]:
    """Real and imaginary part of the first `keep` frequencies, [..., keep, 1] each."""
    f = Formula(ctx, parts[0].elem)
    cosine, sine = _waves(ctx, parts[0].elem, used, keep, count)
    real, imaginary = matmul_of(ctx, parts[0], cosine), matmul_of(ctx, parts[0], sine)
    if len(parts) == 2:
        real = f("sub", real, matmul_of(ctx, parts[1], sine))
        imaginary = f("add", imaginary, matmul_of(ctx, parts[1], cosine))
    return [reshape_to(ctx, part, (*part.shape, 1)) for part in (real, imaginary)]


def _complex_inverse(ctx: Context, parts: list[Tensor], used: Dim, count: Dim) -> list[Tensor]:
    """Real and imaginary part: the transform with the angles the other way round, divided by how many there are."""
    cosine, minus_sine = _waves(ctx, parts[0].elem, used, count, count)
    f = Formula(ctx, parts[0].elem)
    real, imaginary = matmul_of(ctx, parts[0], cosine), f("neg", matmul_of(ctx, parts[0], minus_sine))
    if len(parts) == 2:
        real = f("add", real, matmul_of(ctx, parts[1], minus_sine))
        imaginary = f("add", imaginary, matmul_of(ctx, parts[1], cosine))
    return [reshape_to(ctx, f("div", part, f.size(count)), (*part.shape, 1)) for part in (real, imaginary)]


def _real_inverse(ctx: Context, parts: list[Tensor], used: Dim, count: Dim) -> Tensor:
    """The real signal of half of a spectrum: each frequency but the first and the middle one counts twice."""
    f, ints = Formula(ctx, parts[0].elem), Formula(ctx, Elem.INT64)
    places = positions(used, 0, 1)
    is_single = ints("logicalOr", ints("equal", places, 0), ints("equal", ints("mul", places, 2), ints.size(count)))
    weights = f("where", is_single, ctx.scalar(1, f.elem), ctx.scalar(2, f.elem))
    cosine, minus_sine = _waves(ctx, f.elem, used, count, count)
    made = matmul_of(ctx, f("mul", parts[0], weights), cosine)
    if len(parts) == 2:
        made = f("add", made, matmul_of(ctx, f("mul", parts[1], weights), minus_sine))
    return reshape_to(ctx, f("div", made, f.size(count)), (*made.shape, 1))


@onnx_op("STFT", since=17)
def stft(ctx: Context, node: OnnxNode) -> Tensor:
    """[batch, frames, frequencies, 2] of [batch, samples, 1 or 2]: the transforms of windows that overlap."""
    signal, step_input, window, length = node.input(0), node.input(1), node.optional(2), node.optional(3)
    step = ctx.integer(step_input, "the frame step")
    if length is not None:
        count = ctx.integer(length, "the frame length")
    elif window is not None:
        count = ctx.size(window.shape[0], "the length of the window")
    else:
        raise Refused("neither window nor frame_length is given; the model is not valid")
    if signal.rank not in (2, 3) or step < 1 or not 1 <= count <= _LONGEST:
        raise Refused(f"frames of {count} every {step} samples of {signal}; up to {_LONGEST} samples are supported")
    if window is not None and not ctx.same(window.shape[0], count):
        raise Refused(f"the window {window} is not as long as a frame of {count}; it is padded in several ways")
    if signal.rank == 2:
        signal = reshape_to(ctx, signal, (*signal.shape, 1))
    samples = signal.shape[1]
    why = f"a frame has {count} samples"
    if bounds(samples, ctx.ranges)[0] < count and not ctx.demand(samples, count, why):
        raise Refused(f"{samples} samples are less than a frame of {count}; WebNN has no empty tensors")
    # Each frequency is a filter that steps over the signal: [batch, parts, 1, samples] -> [batch, 2 * keep, 1, frames].
    keep = count // 2 + 1 if node.flag("onesided", 1) else count
    filters = ctx.known(_filters(count, keep, signal.shape[2]).astype(signal.elem.numpy), signal.elem)
    if window is not None:
        shaped = reshape_to(ctx, convert(ctx, window, signal.elem), (1, 1, 1, count))
        filters = Formula(ctx, signal.elem)("mul", filters, shaped)
    image = reshape_to(ctx, transposed(ctx, signal, (0, 2, 1)), (signal.shape[0], signal.shape[2], 1, samples))
    made = convolved(ctx, image, filters, None, (Span(1), Span(count, step)), 1)
    frames = made.shape[3]
    return transposed(ctx, reshape_to(ctx, made, (signal.shape[0], keep, 2, frames)), (0, 3, 1, 2))


def _filters(count: int, keep: int, parts: Dim) -> Array:
    """Real and imaginary part of every frequency, one after the other: [2 * keep, parts of the signal, 1, count]."""
    angles = _angles(keep, count, count)
    waves = [[np.cos(angles), np.sin(angles)], [-np.sin(angles), np.cos(angles)]]
    table: Array = np.array([row[: int(str(parts))] for row in waves]).transpose(2, 0, 1, 3)
    return table.reshape(2 * keep, -1, 1, count)


@onnx_op("MelWeightMatrix", since=17)
def mel_weight_matrix(ctx: Context, node: OnnxNode) -> Tensor:
    """Triangular filters on the mel scale, [frequencies, filters]; all inputs have to be constants."""
    names = ("num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz")
    numbers = [ctx.constant(node.input(index), name).reshape(-1)[0] for index, name in enumerate(names)]
    filters, length, rate = (int(number) for number in numbers[:3])
    low, high = (2595 / np.log(10) * np.log1p(float(hertz) / 700) for hertz in numbers[3:])
    elem = Elem(node.integer("output_datatype", int(Elem.FLOAT)))
    bins = length // 2 + 1
    edges = np.arange(filters + 2) * ((high - low) / (filters + 2)) + low
    places = ((length + 1) * (700 * np.expm1(edges / 2595 * np.log(10))) // rate).astype(np.int64)
    table = np.zeros((bins, filters))
    for number in range(filters):
        begin, middle, end = places[number : number + 3]
        if begin == middle:
            table[middle, number] = 1
        else:
            rising = np.arange(begin, middle + 1)
            table[rising, number] = (rising - begin) / (middle - begin)
        if end > middle:
            falling = np.arange(middle, end)
            table[falling, number] = (end - falling) / (end - middle)
    return ctx.known(table.astype(elem.numpy), elem)
