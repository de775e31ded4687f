"""MaxPool with the places of its maxima, in images of sizes that the run decides, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

# Each seed is one model; a larger range is a longer search for differences.
SEEDS = range(8)


def some(rng, low, high, count):
    return [int(number) for number in rng.integers(low, high, count, endpoint=True)]


def data(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_the_places_of_maxima_in_images_of_free_sizes(build, agree, seed, spatial) -> None:
    rng = np.random.default_rng([seed, spatial, 2])
    settings = {
        "kernel_shape": some(rng, 2, 3, spatial),
        "strides": some(rng, 1, 3, spatial),
        "dilations": some(rng, 1, 2, spatial),
        "pads": some(rng, 0, 1, 2 * spatial),
        "storage_order": int(rng.integers(0, 2)) if spatial == 2 else 0,
    }
    node = helper.make_node("MaxPool", ["x"], ["y", "i"], **settings)
    model = build([node], {"x": (np.float32, ["n", 3, *"hwd"[:spatial]])}, ["y", "i"])
    feeds = [{"x": data(rng, rows, 3, *some(rng, 5, 11, spatial))} for rows in (1, 2, 2)]
    # Equal elements: the first of them.
    feeds.append({"x": np.ones((1, 3, *([6] * spatial)), np.float32)})
    found = agree(model, *feeds)
    assert found.unbounded == ("n", *"hwd"[:spatial])


def test_what_was_pooled_is_put_back_in_images_of_free_sizes(build, agree) -> None:
    """SegNet."""
    window = {"kernel_shape": [2, 2], "strides": [2, 2]}
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p", "i"], **window),
        helper.make_node("MaxUnpool", ["p", "i"], ["y"], **window),
    ]
    rng = np.random.default_rng(3)
    model = build(nodes, {"x": (np.float32, ["n", 3, "h", "w"])})
    agree(model, *({"x": data(rng, n, 3, h, w)} for n, h, w in ((1, 2, 2), (2, 4, 6), (1, 8, 2))))
