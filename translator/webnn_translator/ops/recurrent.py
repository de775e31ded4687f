"""RNN, GRU and LSTM: WebNN's own where they mean the same, written out step by step where they do not.

WebNN has neither RNN nor lengths of sequences. An RNN is a GRU whose update gate is always 0. Lengths become a
mask over the steps, and a backward run over each row's own part reads the input in reversed order. Clipping,
coupled gates, other activations, and peepholes into the output gate need the cells (`recurrent_cells`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dims import Dim
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import joined, reshape_to, transposed
from webnn_translator.ops.recurrent_cells import Activation, Cell, States, activations_of, run_cells
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine
from webnn_translator.tensor import Tensor

__all__ = ["run_recurrent"]

_GATES: Final = {"RNN": 1, "GRU": 3, "LSTM": 4}
_DEFAULTS: Final = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_BACKWARD: Final = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_WIRE: Final = {(False,): "forward", (True,): "backward", (False, True): "both"}
# What WebNN's own recurrent operators can apply.
_PLAIN: Final = ("relu", "sigmoid", "tanh")


@dataclass(frozen=True)
class _Layer:
    """One node, its inputs time-major.

    Attributes:
        cell: what one step computes.
        backward: per direction, whether it runs from the end.
        activations: per direction.
        x: [steps, batch, input].
        weight: [directions, gates * hidden, input].
        recurrent_weight: [directions, gates * hidden, hidden].
        biases: [directions, gates * hidden] of the input and of the recurrence; none or both.
        peepholes: [directions, 3 * hidden]: input, output, forget.
        initial: [directions, batch, hidden] each; hidden, and the cell of an LSTM.
        lengths: [batch], where rows may be shorter than `steps`.
    """

    cell: Cell
    backward: tuple[bool, ...]
    activations: tuple[tuple[Activation, ...], ...]
    x: Tensor
    weight: Tensor
    recurrent_weight: Tensor
    biases: tuple[Tensor, Tensor] | None
    peepholes: Tensor | None
    initial: tuple[Tensor | None, ...]
    lengths: Tensor | None

    @property
    def steps(self) -> Dim:
        """Number of steps."""
        return self.x.shape[0]

    def part(self, ctx: Context, index: int) -> _Layer:
        """One direction of several."""
        if len(self.backward) == 1:
            return self
        biases = self.biases

        def at(tensor: Tensor) -> Tensor:
            return slice_of(ctx, tensor, {0: (index, 1, 1)})

        return replace(
            self,
            backward=self.backward[index : index + 1],
            activations=self.activations[index : index + 1],
            weight=at(self.weight),
            recurrent_weight=at(self.recurrent_weight),
            biases=None if biases is None else (at(biases[0]), at(biases[1])),
            peepholes=None if self.peepholes is None else at(self.peepholes),
            initial=tuple(None if state is None else at(state) for state in self.initial),
        )


@onnx_op("RNN", "GRU", "LSTM", since=7)
def recurrent(ctx: Context, node: OnnxNode) -> list[Tensor | None]:
    """Every step's hidden state, and the last states; `layout` 1 has the batch first."""
    return run_recurrent(ctx, node, node.op_type, node.input(1), node.input(2))


def run_recurrent(
    ctx: Context, node: OnnxNode, kind: str, weight: Tensor, recurrent_weight: Tensor
) -> list[Tensor | None]:
    """A node whose inputs are those of the operator `kind`, with weights that may be made of its own."""
    layer = _layer(ctx, node, kind, weight, recurrent_weight)
    ctx.demand(layer.steps, 1, f"WebNN has no {kind} without steps")
    # There is nothing to compare with either.
    ctx.demand(layer.x.shape[1], 1, f"ONNX Runtime ends the process on a {kind} of a batch without rows")
    wants_sequence, wants_cell = node.wants(0), node.wants(2)
    if _is_direct(ctx, layer, wants_cell=wants_cell):
        sequence, *states = _direct(ctx, layer, wants_sequence=wants_sequence)
    else:
        sequence, *states = _written_out(ctx, layer, wants_sequence=wants_sequence)
    if node.flag("layout", 0):
        sequence = None if sequence is None else transposed(ctx, sequence, (2, 0, 1, 3))
        states = [None if state is None else transposed(ctx, state, (1, 0, 2)) for state in states]
    return [sequence, *states]


