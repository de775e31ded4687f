"""Random valid calls of any operator: types, ranks and options from the table, shapes from one recipe per rule.

A recipe knows how the shapes of one operator depend on each other, and nothing else: which types and ranks an
operand may have, which options there are and what kind each is, is read from the table.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from call_sites import (
    MAX_RANK,
    PROFILES,
    Call,
    Shape,
    Site,
    Slot,
    between,
    counts,
    distinct_along,
    distinct_rows,
    divisors,
    fresh_types,
    indices,
    ordered,
    partner,
    plain,
    shapes,
    squeezed,
    windows,
)
from hypothesis import strategies as st

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops import OPS, Option, Ranks
from webnn_runtime.format.ops import kinds as k

__all__ = ["RECIPES", "call_of", "calls"]


def no_others(site: Site) -> None:
    pass


def binary(site: Site) -> None:
    (_, other) = site.spec.operands
    site.other(other.name, partner(site, site.x.static_shape))


def where(site: Site) -> None:
    dtype = site.dtype("trueValue")
    shape = partner(site, site.x.static_shape, dtype)
    whole = np.broadcast_shapes(shape, site.x.static_shape)
    site.other("trueValue", shape, dtype=dtype)
    site.other("falseValue", partner(site, whole, dtype), dtype=dtype)


def clamp(site: Site) -> None:
    low, high = sorted(number(site, site.x.dtype) for _ in range(2))
    site.options |= {name: bound for name, bound in (("minValue", low), ("maxValue", high)) if site.chance()}


def number(site: Site, dtype: DataType) -> float | int:
    if dtype.is_float or site.integer(0, 4) == 0:
        return site.pick([-1.5, -0.5, 0.0, 0.1, 0.5, 1.0, 2.5])
    low, high = dtype.bounds
    return site.pick([0, 1, 2, 3, max(low, -2), low, high])


def concat(site: Site) -> None:
    shape = list(site.x.static_shape)
    axis = site.options["axis"] = site.integer(0, len(shape) - 1)
    for _ in range(site.integer(0, 3)):
        site.others.append(Slot(site.x.with_shape((*shape[:axis], site.integer(1, 3), *shape[axis + 1 :]))))


def expand(site: Site) -> None:
    shape = [site.integer(1, 3) if dim == 1 else dim for dim in site.x.static_shape]
    if len(shape) < MAX_RANK and site.chance():
        shape.insert(0, site.integer(1, 3))
    site.options["newShape"] = shape


def pad(site: Site) -> None:
    mode = site.options["mode"] = site.pick(["constant", "edge", "reflection"])
    for name in ("beginningPadding", "endingPadding"):
        limits = [min(2, dim - 1) if mode == "reflection" else 2 for dim in site.x.static_shape]
        site.options[name] = [site.integer(0, limit) for limit in limits]
    if site.chance():
        site.options["value"] = number(site, site.x.dtype)


def reshape(site: Site) -> None:
    rest = math.prod(site.x.static_shape)
    shape: list[int] = []
    for _ in range(site.integer(0, MAX_RANK - 1)):
        shape.append(site.pick(divisors(rest)))
        rest //= shape[-1]
    site.options["newShape"] = [*shape, rest] if rest > 1 or site.chance() else shape


def slice_(site: Site) -> None:
    starts = site.options["starts"] = [site.integer(0, dim - 1) for dim in site.x.static_shape]
    sizes = [site.integer(1, dim - start) for dim, start in zip(site.x.static_shape, starts, strict=True)]
    site.options["sizes"] = sizes
    if site.chance():
        site.options["strides"] = [site.integer(1, 3) for _ in sizes]


def split(site: Site) -> None:
    axis = site.integer(0, site.x.rank - 1)
    dim = site.x.static_shape[axis]
    cuts = sorted({0, dim, *(site.integer(0, dim) for _ in range(2))})
    parts = [high - low for low, high in itertools.pairwise(cuts)]
    site.options |= {"axis": axis, "splits": parts if site.chance() else site.pick(divisors(dim))}


def tile(site: Site) -> None:
    site.options["repetitions"] = [site.integer(1, 2) for _ in site.x.static_shape]


def gather(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = shapes(site.draw, Ranks(0, min(3, MAX_RANK + 1 - site.x.rank)))
    site.other("indices", shape, indices(site.x.static_shape[axis]))


def gather_elements(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = list(site.x.static_shape)
    size, shape[axis] = shape[axis], site.integer(1, 4)
    site.other("indices", shape, indices(size))


def gather_nd(site: Site) -> None:
    depth = site.integer(1, site.x.rank)
    shape = shapes(site.draw, Ranks(0, min(2, MAX_RANK - site.x.rank + depth)))
    site.other("indices", (*shape, depth), indices(*site.x.static_shape[:depth]))


def scatter_elements(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = list(site.x.static_shape)
    size, shape[axis] = shape[axis], site.integer(1, shape[axis])
    site.other("indices", shape, distinct_along(axis, size))
    site.other("updates", shape)


def scatter_nd(site: Site) -> None:
    shape = site.x.static_shape
    depth = site.integer(1, site.x.rank)
    rows = site.integer(1, math.prod(shape[:depth]))
    site.other("indices", (rows, depth), distinct_rows(shape[:depth]))
    site.other("updates", (rows, *shape[depth:]))


def matmul(site: Site) -> None:
    *batch, _, inner = site.x.static_shape
    site.other("b", (*partner(site, batch, DataType.INT4)[-3:], inner, site.integer(1, 5)))


def gemm(site: Site) -> None:
    flips = [site.chance(), site.chance()]
    site.options |= {"aTranspose": flips[0], "bTranspose": flips[1]}
    rows, inner = site.x.static_shape[::-1] if flips[0] else site.x.static_shape
    columns = site.integer(1, 5)
    site.other("b", (columns, inner) if flips[1] else (inner, columns))
    site.maybe("c", squeezed(site, (rows, columns)))


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


def blocks(site: Site) -> Shape:
    return tuple(site.pick([1, site.pick(divisors(dim))]) for dim in site.x.static_shape)


def dequantize(site: Site) -> None:
    shape = blocks(site)
    site.first_values = plain(site.pick(PROFILES))
    site.other("scale", shape, between(0.05, 0.5))
    site.other("zeroPoint", shape, plain("signed"))


def quantize(site: Site) -> None:
    shape = blocks(site)
    operand = site.spec.operands[2]
    assert operand.allowed is not None
    site.other("scale", shape, between(0.05, 0.5))
    site.other("zeroPoint", shape, plain("signed"), dtype=site.pick(ordered(operand.allowed | operand.extra)))


def batch_normalization(site: Site) -> None:
    axis = site.options["axis"] = site.integer(0, site.x.rank - 1)
    shape = (site.x.static_shape[axis],)
    site.other("mean", shape, between(-0.5, 0))
    site.other("variance", shape, between(0.1, 1))
    site.maybe("scale", shape)
    site.maybe("bias", shape)
    epsilon(site)


def instance_normalization(site: Site) -> None:
    layout = site.options["layout"] = site.pick(["nchw", "nhwc"])
    shape = (site.x.static_shape[layout.index("c")],)
    site.maybe("scale", shape)
    site.maybe("bias", shape)
    epsilon(site)


def layer_normalization(site: Site) -> None:
    axes = site.options["axes"] = site.draw(st.permutations(range(site.x.rank)))[: site.integer(0, site.x.rank)]
    shape = [site.x.static_shape[axis] for axis in axes]
    site.maybe("scale", shape)
    site.maybe("bias", shape)
    epsilon(site)


def epsilon(site: Site) -> None:
    if site.chance():
        site.options["epsilon"] = site.pick([1e-5, 1e-3, 0.1])


def recurrent(gates: int) -> Callable[[Site], None]:
    def recipe(site: Site) -> None:
        hidden = site.options["hiddenSize"] = site.integer(1, 3)
        rows, leading, state = gates * hidden, (), (hidden,)
        *steps, batch, width = site.x.static_shape
        if steps:
            direction = site.options["direction"] = site.pick(["forward", "backward", "both"])
            leading = (2 if direction == "both" else 1,)
            site.options |= {"steps": steps[0], "returnSequence": site.chance()}
        state = (*leading, batch, hidden)
        small = between(-0.5, 0.5)
        wanted = {
            "weight": (*leading, rows, width),
            "recurrentWeight": (*leading, rows, hidden),
            "bias": (*leading, rows),
            "recurrentBias": (*leading, rows),
            "peepholeWeight": (*leading, 3 * hidden),
        }
        for operand in site.spec.operands[1:]:
            add = site.maybe if operand.optional else site.other
            add(operand.name, wanted.get(operand.name, state), small)

    return recipe


_BROADCASTING: Final = {OPS[name].infer for name in ("add", "equal", "prelu")}
RECIPES: Final[dict[str, Callable[[Site], None]]] = {
    **{name: no_others for name, spec in OPS.items() if len(spec.operands) == 1 and not spec.is_variadic},
    **{name: binary for name, spec in OPS.items() if spec.infer in _BROADCASTING},
    "logicalNot": no_others,
    "where": where,
    "clamp": clamp,
    "concat": concat,
    "expand": expand,
    "pad": pad,
    "reshape": reshape,
    "slice": slice_,
    "split": split,
    "tile": tile,
    "gather": gather,
    "gatherElements": gather_elements,
    "gatherND": gather_nd,
    "scatterElements": scatter_elements,
    "scatterND": scatter_nd,
    "matmul": matmul,
    "gemm": gemm,
    "conv2d": convolution,
    "convTranspose2d": convolution,
    "averagePool2d": pool,
    "l2Pool2d": pool,
    "maxPool2d": pool,
    "resample2d": resample,
    "dequantizeLinear": dequantize,
    "quantizeLinear": quantize,
    "batchNormalization": batch_normalization,
    "instanceNormalization": instance_normalization,
    "layerNormalization": layer_normalization,
    "gru": recurrent(3),
    "gruCell": recurrent(3),
    "lstm": recurrent(4),
    "lstmCell": recurrent(4),
}


def call_of(draw: st.DrawFn, op: str, x: TensorType, known: Sequence[TensorType] = ()) -> Call:
    """A valid call whose first operand has the type `x`."""
    site = Site(draw, OPS[op], x, known)
    RECIPES[op](site)
    for option in OPS[op].options:
        if option.name not in site.options and (option.is_required or site.chance()):
            value = option_value(site, option)
            if value is not None:
                site.options[option.name] = value
    return Call(op, Slot(x, site.first_values), tuple(site.others), site.options)


def option_value(site: Site, option: Option) -> Any:
    """A value of the option's kind; None leaves out what only a recipe can know."""
    kind, rank = option.kind, site.x.rank
    match kind:
        case k.Bool():
            return site.chance()
        case k.Axis():
            return site.integer(0, rank - 1)
        case k.Axes(length=length, every=every):
            count = rank if every else length if length is not None else site.integer(0, rank)
            return site.draw(st.permutations(range(rank)))[:count]
        case k.Choice(words=words):
            return site.pick(words)
        case k.Choices(words=words, length=length):
            return [site.pick(words) for _ in range(length)]
        case k.DType(allowed=allowed):
            return site.pick(ordered(allowed))
        case k.Integer():
            return site.integer(-3, 3)
        case k.Real():
            return site.pick([-1.5, -0.5, 0.0, 0.25, 1.0, 2.0])
        case _:
            return None


@st.composite
def calls(draw: st.DrawFn, op: str, dtype: DataType | None = None) -> Call:
    """A valid call of one operator, on demand with a first operand of one type."""
    return call_of(draw, op, fresh_types(draw, OPS[op], dtype))
