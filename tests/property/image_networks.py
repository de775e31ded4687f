"""Random networks of images: convolutions with what follows them, in the order that a model has."""

from __future__ import annotations

from random import Random

import numpy as np
from encoder_layers import F32, B, Encoder

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim
from webnn_runtime.format.graph import Graph

__all__ = ["random_image_network"]


def random_image_network(random: Random) -> Graph:
    """Convolutions with what follows them, pooling, and a classifier."""
    made = Encoder(random)
    made.builder = GraphBuilder("images", dims=[DynamicDim("batch", 16)])
    made.op = op = made.builder.op
    channels, side = made.any(3, 4), made.any(9, 12)
    x = made.builder.input("image", F32, (B, channels, side, side))
    for _ in range(made.any(1, 2, 3)):
        channels = int(str(x.type.shape[1]))
        groups = made.any(1, 1, channels)
        after, size = made.any(channels, channels * 2, 17), made.any(1, 3)
        after = channels if groups > 1 and after == 17 else after
        filters = made.weights(after, channels // groups, size, size)
        step = made.any((1, 1), (1, 1), (2, 1), (2, 2))
        bias = made.any(None, made.weights(after))
        y = op("conv2d", x, filters, bias, padding=(size // 2,) * 4, strides=step, groups=groups)
        if made.any(0, 1):
            spread = made.builder.constant(made.numbers.uniform(0.5, 2.0, after).astype(np.float32))
            y = op("batchNormalization", y, made.weights(after), spread, made.weights(after), made.weights(after))
        if made.any(0, 1):
            y = made.activation(y)
        if x.type == y.type and made.any(0, 1):
            y = made.joined("add", x, y)
        if made.any(0, 1):
            y = made.joined(made.any("mul", "add"), y, made.weights(1, after, 1, 1))
        if made.any(0, 0, 1):
            # Attention to channels: each is scaled by what a small network makes of all their means.
            mean = op("reduceMean", y, axes=(2, 3), keep_dimensions=True)
            few = op("relu", op("conv2d", mean, made.weights(2, after, 1, 1)))
            y = made.joined("mul", y, op("sigmoid", op("conv2d", few, made.weights(after, 2, 1, 1))))
        x = op("relu", y) if made.any(0, 1) else y
    if made.any(0, 1):
        x = op(made.any("maxPool2d", "averagePool2d"), x, window_dimensions=(2, 2), strides=(2, 2))
    flat = op("reduceMean", x, axes=(2, 3), keep_dimensions=False)
    return made.builder.build({"found": made.linear(flat, 5, bias=False), "features": x})
