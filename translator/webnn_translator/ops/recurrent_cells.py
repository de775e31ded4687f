"""Recurrent networks step by step, with everything that ONNX has and WebNN's operators have not."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final, TypeAlias

import numpy as np

from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.layout import joined, reshape_to, transposed
from webnn_translator.ops.slicing import slice_of
from webnn_translator.tensor import Tensor

__all__ = ["MAX_STEPS", "Activation", "Cell", "States", "activations_of", "run_cells"]

# One step of an LSTM is about 20 nodes: more steps than this make a graph that no browser builds in seconds.
MAX_STEPS: Final = 512

_Function: TypeAlias = "Callable[[Context, Tensor, float, float], Tensor]"
# Every step's hidden state, then the last states; None for what is not computed.
States: TypeAlias = "tuple[Tensor | None, ...]"


@dataclass(frozen=True, slots=True)
class Activation:
    """A function with its parameters, where it has any."""

    name: str
    alpha: float = 0.0
    beta: float = 0.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What one step computes.

    Attributes:
        kind: RNN, GRU or LSTM.
        hidden: size of the state.
        clip: bound of what goes into the activations of gates; none when None.
        is_coupled: whether the forget gate of an LSTM is 1 - its input gate.
        resets_after: whether a GRU's reset gate comes after the recurrent product.
    """

    kind: str
    hidden: int
    clip: float | None = None
    is_coupled: bool = False
    resets_after: bool = False


# A parameter that has no default.
_NEEDED: Final = math.nan
# Which parameters a function has, and their defaults, those of ONNX's operators; None where it has none of that kind.
_PARAMETERS: Final[Mapping[str, tuple[float | None, float | None]]] = {
    "affine": (1.0, 0.0),
    "elu": (1.0, None),
    "hardsigmoid": (0.2, 0.5),
    "leakyrelu": (0.01, None),
    "relu": (None, None),
    "scaledtanh": (_NEEDED, _NEEDED),
    "sigmoid": (None, None),
    "softplus": (None, None),
    "softsign": (None, None),
    "tanh": (None, None),
    "thresholdedrelu": (1.0, None),
}


def activations_of(node: OnnxNode, defaults: Sequence[str], directions: int) -> tuple[tuple[Activation, ...], ...]:
    """The functions of each direction. Only those with a parameter take one from the lists of alphas and betas.

    Raises:
        Refused: their number or a name is wrong.
    """
    names = node.attributes["activations"] if node.has("activations") else list(defaults) * directions
    count = len(defaults)
    if len(names) != count * directions:
        raise Refused(f"{len(names)} activations, {count * directions} are needed; the model is not valid")
    alphas = iter(node.numbers("activation_alpha", ()))
    betas = iter(node.numbers("activation_beta", ()))
    found = []
    for name in (str(one).lower() for one in names):
        if name not in _PARAMETERS:
            raise Refused(f"activation '{name}'; supported: {', '.join(_PARAMETERS)}")
        alpha, beta = _PARAMETERS[name]
        activation = Activation(name, _next(alphas, alpha), _next(betas, beta))
        if math.isnan(activation.alpha) or math.isnan(activation.beta):
            raise Refused(f"activation '{name}' without an alpha and a beta, for which ONNX has no default")
        found.append(activation)
    if any(True for rest in (alphas, betas) for _ in rest):
        raise Refused("it has more values of activation_alpha or activation_beta than its activations take")
    return tuple(tuple(found[start : start + count]) for start in range(0, len(found), count))


def _next(given: Iterator[float], default: float | None) -> float:
    return 0.0 if default is None else next(given, default)


