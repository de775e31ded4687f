"""Recipes for calls that go over images window by window; see `random_calls`."""

from __future__ import annotations

from collections.abc import Sequence

from call_sites import Shape, Site, counts, divisors, windows
from hypothesis import strategies as st

from webnn_runtime.format.ops import kinds as k

__all__ = ["convolution", "pool", "resample"]


def filter_shape(layout: str, **dims: int) -> Shape:
    return tuple(dims[letter] for letter in layout)


def convolution(site: Site) -> None:
    layout = site.options["inputLayout"] = site.pick(["nchw", "nhwc"])
    sizes = [site.x.static_shape[layout.index(letter)] for letter in "hw"]
    channels = site.x.static_shape[layout.index("c")]
    groups = site.options["groups"] = site.pick(divisors(channels))
    window = [site.integer(1, 3), site.integer(1, 3)]
    transposed = site.spec.name == "convTranspose2d"
    layouts = site.spec.option("filterLayout")
    assert layouts is not None
    assert isinstance(layouts.kind, k.Choice)
    order = site.options["filterLayout"] = site.pick(layouts.kind.words)
    made = site.integer(1, 2)
    outer = made if transposed else made * groups
    inner = channels if transposed else channels // groups
    site.other("filter", filter_shape(order, o=outer, i=inner, h=window[0], w=window[1]))
    site.maybe("bias", (made * groups,))
    if not transposed:
        windows(site, sizes, window)
        return
    dilations, strides = ([site.integer(1, top), site.integer(1, top)] for top in (2, 3))
    padding, least = [], []
    for axis in (0, 1):
        whole = (sizes[axis] - 1) * strides[axis] + (window[axis] - 1) * dilations[axis] + 1
        before = site.integer(0, min(2, whole - 1))
        after = site.integer(0, min(2, whole - 1 - before))
        padding += [before, after]
        least.append(whole - before - after)
    site.options |= {"dilations": dilations, "strides": strides, "padding": padding}
    beyond = [site.integer(0, stride - 1) for stride in strides]
    if site.chance():
        site.options["outputPadding"] = beyond
    elif site.chance():
        site.options["outputSizes"] = [size + more for size, more in zip(least, beyond, strict=True)]


def pool(site: Site) -> None:
    layout = site.options["layout"] = site.pick(["nchw", "nhwc"])
    sizes = [site.x.static_shape[layout.index(letter)] for letter in "hw"]
    window = sizes
    if site.chance():
        window = site.options["windowDimensions"] = [site.integer(1, 3), site.integer(1, 3)]
    windows(site, sizes, window)
    rounding = site.options["outputShapeRounding"] = site.pick(["floor", "ceil"])
    if not on_image(site, sizes, window):
        # A window that sees nothing but padding has no mean and no largest value.
        site.options |= {"strides": [1, 1], "dilations": [1, 1], "padding": [0, 0, 0, 0]}
        site.options["windowDimensions"] = [min(pair) for pair in zip(sizes, window, strict=True)]
    elif site.integer(0, 3) == 0:
        site.options["outputSizes"] = counts(site, sizes, window, ceil=rounding == "ceil")


def on_image(site: Site, sizes: Sequence[int], window: Sequence[int]) -> bool:
    for axis, count in enumerate(counts(site, sizes, window, ceil=True)):
        for place in range(count):
            start = place * site.options["strides"][axis] - site.options["padding"][2 * axis]
            seen = [start + step * site.options["dilations"][axis] for step in range(window[axis])]
            if not any(0 <= position < sizes[axis] for position in seen):
                return False
    return True


def resample(site: Site) -> None:
    axes = site.options["axes"] = site.draw(st.permutations(range(4)))[:2]
    sizes = [site.x.static_shape[axis] for axis in axes]
    if site.chance():
        site.options["sizes"] = [site.integer(1, 7), site.integer(1, 7)]
    else:
        site.options["scales"] = [site.pick([s for s in (0.5, 1.0, 1.5, 2.0, 3.0) if size * s >= 1]) for size in sizes]
