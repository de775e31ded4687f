"""Random encoders and networks of images, spelled as exporters spell them: every pattern that backends fuse.

Unlike `random_graphs`, where any operator may follow any other, these are layers in an order that a model has, so
that fusions, packed texts and cuts along the batch happen. `graph_mutations` then breaks them in small ways.
"""

from __future__ import annotations

from random import Random

import numpy as np
from encoder_layers import WIDTH, WORDS, B, Encoder, L
from foreign_encoders import ForeignEncoder
from image_networks import random_image_network
from quantised_encoders import QuantisedEncoder

from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.graph import Array, Graph

__all__ = [
    "FAMILIES",
    "feeds_of",
    "random_encoder",
    "random_foreign_encoder",
    "random_image_network",
    "random_quantised_encoder",
]


def random_encoder(random: Random) -> Graph:
    """A layer or two; now and then inputs and constants are results as well."""
    made = Encoder(random)
    x = made.embedded()
    for _ in range(made.any(1, 1, 2)):
        x = made.layer(x)
    outputs = {"found": made.pooled(x)}
    extra = random.random()
    if extra < 0.1:
        outputs |= {"ids_again": made.ids, "fixed": made.weights(3), "whole": x}
    elif extra < 0.2:
        outputs |= {"twice": outputs["found"], "flat": made.op("reshape", x, new_shape=(B * L, WIDTH))}
    return made.builder.build(outputs)


def random_foreign_encoder(random: Random) -> Graph:
    """One layer or two of such attention."""
    made = ForeignEncoder(random)
    x = made.embedded()
    for _ in range(made.any(1, 1, 2)):
        x = made.layer(x)
    return made.builder.build({"found": made.pooled(x)})


def random_quantised_encoder(random: Random) -> Graph:
    """One layer whose products are sums of integers."""
    made = QuantisedEncoder(random)
    return made.builder.build({"found": made.pooled(made.layer(made.embedded()))})


FAMILIES = {
    "encoder": random_encoder,
    "foreign": random_foreign_encoder,
    "images": random_image_network,
    "quantised": random_quantised_encoder,
}


def feeds_of(graph: Graph, shapes: dict[str, int], random: Random) -> dict[str, Array]:
    """Arrays for the inputs of any of these: words, masks with at least one 1 in a row, and numbers."""
    numbers = np.random.default_rng(random.randrange(2**32))
    feeds: dict[str, Array] = {}
    for name, kind in graph.inputs.items():
        shape = concrete_shape(kind, shapes)
        if kind.dtype.is_float:
            feeds[name] = numbers.standard_normal(shape).astype(kind.dtype.numpy)
        elif "mask" in name:
            lengths = numbers.integers(1, shape[-1] + 1, (*shape[:-1], 1))
            feeds[name] = (np.arange(shape[-1]) < lengths).astype(kind.dtype.numpy)
        else:
            feeds[name] = numbers.integers(2, WORDS, shape).astype(kind.dtype.numpy)
    return feeds
