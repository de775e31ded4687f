"""How each kind of call treats tokens: the rules of the proof in `_packing`, and what the call becomes over texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from webnn_runtime.backends.rust._calls import Attribute, Call, attributes_of
from webnn_runtime.backends.rust._packing import STARTS, Packing, Rule
from webnn_runtime.backends.rust._ranges import Range, range_of
from webnn_runtime.backends.rust._roles import TEXTS, Made, Role, Says
from webnn_runtime.format.dims import product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.records import replace

__all__ = ["rule_of"]

# What a mask adds, or puts, at least: exporters write -10000, the lowest float32, or minus infinity. The exponential of
# a score that is 104 below another one is zero in float32.
_HIDDEN: Final = -1e4
_NOTHING: Final = Range(0.0, 0.0)
_ONE: Final = Range(1.0, 1.0)
# Families whose operators compute each element from the elements at the same place, operands stretched.
_POINTWISE: Final = frozenset({"activation", "comparison", "elementwise", "quantize"})
# Sums, to which elements of zero add nothing.
_SUMS: Final = frozenset({"reduceSum", "reduceL1", "reduceL2", "reduceSumSquare"})
# Types that count tokens exactly.
_COUNTING: Final = (DataType.INT32, DataType.INT64, DataType.UINT32, DataType.UINT64, DataType.FLOAT32)


def rule_of(call: Call) -> Rule | None:
    """The rule for a call, if there is one."""
    rule = _RULES.get(call.kind)
    if rule is None and call.node is not None:
        family = OPS[call.node.op].family
        rule = _pointwise if family in _POINTWISE else _reduction if family == "reduction" else None
    return rule


def _made(packing: Packing, call: Call) -> Made:
    """What the result of a call is made of that mixes its operands."""
    roles = {packing.role(value).made for value in call.reads}
    packing.require(not {Made.TOKEN, Made.TEXT} <= roles, call.results[0], "joins tokens with whole texts")
    order = (Made.TEXT, Made.TOKEN, Made.PLACE)
    found = next((made for made in order if made in roles), Made.FIXED)
    if found is Made.FIXED and not packing.has_form(call.results[0], Made.FIXED):
        return Made.PLACE
    return found


def _pointwise(packing: Packing, call: Call) -> None:
    if _is_within(packing, call):
        return
    result, made = call.results[0], _made(packing, call)
    axes = set(packing.axes(result).axes)
    rank = len(packing.shape(result))
    operands: list[str | None] = []
    for value in call.operands:
        if value is None:
            operands.append(None)
            continue
        role, offset = packing.role(value), rank - len(packing.shape(value))
        own = {axis + offset for axis in role.axes}
        packing.require(own == axes if role.made is Made.TOKEN else own <= axes, result, f"moves places of '{value}'")
        packing.require(offset == 0 or role.made not in (Made.TOKEN, Made.TEXT), result, f"moves texts of '{value}'")
        packing.require(made is not Made.TEXT or not own, result, f"joins whole texts with places of '{value}'")
        operands.append(packing.spread(value) if made is Made.TOKEN else value)
    role = _mixed(packing, call, made, tuple(sorted(axes)))
    if call.operator in ("cast", "identity") and packing.kind(result).dtype in _COUNTING:
        role = replace(role, says=packing.role(call.reads[0]).says)
    packing.emit(call, role, tuple(operands))


def _is_within(packing: Packing, call: Call) -> bool:
    """Whether a comparison is `place < length`, which is the mask again; it then becomes that."""
    if call.kind not in ("lesser", "greater"):
        return False
    place, length = call.reads if call.kind == "lesser" else call.reads[::-1]
    result = call.results[0]
    rank, axes = len(packing.shape(result)), packing.axes(result)
    own = tuple(axis + rank - len(packing.shape(place)) for axis in packing.role(place).axes)
    found = [packing.role(value).says for value in (place, length)]
    if found != [Says.PLACE, Says.LENGTH] or axes.is_flat or own != axes.axes:
        return False
    kind = packing.define(result, Role(Made.PLACE, own, _ONE, _ONE.union(_NOTHING), {own[0]: _NOTHING}))
    packing.ones(result, kind)
    return True


def _mixed(packing: Packing, call: Call, made: Made, axes: tuple[int, ...]) -> Role:
    """The role of a result each of whose elements comes from one element of each operand, axes counted from the end."""
    rank = len(packing.shape(call.results[0]))
    given = [(packing.role(value), rank - len(packing.shape(value))) for value in call.reads]
    kinds = [packing.kind(value) for value in call.reads]
    padded = {axis: range_of(call, [role.at(axis - offset) for role, offset in given], kinds) for axis in axes}
    kept = range_of(call, [role.kept for role, _ in given], kinds)
    return Role(made, axes, kept, range_of(call, [role.whole for role, _ in given], kinds), padded)


def _by_row(packing: Packing, call: Call) -> None:
    """The last axis is used up as a whole; other operands are fixed, or of the same places as the result."""
    source, result = call.reads[0], call.results[0]
    role = packing.role(source)
    last = len(packing.shape(source)) - int(str(call.attributes.get("axes", ("int", 1))[1]))
    packing.require(all(axis < last for axis in role.axes) and last > 0, result, "mixes places")
    packing.require(packing.axes(source) == packing.axes(result), result, "moves places")
    for value in call.reads[1:]:
        other = packing.role(value)
        same = other.made is role.made and packing.shape(value) == packing.shape(result)
        packing.require(other.made is Made.FIXED or same, result, f"joins '{value}' in another form")
    packing.emit(call, Role(role.made, role.axes))


def _normalisation(packing: Packing, call: Call) -> None:
    role, axes = packing.role(call.reads[0]), _axes(call)
    packing.require(axes.isdisjoint((0, *role.axes)), call.results[0], "mixes places")
    packing.require(all(packing.role(value).made is Made.FIXED for value in call.reads[1:]), call.results[0], "varies")
    packing.emit(call, Role(role.made, role.axes))


def _axes(call: Call) -> set[int]:
    assert call.node is not None
    axes = call.node.options.get("axes", call.node.options.get("axis"))
    return set(axes) if isinstance(axes, tuple) else {int(str(axes))}  # type: ignore[arg-type]  # a tuple of ints


def _softmax(packing: Packing, call: Call) -> None:
    role = packing.role(call.reads[0])
    packing.require(_axes(call).isdisjoint((0, *role.axes)), call.results[0], "mixes places")
    packing.emit(call, Role(role.made, role.axes))


def _view(packing: Packing, call: Call) -> None:
    """A reshape that leaves the axis of places whole, with as much before and behind it."""
    source, result = call.reads[0], call.results[0]
    role, own, new = packing.role(source), packing.axes(source), packing.axes(result)
    before, after = packing.shape(source), packing.shape(result)
    packing.require(own.has_batch == new.has_batch and len(own.axes) == len(new.axes), result, "moves texts")
    ends = zip((-1, *own.axes), (*own.axes, len(before)), strict=True)
    new_ends = zip((-1, *new.axes), (*new.axes, len(after)), strict=True)
    for number, ((first, last), (new_first, new_last)) in enumerate(zip(ends, new_ends, strict=True)):
        parts = [before[first + 1 : last], after[new_first + 1 : new_last]]
        if number == 0 and own.has_batch:
            # The batch itself, which the flat form has in the same axis as the places.
            parts = [part if axes.is_flat else part[1:] for part, axes in zip(parts, (own, new), strict=True)]
        packing.require(product(parts[0]) == product(parts[1]), result, "mixes places")
    padded = dict(zip(new.axes, (role.at(axis) for axis in own.axes), strict=True))
    packing.emit(call, Role(role.made, new.axes, role.kept, role.whole, padded, role.says))


def _transpose(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, order = packing.role(source), tuple(int(axis) for axis in call.attributes["permutation"][1])  # type: ignore[attr-defined]
    packing.require(not packing.axes(source).has_batch or order[0] == 0, result, "moves texts")
    padded = {order.index(axis): found for axis, found in role.padded.items()}
    axes = tuple(sorted(order.index(axis) for axis in role.axes))
    packing.emit(call, Role(role.made, axes, role.kept, role.whole, padded))


def _matmul(packing: Packing, call: Call) -> None:
    """One operand is fixed; the other's places are its rows, or the columns of the right-hand one."""
    left, right, result = call.reads[0], call.reads[1], call.results[0]
    fixed = [packing.role(value).made is Made.FIXED for value in (left, right)]
    packing.require(any(fixed), result, "multiplies two values that vary")
    varying = right if fixed[0] else left
    role, rank = packing.role(varying), len(packing.shape(varying))
    summed = rank - 2 if varying == right else rank - 1
    packing.require(rank == len(packing.shape(result)), result, "moves texts")
    packing.require(summed not in role.axes and (summed > 0 or role.made is Made.PLACE), result, "mixes places")
    packing.emit(call, Role(role.made, role.axes) if not all(fixed) else Role(Made.FIXED))