def _layer(ctx: Context, node: OnnxNode, kind: str, weight: Tensor, recurrent_weight: Tensor) -> _Layer:
    gates = _GATES[kind]
    x, bias = node.input(0), node.optional(3)
    for tensor, what in ((x, "input"), (weight, "weight"), (recurrent_weight, "recurrent weight")):
        if tensor.rank != 3:
            raise Refused(f"the {what} is {tensor}; rank 3 is needed")
    hidden = ctx.size(recurrent_weight.shape[-1], "the hidden size")
    if node.integer("hidden_size", hidden) != hidden:
        raise Refused(f"hidden_size is not {hidden}, as the weights say; the model is not valid")
    backward = _BACKWARD[node.choice("direction", "forward", *_BACKWARD)]
    is_lstm = kind == "LSTM"
    initial = [node.optional(5), node.optional(6)] if is_lstm else [node.optional(5)]
    if node.flag("layout", 0):
        x = transposed(ctx, x, (1, 0, 2))
        initial = [None if state is None else transposed(ctx, state, (1, 0, 2)) for state in initial]
    biases = None
    if bias is not None:
        half = gates * hidden
        biases = slice_of(ctx, bias, {1: (0, half, 1)}), slice_of(ctx, bias, {1: (half, half, 1)})
    clip = node.number("clip", 0.0) if node.has("clip") else None
    cell = Cell(
        kind,
        hidden,
        None if clip is None or clip <= 0 else clip,
        is_coupled=is_lstm and node.flag("input_forget", 0),
        resets_after=kind == "GRU" and node.flag("linear_before_reset", 0),
    )
    return _Layer(
        cell,
        backward,
        activations_of(node, _DEFAULTS[kind], len(backward)),
        x,
        weight,
        recurrent_weight,
        biases,
        node.optional(7) if is_lstm else None,
        tuple(initial),
        _lengths(ctx, node.optional(4), x.shape[0]),
    )


def _lengths(ctx: Context, lengths: Tensor | None, steps: Dim) -> Tensor | None:
    """The lengths, unless all rows are known to be whole."""
    known = None if lengths is None else ctx.array(lengths)
    if known is not None and isinstance(steps, int):
        if (known < 0).any() or (known > steps).any():
            raise Refused(f"sequence_lens holds {known.tolist()} for {steps} steps; the model is not valid")
        if (known == steps).all():
            return None
    return lengths


def _is_direct(ctx: Context, layer: _Layer, *, wants_cell: bool) -> bool:
    """Whether WebNN's operators compute it."""
    if layer.cell.clip is not None or layer.cell.is_coupled:
        return False
    if any(function.name not in _PLAIN for functions in layer.activations for function in functions):
        return False
    if layer.peepholes is not None:
        # WebNN shows its output gate the old cell state, ONNX the new one.
        to_output = ctx.array(slice_of(ctx, layer.peepholes, {1: (layer.cell.hidden, layer.cell.hidden, 1)}))
        if to_output is None or to_output.any():
            return False
    # The last cell state of a row that ends early is in no output.
    return layer.lengths is None or not wants_cell


def _direct(ctx: Context, layer: _Layer, *, wants_sequence: bool) -> States:
    if layer.lengths is None and len(set(layer.activations)) == 1:
        return _call(ctx, layer, wants_sequence=wants_sequence)
    parts = [layer.part(ctx, index) for index in range(len(layer.backward))]
    if layer.lengths is None:
        return _side_by_side(ctx, [_call(ctx, part, wants_sequence=wants_sequence) for part in parts])
    return _side_by_side(ctx, [_call_to_lengths(ctx, part, layer.lengths) for part in parts])


def _call(ctx: Context, layer: _Layer, *, wants_sequence: bool) -> States:
    """One operator for all steps, in one direction or both."""
    layer = _as_gru(ctx, layer) if layer.cell.kind == "RNN" else layer
    cell = layer.cell

    def operand(tensor: Tensor | None) -> Value | None:
        return None if tensor is None else ctx.full(tensor)

    biases = layer.biases or (None, None)
    operands = [layer.x, layer.weight, layer.recurrent_weight, *biases]
    if cell.kind == "LSTM":
        operands.append(layer.peepholes)
    options: dict[str, Any] = {
        "steps": layer.steps,
        "hiddenSize": cell.hidden,
        "direction": _WIRE[layer.backward],
        "returnSequence": wants_sequence,
        "activations": tuple(function.name for function in layer.activations[0]),
    }
    # The gates lie as ONNX has them: i, o, f, c and z, r, h.
    options |= {"layout": "iofg"} if cell.kind == "LSTM" else {"layout": "zrn", "resetAfter": cell.resets_after}
    made = ctx.emit.op_many(cell.kind.lower(), *(operand(tensor) for tensor in (*operands, *layer.initial)), **options)
    states = [ctx.tensor(value, layer.x.elem) for value in made]
    sequence = states.pop() if wants_sequence else None
    return (sequence, *states)


