"""Random encoders and networks of images, spelled as exporters spell them: every pattern that backends fuse.

Unlike `random_graphs`, where any operator may follow any other, these are layers in an order that a model has, so
that fusions, packed texts and cuts along the batch happen. `graph_mutations` then breaks them in small ways.
"""

from __future__ import annotations

from random import Random

import numpy as np
from encoder_layers import I64, WIDTH, WORDS, B, Encoder, L
from foreign_encoders import ForeignEncoder
from image_networks import random_image_network
from quantised_encoders import QuantisedEncoder

from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.builder import Value
from webnn_runtime.format.graph import Array, Graph

__all__ = [
    "FAMILIES",
    "feeds_of",
    "random_encoder",
    "random_foreign_encoder",
    "random_image_network",
    "random_masked_encoder",
    "random_quantised_encoder",
]


class MaskedEncoder(Encoder):
    """As `Encoder`, keys hidden by their places in every way; some leave a token no key of its own text."""

    def causal(self) -> Value:
        compared = self.any("greaterOrEqual", "greater", "lesserOrEqual", "notEqual", "near")
        if compared == "near":
            seen = self.op(
                "lesser", self.op("abs", self.op("sub", *self.places())), self.number(self.any(0, 1, 3), I64)
            )
        else:
            seen = self.op(compared, *self.places())
        return self.op("reshape", seen, new_shape=(1, 1, L, L))

    def keep(self) -> Value:
        kept = self.op("notEqual", self.op("reshape", self.mask, new_shape=(B, 1, 1, L)), self.number(0, I64))
        return self.joined("logicalAnd", kept, self.causal())


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


def random_masked_encoder(random: Random) -> Graph:
    """One layer with such a mask, or with another."""
    made = MaskedEncoder(random)
    return made.builder.build({"found": made.pooled(made.layer(made.embedded()))})


def random_quantised_encoder(random: Random) -> Graph:
    """One layer whose products are sums of integers."""
    made = QuantisedEncoder(random)
    return made.builder.build({"found": made.pooled(made.layer(made.embedded()))})


FAMILIES = {
    "encoder": random_encoder,
    "foreign": random_foreign_encoder,
    "images": random_image_network,
    "masked": random_masked_encoder,
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
