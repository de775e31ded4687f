"""Recurrent networks, whole and by the step.

Weights of all gates lie in one tensor, gate after gate in the order of `layout`; a leading dimension of
2 holds both directions.
"""

from __future__ import annotations

from typing import Final

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference, shape_text
from webnn_runtime.format.ops.kinds import Bool, Choice, Choices, Integer, Size
from webnn_runtime.format.ops.limits import CUBE, FLOATS, IMAGE, MATRIX, VECTOR, operand, result
from webnn_runtime.format.ops.spec import Operand, OpSpec, Option, Ranks

__all__ = ["SPECS"]

_GRU_GATES: Final = 3
_LSTM_GATES: Final = 4
_PEEPHOLES: Final = 3
_WORDS: Final = ("relu", "sigmoid", "tanh")


def _gru(
    context: Inference,
    x: TensorType,
    weight: TensorType,
    recurrent_weight: TensorType,
    bias: TensorType | None,
    recurrent_bias: TensorType | None,
    initial_hidden_state: TensorType | None,
    *,
    direction: str,
    hidden_size: int,
    return_sequence: bool,
    steps: Dim,
    **_: object,
) -> tuple[TensorType, ...]:
    directions = 2 if direction == "both" else 1
    rows = _GRU_GATES * hidden_size
    sequence, batch, width = x.shape
    context.equal(sequence, steps, "first dimension of the input and option 'steps'")
    context.at_least(steps, 1, "option 'steps'")
    context.at_least(width, 1, "last dimension of the input")
    state = (directions, batch, hidden_size)
    _demand(
        context,
        weight=(weight, (directions, rows, width)),
        recurrentWeight=(recurrent_weight, (directions, rows, hidden_size)),
        bias=(bias, (directions, rows)),
        recurrentBias=(recurrent_bias, (directions, rows)),
        initialHiddenState=(initial_hidden_state, state),
    )
    final = (x.with_shape(state),)
    return (*final, x.with_shape((steps, *state))) if return_sequence else final


def _gru_cell(
    context: Inference,
    x: TensorType,
    weight: TensorType,
    recurrent_weight: TensorType,
    hidden_state: TensorType,
    bias: TensorType | None,
    recurrent_bias: TensorType | None,
    *,
    hidden_size: int,
    **_: object,
) -> TensorType:
    rows = _GRU_GATES * hidden_size
    batch, width = x.shape
    context.at_least(width, 1, "last dimension of the input")
    _demand(
        context,
        weight=(weight, (rows, width)),
        recurrentWeight=(recurrent_weight, (rows, hidden_size)),
        hiddenState=(hidden_state, (batch, hidden_size)),
        bias=(bias, (rows,)),
        recurrentBias=(recurrent_bias, (rows,)),
    )
    return x.with_shape((batch, hidden_size))


def _lstm(
    context: Inference,
    x: TensorType,
    weight: TensorType,
    recurrent_weight: TensorType,
    bias: TensorType | None,
    recurrent_bias: TensorType | None,
    peephole_weight: TensorType | None,
    initial_hidden_state: TensorType | None,
    initial_cell_state: TensorType | None,
    *,
    direction: str,
    hidden_size: int,
    return_sequence: bool,
    steps: Dim,
    **_: object,
) -> tuple[TensorType, ...]:
    directions = 2 if direction == "both" else 1
    rows = _LSTM_GATES * hidden_size
    sequence, batch, width = x.shape
    context.equal(sequence, steps, "first dimension of the input and option 'steps'")
    context.at_least(steps, 1, "option 'steps'")
    context.at_least(width, 1, "last dimension of the input")
    state = (directions, batch, hidden_size)
    _demand(
        context,
        weight=(weight, (directions, rows, width)),
        recurrentWeight=(recurrent_weight, (directions, rows, hidden_size)),
        bias=(bias, (directions, rows)),
        recurrentBias=(recurrent_bias, (directions, rows)),
        peepholeWeight=(peephole_weight, (directions, _PEEPHOLES * hidden_size)),
        initialHiddenState=(initial_hidden_state, state),
        initialCellState=(initial_cell_state, state),
    )
    final = (x.with_shape(state), x.with_shape(state))
    return (*final, x.with_shape((steps, *state))) if return_sequence else final


def _lstm_cell(
    context: Inference,
    x: TensorType,
    weight: TensorType,
    recurrent_weight: TensorType,
    hidden_state: TensorType,
    cell_state: TensorType,
    bias: TensorType | None,
    recurrent_bias: TensorType | None,
    peephole_weight: TensorType | None,
    *,
    hidden_size: int,
    **_: object,
) -> tuple[TensorType, ...]:
    rows = _LSTM_GATES * hidden_size
    batch, width = x.shape
    context.at_least(width, 1, "last dimension of the input")
    state = (batch, hidden_size)
    _demand(
        context,
        weight=(weight, (rows, width)),
        recurrentWeight=(recurrent_weight, (rows, hidden_size)),
        hiddenState=(hidden_state, state),
        cellState=(cell_state, state),
        bias=(bias, (rows,)),
        recurrentBias=(recurrent_bias, (rows,)),
        peepholeWeight=(peephole_weight, (_PEEPHOLES * hidden_size,)),
    )
    return x.with_shape(state), x.with_shape(state)


