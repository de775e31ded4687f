"""Inputs a model could meet: token ids of real text, masks that hide the end of rows, seeded values for the rest.

What an input is for is read from the graph and not from its name: indices into a table have a range, an integer
input of the same shape beside them is a mask, and one that is compared with constants takes their values. Only the
tokenizer's own names say which indices are tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.dims import Dim, SymbolicDim, evaluate
from webnn_runtime.format.graph import Array, Graph, Node, TensorType
from webnn_translator.verify.grid import Point

__all__ = ["InputPlan", "uniform"]

# Operators that hand an index on; anything else makes another number of it, with another range.
_KEEPS_INDICES: Final = frozenset(
    {"cast", "identity", "reshape", "expand", "clamp", "where", "max", "min", "slice", "concat", "transpose"}
    | {"split", "gather"}
)
# Operators whose second operand counts along one axis of the first.
_INDEXING: Final = frozenset({"gather", "gatherElements", "scatterElements"})
_TOKENS: Final = "input_ids"
# Enough words for the longest rows; what they say does not matter, that they are words does.
_TEXT: Final = (
    "The weather is sunny and warm in Spain while the shipping forecast warns of gales near the coast. "
    "A cat sleeps on the carpet, and somebody writes a program in Python that counts 12345 words. "
    "Zürich, naïve café owners, and 東京 appear as well, because real text is seldom plain. "
)


def uniform(seed: int, count: int) -> npt.NDArray[np.float64]:
    """`count` numbers in [-1, 1), the same on every platform and in every NumPy: PCG64's raw bits, 53 each."""
    raw = np.asarray(np.random.PCG64(seed).random_raw(count), dtype=np.uint64).reshape(count)
    numbers: npt.NDArray[np.float64] = (raw >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0
    return numbers


@dataclass(frozen=True, slots=True)
class InputPlan:
    """How to fill each input of a graph.

    Attributes:
        inputs: the graph's inputs.
        limits: inputs that index a table -> how many rows it has.
        free_limits: inputs that index a table -> its numbers of rows that depend on named dimensions.
        masks: integer inputs that hide the end of rows.
        choices: other integer inputs that are compared with constants -> those, and 0.
        lengths: of the texts that index a table.
        tokens: ids of a long text without an end, or None where no tokenizer gives any.
    """

    inputs: Mapping[str, TensorType]
    limits: Mapping[str, int]
    free_limits: Mapping[str, frozenset[SymbolicDim]]
    masks: frozenset[str]
    choices: Mapping[str, npt.NDArray[np.int64]]
    lengths: frozenset[Dim]
    tokens: npt.NDArray[np.int64] | None

    @classmethod
    def of(cls, graph: Graph, tokenizer: Any = None) -> InputPlan:
        """Read the plan from the graph; `tokenizer` is an `embed.TextTokenizer`."""
        limits, free_limits = _limits(graph)
        # As long as the ids; the number of rows may have another name where an exporter did not take them for one.
        lengths = {shape[1] for name in limits if len(shape := graph.inputs[name].shape) == 2}
        choices = _choices(graph)
        masks = {
            name
            for name, kind in graph.inputs.items()
            if name not in limits
            and not kind.dtype.is_float
            and kind.rank == 2
            and kind.shape[1] in lengths
            # What is compared with other numbers is to have them.
            and {0, 1}.issuperset(choices.get(name, np.zeros(0, np.int64)).tolist())
        }
        tokens = None
        if tokenizer is not None and _TOKENS in limits:
            ids = np.asarray(tokenizer.encode([_TEXT], None)[0].ids, dtype=np.int64)
            # A tokenizer of another model would index past the table; one that knows none of the words gives nothing.
            tokens = ids if ids.size and ids.max() < limits[_TOKENS] else None
        return cls(graph.inputs, limits, free_limits, frozenset(masks), choices, frozenset(lengths), tokens)

    @property
    def kind(self) -> str:
        """Where the values come from, for the certificate."""
        return "tokens" if self.tokens is not None else "seeded"

    def draw(self, point: Point, seed: int) -> dict[str, Array]:
        """Arrays for every input at `point`."""
        return {
            name: self._fill(name, kind, concrete_shape(kind, point.bindings), point, seed + index)
            for index, (name, kind) in enumerate(self.inputs.items())
        }

    def plainer(self, drawn: Mapping[str, Array]) -> Iterator[tuple[int, dict[str, Array]]]:
        """The same with 0, and with 1, for integers of which nothing is known: places and divisors that are valid."""
        known = {*self.limits, *self.free_limits, *self.masks, *self.choices}
        unknown = [name for name, kind in self.inputs.items() if not kind.dtype.is_float and name not in known]
        for number in (0, 1) if unknown else ():
            yield number, {**drawn, **{name: np.full_like(drawn[name], number) for name in unknown}}

    def _fill(self, name: str, kind: TensorType, shape: tuple[int, ...], point: Point, seed: int) -> Array:
        dtype = kind.dtype.numpy
        count = int(np.prod(shape, dtype=np.int64))
        if name in self.masks:
            return _mask(shape, point.padded).astype(dtype)
        if name == _TOKENS and self.tokens is not None:
            return _rows_of_text(self.tokens, shape).astype(dtype)
        values = uniform(seed, count).reshape(shape)
        if kind.dtype.is_float:
            return values.astype(dtype)
        open_limits = [evaluate(rows, point.bindings) for rows in self.free_limits.get(name, ())]
        pool = self.choices.get(name, np.zeros(0, np.int64))
        # What is compared with 0 alone, as a mask is to become bool, is 0 or 1 as any other.
        if not {0, 1}.issuperset(pool.tolist()) and name not in self.limits and not open_limits:
            return np.asarray(pool[((values + 1.0) / 2.0 * len(pool)).astype(np.int64)], dtype)
        # Without a range, 0 and 1 are what flags, masks and booleans have in common.
        if name in self.limits:
            open_limits.append(self.limits[name])
        limit = min(open_limits, default=2)
        drawn = np.asarray(np.floor((values + 1.0) / 2.0 * limit), dtype)
        if not open_limits and kind.rank == 2:
            # Of a query that sees no key nothing is defined, and float16 computes it in as many ways as there are
            # kernels. A cache's mask is longer than the text, whose first token sees what is before it and itself.
            texts = [evaluate(length, point.bindings) for length in self.lengths]
            seen = [shape[1] - length + 1 for length in texts if length < shape[1]]
            # The mask of an encoder, as its decoder reads it, is seen as a whole.
            if seen or isinstance(kind.shape[1], SymbolicDim):
                drawn[~drawn[:, : min(seen, default=shape[1])].any(axis=1), :1] = 1
        return drawn


def _limits(graph: Graph) -> tuple[dict[str, int], dict[str, frozenset[SymbolicDim]]]:
    """Fixed numbers of rows, and those that depend on named dimensions."""
    producers = {value: node for node in graph.nodes for value in node.outputs}
    limits: dict[str, int] = {}
    free: dict[str, frozenset[SymbolicDim]] = {}
    fed = set(graph.inputs)
    for node in graph.nodes:
        if any(value in fed for value in node.inputs):
            fed.update(node.outputs)
        for indices, limit in (*_table_rows(graph, node), *_compared_places(graph, node, fed)):
            for name in _sources(graph, producers, indices):
                if isinstance(limit, int):
                    limits[name] = min(limit, limits.get(name, limit))
                else:
                    free[name] = free.get(name, frozenset()) | {limit}
    return limits, free


def _choices(graph: Graph) -> dict[str, npt.NDArray[np.int64]]:
    """What a sampling rate or the bytes of a one-hot coding can be."""
    producers = {value: node for node in graph.nodes for value in node.outputs}
    found: dict[str, npt.NDArray[np.int64]] = {}
    for node in graph.nodes:
        if node.op not in ("equal", "notEqual"):
            continue
        for value, other in (node.inputs, node.inputs[::-1]):
            constant = graph.constants.get(other or "")
            if constant is None or constant.type.dtype.is_float:
                continue
            for name in _sources(graph, producers, value):
                known = found.get(name, np.zeros(1, np.int64))
                found[name] = np.union1d(known, np.asarray(constant.array).astype(np.int64))
    return found


def _table_rows(graph: Graph, node: Node) -> Iterator[tuple[str | None, Dim]]:
    """The indices of a node, and how many entries they can reach, along every axis that they are for."""
    table, axis = node.inputs[0] if node.inputs else None, node.options.get("axis")
    if table is None:
        return
    shape = graph.types[table].shape
    if node.op in ("gatherND", "scatterND"):
        depth = graph.types[str(node.inputs[1])].shape[-1]
        yield from ((node.inputs[1], rows) for rows in (shape[:depth] if isinstance(depth, int) else ()))
    elif node.op in _INDEXING and isinstance(axis, int):
        yield node.inputs[1], shape[axis]


def _compared_places(graph: Graph, node: Node, fed: Set[str]) -> Iterator[tuple[str | None, Dim]]:
    """Indices that are compared with the numbers of all rows of a table, as many as a named dimension says.

    So rows are added up by what they belong to, the nodes of a graph by its edges. What no input is in is counted.
    """
    if node.op != "equal":
        return
    for indices, places in (node.inputs, node.inputs[::-1]):
        shape = graph.types[str(places)].shape
        sizes = [dim for dim in shape if isinstance(dim, SymbolicDim)]
        if places not in fed and len(sizes) == 1 and shape.count(1) == len(shape) - 1:
            yield indices, sizes[0]


def _sources(graph: Graph, producers: Mapping[str, Node], value: str | None) -> set[str]:
    """Integer inputs whose values reach `value` as indices."""
    found: set[str] = set()
    pending, seen = [value] if value is not None else [], {value}
    while pending:
        current = pending.pop()
        if current in graph.inputs and not graph.inputs[current].dtype.is_float:
            found.add(current)
        node = producers.get(current)
        if node is None or node.op not in _KEEPS_INDICES:
            continue
        # The condition of `where` chooses and the indices of `gather` pick: neither is an index that is handed on.
        passed = {"where": node.inputs[1:], "gather": node.inputs[:1]}.get(node.op, node.inputs)
        for operand in passed:
            if operand is not None and operand not in seen:
                seen.add(operand)
                pending.append(operand)
    return found


def _mask(shape: tuple[int, ...], padded: bool) -> Array:
    rows, length = shape
    mask = np.ones(shape, dtype=np.int64)
    if padded:
        for row in range(rows):
            # Row 0 of several keeps its whole length, the others lose a growing part, never all.
            hidden = (row if rows > 1 else 1) * length // (rows + 1)
            mask[row, max(length - hidden, 1) :] = 0
    return mask


def _rows_of_text(tokens: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Array:
    """Rows that start like a text (special tokens included) and go on with different words each."""
    count = int(np.prod(shape, dtype=np.int64))
    length = shape[-1] if shape else 1
    rows = count // max(length, 1)
    body = tokens[1:-1] if len(tokens) > 2 else tokens
    filled = np.stack([np.resize(np.roll(body, -5 * row), length) for row in range(rows)]) if rows else np.empty(shape)
    filled[:, :1] = tokens[0]
    if length > 1:
        filled[:, -1] = tokens[-1]
    return filled.reshape(shape)
