"""Random valid calls of any operator: types, ranks and options from the table, shapes from one recipe per rule.

A recipe knows how the shapes of one operator depend on each other, and nothing else: which types and ranks an
operand may have, which options there are and what kind each is, is read from the table. Recipes are here, in
`recipes_of_moves` and in `recipes_of_windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from call_sites import (
    PROFILES,
    Call,
    Shape,
    Site,
    Slot,
    between,
    divisors,
    fresh_types,
    ordered,
    partner,
    plain,
    squeezed,
)
from hypothesis import strategies as st
from recipes_of_moves import (
    concat,
    expand,
    gather,
    gather_elements,
    gather_nd,
    pad,
    reshape,
    scatter_elements,
    scatter_nd,
    slice_,
    split,
    tile,
)
from recipes_of_windows import convolution, pool, resample

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops import OPS, Option
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
    low, high = sorted(site.number(site.x.dtype) for _ in range(2))
    site.options |= {name: bound for name, bound in (("minValue", low), ("maxValue", high)) if site.chance()}


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
