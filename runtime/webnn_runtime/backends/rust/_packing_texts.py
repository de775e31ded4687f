"""Rules of packing for what looks at several tokens of a text: reductions, attention, and positions that turn heads."""

from __future__ import annotations

import math
from typing import Final

from webnn_runtime.backends.rust._calls import Attribute, Call, attributes_of
from webnn_runtime.backends.rust._packing import STARTS, Packing
from webnn_runtime.backends.rust._ranges import ONE, ZERO
from webnn_runtime.backends.rust._roles import COUNTING, Made, Role, Says

__all__ = ["attention", "reduction", "rotary"]

# What a mask adds, or puts, at least: exporters write -10000, the lowest float32, or minus infinity. The exponential of
# a score that is 104 below another one is zero in float32.
_HIDDEN: Final = -1e4
# Sums, to which elements of zero add nothing.
_SUMS: Final = frozenset({"reduceSum", "reduceL1", "reduceL2", "reduceSumSquare"})


def reduction(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, axes = packing.role(source), packing.axes(source)
    reduced = call.axes
    is_scan = call.kind == "cumulativeSum"
    if reduced.isdisjoint(role.axes):
        packing.require(0 not in reduced or not axes.has_batch, result, "mixes texts")
        if is_scan or call.attributes["keepDimensions"][1]:
            packing.emit(call, Role(role.made, role.axes))
        else:
            left = tuple(axis - sum(other < axis for other in reduced) for axis in role.axes)
            packing.emit(call, Role(role.made, left))
        return
    if is_scan:
        # What comes behind a token does not count.
        packing.require(not call.attributes["reversed"][1], result, "counts from the padding")
        if role.made is Made.PLACE:
            counts = role.whole == ONE and call.attributes["exclusive"][1] and role.axes == tuple(reduced)
            counts = counts and packing.kind(result).dtype in COUNTING
            packing.emit(call, Role(Made.PLACE, role.axes, says=Says.PLACE if counts else None))
            return
    is_plain = reduced == {1} and axes.axes == (1,) and axes.has_batch and not axes.is_flat
    packing.require(is_plain, result, "takes something of all texts")
    if is_scan:
        _each_text(packing, call, source, per_token=True)
        return
    harmless = call.kind in _SUMS and role.at(1) == ZERO
    harmless = harmless or (call.kind == "reduceMax" and role.at(1).high <= _HIDDEN)
    packing.require(packing.mask is None or harmless, result, "takes padding into account")
    counts = call.kind == "reduceSum" and role.kept == ONE and role.at(1) == ZERO
    says = Says.LENGTH if counts and packing.kind(result).dtype in COUNTING else None
    _each_text(packing, call, packing.spread(source), per_token=False, says=says)


def _each_text(packing: Packing, call: Call, source: str, *, per_token: bool, says: Says | None = None) -> None:
    result = call.results[0]
    kind = packing.define(result, Role(Made.TOKEN, (1,)) if per_token else Role(Made.TEXT, says=says))
    assert call.node is not None
    options: dict[str, Attribute] = {
        **attributes_of(call.node),
        "of": ("text", call.kind),
        "perToken": ("bool", per_token),
    }
    packing.add("eachText", (source, STARTS), result, kind, **options)


def attention(packing: Packing, call: Call) -> None:
    result = call.results[0]
    q, k, v, bias, mask = call.operands[:5]
    # Behind where texts begin: what is added for the distance of query and key.
    terms = call.operands[6:]
    for value, name in ((q, "q"), (k, "k"), (v, "v")):
        assert value is not None
        axis = 1 if call.attributes[name][1] else len(packing.shape(value)) - 2
        role = packing.role(value)
        packing.require(role.made is Made.TOKEN and role.axes == (axis,), result, f"attends to '{value}'")
    for over in (bias, mask):
        if over is not None:
            role, rank = packing.role(over), len(packing.shape(over))
            fits = role.made is Made.PLACE and {rank - 1} <= {*role.axes} <= {rank - 2, rank - 1}
            packing.require(fits, result, f"has '{over}' over its scores, which is no function of places")
    for source, columns in zip(terms[::2], terms[1::2], strict=True):
        of, at = packing.role(str(source)), packing.role(str(columns))
        fits = of.made is Made.TOKEN and of.axes == (2,) and at.made is Made.PLACE and at.axes == (2, 3)
        packing.require(fits, result, f"reads '{source}' at '{columns}', which is no function of places")
    if packing.mask is not None:
        packing.require(mask is not None, result, "has no mask")
        is_hidden = _hides(packing, call, bias, str(mask))
        packing.require(is_hidden, result, f"has a mask '{mask}' that does not hide padding")
    # Without padding, most masks leave every score as it is.
    idle = ZERO if "fill" not in call.attributes else ONE
    if mask is not None and packing.role(mask).kept == idle:
        mask = None
    packing.emit(call, Role(Made.TOKEN, (1,)), (q, k, v, bias, mask, STARTS, *terms))


def _hides(packing: Packing, call: Call, bias: str | None, mask: str) -> bool:
    """Whether every score of a key at padding is one whose exponential is zero beside those of the text.

    A mask that takes as much from all keys that a token of the text has, or leaves it none of them, hides nothing, and
    neither does one beside a bias that leaves it none, or that gives padding as much; but for minus infinity, of which
    no weight is left.
    """
    role = packing.role(mask)
    found = role.at(len(packing.shape(mask)) - 1)
    given = ZERO if bias is None else packing.role(bias).each
    has_key = given.low > _HIDDEN / 2
    if "fill" in call.attributes:
        fill = float(str(call.attributes["fill"][1]))
        leaves = role.kept.high > 0 if fill == -math.inf else has_key and role.each.low > 0
        return found == ZERO and fill <= _HIDDEN and leaves
    if found.high == -math.inf:
        return True
    added = ZERO if bias is None else packing.role(bias).at(len(packing.shape(bias)) - 1)
    less = role.each.low - found.high
    return max(found.high, -less) <= _HIDDEN and has_key and less + given.low - added.high >= -_HIDDEN / 2


def rotary(packing: Packing, call: Call) -> None:
    source, cos, sin = call.reads
    role, result = packing.role(source), call.results[0]
    axis = 1 if call.attributes["x"][1] else len(packing.shape(source)) - 2
    packing.require(role.made is Made.TOKEN and role.axes == (axis,), result, "mixes places")
    for value in (cos, sin):
        own, rank = packing.role(value), len(packing.shape(value))
        fits = own.axes == (rank - 2,) and (own.made is Made.PLACE or (own.made is Made.TOKEN and rank == 4))
        packing.require(own.made is Made.FIXED or fits, result, f"is turned by '{value}'")
    packing.emit(call, Role(Made.TOKEN, (1,)), (source, packing.spread(cos), packing.spread(sin)))
