"""Recurrent networks, whole and by the step.

onnxruntime's GRU and LSTM do all but the LSTM with peepholes: ONNX shows its output gate the new cell
state, WebNN the old one. That one is unrolled.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from webnn_runtime.backends.onnxruntime import proto
from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.format.dims import Dim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType

__all__: list[str] = []

_DIRECTIONS: Final = {"forward": "forward", "backward": "reverse", "both": "bidirectional"}
_ACTIVATIONS: Final = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh"}
_GRU_GATES: Final = "zrn"
_LSTM_GATES: Final = "iofg"
_F32: Final = DataType.FLOAT32


def _ordered(g: Emitter, value: Tensor | None, layout: str, wanted: str) -> Tensor | None:
    """Weights [directions, gates * hidden, ...] with the gates in the wanted order."""
    if value is None or layout == wanted:
        return value
    gates = g.nodes("Split", value, results=len(layout), num_outputs=len(layout), axis=1)
    name = g.node("Concat", *(gates[layout.index(gate)] for gate in wanted), axis=1)
    return Tensor(name, value.type)


def _both_biases(g: Emitter, bias: Tensor | None, recurrent_bias: Tensor | None) -> str | None:
    """ONNX has both in one tensor [directions, 2 * gates * hidden]."""
    known = bias or recurrent_bias
    if known is None:
        return None
    zeros = g.filled(known.shape, 0, known.dtype)
    parts = (zeros if value is None else value.name for value in (bias, recurrent_bias))
    return g.node("Concat", *parts, axis=1)


def _as_sequence(g: Emitter, value: Tensor | None) -> Tensor | None:
    """A leading dimension of 1: one step, or one direction."""
    if value is None:
        return None
    shape: tuple[Dim, ...] = (1, *value.shape)
    return Tensor(g.node("Unsqueeze", value, g.ints([0])), TensorType(value.dtype, shape))


def _recurrent(
    g: Emitter,
    op_type: str,
    x: Tensor,
    weights: Sequence[Tensor | str | None],
    states: Sequence[Tensor | None],
    **attributes: proto.Attribute,
) -> tuple[str, ...]:
    """All hidden states [steps, directions, batch, hidden], and the last of each state [directions, batch, hidden]."""
    batch, results = x.shape[1], 1 + len(states)
    if g.is_positive(batch):
        return g.nodes(op_type, x, *weights, None, *states, results=results, **attributes)
    # onnxruntime 1.32 ends the process where the batch has no rows: one row of zeros goes along, and is cut off.
    found = g.nodes(
        op_type,
        _with_a_row(g, x),
        *weights,
        None,
        *(None if state is None else _with_a_row(g, state) for state in states),
        results=results,
        **attributes,
    )
    return tuple(
        g.node("Slice", value, g.ints([0]), g.ints([-1]), g.ints([axis]))
        for value, axis in zip(found, (2, *(1 for _ in states)), strict=True)
    )


def _with_a_row(g: Emitter, value: Tensor) -> str:
    """Dimension 1 is the batch."""
    first, _, last = value.shape
    return g.node("Concat", value, g.filled((first, 1, last), 0, value.dtype), axis=1)


def _names(activations: Sequence[str], direction: str) -> list[str]:
    return [_ACTIVATIONS[name] for name in activations] * (2 if direction == "both" else 1)


@lowering("gru")
def _gru(
    g: Emitter,
    x: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor,
    bias: Tensor | None,
    recurrent_bias: Tensor | None,
    initial_hidden_state: Tensor | None,
    *,
    steps: Dim,
    hidden_size: int,
    reset_after: bool,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: tuple[str, ...],
) -> tuple[str, ...]:
    del steps  # the first dimension of the input
    weight, recurrent_weight, bias, recurrent_bias = (  # type: ignore[assignment]  # None stays None
        _ordered(g, value, layout, _GRU_GATES) for value in (weight, recurrent_weight, bias, recurrent_bias)
    )
    sequence, last = _recurrent(
        g,
        "GRU",
        x,
        (weight, recurrent_weight, _both_biases(g, bias, recurrent_bias)),
        (initial_hidden_state,),
        activations=_names(activations, direction),
        direction=_DIRECTIONS[direction],
        hidden_size=hidden_size,
        linear_before_reset=reset_after,
    )
    return (last, sequence) if return_sequence else (last,)


@lowering("gruCell")
def _gru_cell(
    g: Emitter,
    x: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor,
    hidden_state: Tensor,
    bias: Tensor | None,
    recurrent_bias: Tensor | None,
    *,
    hidden_size: int,
    reset_after: bool,
    layout: str,
    activations: tuple[str, ...],
) -> str:
    one_step = [_as_sequence(g, value) for value in (x, weight, recurrent_weight, bias, recurrent_bias, hidden_state)]
    (last,) = _gru(
        g,
        *one_step,  # type: ignore[arg-type]  # the required ones are not None
        steps=1,
        hidden_size=hidden_size,
        reset_after=reset_after,
        return_sequence=False,
        direction="forward",
        layout=layout,
        activations=activations,
    )
    return g.node("Squeeze", last, g.ints([0]))


@lowering("lstm")
def _lstm(
    g: Emitter,
    x: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor,
    bias: Tensor | None,
    recurrent_bias: Tensor | None,
    peephole_weight: Tensor | None,
    initial_hidden_state: Tensor | None,
    initial_cell_state: Tensor | None,
    *,
    steps: Dim,
    hidden_size: int,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: tuple[str, ...],
) -> tuple[str, ...]:
    weight, recurrent_weight, bias, recurrent_bias = (  # type: ignore[assignment]  # None stays None
        _ordered(g, value, layout, _LSTM_GATES) for value in (weight, recurrent_weight, bias, recurrent_bias)
    )
    biases = _both_biases(g, bias, recurrent_bias)
    if peephole_weight is not None:
        count = g.integers([steps], "steps of an lstm with peepholes")[0]
        start = (initial_hidden_state, initial_cell_state)
        unrolled = _Unrolled(g, x, (weight, recurrent_weight, peephole_weight), biases, hidden_size, activations)
        hidden, cell, sequence = unrolled.run(start, count, direction)
    else:
        sequence, hidden, cell = _recurrent(
            g,
            "LSTM",
            x,
            (weight, recurrent_weight, biases),
            (initial_hidden_state, initial_cell_state),
            activations=_names(activations, direction),
            direction=_DIRECTIONS[direction],
            hidden_size=hidden_size,
        )
    return (hidden, cell, sequence) if return_sequence else (hidden, cell)


@lowering("lstmCell")
def _lstm_cell(
    g: Emitter,
    x: Tensor,
    weight: Tensor,
    recurrent_weight: Tensor,
    hidden_state: Tensor,
    cell_state: Tensor,
    bias: Tensor | None,
    recurrent_bias: Tensor | None,
    peephole_weight: Tensor | None,
    *,
    hidden_size: int,
    layout: str,
    activations: tuple[str, ...],
) -> tuple[str, ...]:
    operands = (x, weight, recurrent_weight, bias, recurrent_bias, peephole_weight, hidden_state, cell_state)
    one_step = [_as_sequence(g, value) for value in operands]
    last = _lstm(
        g,
        *one_step,  # type: ignore[arg-type]  # the required ones are not None
        steps=1,
        hidden_size=hidden_size,
        return_sequence=False,
        direction="forward",
        layout=layout,
        activations=activations,
    )
    return tuple(g.node("Squeeze", value, g.ints([0])) for value in last)


class _Unrolled:
    """An LSTM with peepholes, step by step in float32, with gates in the order i, o, f, g."""

    def __init__(
        self,
        g: Emitter,
        x: Tensor,
        weights: tuple[Tensor, Tensor, Tensor],
        biases: str | None,
        hidden_size: int,
        activations: Sequence[str],
    ) -> None:
        self.g = g
        self.x = x
        self.input = g.cast(x, _F32)
        self.weight, self.recurrent_weight, self.peephole = (g.cast(value, _F32) for value in weights)
        self.biases = g.cast(biases, _F32) if biases is not None else None
        self.hidden_size = hidden_size
        self.gate, self.candidate, self.output = (_ACTIVATIONS[name] for name in activations)

    def run(self, start: tuple[Tensor | None, Tensor | None], steps: int, direction: str) -> tuple[str, str, str]:
        """Last hidden and cell state [directions, batch, hidden], and all hidden states."""
        g = self.g
        backward = {"forward": (False,), "backward": (True,), "both": (False, True)}[direction]
        hidden, cell, sequences = [], [], []
        for index, is_backward in enumerate(backward):
            h, c = (self._start(value, index) for value in start)
            found: list[str] = [""] * steps
            for time in reversed(range(steps)) if is_backward else range(steps):
                h, c = self._step(self._at(self.input, time), h, c, index)
                found[time] = h
            hidden.append(h)
            cell.append(c)
            sequences.append(self._stack(found, 0))
        results = (self._stack(hidden, 0), self._stack(cell, 0), self._stack(sequences, 1))
        return tuple(g.cast(value, self.x.dtype) for value in results)  # type: ignore[return-value]  # three

    def _step(self, x: str, h: str, c: str, index: int) -> tuple[str, str]:
        g = self.g
        both = ((x, self.weight), (h, self.recurrent_weight))
        products = [g.node("MatMul", value, self._transposed(weight, index)) for value, weight in both]
        total = g.node("Add", *products)
        if self.biases is not None:
            halves = g.nodes("Split", self._at(self.biases, index), results=2, num_outputs=2, axis=0)
            total = g.node("Add", total, g.node("Add", *halves))
        i, o, f, candidate = g.nodes("Split", total, results=4, num_outputs=4, axis=1)
        to_i, to_o, to_f = g.nodes("Split", self._at(self.peephole, index), results=3, num_outputs=3, axis=0)
        i, o, f = (
            g.node(self.gate, g.node("Add", gate, g.node("Mul", peephole, c)))
            for gate, peephole in ((i, to_i), (o, to_o), (f, to_f))
        )
        kept = g.node("Mul", f, c)
        new = g.node("Add", kept, g.node("Mul", i, g.node(self.candidate, candidate)))
        return g.node("Mul", o, g.node(self.output, new)), new

    def _start(self, value: Tensor | None, index: int) -> str:
        if value is not None:
            return self._at(self.g.cast(value, _F32), index)
        return self.g.filled((self.x.shape[1], self.hidden_size), 0, _F32)

    def _at(self, name: str, index: int) -> str:
        return self.g.node("Gather", name, self.g.scalar(index, DataType.INT64), axis=0)

    def _transposed(self, name: str, index: int) -> str:
        return self.g.node("Transpose", self._at(name, index), perm=[1, 0])

    def _stack(self, names: Sequence[str], axis: int) -> str:
        parts = [self.g.node("Unsqueeze", name, self.g.ints([axis])) for name in names]
        return self.g.node("Concat", *parts, axis=axis)