def _gemm(packing: Packing, call: Call) -> None:
    role, result = packing.role(call.reads[0]), call.results[0]
    fixed = all(packing.role(value).made is Made.FIXED for value in call.reads[1:])
    packing.require(fixed and not call.attributes["aTranspose"][1] and 1 not in role.axes, result, "mixes places")
    packing.emit(call, Role(role.made, role.axes))


def _gather(packing: Packing, call: Call) -> None:
    source, indices, result = *call.reads[:2], call.results[0]
    role, axis = packing.role(source), int(str(call.attributes["axis"][1]))
    by = packing.role(indices)
    if role.made is Made.FIXED:
        packing.require(by.made not in (Made.TOKEN, Made.TEXT) or axis == 0, result, "moves texts")
        axes = tuple(own + axis for own in by.axes)
        packing.emit(call, Role(by.made, axes, role.whole, role.whole))
        return
    packing.require(by.made is Made.FIXED, result, "is read at places that vary")
    if axis in role.axes:
        packing.require(by.whole == _NOTHING, result, "is not the first token")
        _first(packing, source, result)
        return
    packing.require(axis != 0 or not packing.axes(source).has_batch, result, "mixes texts")
    shift = len(packing.shape(indices)) - 1
    axes = tuple(own if own < axis else own + shift for own in role.axes)
    packing.emit(call, Role(role.made, axes, role.whole, role.whole))


