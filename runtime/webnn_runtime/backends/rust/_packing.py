"""From the calls of a graph over padded texts to calls over texts that lie one after another, with a proof on the way.

The proof shows that no number of a text depends on another text or on padding: every call treats tokens by themselves,
but for attention, which a mask keeps from padding, and for what is taken of each text as a whole. What no rule knows is
not packed; that costs speed, never a number. Rules are in `_packing_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeAlias

import numpy as np

from webnn_runtime.backends.rust._calls import Attribute, Call, needed_calls
from webnn_runtime.backends.rust._ranges import ONE, ZERO, compares, range_of
from webnn_runtime.backends.rust._roles import TEXTS, TOKENS, Axes, ConstantRole, Form, Made, Role, Says
from webnn_runtime.backends.rust._values import Values
from webnn_runtime.format.dims import Dim, SymbolicDim
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, TensorType
from webnn_runtime.format.records import dataclass, replace

__all__ = ["PLACES", "STARTS", "NotPacked", "Packed", "Packing", "Rule"]

# Inputs that the engine makes: where each text starts, and the place of each token in its text.
STARTS: Final = "starts:"
PLACES: Final = "places:"
_FIRSTS: Final = "firsts:"

Rule: TypeAlias = "Callable[[Packing, Call], None]"


class NotPacked(Exception):
    """The reason why a graph cannot be run over texts without padding."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Calls over texts.

    Attributes:
        calls: in order.
        types: of all their values, over the dimensions of `_roles`.
        constants: those of their values that are known.
        inputs: inputs that hold a number for each token.
        mask: the input that says where padding is, which a run does without.
        results: the graph's outputs, and whether each holds parts for all tokens, else for all texts.
    """

    calls: list[Call]
    types: dict[str, TensorType]
    constants: Mapping[str, Array]
    inputs: tuple[str, ...]
    mask: str | None
    results: Mapping[str, bool]


class Packing:
    """One graph on its way.

    Attributes:
        mask: the input that is 1 where a text is and 0 at the padding behind it; None where nothing is padded.
    """

    def __init__(self, graph: Graph, lowered: Values, mask: str | None) -> None:
        shapes = {kind.shape for kind in graph.inputs.values()}
        names = next(iter(shapes)) if len(shapes) == 1 else ()
        if len(names) != 2 or not all(isinstance(dim, SymbolicDim) and str(dim) in graph.dims for dim in names):
            raise NotPacked("the inputs are not all [batch, length] with both free")
        self.mask: Final = mask
        if len(graph.dims) != 2 or names[0] == names[1]:
            raise NotPacked("the graph has other free dimensions than batch and length")
        self._form: Final = Form(str(names[0]), str(names[1]))
        self._graph: Final = graph
        self._lowered: Final = lowered
        self._roles: dict[str, Role] = {}
        self._spread: dict[str, str] = {}
        self.calls: list[Call] = []
        self.types: dict[str, TensorType] = {
            STARTS: TensorType(DataType.INT32, (TEXTS + 1,)),
            PLACES: TensorType(DataType.INT32, (TOKENS,)),
        }
        self.constants: dict[str, Array] = dict(lowered.constants)

    def run(self, outputs: Iterable[str], rules: Callable[[Call], Rule | None]) -> Packed:
        """The calls that these outputs of the graph need, over texts.

        Raises:
            NotPacked: no rule proves one of them.
        """
        results = {output: self._graph.outputs[output] for output in outputs}
        for name in self._graph.inputs:
            self._input(name)
        for call in needed_calls(self._lowered.calls, results.values()):
            rule = rules(call)
            if rule is None:
                raise NotPacked(f"{call.kind} '{call.results[0]}' has no rule")
            rule(self, call)
        inputs = tuple(name for name in self._graph.inputs if name != self.mask)
        per_token = {output: self._is_per_token(value) for output, value in results.items()}
        calls = needed_calls(self.calls, results.values())
        return Packed(calls, self.types, self.constants, inputs, self.mask, per_token)

    def shape(self, value: str) -> tuple[Dim, ...]:
        """The shape that a value has in the graph."""
        return self._lowered.types[value].shape

    def kind(self, value: str) -> TensorType:
        """The type that a value has in the graph."""
        return self._lowered.types[value]

    def role(self, value: str) -> Role:
        """What a value is made of."""
        if value not in self._roles:
            # A constant, which a plan may have taken over already.
            array = self._lowered.constants.get(value)
            self._roles[value] = Role(Made.FIXED) if array is None else ConstantRole(array)
            self.types[value] = self._lowered.types[value]
        return self._roles[value]

    def axes(self, value: str) -> Axes:
        """Where batch and length are in a value's shape.

        Raises:
            NotPacked: they are in it otherwise.
        """
        found = self._form.axes(self.shape(value))
        if found is None:
            raise NotPacked(f"'{value}' has shape {list(map(str, self.shape(value)))}")
        return found

    def require(self, is_proven: bool, value: str, reason: str) -> None:
        """Raise NotPacked unless something is so."""
        if not is_proven:
            raise NotPacked(f"'{value}' {reason}")

    def has_form(self, value: str, made: Made) -> bool:
        """Whether the shape of a value is one that values made so have."""
        axes = self.axes(value)
        if made is Made.PLACE:
            return not axes.is_flat
        return axes.has_batch is not (made is Made.FIXED) and len(axes.axes) == (made is Made.TOKEN)

    def made_of(self, call: Call) -> Made:
        """What the result of a call is made of that mixes its operands."""
        roles = {self.role(value).made for value in call.reads}
        self.require(not {Made.TOKEN, Made.TEXT} <= roles, call.results[0], "joins tokens with whole texts")
        order = (Made.TEXT, Made.TOKEN, Made.PLACE)
        found = next((made for made in order if made in roles), Made.FIXED)
        if found is Made.FIXED and not self.has_form(call.results[0], Made.FIXED):
            return Made.PLACE
        return found

    def mixed(self, call: Call, made: Made, axes: tuple[int, ...]) -> Role:
        """The role of a result each of whose elements comes from one element of each operand; `axes` are its own."""
        rank = len(self.shape(call.results[0]))
        given = [(self.role(value), rank - len(self.shape(value))) for value in call.reads]
        kinds = [self.kind(value) for value in call.reads]
        padded = {axis: range_of(call, [role.at(axis - offset) for role, offset in given], kinds) for axis in axes}
        kept = range_of(call, [role.kept for role, _ in given], kinds)
        whole = range_of(call, [role.whole for role, _ in given], kinds)
        same = None
        if len(axes) == 2:
            # A place compared with itself, whichever it is, is a number compared with itself.
            said = [role.says for role, _ in given]
            is_own = compares(call) and said == [Says.PLACE] * len(said)
            is_own = is_own or (call.operator == "add" and set(said) == {Says.PLACE, Says.NEGATED})
            same = range_of(call, [ZERO if is_own else role.each for role, _ in given], kinds)
        return Role(made, axes, kept, whole, padded, same=same)

    def emit(self, call: Call, role: Role, operands: tuple[str | None, ...] | None = None) -> None:
        """Add a call, its results made as `role` says, on other operands than its own where those are given."""
        for value in call.results:
            self.require(self.has_form(value, role.made), value, f"is not of the form of a {role.made.value}")
            self._roles[value] = role
            self.types[value] = self._type(value, role.made)
        attributes = {
            name: (tag, tuple(self._form.packed(dim, role.made) for dim in value) if tag == "dims" else value)  # type: ignore[attr-defined]
            for name, (tag, value) in call.attributes.items()
        }
        own = call.operands if operands is None else operands
        for operand in own:
            if operand is not None and operand not in self.types:
                self.role(operand)
        self.calls.append(replace(call, operands=own, attributes=attributes, node=None))

    def add(self, kind: str, operands: tuple[str, ...], result: str, own: TensorType, **attributes: Attribute) -> str:
        """Add a call that the graph does not have."""
        self.types[result] = own
        self.calls.append(Call(kind, operands, (result,), attributes))
        return result

    def define(self, value: str, role: Role) -> TensorType:
        """Say what a value is made of that `add` is about to make; returns its type."""
        self.require(self.has_form(value, role.made), value, f"is not of the form of a {role.made.value}")
        self._roles[value] = role
        return self._type(value, role.made)

    def ones(self, value: str, kind: TensorType) -> None:
        """Make a value of ones, as masks are where there is no padding."""
        one, shape = f"{value}:one", (1,) * kind.rank
        self.constants[one] = np.ones(shape, kind.dtype.numpy)
        self.types[one] = kind.with_shape(shape)
        self.add("expand", (one,), value, kind, newShape=("dims", kind.shape))

    def counts_up(self, value: str) -> bool:
        """Whether a value is a constant of the numbers 0, 1, 2, ..."""
        array = self._lowered.constants.get(value)
        return array is not None and np.array_equal(array, np.arange(array.size))

    def spread(self, value: str) -> str:
        """A value of places, one part per token."""
        role = self.role(value)
        if role.made is not Made.PLACE or not role.axes:
            return value
        self.require(len(role.axes) == 1, value, "has two dimensions along the length where tokens have one")
        if value not in self._spread:
            own, axis = self.types[value], role.axes[0]
            kind = own.with_shape((*own.shape[:axis], TOKENS, *own.shape[axis + 1 :]))
            self._spread[value] = self.add("gather", (value, PLACES), f"{value}:tokens", kind, axis=("int", axis))
        return self._spread[value]

    def firsts(self) -> str:
        """The first token of each text."""
        if _FIRSTS not in self.types:
            kind = TensorType(DataType.INT32, (TEXTS,))
            options: dict[str, Attribute] = {
                "starts": ("dims", (0,)),
                "sizes": ("dims", (TEXTS,)),
                "strides": ("dims", (1,)),
            }
            self.add("slice", (STARTS,), _FIRSTS, kind, **options)
        return _FIRSTS

    def _input(self, name: str) -> None:
        if name != self.mask:
            self._roles[name] = Role(Made.TOKEN, (1,))
            self.types[name] = self._type(name, Made.TOKEN)
            return
        self._roles[name] = Role(Made.PLACE, (1,), ONE, ONE.union(ZERO), {1: ZERO})
        self.ones(name, self._type(name, Made.PLACE))

    def _type(self, value: str, made: Made) -> TensorType:
        kind = self._lowered.types[value]
        return kind.with_shape(tuple(self._form.packed(dim, made) for dim in kind.shape))

    def _is_per_token(self, value: str) -> bool:
        role, axes = self.role(value), self.axes(value)
        is_tokens = role.made is Made.TOKEN and axes.axes == (1,)
        self.require(is_tokens or role.made is Made.TEXT, value, "is neither [batch, length, ...] nor [batch, ...]")
        return is_tokens
