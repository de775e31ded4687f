"""Fourier transforms as products with constant matrices, and the mel filter bank as a constant."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
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
    size = ctx.size(x.shape[axis], "the dimension that is transformed")
    # The inverse of one half of a spectrum begins with the other half of it.
    natural = 2 * (size - 1) if inverse and one_sided else size
    count = natural if length is None else ctx.integer(length, "the length of the transform")
    if not 1 <= count <= _LONGEST:
        raise Refused(f"a transform of {count} samples; 1 to {_LONGEST} are supported")
    used = min(size, count // 2 + 1 if inverse and one_sided else count)
    x = slice_of(ctx, x, {axis: (0, used, 1)})
    order = [*(a for a in range(x.rank - 1) if a != axis), axis, x.rank - 1]
    parts = _parts(ctx, transposed(ctx, x, order))
    if inverse and not one_sided:
        # Where the sum is 0 in truth, NumPy's own answer in float32 is 1e-8 of the largest element, beyond the 1e-7
        # that onnx's test of it allows.
        raise Refused("the inverse transform of complex numbers: float32 is not as exact as ONNX's test of it demands")
    if inverse:
        made = [_real_inverse(ctx, parts, used, count)]
    else:
        made = _transformed(ctx, parts, used, count, keep=count // 2 + 1 if one_sided else count)
    whole = ctx.tensor(ctx.emit.concat([ctx.full(part) for part in made], x.rank - 1), x.elem)
    return transposed(ctx, whole, [order.index(a) for a in range(x.rank)])


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


def _times(ctx: Context, x: Tensor, matrix: Array) -> Tensor:
    return matmul_of(ctx, x, ctx.known(matrix.astype(x.elem.numpy), x.elem))


def _transformed(ctx: Context, parts: list[Tensor], used: int, count: int, *, keep: int) -> list[Tensor]:
    """Real and imaginary part of the first `keep` frequencies, [..., keep, 1] each."""
    f = Formula(ctx, parts[0].elem)
    angles = _angles(used, keep, count)
    cosine, sine = np.cos(angles), -np.sin(angles)
    real, imaginary = _times(ctx, parts[0], cosine), _times(ctx, parts[0], sine)
    if len(parts) == 2:
        real = f("sub", real, _times(ctx, parts[1], sine))
        imaginary = f("add", imaginary, _times(ctx, parts[1], cosine))
    return [reshape_to(ctx, part, (*part.shape, 1)) for part in (real, imaginary)]


def _real_inverse(ctx: Context, parts: list[Tensor], used: int, count: int) -> Tensor:
    """The real signal of half of a spectrum: each frequency but the first and the middle one counts twice."""
    angles = _angles(used, count, count)
    twice = np.full((used, 1), 2.0)
    twice[0] = 1
    if count % 2 == 0 and used == count // 2 + 1:
        twice[-1] = 1
    made = _times(ctx, parts[0], np.cos(angles) * twice / count)
    if len(parts) == 2:
        made = Formula(ctx, made.elem)("sub", made, _times(ctx, parts[1], np.sin(angles) * twice / count))
    return reshape_to(ctx, made, (*made.shape, 1))


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
    samples = ctx.size(signal.shape[1], "the number of samples")
    frames = (samples - count) // step + 1
    if frames < 1:
        raise Refused(f"{samples} samples are less than a frame of {count}; WebNN has no empty tensors")
    one_sided = node.flag("onesided", 1)
    places = np.arange(frames)[:, None] * step + np.arange(count)
    picks = ctx.emit.constant(places, ctx.carrier(Elem.INT64), "frames")
    framed = ctx.computed(signal.elem, "gather", ctx.full(signal), picks, axis=1)
    parts = _parts(ctx, framed)
    if window is not None:
        f = Formula(ctx, signal.elem)
        parts = [f("mul", part, convert(ctx, window, signal.elem)) for part in parts]
    made = _transformed(ctx, parts, count, count, keep=count // 2 + 1 if one_sided else count)
    return ctx.tensor(ctx.emit.concat([ctx.full(part) for part in made], 3), signal.elem)


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
