"""Attention as the engine takes it: heads read in place, wherever the projections have left them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeAlias

from webnn_runtime.backends.rust._calls import Attribute, Call
from webnn_runtime.backends.rust._stored import OWN_RANGES
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.dims import product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.passes.attention import AttentionMatch
from webnn_runtime.passes.rotary import RotaryMatch
from webnn_runtime.passes.uses import Uses

__all__ = ["SWAPPED", "Heads", "projection"]

# [batch, rows, heads, depth] <-> [batch, heads, rows, depth], and to [batch, heads, depth, rows].
SWAPPED: Final = (0, 2, 1, 3)
_KEYS: Final = (0, 2, 3, 1)

# Calls that give numbers of their first operand another place.
_MOVING: Final = frozenset({"columns", "expand", "slice", "split", "transpose", "view"})

# A value to read, and where the heads are in its rows: `(offset, heads, depth)`, or nothing for an array of heads.
Place: TypeAlias = "tuple[str, tuple[int, ...]]"


def projection(uses: Uses, value: str, turned_from: Mapping[str, str] | None = None) -> str:
    """The value whose rows hold the heads of `value`: past transposes that set heads apart, and reshapes.

    `turned_from` has the results of rotary positions and what they were before.
    """
    before = turned_from or {}
    value = before.get(value, value)
    node = uses.maker(value)
    while node is not None and node.inputs and node.inputs[0] is not None:
        turned = node.op == "transpose" and node.options["permutation"] in (SWAPPED, _KEYS, (0, 1, 3, 2))
        if not turned and node.op not in ("reshape", "expand"):
            break
        value = before.get(node.inputs[0], node.inputs[0])
        node = uses.maker(value)
    return value


class Heads:
    """Adds attentions to the calls.

    Attributes:
        columns: values that are some columns of a wider one -> that one, and the first column.
        merged: results as [batch, rows, heads, depth], by the value that has the heads first.
    """

    def __init__(self, uses: Uses, values: Values) -> None:
        self.columns: dict[str, tuple[str, int]] = {}
        self.merged: dict[str, str] = {}
        self._uses = uses
        self._values = values
        self._truths: dict[tuple[str, bool], str] = {}

    def attention(self, match: AttentionMatch) -> None:
        """Add one."""
        kind = self._values.types[match.result]
        q, q_place = self._find(match.q)
        k, k_place = self._keys(match)
        v, v_place = self._find(match.v)
        k, k_place, v, v_place = self._shared(match, kind, (k, k_place), (v, v_place))
        mask = self._over_scores(match.mask, kind.rank)
        if mask is not None and match.fill is not None:
            mask = self._truth(mask, inverted=not match.keep_if)
        attributes: dict[str, Attribute] = {
            "q": ("ints", q_place),
            "k": ("ints", k_place),
            "v": ("ints", v_place),
            "scale": ("float", match.scale),
            "undefinedIsZero": ("bool", match.undefined_is_zero),
        }
        if match.empty_is_zero:
            attributes["emptyIsZero"] = ("bool", True)
        if match.fill is not None:
            attributes["fill"] = ("float", match.fill)
        label = match.label
        if self._is_rounded(v):
            attributes["bfloat16"] = ("bool", True)
            label = label.replace("attention", "attention(bfloat16)", 1)
        operands: tuple[str | None, ...] = (q, k, v, self._over_scores(match.bias, kind.rank), mask)
        if match.relative:
            # Between them the engine takes where texts begin.
            operands += (None, *(value for term in match.relative for value in (term.source, term.columns)))
            attributes["factors"] = ("floats", tuple(term.factor for term in match.relative))
            attributes["byKey"] = ("ints", tuple(int(term.is_by_key) for term in match.relative))
        if kind.rank == 3:
            self._values.add("attention", operands, match.result, attributes, label)
            return
        batch, *heads, rows, width = kind.shape
        result = self._values.fresh(match.result, kind.with_shape((batch, rows, math.prod(heads) * width)))
        self._values.add("attention", operands, result, attributes, label)
        self.merged[match.result] = self._values.view(result, (batch, rows, *heads, width))
        permutation: Attribute = ("ints", SWAPPED)
        self._values.add("transpose", (self.merged[match.result],), match.result, {"permutation": permutation})

    def _is_rounded(self, value: str) -> bool:
        """Whether values are what a layer has computed from rows of 8 bits.

        Rounding these to bfloat16 loses less than the layer has: 2^-9 of a number at most, and the rows lose 2^-9 of
        their range.
        """
        for call in reversed(self._values.calls):
            if value not in call.results:
                continue
            if call.pattern is not None and call.pattern.startswith(OWN_RANGES):
                return True
            if call.kind not in _MOVING or call.operands[0] is None:
                return False
            value = call.operands[0]
        return False

    def rotary(self, match: RotaryMatch) -> None:
        """Add rotary positions: rows of heads side by side, whatever they were before."""
        if self._rotary_by_rows(match):
            return
        source, place = self._find(match.source)
        kind = self._values.types[match.result]
        batch, heads, rows, depth = kind.shape
        turned = self._values.fresh(match.result, kind.with_shape((batch, rows, heads * depth)))
        self._values.add("rotary", (source, match.cos, match.sin), turned, {"x": ("ints", place)}, "rotary")
        self.merged[match.result] = self._values.view(turned, (batch, rows, heads, depth))
        permutation: Attribute = ("ints", SWAPPED)
        self._values.add("transpose", (self.merged[match.result],), match.result, {"permutation": permutation})

    def _rotary_by_rows(self, match: RotaryMatch) -> bool:
        """Add rotary positions of [batch, rows, heads, depth], where positions go along the second axis."""
        types = self._values.types
        batch, rows, heads, depth = types[match.result].shape
        shapes = [types[value].shape for value in (match.cos, match.sin)]
        if not all(len(shape) == 4 and shape[1:] == (rows, 1, depth) for shape in shapes) or rows == 1:
            return False
        found = self._in_rows(match.source)
        if found is None:
            return False
        source, place = found
        cos, sin = (
            self._values.view(value, (types[value].shape[0], 1, rows, depth)) for value in (match.cos, match.sin)
        )
        turned = self._values.fresh(
            match.result, types[match.result].with_shape((batch, rows, product((heads, depth))))
        )
        self._values.add("rotary", (source, cos, sin), turned, {"x": ("ints", place)}, "rotary")
        self._values.calls.append(Call("view", (turned,), (match.result,)))
        return True

    def _find(self, value: str) -> Place:
        """Where the heads of queries or values are."""
        if value in self.merged:
            return self._in_rows(self.merged[value]) or (value, ())
        node = self._uses.maker(value, "transpose")
        if node is not None and node.options["permutation"] == SWAPPED and node.inputs[0] is not None:
            return self._in_rows(node.inputs[0]) or (value, ())
        return value, ()

    def _keys(self, match: AttentionMatch) -> Place:
        if not match.k_transposed:
            return self._find(match.k)
        node = self._uses.maker(match.k, "transpose")
        if node is not None and node.options["permutation"] == _KEYS and node.inputs[0] is not None:
            found = self._in_rows(node.inputs[0])
            if found is not None:
                return found
        rank = self._values.types[match.k].rank
        return self._values.transposed(match.k, (*range(rank - 2), rank - 1, rank - 2)), ()

    def _in_rows(self, value: str) -> Place | None:
        """[batch, rows, heads, depth] as rows of heads side by side, in the wider rows they are part of."""
        types = self._values.types
        batch, rows, heads, depth = types[value].shape
        if not isinstance(heads, int) or not isinstance(depth, int) or heads * depth == 0:
            return None
        source = value
        while source not in self.columns and (node := self._uses.maker(source, "reshape")) and node.inputs[0]:
            source = node.inputs[0]
        if source in self.columns and types[source].shape[-1] == heads * depth:
            wide, offset = self.columns[source]
            return self._values.view(wide, (batch, rows, types[wide].shape[-1])), (offset, heads, depth)
        found = self._part(source, heads * depth)
        if found is not None and types[found[0]].shape[:2] == (batch, rows):
            wide, offset, columns = found
            return self._values.view(wide, (batch, rows, columns)), (offset, heads, depth)
        return self._values.view(value, (batch, rows, heads * depth)), (0, heads, depth)

    def _part(self, value: str, width: int) -> tuple[str, int, int] | None:
        """Of which [batch, rows, ...] a split has made `value`, from which column on, and how many that one has."""
        types, node = self._values.types, self._uses.maker(value, "split")
        source = node.inputs[0] if node is not None else None
        if node is None or source is None or node.options["axis"] != 2:
            return None
        inner = product(types[source].shape[3:])
        sizes = [types[part].shape[2] for part in node.outputs]
        whole = [size for size in sizes if isinstance(size, int)]
        number = node.outputs.index(value)
        if not isinstance(inner, int) or len(whole) < len(sizes) or whole[number] * inner != width:
            return None
        return source, sum(whole[:number]) * inner, sum(whole) * inner

    def _shared(
        self, match: AttentionMatch, kind: TensorType, k: Place, v: Place
    ) -> tuple[str, tuple[int, ...], str, tuple[int, ...]]:
        """Keys and values before they are repeated for groups of queries, where both are."""
        if k == (match.k, ()) and v == (match.v, ()) and kind.rank == 4:
            own_k, own_v = self._before_repeating(match.k), self._before_repeating(match.v)
            if own_k is not None and own_v is not None:
                shapes = [self._values.types[value].shape for value in (own_k, own_v)]
                if shapes[0][1] == shapes[1][1]:
                    return *self._find(own_k), *self._find(own_v)
        return *k, *v

    def _before_repeating(self, value: str) -> str | None:
        """[batch, own heads, rows, depth] of which `value` repeats each head a number of times."""
        types = self._values.types
        node = self._uses.maker(value, "reshape")
        stretched = self._uses.maker(node.inputs[0], "expand") if node is not None else None
        inner = self._uses.maker(stretched.inputs[0], "reshape") if stretched is not None else None
        if stretched is None or inner is None or inner.inputs[0] is None:
            return None
        source, own = inner.inputs[0], types[inner.name].shape
        shape, whole = types[source].shape, types[stretched.name].shape
        if len(shape) != 4 or len(own) != 5 or own != (*shape[:2], 1, *shape[2:]):
            return None
        groups = whole[2]
        if whole != (*shape[:2], groups, *shape[2:]) or types[value].shape != (shape[0], shape[1] * groups, *shape[2:]):
            return None
        return source

    def _over_scores(self, value: str | None, rank: int) -> str | None:
        """A mask or bias of an attention: with three dimensions, the heads are one more."""
        if value is None or rank == 4 or self._values.types[value].rank < 3:
            return value
        shape = self._values.types[value].shape
        return self._values.view(value, (shape[0], 1, *shape[1:]))

    def _truth(self, value: str, *, inverted: bool) -> str:
        """A condition as float32, once for all attentions that it masks."""
        known = self._truths.get((value, inverted))
        if known is None:
            known = self._values.fresh(value, TensorType(DataType.FLOAT32, self._values.types[value].shape))
            self._values.add("truth", (value,), known, {"inverted": ("bool", inverted)})
            self._truths[value, inverted] = known
        return known