def run_cells(
    ctx: Context,
    cell: Cell,
    activations: Sequence[Activation],
    x: Tensor,
    steps: int,
    *,
    weights: tuple[Tensor, Tensor],
    biases: tuple[Tensor, Tensor] | None,
    peepholes: Tensor | None,
    initial: Sequence[Tensor | None],
    lengths: Tensor | None,
    is_backward: bool,
    wants_sequence: bool,
) -> States:
    """One direction; results have a dimension of 1 for it.

    Args:
        ctx: for lowering.
        cell: what a step computes.
        activations: its functions.
        x: [steps, batch, input].
        steps: number of steps.
        weights: [1, gates * hidden, input] and [1, gates * hidden, hidden].
        biases: [1, gates * hidden] of the input and of the recurrence.
        peepholes: [1, 3 * hidden].
        initial: [1, batch, hidden] each; zeros where there is none.
        lengths: [batch]; a row keeps its state outside of its length.
        is_backward: whether to start at the last step.
        wants_sequence: whether every step's state is needed.
    """
    if steps > MAX_STEPS:
        raise Refused(f"it has {steps} steps to be written out; at most {MAX_STEPS} are")
    batch = x.shape[1]
    step = _STEPS[cell.kind](ctx, cell, activations, weights, biases, peepholes)
    # The products with the input do not wait for one another: one for all steps.
    projected = step.project(x)
    zero = ctx.scalar(0, x.elem)
    states = [
        ctx.known(np.zeros((), x.elem.numpy), x.elem, (batch, cell.hidden))
        if state is None
        else reshape_to(ctx, state, (batch, cell.hidden))
        for state in initial
    ]
    column = None if lengths is None else reshape_to(ctx, lengths, (batch, 1))
    rows: list[Tensor] = []
    for time in reversed(range(steps)) if is_backward else range(steps):
        here = reshape_to(ctx, slice_of(ctx, projected, {0: (time, 1, 1)}), projected.shape[1:])
        new = step(here, states)
        row = new[0]
        if column is not None:
            inside = ctx.elementwise("greater", column, ctx.scalar(time, column.elem), elem=Elem.BOOL)
            new = [
                ctx.elementwise("where", inside, after, before, elem=x.elem)
                for after, before in zip(new, states, strict=True)
            ]
            row = ctx.elementwise("where", inside, row, zero, elem=x.elem)
        states = new
        rows.append(row)
    if column is not None:
        # A row without a step ends in zeros, not in its initial state: what ONNX Runtime gives.
        some = ctx.elementwise("greater", column, ctx.scalar(0, column.elem), elem=Elem.BOOL)
        states = [ctx.elementwise("where", some, state, zero, elem=x.elem) for state in states]
    shape = (1, batch, cell.hidden)
    last = [reshape_to(ctx, state, shape) for state in states]
    if not wants_sequence:
        return (None, *last)
    ordered = rows[::-1] if is_backward else rows
    return joined(ctx, [reshape_to(ctx, row, (1, *shape)) for row in ordered], 0), *last


