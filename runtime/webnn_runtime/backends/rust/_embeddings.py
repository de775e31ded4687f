"""Rows picked from tables and summed become one step, with the normalisation behind them.

It works on the calls of one plan, after all that proves something about them, and changes no number: the sums are in
the order of the graph. MiniLM begins with seven steps otherwise, thirteen where its tables are of 8 bits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from webnn_runtime.backends.rust._calls import Attribute, Call, needed_calls
from webnn_runtime.backends.rust._packing import PLACES
from webnn_runtime.backends.rust._roles import LONGEST
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.records import dataclass, replace

__all__ = ["join_embeddings"]

_QUANTISED: Final = frozenset((DataType.INT8, DataType.UINT8))

Shape: TypeAlias = "tuple[Dim, ...]"


@dataclass(frozen=True, slots=True)
class _Table:
    """A summand.

    Attributes:
        rows: the table, of floats or of integers.
        scale: of each row of integers; None for floats.
        zero: likewise.
        indices: which row goes where; None where the rows come in turn.
        inside: whether the engine refuses an index outside the table, which a part of it stood for in the graph.
    """

    rows: str
    scale: str | None = None
    zero: str | None = None
    indices: str | None = None
    inside: bool = False

    @property
    def operands(self) -> tuple[str | None, ...]:
        return (self.rows, self.indices, self.scale, self.zero)


def join_embeddings(calls: Sequence[Call], types: Mapping[str, TensorType], results: Iterable[str]) -> list[Call]:
    """The same calls with sums of picked rows as one call each.

    Args:
        calls: in order.
        types: of all their values.
        results: values that somebody reads besides these calls.
    """
    kept = tuple(results)
    return needed_calls(_Joining(calls, types, kept).run(), kept)


class _Joining:
    def __init__(self, calls: Sequence[Call], types: Mapping[str, TensorType], kept: Sequence[str]) -> None:
        self._calls = calls
        self._types = types
        self._makers = {result: call for call in calls for result in call.results}
        self._readers = Counter(value for call in calls for value in call.reads)
        self._readers.update(kept)

    def run(self) -> list[Call]:
        sums: dict[str, tuple[_Table, ...]] = {}
        joined: dict[str, Call] = {}
        for call in self._calls:
            if call.kind == "add" and (tables := self._sum(call, sums)) is not None:
                sums[call.results[0]] = tables
                if _are_picked(tables):
                    joined[call.results[0]] = _embedding(tables, call.results, (None, None), {}, "embedding")
            elif call.kind == "layerNorm" and self._is_row_by_row(call):
                tables = sums.get(str(call.operands[0]), ())
                if _are_picked(tables):
                    scale, bias = call.operands[1:3]
                    attributes = {"epsilon": call.attributes["epsilon"]}
                    name = f"embedding+{call.pattern}"
                    joined[call.results[0]] = _embedding(tables, call.results, (scale, bias), attributes, name)
        return [joined.get(call.results[0], call) for call in self._calls]

    def _sum(self, call: Call, sums: Mapping[str, tuple[_Table, ...]]) -> tuple[_Table, ...] | None:
        """The summands of an addition in their order, if all are rows of tables."""
        kind = self._types[call.results[0]]
        if kind.dtype is not DataType.FLOAT32 or kind.rank < 2:
            return None
        sides: list[tuple[_Table, ...]] = []
        for value in call.reads:
            if self._readers[value] == 1 and value in sums and self._types[value].shape == kind.shape:
                sides.append(sums[value])
            elif (table := self._table(value, kind.shape)) is not None:
                sides.append((table,))
            else:
                return None
        # What is added to a sum comes behind it, whichever side it is on; two sums are not one.
        sides.sort(key=len, reverse=True)
        return (*sides[0], *sides[1]) if len(sides[1]) == 1 else None

    def _is_row_by_row(self, call: Call) -> bool:
        return call.attributes["axes"] == ("int", 1) and self._readers[str(call.operands[0])] == 1

    def _table(self, value: str, shape: Shape) -> _Table | None:
        """A value as the rows of a result: picked ones, or those that all items of a batch have in common."""
        own, common = _inner(self._types[value].shape), _inner(shape)
        maker = self._made_for_this(value)
        if maker is not None and own == common:
            if maker.kind == "gather":
                return self._picked(maker)
            if maker.kind == "dequantizeLinear":
                return self._of_integers(maker)
        if own and len(own) < len(common) and common[-len(own) :] == own:
            return _Table(value)
        return None

    def _picked(self, gather: Call) -> _Table | None:
        """Whole rows of a table of floats, or of one that was made of integers for this."""
        rows, indices = gather.reads
        if not self._are_rows(rows, gather):
            return None
        whole = self._whole(rows, indices)
        maker = self._made_for_this(self._behind_views(whole.rows))
        if maker is not None and maker.kind == "dequantizeLinear":
            tables = [self._whole(value, indices) for value in maker.reads]
            found = self._scaled(*(table.rows for table in tables))
            if found is not None:
                inside = any(table.inside for table in (whole, *tables))
                return replace(found, indices=indices, inside=inside)
        return whole

    def _of_integers(self, floats: Call) -> _Table | None:
        """Rows of a table of integers, and the scale and zero point of each, or of all."""
        tables, indices = [], set()
        for value in floats.reads:
            maker, one = self._made_for_this(value), self._one(value)
            if one is not None:
                tables.append(one)
            elif maker is not None and maker.kind == "gather" and self._are_rows(maker.reads[0], maker):
                tables.append(maker.reads[0])
                indices.add(maker.reads[1])
            else:
                return None
        found = self._scaled(*tables) if len(indices) == 1 else None
        return None if found is None else replace(found, indices=indices.pop())

    def _scaled(self, rows: str, scale: str, zero: str) -> _Table | None:
        each = (*self._types[rows].shape[:-1], 1)
        fits = (
            self._types[rows].dtype in _QUANTISED
            and self._types[scale].dtype is DataType.FLOAT32
            and all(self._types[value].shape == each or self._one(value) == value for value in (scale, zero))
        )
        return _Table(rows, scale, zero) if fits else None

    def _one(self, value: str) -> str | None:
        """The one element that all elements of a value are."""
        if all(dim == 1 for dim in self._types[value].shape):
            return value
        maker = self._made_for_this(value)
        return self._one(maker.reads[0]) if maker is not None and maker.kind in ("expand", "gather", "view") else None

    def _are_rows(self, table: str, gather: Call) -> bool:
        """Whether the gather picks along the axis before the last one, and others have one element."""
        axis = gather.attributes["axis"][1]
        shape = self._types[table].shape
        return axis == len(shape) - 2 and all(dim == 1 for dim in shape[:-2])

    def _whole(self, value: str, indices: str) -> _Table:
        """The table that a value is the first rows of, for places in texts: none lies behind the longest text."""
        source = self._behind_views(value)
        maker = self._made_for_this(source)
        if indices != PLACES or maker is None or maker.kind != "slice":
            return _Table(value, indices=indices)
        table = maker.reads[0]
        shape = self._types[table].shape
        first = maker.attributes["starts"] == ("dims", (0, 0)) and maker.attributes["strides"] == ("dims", (1, 1))
        if first and maker.attributes["sizes"] == ("dims", (LONGEST, shape[-1])):
            return _Table(table, indices=indices, inside=True)
        return _Table(value, indices=indices)

    def _behind_views(self, value: str) -> str:
        maker = self._made_for_this(value)
        while maker is not None and maker.kind == "view":
            source = maker.reads[0]
            if _inner(self._types[source].shape) != _inner(self._types[value].shape):
                break
            value, maker = source, self._made_for_this(source)
        return value

    def _made_for_this(self, value: str) -> Call | None:
        """The call that makes a value for one reader."""
        return self._makers.get(value) if self._readers[value] == 1 else None


def _are_picked(tables: Sequence[_Table]) -> bool:
    """Whether any rows are picked."""
    return any(table.indices is not None for table in tables)


def _embedding(
    tables: Sequence[_Table],
    results: tuple[str, ...],
    affine: tuple[str | None, str | None],
    attributes: Mapping[str, Attribute],
    pattern: str,
) -> Call:
    inside: Attribute = "ints", tuple(int(table.inside) for table in tables)
    operands = (*affine, *(operand for table in tables for operand in table.operands))
    return Call("embedding", operands, results, {**attributes, "inside": inside}, pattern)


def _inner(shape: Shape) -> Shape:
    """A shape without the ones in front."""
    start = next((axis for axis, dim in enumerate(shape) if dim != 1), len(shape))
    return shape[start:]
