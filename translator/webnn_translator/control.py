"""Control flow, which WebNN does not have: what it decides is decided here, and what it repeats is written out.

A condition that only the run knows becomes a selection between values that are both computed; bodies in ONNX
have no side effects. A number of rounds that only the run knows is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from webnn_runtime.format.dims import SymbolicDim, names_of
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.initializers import elem_of
from webnn_translator.model import reads
from webnn_translator.ops.layout import joined, reshape_to
from webnn_translator.ops.slicing import slice_of
from webnn_translator.tensor import OnnxValue, Tensor, TensorList
from webnn_translator.undecided import undecided

if TYPE_CHECKING:
    import onnx

__all__ = ["CONTROL", "MAX_UNROLLED", "Translator"]

# Nodes of loop bodies that are written out, over all rounds of all loops of a model: a few seconds of work, and
# more than the 512 steps of an LSTM that is written as a loop (about 16 nodes each).
MAX_UNROLLED: Final = 10_000
_MAX_ROUNDS: Final = 1 << 31


class Translator(Protocol):
    """What control flow needs of the translation in progress.

    Attributes:
        ctx: for lowering.
        claimed: name of an operand -> the ONNX name that it is known by first.
        unknown: values that depend on something refused.
        unrolled: nodes of loop bodies written out so far.
    """

    ctx: Context
    claimed: dict[str, str]
    unknown: set[str]
    unrolled: int

    @property
    def opset(self) -> int:
        """Version of ai.onnx where the node stands."""

    def find(self, name: str) -> OnnxValue:
        """A value that is already made."""

    def tensor(self, name: str) -> Tensor:
        """The same, where it has to be a tensor."""

    def define(self, name: str, value: OnnxValue) -> None:
        """Make a value known."""

    def scope(self, text: str) -> str:
        """A prefix that no name of the model starts with."""

    def lower_graph(
        self, proto: onnx.NodeProto, graph: onnx.GraphProto, inputs: Sequence[OnnxValue], outputs: Sequence[str]
    ) -> int:
        """Lower a subgraph of `proto` so that it makes `outputs`; returns the number of its nodes."""


Results: TypeAlias = "Sequence[OnnxValue | None] | None"
Rule: TypeAlias = "Callable[[Translator, onnx.NodeProto, Mapping[str, Any]], Results]"


def _if(t: Translator, proto: onnx.NodeProto, attributes: Mapping[str, Any]) -> Results:
    """The branch that is taken, or both and a selection where only the run knows."""
    if proto.input[0] in t.unknown:
        return None
    condition = _condition(t.ctx, t.tensor(proto.input[0]))
    verdict = t.ctx.uniform(condition)
    graphs = {True: attributes["then_branch"], False: attributes["else_branch"]}
    if verdict is not None:
        t.lower_graph(proto, graphs[bool(verdict)], [], list(proto.output))
        return None
    if any(name in t.unknown for name in reads(proto)):
        return None
    yes, no = (_results(t, proto, graph, []) for graph in graphs.values())
    if yes is None or no is None:
        return None
    try:
        return [_selected(t.ctx, condition, a, b) for a, b in zip(yes, no, strict=True)]
    except _Unequal as exc:
        advice = _advice(t, condition)
        raise Refused(f"its condition is known at run time only, and its branches give {exc}{advice}") from exc


def _advice(t: Translator, condition: Tensor) -> str:
    """What makes a constant of a condition that one input decides alone, as the flag of a merged decoder."""
    names = [t.claimed.get(name, "") for name in t.ctx.emit.sources(t.ctx.full(condition))]
    if len(names) != 1 or not names[0]:
        return ""
    source = t.tensor(names[0])
    if any(dim != 1 for dim in source.shape):
        return ""
    flags = [f"--bind {names[0]}={value}" for value in (("0", "1") if source.elem is Elem.BOOL else ("VALUE",))]
    return f"; {' or '.join(flags)} decides which branch is taken"


def _loop(t: Translator, proto: onnx.NodeProto, attributes: Mapping[str, Any]) -> Results:
    """A body for each round, one after another, as long as the condition is not known to fail.

    Where only the run knows the condition, what is carried keeps its value from the round on in which it fails.
    """
    if any(name in t.unknown for name in reads(proto)):
        return None
    graph: onnx.GraphProto = attributes["body"]
    limit = _trip_count(t, proto.input[0] if proto.input else "")
    is_asked = len(proto.input) > 1 and bool(proto.input[1])
    going = _condition(t.ctx, t.tensor(proto.input[1])) if is_asked else t.ctx.known(np.asarray(True), Elem.BOOL)
    carried = [t.find(name) for name in proto.input[2:]]
    count = len(carried)
    if len(graph.input) != 2 + count or not count < len(graph.output) or len(proto.output) > len(graph.output) - 1:
        raise Refused(
            f"its body has {len(graph.input)} inputs and {len(graph.output)} outputs for {count} carried values; "
            "the model is not valid"
        )
    collected = [index for index in range(count, len(proto.output)) if proto.output[index]]
    # The body's output 0 is the condition: its others come one later than the node's.
    unwanted = [index for index in range(1 + count, len(graph.output)) if index - 1 not in collected]
    rows: dict[int, list[Tensor]] = {index: [] for index in collected}
    done = 0
    while limit is None or done < limit:
        verdict = t.ctx.uniform(going)
        if verdict is not None and not verdict:
            break
        if verdict is None and (limit is None or collected):
            what = "it collects a row in each" if collected else "nothing else bounds them"
            sizes = [] if t.ctx.emit.sources(t.ctx.full(going)) else sorted(t.ctx.ranges)
            ends = "a condition computed at run time ends its rounds"
            if sizes:
                ends = "sizes decide how many rounds it takes"
            raise Refused(f"{ends}, and {what}", sizes)
        inputs = [t.ctx.scalar(done, Elem.INT64), going, *carried]
        found = _results(t, proto, graph, inputs, unwanted, repeated=True)
        if found is None:
            return None
        again = _condition(t.ctx, _as_tensor(found[0]))
        if not is_asked and not t.ctx.uniform(again):
            # ONNX ignores it then, its reference and ONNX Runtime do not.
            raise Refused("its body makes a condition, and it is given none to begin with; what that means is disputed")
        if verdict is None:
            try:
                carried = [_selected(t.ctx, going, new, old) for new, old in zip(found[1:], carried, strict=False)]
            except _Unequal as exc:
                raise Refused(f"a condition computed at run time ends its rounds, and they carry {exc}") from exc
            going = t.ctx.elementwise("logicalAnd", going, again)
        else:
            carried, going = [_given(value) for value in found[1 : 1 + count]], again
        for index in collected:
            rows[index].append(_as_tensor(found[1 + index]))
        done += 1
    stacked = {index: _stacked(t.ctx, rows[index], 0, graph.output[1 + index]) for index in collected}
    return [*carried, *(stacked.get(index) for index in range(count, len(proto.output)))]


def _scan(t: Translator, proto: onnx.NodeProto, attributes: Mapping[str, Any]) -> Results:
    """A body for each slice of the scanned inputs; version 8 has a batch of scans."""
    if any(name in t.unknown for name in reads(proto)):
        return None
    if t.opset >= 9:
        return _Scan(t, proto, attributes).run([t.find(name) for name in proto.input])
    scan = _Scan(t, proto, {name: value for name, value in attributes.items() if name != "directions"})
    scan.backward = tuple(attributes.get("directions", scan.backward))
    inputs = [t.tensor(name) for name in proto.input[1:]]
    batch = t.ctx.size(inputs[0].shape[0], "the batch of a scan")
    steps = t.ctx.size(inputs[-1].shape[1], "the number of its rounds")
    if proto.input[0] and (t.ctx.constant(t.tensor(proto.input[0]), "sequence_lens") != steps).any():
        raise Refused("the sequences of its batch differ in length")
    found: list[list[Tensor]] = []
    for index in range(batch):
        results = scan.run([_part(t.ctx, value, 0, index) for value in inputs])
        if results is None:
            return None
        found.append([_as_tensor(value) for value in results])
    outputs = scan.body.output
    return [_stacked(t.ctx, list(rows), 0, outputs[index]) for index, rows in enumerate(zip(*found, strict=True))]


class _Scan:
    """The attributes of a Scan, read once."""

    def __init__(self, t: Translator, proto: onnx.NodeProto, attributes: Mapping[str, Any]) -> None:
        self.t = t
        self.proto = proto
        self.body: onnx.GraphProto = attributes["body"]
        self.scanned = int(attributes["num_scan_inputs"])
        self.states = len(self.body.input) - self.scanned
        collected = len(self.body.output) - self.states
        inputs = len(proto.input) - (t.opset < 9)
        if min(self.scanned - 1, self.states, collected) < 0 or inputs != len(self.body.input):
            raise Refused(
                f"its body has {len(self.body.input)} inputs and {len(self.body.output)} outputs, "
                f"the node {inputs} inputs, {self.scanned} of them scanned; the model is not valid"
            )
        if len(proto.output) != len(self.body.output):
            raise Refused("it has not as many outputs as its body; the model is not valid")
        self.axes = _per(attributes, "scan_input_axes", self.scanned)
        self.backward = _per(attributes, "scan_input_directions", self.scanned)
        self.output_axes = _per(attributes, "scan_output_axes", collected)
        self.output_backward = _per(attributes, "scan_output_directions", collected)

    def run(self, inputs: Sequence[OnnxValue]) -> list[OnnxValue] | None:
        """The outputs for one set of inputs; None where the body is refused."""
        t, states = self.t, list(inputs[: self.states])
        scanned = [_as_tensor(value) for value in inputs[self.states :]]
        axes = [t.ctx.axis(axis, value.rank) for axis, value in zip(self.axes, scanned, strict=True)]
        lengths = {
            t.ctx.size(value.shape[axis], "the number of its rounds") for axis, value in zip(axes, scanned, strict=True)
        }
        if len(lengths) != 1:
            raise Refused(f"its inputs have {sorted(lengths)} slices; the model is not valid")
        (steps,) = lengths
        rows: list[list[Tensor]] = [[] for _ in self.output_axes]
        for step in range(steps):
            parts = [
                _part(t.ctx, value, axis, steps - 1 - step if is_backward else step)
                for value, axis, is_backward in zip(scanned, axes, self.backward, strict=True)
            ]
            found = _results(t, self.proto, self.body, [*states, *parts], repeated=True)
            if found is None:
                return None
            states = [_given(value) for value in found[: self.states]]
            for row, value in zip(rows, found[self.states :], strict=True):
                row.append(_as_tensor(value))
        collected = [
            _stacked(t.ctx, row[::-1] if is_backward else row, axis, declared)
            for row, axis, is_backward, declared in zip(
                rows, self.output_axes, self.output_backward, self.body.output[self.states :], strict=True
            )
        ]
        return [*states, *collected]


CONTROL: Final[Mapping[str, Rule]] = {"If": _if, "Loop": _loop, "Scan": _scan}


class _Unequal(Exception):
    """Two values that cannot be alternatives: a shape, a type or a length differs."""


def _results(
    t: Translator,
    proto: onnx.NodeProto,
    graph: onnx.GraphProto,
    inputs: Sequence[OnnxValue],
    unwanted: Sequence[int] = (),
    *,
    repeated: bool = False,
) -> list[OnnxValue | None] | None:
    """What a subgraph gives for these inputs; None where something in it is refused."""
    names = t.scope(f"{next(name for name in proto.output if name)}/result")
    outputs = ["" if index in unwanted else f"{names}/{index}" for index in range(len(graph.output))]
    lowered = t.lower_graph(proto, graph, inputs, outputs)
    if repeated:
        # A round counts even where the body only hands values on: a count may be two thousand million.
        t.unrolled += max(1, lowered)
        if t.unrolled > MAX_UNROLLED:
            raise Refused(f"written out round by round, the model's loops have more than {MAX_UNROLLED} nodes")
    if any(name in t.unknown for name in outputs):
        return None
    return [t.find(name) if name else None for name in outputs]


def _condition(ctx: Context, tensor: Tensor) -> Tensor:
    """A bool of rank 0."""
    if tensor.elem is not Elem.BOOL or any(dim != 1 for dim in tensor.shape):
        raise Refused(f"its condition is {tensor}; one bool is needed")
    return reshape_to(ctx, tensor, ())


def _trip_count(t: Translator, name: str) -> int | None:
    """How often a loop runs at most; None without a bound."""
    if not name:
        return None
    tensor = t.tensor(name)
    items = t.ctx.items(tensor)
    if items is None or items.size != 1:
        raise undecided(t.ctx, {"the number of its rounds": tensor}, "WebNN has no loops")
    count = items.flat[0]
    if isinstance(count, SymbolicDim):
        names = sorted(names_of(count))
        raise Refused(f"it runs {count} times, and WebNN has no loops; its value is needed", names)
    return None if count > _MAX_ROUNDS else int(count)


def _selected(ctx: Context, condition: Tensor, yes: OnnxValue | None, no: OnnxValue | None) -> OnnxValue:
    """One of two values, chosen at run time.

    Raises:
        _Unequal: they differ in more than their elements.
    """
    if yes is no and yes is not None:
        return yes
    if isinstance(yes, TensorList) and isinstance(no, TensorList) and len(yes.items) == len(no.items):
        pairs = zip(yes.items, no.items, strict=True)
        return TensorList(yes.elem, tuple(_as_tensor(_selected(ctx, condition, a, b)) for a, b in pairs))
    if not isinstance(yes, Tensor) or not isinstance(no, Tensor) or yes.elem is not no.elem or yes.rank != no.rank:
        raise _Unequal(f"{yes} and {no}")
    if not all(ctx.same(a, b) for a, b in zip(yes.shape, no.shape, strict=True)):
        raise _Unequal(f"{yes} and {no}")
    known = ctx.items(yes), ctx.items(no)
    if known[0] is not None and known[1] is not None and (known[0] == known[1]).all():
        return yes
    return ctx.elementwise("where", condition, yes, no, elem=yes.elem)


def _stacked(ctx: Context, rows: Sequence[Tensor], axis: int, declared: onnx.ValueInfoProto) -> Tensor:
    """Equal tensors along a new axis; without any, the declared type says what none of them look like."""
    if not rows:
        kind = declared.type.tensor_type
        dims = [dim.dim_value for dim in kind.shape.dim]
        if not kind.HasField("shape") or not all(dims):
            raise Refused("it has no rounds, and the shape of its empty result is not known")
        elem = elem_of(kind.elem_type, f"output '{declared.name}'")
        dims.insert(ctx.axis(axis, len(dims) + 1), 0)
        return ctx.known(np.zeros(dims, elem.numpy), elem)
    first = rows[0]
    if any(row.shape != first.shape or row.elem is not first.elem for row in rows):
        raise Refused(f"the rows it collects differ: {', '.join(map(str, dict.fromkeys(map(str, rows))))}")
    place = ctx.axis(axis, first.rank + 1)
    shape = (*first.shape[:place], 1, *first.shape[place:])
    return joined(ctx, [reshape_to(ctx, row, shape) for row in rows], place)


def _part(ctx: Context, tensor: Tensor, axis: int, index: int) -> Tensor:
    """One slice, without its axis."""
    cut = slice_of(ctx, tensor, {axis: (index, 1, 1)})
    return reshape_to(ctx, cut, tensor.shape[:axis] + tensor.shape[axis + 1 :])


def _per(attributes: Mapping[str, Any], name: str, count: int) -> tuple[int, ...]:
    """A list attribute with a value for each input or output; zeros by default."""
    values = tuple(int(value) for value in attributes.get(name, (0,) * count))
    if len(values) != count:
        raise Refused(f"attribute {name} has {len(values)} values for {count}; the model is not valid")
    return values


def _given(value: OnnxValue | None) -> OnnxValue:
    assert value is not None
    return value


def _as_tensor(value: OnnxValue | None) -> Tensor:
    if not isinstance(value, Tensor):
        raise Refused(f"{value} stands where a tensor is needed; the model is not valid")
    return value