def _as_gru(ctx: Context, layer: _Layer) -> _Layer:
    """An RNN as a GRU: with zeros for weights and relu for the gates, z is 0 and r is its bias, 1.

    So h' = 0 * h + (1 - 0) * n, where n is the RNN's step: exact as long as the numbers are finite.
    """
    count, hidden = len(layer.backward), layer.cell.hidden
    elem = layer.x.elem

    def beside_zeros(tensor: Tensor) -> Tensor:
        zeros = ctx.known(np.zeros((), elem.numpy), elem, (count, 2 * hidden, *tensor.shape[2:]))
        return joined(ctx, [zeros, tensor], 1)

    gates = ctx.known(np.repeat(np.asarray([[0, 1]], elem.numpy), hidden, axis=1).repeat(count, axis=0), elem)
    zero = ctx.known(np.zeros((), elem.numpy), elem, (count, hidden))
    bias, recurrent_bias = layer.biases or (zero, None)
    return replace(
        layer,
        cell=replace(layer.cell, kind="GRU", resets_after=True),
        activations=tuple((Activation("relu"), *functions) for functions in layer.activations),
        weight=beside_zeros(layer.weight),
        recurrent_weight=beside_zeros(layer.recurrent_weight),
        biases=(
            joined(ctx, [gates, bias], 1),
            beside_zeros(zero if recurrent_bias is None else recurrent_bias),
        ),
    )


def _call_to_lengths(ctx: Context, layer: _Layer, lengths: Tensor) -> States:
    """One direction over the part of each row that its length covers; what is behind it is 0."""
    steps, elem = layer.steps, layer.x.elem
    batch = lengths.shape[0]
    places = Tensor(lengths.elem, (steps, 1), Affine(0, (1, 0)))
    row = reshape_to(ctx, lengths, (1, batch))
    inside = ctx.elementwise("lesser", places, row, elem=Elem.BOOL)
    last = ctx.elementwise("sub", row, ctx.scalar(1, lengths.elem))
    (is_backward,) = layer.backward
    flipped = ctx.elementwise("where", inside, ctx.elementwise("sub", last, places), places, elem=lengths.elem)
    if is_backward:
        layer = replace(layer, x=_reordered(ctx, layer.x, flipped), backward=(False,))
    sequence, *_ = _call(ctx, layer, wants_sequence=True)
    assert sequence is not None
    at_last = reshape_to(ctx, ctx.elementwise("equal", places, last, elem=Elem.BOOL), (steps, 1, batch, 1))
    zero = ctx.scalar(0, elem)
    chosen = ctx.full(ctx.elementwise("where", at_last, sequence, zero, elem=elem))
    hidden = ctx.computed(elem, "reduceSum", chosen, axes=(0,), keepDimensions=False)
    if is_backward:
        sequence = _reordered(ctx, sequence, reshape_to(ctx, flipped, (steps, 1, batch)))
    covered = reshape_to(ctx, inside, (steps, 1, batch, 1))
    return ctx.elementwise("where", covered, sequence, zero, elem=elem), hidden, None


def _reordered(ctx: Context, tensor: Tensor, places: Tensor) -> Tensor:
    """Steps of each row in another order; `places` lacks the last axis."""
    index = ctx.emit.expand(ctx.full(reshape_to(ctx, places, (*places.shape, 1))), tensor.shape)
    return ctx.computed(tensor.elem, "gatherElements", ctx.full(tensor), index, axis=0)


def _written_out(ctx: Context, layer: _Layer, *, wants_sequence: bool) -> States:
    """Step by step; the number of steps has to be known."""
    what = "the number of its steps, which have to be written out one by one,"
    steps = ctx.size(layer.steps, what)
    parts = [layer.part(ctx, index) for index in range(len(layer.backward))]
    return _side_by_side(
        ctx,
        [
            run_cells(
                ctx,
                part.cell,
                part.activations[0],
                part.x,
                steps,
                weights=(part.weight, part.recurrent_weight),
                biases=part.biases,
                peepholes=part.peepholes,
                initial=part.initial,
                lengths=part.lengths,
                is_backward=part.backward[0],
                wants_sequence=wants_sequence,
            )
            for part in parts
        ],
    )


def _side_by_side(ctx: Context, directions: list[States]) -> States:
    """The results of both directions in one; a sequence has its directions behind the steps."""
    results: list[Tensor | None] = []
    for index, tensors in enumerate(zip(*directions, strict=True)):
        given = [tensor for tensor in tensors if tensor is not None]
        results.append(joined(ctx, given, 0 if index else 1) if given else None)
    return tuple(results)