class _Step:
    """The weights of one direction, and what all cells do with them; gates lie side by side in the last dimension."""

    def __init__(
        self,
        ctx: Context,
        cell: Cell,
        activations: Sequence[Activation],
        weights: tuple[Tensor, Tensor],
        biases: tuple[Tensor, Tensor] | None,
        peepholes: Tensor | None,
    ) -> None:
        self.ctx = ctx
        self.cell = cell
        self.activations = activations
        self.weight, self.recurrent = (
            transposed(ctx, reshape_to(ctx, weight, weight.shape[1:]), (1, 0)) for weight in weights
        )
        self.bias, self.recurrent_bias = (
            None if bias is None else reshape_to(ctx, bias, bias.shape[1:]) for bias in biases or (None, None)
        )
        self.peepholes = None if peepholes is None else reshape_to(ctx, peepholes, peepholes.shape[1:])

    def project(self, x: Tensor) -> Tensor:
        """The part of all gates that comes from the input and the biases: [steps, batch, gates * hidden]."""
        total = self._matmul(x, self.weight)
        for bias in (self.bias, self._outer_bias()):
            total = total if bias is None else self.ctx.elementwise("add", total, bias)
        return total

    def __call__(self, here: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """The states after a step; `here` is its part of the projection."""
        raise NotImplementedError

    def _outer_bias(self) -> Tensor | None:
        """The part of the recurrent bias that is added to the gates as it is."""
        return self.recurrent_bias

    def _matmul(self, a: Tensor, b: Tensor) -> Tensor:
        return self.ctx.computed(a.elem, "matmul", self.ctx.full(a), self.ctx.full(b))

    def _gates(self, values: Tensor, first: int, count: int = 1) -> Tensor:
        """Some of the gates of a tensor that has them in its last dimension."""
        hidden = self.cell.hidden
        return slice_of(self.ctx, values, {values.rank - 1: (first * hidden, count * hidden, 1)})

    def _clipped(self, x: Tensor) -> Tensor:
        clip = self.cell.clip
        return x if clip is None else self.ctx.elementwise("clamp", x, minValue=-clip, maxValue=clip)

    def _active(self, index: int, x: Tensor) -> Tensor:
        function = self.activations[index]
        return _FUNCTIONS[function.name](self.ctx, x, function.alpha, function.beta)

    def _add(self, *terms: Tensor) -> Tensor:
        return reduce(lambda a, b: self.ctx.elementwise("add", a, b), terms)

    def _mul(self, a: Tensor, b: Tensor) -> Tensor:
        return self.ctx.elementwise("mul", a, b)

    def _complement(self, x: Tensor) -> Tensor:
        return self.ctx.elementwise("sub", self.ctx.scalar(1, x.elem), x)


class _RnnStep(_Step):
    def __call__(self, here: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """The state h' = f(x W + h R + b)."""
        total = self._add(here, self._matmul(states[0], self.recurrent))
        return [self._active(0, self._clipped(total))]


class _GruStep(_Step):
    """Gates z, r, n."""

    def _outer_bias(self) -> Tensor | None:
        if self.recurrent_bias is None or not self.cell.resets_after:
            return self.recurrent_bias
        elem = self.recurrent_bias.elem
        zero = self.ctx.known(np.zeros((), elem.numpy), elem, (self.cell.hidden,))
        return joined(self.ctx, [self._gates(self.recurrent_bias, 0, 2), zero], 0)

    def __call__(self, here: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """The state h' = z h + (1 - z) n, where the reset gate comes before or after the recurrent product of n."""
        (h,) = states
        both = self._add(self._gates(here, 0, 2), self._matmul(h, self._gates(self.recurrent, 0, 2)))
        z, r = (self._active(0, self._clipped(self._gates(both, index))) for index in range(2))
        recurrent = self._gates(self.recurrent, 2)
        if self.cell.resets_after:
            product = self._matmul(h, recurrent)
            if self.recurrent_bias is not None:
                product = self._add(product, self._gates(self.recurrent_bias, 2))
            product = self._mul(r, product)
        else:
            product = self._matmul(self._mul(r, h), recurrent)
        n = self._active(1, self._clipped(self._add(self._gates(here, 2), product)))
        return [self._add(self._mul(z, h), self._mul(self._complement(z), n))]


class _LstmStep(_Step):
    """Gates i, o, f, g; peepholes i, o, f."""

    def __call__(self, here: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """States c' = f c + i g and h' = o act(c'); ONNX Runtime does not clip the new cell state on its way to h'."""
        h, c = states
        total = self._add(here, self._matmul(h, self.recurrent))
        i = self._gate(total, 0, c)
        f = self._complement(i) if self.cell.is_coupled else self._gate(total, 2, c)
        g = self._active(1, self._clipped(self._gates(total, 3)))
        new = self._add(self._mul(f, c), self._mul(i, g))
        return [self._mul(self._gate(total, 1, new), self._active(2, new)), new]

    def _gate(self, total: Tensor, index: int, cell_state: Tensor) -> Tensor:
        gate = self._gates(total, index)
        if self.peepholes is not None:
            gate = self._add(gate, self._mul(self._gates(self.peepholes, index), cell_state))
        return self._active(0, self._clipped(gate))


_STEPS: Final[Mapping[str, type[_Step]]] = {"RNN": _RnnStep, "GRU": _GruStep, "LSTM": _LstmStep}


def _plain(op: str) -> _Function:
    return lambda ctx, x, _alpha, _beta: ctx.elementwise(op, x)


def _thresholded(ctx: Context, x: Tensor, alpha: float, _: float) -> Tensor:
    above = ctx.elementwise("greaterOrEqual", x, ctx.scalar(alpha, x.elem), elem=Elem.BOOL)
    return ctx.elementwise("where", above, x, ctx.scalar(0, x.elem), elem=x.elem)


def _scaled_tanh(ctx: Context, x: Tensor, alpha: float, beta: float) -> Tensor:
    inner = ctx.elementwise("tanh", ctx.elementwise("mul", x, ctx.scalar(beta, x.elem)))
    return ctx.elementwise("mul", inner, ctx.scalar(alpha, x.elem))


_FUNCTIONS: Final[Mapping[str, _Function]] = {
    "affine": lambda ctx, x, alpha, beta: ctx.elementwise("linear", x, alpha=alpha, beta=beta),
    "elu": lambda ctx, x, alpha, _: ctx.elementwise("elu", x, alpha=alpha),
    "hardsigmoid": lambda ctx, x, alpha, beta: ctx.elementwise("hardSigmoid", x, alpha=alpha, beta=beta),
    "leakyrelu": lambda ctx, x, alpha, _: ctx.elementwise("leakyRelu", x, alpha=alpha),
    "relu": _plain("relu"),
    "scaledtanh": _scaled_tanh,
    "sigmoid": _plain("sigmoid"),
    "softplus": _plain("softplus"),
    "softsign": _plain("softsign"),
    "tanh": _plain("tanh"),
    "thresholdedrelu": _thresholded,
}