def _gather_elements(packing: Packing, call: Call) -> None:
    """Elements of what is the same for all texts and places, where indices say that are not."""
    source, indices, result = *call.reads[:2], call.results[0]
    role, by, axis = packing.role(source), packing.role(indices), int(str(call.attributes["axis"][1]))
    is_same = role.made in (Made.FIXED, Made.PLACE) and not role.axes
    packing.require(is_same and (axis > 0 or not packing.axes(source).has_batch), result, "mixes places")
    packing.emit(call, Role(_made(packing, call), by.axes, role.whole, role.whole))


def _slice(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, own, shape = packing.role(source), packing.shape(source), packing.shape(result)
    starts, strides = call.attributes["starts"][1], call.attributes["strides"][1]
    assert isinstance(starts, tuple)
    assert isinstance(strides, tuple)
    whole = [
        (start, stride, new) == (0, 1, old) for start, stride, new, old in zip(starts, strides, shape, own, strict=True)
    ]
    if role.made is Made.FIXED:
        packing.require(all(isinstance(start, int) for start in starts), result, "starts at a place that varies")
        made = Made.FIXED if packing.has_form(result, Made.FIXED) else Made.PLACE
        counts = made is Made.PLACE and starts == (0,) and strides == (1,) and packing.counts_up(source)
        says = Says.PLACE if counts else None
        packing.emit(call, Role(made, packing.axes(result).axes, role.whole, role.whole, says=says))
        return
    packing.require(whole[0] or not packing.axes(source).has_batch, result, "mixes texts")
    cut = [axis for axis in role.axes if not whole[axis]]
    if cut:
        is_first = starts[cut[0]] == 0 and shape[cut[0]] == 1 and sum(whole) == len(whole) - 1
        packing.require(is_first, result, "is not the first token")
        _first(packing, source, result)
        return
    packing.emit(call, Role(role.made, role.axes, role.kept, role.whole, role.padded))


def _first(packing: Packing, source: str, result: str) -> None:
    """The first token of each text."""
    value = packing.spread(source)
    axes = packing.axes(source)
    packing.require(axes.has_batch and axes.axes == (1,) and not axes.is_flat, result, "takes something of all texts")
    kind = packing.define(result, Role(Made.TEXT))
    own = packing.types[value]
    firsts = packing.add(
        "gather",
        (value, packing.firsts()),
        f"{result}:rows",
        own.with_shape((1, TEXTS, *own.shape[2:])),
        axis=("int", 1),
    )
    packing.add("view", (firsts,), result, kind)


def _expand(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, rank = packing.role(source), len(packing.shape(result))
    offset = rank - len(packing.shape(source))
    axes = packing.axes(result)
    kept = {axis + offset for axis in role.axes}
    if role.made in (Made.TOKEN, Made.TEXT):
        packing.require(offset == 0 and kept == set(axes.axes), result, "stretches texts")
    made = role.made if role.made is not Made.FIXED or packing.has_form(result, Made.FIXED) else Made.PLACE
    packing.require(kept <= set(axes.axes), result, "moves places")
    packing.emit(call, _mixed(packing, call, made, axes.axes))


def _concat(packing: Packing, call: Call) -> None:
    result, made = call.results[0], _made(packing, call)
    axes, axis = packing.axes(result), int(str(call.attributes["axis"][1]))
    packing.require(axis not in axes.axes and (axis > 0 or not axes.has_batch), result, "mixes places")
    for value in call.reads:
        role = packing.role(value)
        # What is the same for all texts would be there once, and not for each of them.
        fits = role.made is made or (role.made is Made.PLACE and made is Made.TOKEN)
        packing.require(fits and role.axes == axes.axes, result, f"joins '{value}'")
        packing.require(packing.axes(value).has_batch == axes.has_batch, result, f"joins '{value}'")
    operands = tuple(packing.spread(value) if made is Made.TOKEN else value for value in call.reads)
    packing.emit(call, Role(made, axes.axes), operands)


def _split(packing: Packing, call: Call) -> None:
    role, axis = packing.role(call.reads[0]), int(str(call.attributes["axis"][1]))
    packing.require(axis not in role.axes and axis > 0, call.results[0], "mixes places")
    packing.emit(call, Role(role.made, role.axes, role.kept, role.whole, role.padded))


def _triangular(packing: Packing, call: Call) -> None:
    role = packing.role(call.reads[0])
    packing.require(role.made in (Made.FIXED, Made.PLACE), call.results[0], "mixes places")
    padded = {axis: found.union(_NOTHING) for axis, found in role.padded.items()}
    packing.emit(call, Role(role.made, role.axes, role.kept.union(_NOTHING), role.whole.union(_NOTHING), padded))


def _reduction(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, axes = packing.role(source), packing.axes(source)
    reduced = _axes(call)
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
            counts = role.whole == _ONE and call.attributes["exclusive"][1] and role.axes == tuple(reduced)
            counts = counts and packing.kind(result).dtype in _COUNTING
            packing.emit(call, Role(Made.PLACE, role.axes, says=Says.PLACE if counts else None))
            return
    is_plain = reduced == {1} and axes.axes == (1,) and axes.has_batch and not axes.is_flat
    packing.require(is_plain, result, "takes something of all texts")
    if is_scan:
        _each_text(packing, call, source, per_token=True)
        return
    harmless = call.kind in _SUMS and role.at(1) == _NOTHING
    harmless = harmless or (call.kind == "reduceMax" and role.at(1).high <= _HIDDEN)
    packing.require(packing.mask is None or harmless, result, "takes padding into account")
    counts = call.kind == "reduceSum" and role.kept == _ONE and role.at(1) == _NOTHING
    says = Says.LENGTH if counts and packing.kind(result).dtype in _COUNTING else None
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


def _attention(packing: Packing, call: Call) -> None:
    result = call.results[0]
    q, k, v, bias, mask = call.operands
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
    if packing.mask is not None:
        packing.require(mask is not None, result, "has no mask")
        packing.require(_hides(packing, call, str(mask)), result, f"has a mask '{mask}' that does not hide padding")
    # Without padding, most masks leave every score as it is.
    idle = _NOTHING if "fill" not in call.attributes else _ONE
    if mask is not None and packing.role(mask).kept == idle:
        mask = None
    packing.emit(call, Role(Made.TOKEN, (1,)), (q, k, v, bias, mask, STARTS))


def _hides(packing: Packing, call: Call, mask: str) -> bool:
    """Whether every score of a key at padding is one whose exponential is zero beside those of the text.

    A mask that takes as much from the keys of the text, or leaves none of them, hides nothing.
    """
    role = packing.role(mask)
    found = role.at(len(packing.shape(mask)) - 1)
    if "fill" in call.attributes:
        return found == _NOTHING and role.kept.high > 0 and float(str(call.attributes["fill"][1])) <= _HIDDEN
    return found.high <= _HIDDEN and (found.high == -math.inf or role.kept.high - found.high >= -_HIDDEN)


def _rotary(packing: Packing, call: Call) -> None:
    source, cos, sin = call.reads
    role, result = packing.role(source), call.results[0]
    axis = 1 if call.attributes["x"][1] else len(packing.shape(source)) - 2
    packing.require(role.made is Made.TOKEN and role.axes == (axis,), result, "mixes places")
    for value in (cos, sin):
        own, rank = packing.role(value), len(packing.shape(value))
        fits = own.axes == (rank - 2,) and (own.made is Made.PLACE or (own.made is Made.TOKEN and rank == 4))
        packing.require(own.made is Made.FIXED or fits, result, f"is turned by '{value}'")
    packing.emit(call, Role(Made.TOKEN, (1,)), (source, packing.spread(cos), packing.spread(sin)))


_RULES: Final[Mapping[str, Rule]] = {
    "attention": _attention,
    "cast": _pointwise,
    "columns": _by_row,
    "concat": _concat,
    "expand": _expand,
    "gather": _gather,
    "gatherElements": _gather_elements,
    "gelu": _pointwise,
    "gemm": _gemm,
    "identity": _pointwise,
    "integerLayer": _by_row,
    "layerNorm": _by_row,
    "layerNormalization": _normalisation,
    "linearLayer": _by_row,
    "matmul": _matmul,
    "rmsNorm": _by_row,
    "rotary": _rotary,
    "slice": _slice,
    "softmax": _softmax,
    "split": _split,
    "storedLayer": _by_row,
    "transpose": _transpose,
    "triangular": _triangular,
    "truth": _pointwise,
    "view": _view,
}
