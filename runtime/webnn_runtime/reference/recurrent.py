"""Recurrent networks: one cell each for gru and lstm, and the run over steps and directions.

The state stays float64 from the first step to the last and is rounded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_runtime.reference._precision import Float64, widen
from webnn_runtime.reference._registry import kernel
from webnn_runtime.reference.activation import sigmoid64

__all__: list[str] = []

State = tuple[Float64, ...]

_ACTIVATIONS: Final[dict[str, Callable[[Float64], Float64]]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": sigmoid64,
    "tanh": np.tanh,
}


def _gates(values: Array | None, layout: str, wanted: str, hidden_size: int) -> list[Float64]:
    """The blocks of the first dimension, one for each letter of `wanted`; zeros where there are no values."""
    if values is None:
        return [np.zeros(hidden_size)] * len(wanted)
    return [widen(values[layout.index(gate) * hidden_size : (layout.index(gate) + 1) * hidden_size]) for gate in wanted]


def _gru_step(
    weight: Array,
    recurrent_weight: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    hidden_size: int,
    reset_after: bool,
    layout: str,
    activations: Sequence[str],
) -> Callable[[Float64, State], State]:
    gate, candidate = (_ACTIVATIONS[name] for name in activations)
    wz, wr, wn = _gates(weight, layout, "zrn", hidden_size)
    rz, rr, rn = _gates(recurrent_weight, layout, "zrn", hidden_size)
    bz, br, bn = _gates(bias, layout, "zrn", hidden_size)
    cz, cr, cn = _gates(recurrent_bias, layout, "zrn", hidden_size)

    def step(x: Float64, state: State) -> State:
        (h,) = state
        z = gate(x @ wz.T + bz + h @ rz.T + cz)
        r = gate(x @ wr.T + br + h @ rr.T + cr)
        if reset_after:
            n = candidate(x @ wn.T + bn + r * (h @ rn.T + cn))
        else:
            n = candidate(x @ wn.T + bn + (r * h) @ rn.T + cn)
        return (z * h + (1.0 - z) * n,)

    return step


def _lstm_step(
    weight: Array,
    recurrent_weight: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    peephole_weight: Array | None,
    hidden_size: int,
    layout: str,
    activations: Sequence[str],
) -> Callable[[Float64, State], State]:
    gate, candidate, output = (_ACTIVATIONS[name] for name in activations)
    wi, wo, wf, wg = _gates(weight, layout, "iofg", hidden_size)
    ri, ro, rf, rg = _gates(recurrent_weight, layout, "iofg", hidden_size)
    bi, bo, bf, bg = _gates(bias, layout, "iofg", hidden_size)
    ci, co, cf, cg = _gates(recurrent_bias, layout, "iofg", hidden_size)
    # Peepholes have an order of their own, whatever the layout of the gates.
    peepholes = _gates(peephole_weight, "iof", "iof", hidden_size)

    def step(x: Float64, state: State) -> State:
        h, c = state
        # All three peepholes look at the old cell state, the output gate's too. Where there are none, nothing does:
        # an infinite state times the zeros in their place would be NaN.
        seen = [np.zeros(hidden_size)] * 3 if peephole_weight is None else [weight * c for weight in peepholes]
        i = gate(x @ wi.T + bi + h @ ri.T + ci + seen[0])
        f = gate(x @ wf.T + bf + h @ rf.T + cf + seen[2])
        g = candidate(x @ wg.T + bg + h @ rg.T + cg)
        new = f * c + i * g
        o = gate(x @ wo.T + bo + h @ ro.T + co + seen[1])
        return o * output(new), new

    return step


def _run(
    x: Array,
    step_of: Callable[[int], Callable[[Float64, State], State]],
    initial: Sequence[Array | None],
    steps: int,
    hidden_size: int,
    return_sequence: bool,
    direction: str,
) -> tuple[Array, ...]:
    """Last states [directions, batch, hidden], then the sequence [steps, directions, batch, hidden].

    The backward direction starts at the last step; its result for a step stays at that step's place.
    """
    backward = {"forward": (False,), "backward": (True,), "both": (False, True)}[direction]
    batch = x.shape[1]
    states = [np.empty((len(backward), batch, hidden_size), x.dtype) for _ in initial]
    sequence = np.empty((steps, len(backward), batch, hidden_size), x.dtype)
    for index, is_backward in enumerate(backward):
        step = step_of(index)
        state: State = tuple(
            np.zeros((batch, hidden_size)) if start is None else widen(start[index]) for start in initial
        )
        for time in reversed(range(steps)) if is_backward else range(steps):
            state = step(widen(x[time]), state)
            sequence[time, index] = state[0]
        for result, last in zip(states, state, strict=True):
            result[index] = last
    return (*states, sequence) if return_sequence else tuple(states)


def _at(values: Array | None, index: int) -> Array | None:
    return None if values is None else values[index]


@kernel("gru")
def gru(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    initial_hidden_state: Array | None,
    *,
    steps: int,
    hidden_size: int,
    reset_after: bool,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: tuple[str, ...],
) -> tuple[Array, ...]:
    """gruCell over all steps, in one direction or both."""

    def step_of(index: int) -> Callable[[Float64, State], State]:
        return _gru_step(
            weight[index],
            recurrent_weight[index],
            _at(bias, index),
            _at(recurrent_bias, index),
            hidden_size,
            reset_after,
            layout,
            activations,
        )

    return _run(x, step_of, [initial_hidden_state], steps, hidden_size, return_sequence, direction)


@kernel("gruCell")
def gru_cell(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    hidden_state: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    *,
    hidden_size: int,
    reset_after: bool,
    layout: str,
    activations: tuple[str, ...],
) -> Array:
    """h' = z * h + (1 - z) * n, with update gate z, reset gate r and new gate n."""
    step = _gru_step(weight, recurrent_weight, bias, recurrent_bias, hidden_size, reset_after, layout, activations)
    return step(widen(x), (widen(hidden_state),))[0].astype(x.dtype)


@kernel("lstm")
def lstm(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    peephole_weight: Array | None,
    initial_hidden_state: Array | None,
    initial_cell_state: Array | None,
    *,
    steps: int,
    hidden_size: int,
    return_sequence: bool,
    direction: str,
    layout: str,
    activations: tuple[str, ...],
) -> tuple[Array, ...]:
    """lstmCell over all steps, in one direction or both."""

    def step_of(index: int) -> Callable[[Float64, State], State]:
        return _lstm_step(
            weight[index],
            recurrent_weight[index],
            _at(bias, index),
            _at(recurrent_bias, index),
            _at(peephole_weight, index),
            hidden_size,
            layout,
            activations,
        )

    initial = [initial_hidden_state, initial_cell_state]
    return _run(x, step_of, initial, steps, hidden_size, return_sequence, direction)


@kernel("lstmCell")
def lstm_cell(
    x: Array,
    weight: Array,
    recurrent_weight: Array,
    hidden_state: Array,
    cell_state: Array,
    bias: Array | None,
    recurrent_bias: Array | None,
    peephole_weight: Array | None,
    *,
    hidden_size: int,
    layout: str,
    activations: tuple[str, ...],
) -> tuple[Array, ...]:
    """c' = f * c + i * g and h' = o * activation(c'); returns h' and c'."""
    step = _lstm_step(weight, recurrent_weight, bias, recurrent_bias, peephole_weight, hidden_size, layout, activations)
    hidden, cell = step(widen(x), (widen(hidden_state), widen(cell_state)))
    return hidden.astype(x.dtype), cell.astype(x.dtype)
