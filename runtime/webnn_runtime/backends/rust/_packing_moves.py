"""Rules of packing for what moves, cuts or repeats elements and computes nothing."""

from __future__ import annotations

from webnn_runtime.backends.rust._calls import Call
from webnn_runtime.backends.rust._packing import Packing
from webnn_runtime.backends.rust._ranges import ZERO
from webnn_runtime.backends.rust._roles import TEXTS, ConstantRole, Made, Role, Says
from webnn_runtime.format.dims import product

__all__ = ["concat", "expand", "gather", "gather_elements", "slice_", "split", "transpose", "triangular", "view"]


def view(packing: Packing, call: Call) -> None:
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
    packing.emit(call, Role(role.made, new.axes, role.kept, role.whole, padded, role.says, role.same))


def transpose(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, order = packing.role(source), tuple(int(axis) for axis in call.attributes["permutation"][1])  # type: ignore[attr-defined]
    packing.require(not packing.axes(source).has_batch or order[0] == 0, result, "moves texts")
    padded = {order.index(axis): found for axis, found in role.padded.items()}
    axes = tuple(sorted(order.index(axis) for axis in role.axes))
    packing.emit(call, Role(role.made, axes, role.kept, role.whole, padded, same=role.same))


def gather(packing: Packing, call: Call) -> None:
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
        is_first = by.whole == ZERO and product(packing.shape(indices)) == 1
        packing.require(is_first, result, "is not the first token")
        _first(packing, source, result)
        return
    packing.require(axis != 0 or not packing.axes(source).has_batch, result, "mixes texts")
    shift = len(packing.shape(indices)) - 1
    axes = tuple(own if own < axis else own + shift for own in role.axes)
    packing.emit(call, Role(role.made, axes, role.whole, role.whole))


def gather_elements(packing: Packing, call: Call) -> None:
    """Elements of what is the same for all texts and places, where indices say that are not."""
    source, indices, result = *call.reads[:2], call.results[0]
    role, by, axis = packing.role(source), packing.role(indices), int(str(call.attributes["axis"][1]))
    is_same = role.made in (Made.FIXED, Made.PLACE) and not role.axes
    packing.require(is_same and (axis > 0 or not packing.axes(source).has_batch), result, "mixes places")
    packing.emit(call, Role(packing.made_of(call), by.axes, role.whole, role.whole))


def slice_(packing: Packing, call: Call) -> None:
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
        says, axes = Says.PLACE if counts else None, packing.axes(result).axes
        begins = {(starts[axis], strides[axis]) for axis in axes}
        same = role.diagonal(axes) if isinstance(role, ConstantRole) and begins == {(0, 1)} else None
        packing.emit(call, Role(made, axes, role.whole, role.whole, says=says, same=same))
        return
    packing.require(whole[0] or not packing.axes(source).has_batch, result, "mixes texts")
    cut = [axis for axis in role.axes if not whole[axis]]
    if cut:
        is_first = starts[cut[0]] == 0 and shape[cut[0]] == 1 and sum(whole) == len(whole) - 1
        packing.require(is_first, result, "is not the first token")
        _first(packing, source, result)
        return
    packing.emit(call, Role(role.made, role.axes, role.kept, role.whole, role.padded, same=role.same))


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


def expand(packing: Packing, call: Call) -> None:
    source, result = call.reads[0], call.results[0]
    role, rank = packing.role(source), len(packing.shape(result))
    offset = rank - len(packing.shape(source))
    axes = packing.axes(result)
    kept = {axis + offset for axis in role.axes}
    if role.made in (Made.TOKEN, Made.TEXT):
        packing.require(offset == 0 and kept == set(axes.axes), result, "stretches texts")
    made = role.made if role.made is not Made.FIXED or packing.has_form(result, Made.FIXED) else Made.PLACE
    packing.require(kept <= set(axes.axes), result, "moves places")
    packing.emit(call, packing.mixed(call, made, axes.axes))


def concat(packing: Packing, call: Call) -> None:
    result, made = call.results[0], packing.made_of(call)
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


def split(packing: Packing, call: Call) -> None:
    role, axis = packing.role(call.reads[0]), int(str(call.attributes["axis"][1]))
    packing.require(axis not in role.axes and axis > 0, call.results[0], "mixes places")
    packing.emit(call, Role(role.made, role.axes, role.kept, role.whole, role.padded))


def triangular(packing: Packing, call: Call) -> None:
    role = packing.role(call.reads[0])
    packing.require(role.made in (Made.FIXED, Made.PLACE), call.results[0], "mixes places")
    padded = {axis: found.union(ZERO) for axis, found in role.padded.items()}
    rank, number = len(packing.shape(call.results[0])), int(str(call.attributes["diagonal"][1]))
    same = None
    if role.axes == (rank - 2, rank - 1):
        is_in = number <= 0 if call.attributes["upper"][1] else number >= 0
        same = role.each if is_in else ZERO
    packing.emit(call, Role(role.made, role.axes, role.kept.union(ZERO), role.whole.union(ZERO), padded, same=same))
