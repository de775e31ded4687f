"""Runs over texts of different lengths that lie one after another: no padding, and a text's bits are its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from webnn_runtime.backends.base import TextRunner
from webnn_runtime.backends.rust._assembly import Assembly, bytes_of
from webnn_runtime.backends.rust._embeddings import join_embeddings
from webnn_runtime.backends.rust._errors import NATIVE, refused
from webnn_runtime.backends.rust._originals import Originals
from webnn_runtime.backends.rust._packing import PLACES, STARTS, NotPacked, Packed, Packing
from webnn_runtime.backends.rust._packing_rules import rule_of
from webnn_runtime.backends.rust._roles import LONGEST, TEXTS, TOKENS
from webnn_runtime.backends.rust._text_pooling import pool
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.binding import bind_shapes
from webnn_runtime.format.errors import OperandError, ShapeError
from webnn_runtime.format.graph import Array, Graph, TensorType

if TYPE_CHECKING:
    from webnn_kernels import Engine, Plan

__all__ = ["TextPlan", "text_plan"]

_NAMES = tuple(str(dim) for dim in (TOKENS, TEXTS, LONGEST))
_INPUTS = {STARTS: "starts", PLACES: "places"}


def _pack(graph: Graph, lowered: Values, outputs: Iterable[str]) -> Packed:
    """The calls over texts that these outputs need, under the input that proves to be the attention mask.

    A graph that no input proves to be the mask of may still be one that pads nothing.

    Raises:
        NotPacked: there is no proof that the graph may be run so; with the reason that got furthest.
    """
    chosen = tuple(outputs)
    # What rows of a table are read by is no mask.
    indices = {call.operands[1] for call in lowered.calls if call.kind == "gather"}
    furthest, reason = -1, None
    for mask in (*(name for name in graph.inputs if name not in indices), None):
        packing = None
        try:
            packing = Packing(graph, lowered, mask)
            return packing.run(chosen, rule_of)
        except NotPacked as exc:
            reached = 0 if packing is None else len(packing.calls)
            if reason is None or (mask is not None and reached > furthest):
                furthest, reason = reached, exc
    assert reason is not None
    raise reason


class TextPlan(TextRunner):
    """A plan over texts, which shares its weights with the plans of the graph itself."""

    def __init__(
        self,
        graph: Graph,
        packed: Packed,
        values: Mapping[str, str],
        engine: Engine,
        shared: Mapping[str, tuple[Plan, int]],
        originals: Originals,
        max_memory: int | None,
    ) -> None:
        self._graph = graph
        self._originals = originals
        own = Assembly(engine, _NAMES, packed.types, packed.constants)
        made = [values[output] for output in packed.results]
        for call in join_embeddings(packed.calls, packed.types, made):
            known = shared.get(call.results[0])
            if known is not None and known[0].taken(known[1]):
                own.add_again(call, *known)
            else:
                own.add(call)
        self._outputs = tuple(packed.results)
        own.builder.texts(_NAMES, [_INPUTS.get(name, "tokens") for name in own.reads], list(packed.results.values()))
        self._plan = own.build(made, max_memory)
        self._reads = tuple(name for name in own.reads if name not in _INPUTS)
        self._rows = [
            (per_token, *_row_of(packed.types[value], per_token))
            for value, per_token in zip(made, packed.results.values(), strict=True)
        ]
        length = graph.dims[str(next(iter(graph.inputs.values())).shape[1])]
        self._shortest, self._longest = max(length.min_size, 1), length.max_size
        self.inputs = {name: graph.inputs[name].dtype for name in packed.inputs}
        self._arrays = {name: dtype.numpy for name, dtype in self.inputs.items()}
        # Vectors of padding are results too, and only a run with padding has them.
        self._mask = None if any(packed.results.values()) else packed.mask

    def run(self, inputs: Mapping[str, Array], lengths: Sequence[int]) -> dict[str, Array]:
        total = sum(lengths)
        self._check(inputs, lengths, total)
        results = [
            np.empty((total if per_token else len(lengths), *rest), dtype) for per_token, rest, dtype in self._rows
        ]
        operands = [bytes_of(inputs[name]) for name in self._reads]
        try:
            self._plan.run_texts((0, 0, 0), lengths, operands, [bytes_of(array) for array in results])
        except NATIVE as exc:
            raise refused(exc) from exc
        self._originals.let_go()
        return dict(zip(self._outputs, results, strict=True))

    def run_padded(self, inputs: Mapping[str, Array]) -> dict[str, Array] | None:
        """The results for padded texts; None where the padding is needed, or there is none."""
        if self._mask is None:
            return None
        mask = inputs[self._mask]
        kept = mask != 0
        lengths = kept.sum(axis=1)
        longest = mask.shape[1]
        # Ones at the text, then zeros: what the proof is about.
        is_padding = np.array_equal(mask, np.arange(longest) < lengths[:, None])
        if not is_padding or lengths.size == 0 or lengths.min() == longest:
            return None
        try:
            self._check_lengths(lengths.tolist())
        except ShapeError:
            return None
        return self.run({name: inputs[name][kept] for name in self.inputs}, lengths.tolist())

    def _check(self, inputs: Mapping[str, Array], lengths: Sequence[int], total: int) -> None:
        if inputs.keys() != self._arrays.keys():
            raise OperandError(f"inputs {', '.join(inputs)} given; texts need {', '.join(self.inputs)}")
        for name, dtype in self._arrays.items():
            array = inputs[name]
            if array.dtype != dtype or array.shape != (total,):
                wrong = f"{array.dtype}{list(array.shape)}"
                raise OperandError(f"input '{name}' is {wrong}; texts of {total} tokens need {dtype}[{total}]")
        self._check_lengths(lengths)

    def _check_lengths(self, lengths: Sequence[int]) -> None:
        """Refuse texts that the graph does not take, each alone."""
        low, high = self._shortest, self._longest
        if not lengths or min(lengths) < low or max(lengths) > high:
            found = f"{_span(min(lengths), max(lengths))} tokens" if lengths else "no texts"
            raise ShapeError(f"{found}; the graph takes texts of {_span(low, high)}")
        if self._graph.checks:
            for length in sorted(set(lengths)):
                bind_shapes(self._graph, dict.fromkeys(self._graph.inputs, (1, length)))


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _row_of(kind: TensorType, per_token: bool) -> tuple[list[int], np.dtype[Any]]:
    """The dimensions behind those of texts and tokens, and the type of array."""
    return [int(str(dim)) for dim in kind.shape[2 if per_token else 1 :]], kind.dtype.numpy


def text_plan(
    graph: Graph,
    lowered: Values,
    engine: Engine,
    outputs: Iterable[str],
    shared: Mapping[str, tuple[Plan, int]],
    originals: Originals,
    max_memory: int | None = None,
    pooling: str | None = None,
    normalize: bool = False,
) -> TextPlan:
    """The plan over texts for these outputs, of whose tokens `pooling` and `normalize` make one vector.

    Raises:
        NotPacked: there is none, with the reason.
    """
    packed = _pack(graph, lowered, outputs)
    values = {output: graph.outputs[output] for output in packed.results}
    if pooling is not None:
        packed, values = pool(packed, values, pooling, normalize)
    try:
        return TextPlan(graph, packed, values, engine, shared, originals, max_memory)
    except (NotImplementedError, ValueError) as exc:
        # The engine has no kernel for a call, or not in the form that it has over texts.
        raise NotPacked(str(exc)) from exc