def _demand(context: Inference, **operands: tuple[TensorType | None, tuple[Dim, ...]]) -> None:
    for name, (kind, shape) in operands.items():
        if kind is not None:
            context.same_shape(kind.shape, shape, f"operand '{name}' and the shape {shape_text(shape)} that it needs")


def _floats(name: str, ranks: Ranks, *, optional: bool = False) -> Operand:
    return operand(name, "input", FLOATS, ranks, ranks, optional=optional)


def _out(number: str, ranks: Ranks, *, optional: bool = False) -> Operand:
    return result("input", FLOATS, ranks, ranks, name=f"output{number}", optional=optional)


def _hidden_size(gates: int, place: int = 1) -> Option:
    # All gates of two directions must still be a valid dimension.
    return Option("hiddenSize", Integer(1, (2**31 - 1) // (2 * gates)), positional=place)


_DIRECTION = Option("direction", Choice(("forward", "backward", "both")), "forward")
_GRU_LAYOUT = Option("layout", Choice(("zrn", "rzn")), "zrn")
_LSTM_LAYOUT = Option("layout", Choice(("iofg", "ifgo")), "iofg")
_GRU_ACTIVATIONS = Option("activations", Choices(_WORDS, 2), ("sigmoid", "tanh"))
_LSTM_ACTIVATIONS = Option("activations", Choices(_WORDS, 3), ("sigmoid", "tanh", "tanh"))
_RESET_AFTER = Option("resetAfter", Bool(), True)
_RETURN_SEQUENCE = Option("returnSequence", Bool(), False)
_STEPS = Option("steps", Size(), positional=1)

SPECS = (
    OpSpec(
        "gru",
        (
            operand("input", FLOATS, FLOATS, CUBE, CUBE),
            _floats("weight", CUBE),
            _floats("recurrentWeight", CUBE),
            _floats("bias", MATRIX, optional=True),
            _floats("recurrentBias", MATRIX, optional=True),
            _floats("initialHiddenState", CUBE, optional=True),
        ),
        (
            _GRU_ACTIVATIONS,
            _DIRECTION,
            _hidden_size(_GRU_GATES, place=2),
            _GRU_LAYOUT,
            _RESET_AFTER,
            _RETURN_SEQUENCE,
            _STEPS,
        ),
        (_out("0", CUBE), _out("1", IMAGE, optional=True)),
        _gru,
        "Gated recurrent unit over all steps: last hidden state, and on demand every step's.",
        "recurrent",
    ),
    OpSpec(
        "gruCell",
        (
            operand("input", FLOATS, FLOATS, MATRIX, MATRIX),
            _floats("weight", MATRIX),
            _floats("recurrentWeight", MATRIX),
            _floats("hiddenState", MATRIX),
            _floats("bias", VECTOR, optional=True),
            _floats("recurrentBias", VECTOR, optional=True),
        ),
        (_GRU_ACTIVATIONS, _hidden_size(_GRU_GATES), _GRU_LAYOUT, _RESET_AFTER),
        (_out("", MATRIX),),
        _gru_cell,
        "One step of a gated recurrent unit: the new hidden state.",
        "recurrent",
    ),
    OpSpec(
        "lstm",
        (
            operand("input", FLOATS, FLOATS, CUBE, CUBE),
            _floats("weight", CUBE),
            _floats("recurrentWeight", CUBE),
            _floats("bias", MATRIX, optional=True),
            _floats("recurrentBias", MATRIX, optional=True),
            _floats("peepholeWeight", MATRIX, optional=True),
            _floats("initialHiddenState", CUBE, optional=True),
            _floats("initialCellState", CUBE, optional=True),
        ),
        (
            _LSTM_ACTIVATIONS,
            _DIRECTION,
            _hidden_size(_LSTM_GATES, place=2),
            _LSTM_LAYOUT,
            _RETURN_SEQUENCE,
            _STEPS,
        ),
        (_out("0", CUBE), _out("1", CUBE), _out("2", IMAGE, optional=True)),
        _lstm,
        "Long short-term memory over all steps: last hidden and cell state, and on demand every step's.",
        "recurrent",
    ),
    OpSpec(
        "lstmCell",
        (
            operand("input", FLOATS, FLOATS, MATRIX, MATRIX),
            _floats("weight", MATRIX),
            _floats("recurrentWeight", MATRIX),
            _floats("hiddenState", MATRIX),
            _floats("cellState", MATRIX),
            _floats("bias", VECTOR, optional=True),
            _floats("recurrentBias", VECTOR, optional=True),
            _floats("peepholeWeight", VECTOR, optional=True),
        ),
        (_LSTM_ACTIVATIONS, _hidden_size(_LSTM_GATES), _LSTM_LAYOUT),
        (_out("0", MATRIX), _out("1", MATRIX)),
        _lstm_cell,
        "One step of long short-term memory: the new hidden and cell state.",
        "recurrent",
    ),
)
