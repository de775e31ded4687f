"""How each kind of call treats tokens: the rules of the proof in `_packing`, and what the call becomes over texts.

Here are the rules of what computes place by place or row by row, and the table of all rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from webnn_runtime.backends.rust._calls import Call
from webnn_runtime.backends.rust._packing import Packing, Rule
from webnn_runtime.backends.rust._packing_moves import (
    concat,
    expand,
    gather,
    gather_elements,
    slice_,
    split,
    transpose,
    triangular,
    view,
)
from webnn_runtime.backends.rust._packing_texts import attention, reduction, rotary
from webnn_runtime.backends.rust._ranges import ONE, ZERO, Range
from webnn_runtime.backends.rust._roles import COUNTING, Made, Role, Says
from webnn_runtime.format.ops import OPS
from webnn_runtime.format.records import replace

__all__ = ["rule_of"]

# Families whose operators compute each element from the elements at the same place, operands stretched.
_POINTWISE: Final = frozenset({"activation", "comparison", "elementwise", "quantize"})


def rule_of(call: Call) -> Rule | None:
    """The rule for a call, if there is one."""
    rule = _RULES.get(call.kind)
    if rule is None and call.node is not None:
        family = OPS[call.node.op].family
        rule = _pointwise if family in _POINTWISE else reduction if family == "reduction" else None
    return rule


def _pointwise(packing: Packing, call: Call) -> None:
    if _is_within(packing, call):
        return
    result, made = call.results[0], packing.made_of(call)
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
    role = packing.mixed(call, made, tuple(sorted(axes)))
    if packing.kind(result).dtype in COUNTING:
        role = replace(role, says=_says(packing, call))
    packing.emit(call, role, tuple(operands))


def _says(packing: Packing, call: Call) -> Says | None:
    """What the elements of a result are, where it is what those of an operand are, or is their negation."""
    roles = [packing.role(value) for value in call.reads]
    if call.operator in ("cast", "identity"):
        return roles[0].says
    if call.operator == "mul" and roles[1].says is Says.PLACE:
        roles.reverse()
    if call.operator not in ("mul", "neg") or roles[0].says is not Says.PLACE:
        return None
    return Says.NEGATED if all(role.whole == Range(-1.0, -1.0) for role in roles[1:]) else None


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
    kind = packing.define(result, Role(Made.PLACE, own, ONE, ONE.union(ZERO), {own[0]: ZERO}))
    packing.ones(result, kind)
    return True


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
    role, axes = packing.role(call.reads[0]), call.axes
    packing.require(axes.isdisjoint((0, *role.axes)), call.results[0], "mixes places")
    packing.require(all(packing.role(value).made is Made.FIXED for value in call.reads[1:]), call.results[0], "varies")
    packing.emit(call, Role(role.made, role.axes))


def _softmax(packing: Packing, call: Call) -> None:
    role = packing.role(call.reads[0])
    packing.require(call.axes.isdisjoint((0, *role.axes)), call.results[0], "mixes places")
    packing.emit(call, Role(role.made, role.axes))


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
    rows = {dim for value in call.reads[2:] for dim in packing.shape(value)[:-1]}
    packing.require(rows <= {1}, result, "adds rows of their own to places")
    packing.emit(call, Role(role.made, role.axes))


_RULES: Final[Mapping[str, Rule]] = {
    "attention": attention,
    "cast": _pointwise,
    "columns": _by_row,
    "concat": concat,
    "expand": expand,
    "gate": _by_row,
    "gather": gather,
    "gatherElements": gather_elements,
    "gelu": _pointwise,
    "gemm": _gemm,
    "identity": _pointwise,
    "integerLayer": _by_row,
    "layerNorm": _by_row,
    "layerNormalization": _normalisation,
    "linearLayer": _by_row,
    "matmul": _matmul,
    "rmsNorm": _by_row,
    "rotary": rotary,
    "slice": slice_,
    "softmax": _softmax,
    "split": split,
    "storedLayer": _by_row,
    "transpose": transpose,
    "triangular": triangular,
    "truth": _pointwise,
    "view": view,
}
