"""Convolutions with what follows them: factors and summands of channels, functions of one number, a residual."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.format.records import dataclass, field
from webnn_runtime.passes.chain import Step, follow
from webnn_runtime.passes.uses import Uses

__all__ = ["ConvMatch", "find_conv"]


@dataclass(slots=True)
class ConvMatch:
    """`then(after(conv2d(source, filter) + bias) + residual)`, none of whose intermediates anything else reads.

    Attributes:
        node: the convolution, for its options.
        source: the image.
        filter: the constant filter, with factors that follow folded in.
        bias: one summand per channel, with all constants that follow folded in.
        after: functions, the first one first.
        residual: a computed value of the result's type.
        then: functions behind the residual.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
    """

    node: Node
    source: str
    filter: Array
    bias: Array | None
    result: str
    nodes: set[str]
    after: list[Step] = field(default_factory=list)
    residual: str | None = None
    then: list[Step] = field(default_factory=list)

    @property
    def operands(self) -> tuple[str, ...]:
        """Computed values that it reads."""
        return (self.source,) if self.residual is None else (self.source, self.residual)

    @property
    def label(self) -> str:
        """For reports."""
        parts = [name for name, _, _ in self.after]
        parts += [] if self.residual is None else ["residual"]
        return "+".join([self.node.op, *parts, *(name for name, _, _ in self.then)])


def find_conv(graph: Graph | Uses) -> Iterator[ConvMatch]:
    """All float32 convolutions of plain images with a constant filter, each with what follows it, if anything does.

    Of what follows a transposed one, factors and summands.
    """
    uses = Uses.of(graph)
    graph = uses.graph
    taken: set[str] = set()
    for node in graph.nodes:
        match = _start(uses, node)
        if match is None:
            continue
        _fold(uses, match)
        if node.op == "convTranspose2d":
            # Factors and summands only: its windows overlap, so nothing can be done to a sum on the way.
            if len(match.nodes) > 1:
                taken |= match.nodes
                yield match
            continue
        match.after = _follow(uses, match)
        if _add_residual(uses, match, taken):
            match.then = _follow(uses, match)
        if len(match.nodes) > 1:
            taken |= match.nodes
            yield match


def _start(uses: Uses, node: Node) -> ConvMatch | None:
    if node.op not in ("conv2d", "convTranspose2d") or node.options["inputLayout"] != "nchw":
        return None
    if node.op == "convTranspose2d" and node.options["groups"] != 1:
        # A filter's output channels are those of one group.
        return None
    source, weights = node.inputs[0], uses.constant(node.inputs[1])
    bias = uses.constant(node.inputs[2])
    if source is None or weights is None or uses.graph.types[node.name].dtype is not DataType.FLOAT32:
        return None
    if node.inputs[2] is not None and bias is None:
        return None
    return ConvMatch(node, source, weights, bias, node.name, {node.name})


def _fold(uses: Uses, match: ConvMatch) -> None:
    """Take over factors and summands of whole channels: in float64, rounded once."""
    layout = str(match.node.options["filterLayout"])
    channels = match.filter.shape[layout.index("o")]
    scale = np.ones(channels)
    shift = np.zeros(channels) if match.bias is None else match.bias.astype(np.float64)
    changed = False
    while (reader := uses.only_reader(match.result)) is not None:
        found = _scale_and_shift(uses, reader, match.result, channels)
        if found is None:
            break
        scale, shift = scale * found[0], shift * found[0] + found[1]
        match.result, changed = reader.name, True
        match.nodes.add(reader.name)
    if changed:
        stretched = [-1 if letter == "o" else 1 for letter in layout]
        if not (scale == 1).all():
            match.filter = (match.filter * scale.reshape(stretched)).astype(np.float32)
        match.bias = shift.astype(np.float32)


def _scale_and_shift(uses: Uses, node: Node, value: str, channels: int) -> tuple[Array, Array] | None:
    """What a node multiplies each channel of `value` with and adds to it, if that is all it does."""
    kinds = uses.graph.types
    if kinds[node.name] != kinds[value]:
        return None
    if node.op in ("mul", "add"):
        other = node.inputs[1] if node.inputs[0] == value else node.inputs[0]
        found = _per_channel(uses.constant(other), channels)
        if found is None:
            return None
        return (found, np.zeros(channels)) if node.op == "mul" else (np.ones(channels), found)
    if node.op != "batchNormalization" or node.options["axis"] != 1 or node.inputs[0] != value:
        return None
    constants = [uses.constant(name) for name in node.inputs[1:]]
    absent = [name is None for name in node.inputs[1:]]
    if any(constant is None and not gone for constant, gone in zip(constants, absent, strict=True)):
        return None
    mean, variance, scale, bias = (None if array is None else array.astype(np.float64) for array in constants)
    assert mean is not None
    assert variance is not None
    epsilon = node.options["epsilon"]
    assert isinstance(epsilon, (int, float))
    # A negative variance gives NaN, as the operator does.
    with np.errstate(all="ignore"):
        factor = (1.0 if scale is None else scale) / np.sqrt(variance + float(np.float32(epsilon)))
        return factor, (0.0 if bias is None else bias) - mean * factor


def _per_channel(array: Array | None, channels: int) -> Array | None:
    """`array` as one number for each channel, if it is stretched like that over an image."""
    if array is None or array.ndim > 4:
        return None
    if array.size == 1:
        return np.full(channels, float(array.reshape(())))
    if array.ndim < 3 or array.shape[-3] != channels or array.size != channels:
        return None
    return array.reshape(channels).astype(np.float64)


def _follow(uses: Uses, match: ConvMatch) -> list[Step]:
    """Take over functions of one number."""
    steps, match.result, nodes = follow(uses, match.result)
    match.nodes |= nodes
    return steps


def _add_residual(uses: Uses, match: ConvMatch, taken: set[str]) -> bool:
    """Take over a sum with a computed value of the same type."""
    reader, kinds = uses.only_reader(match.result), uses.graph.types
    if reader is None or reader.op != "add" or reader.name in taken:
        return False
    other = reader.inputs[1] if reader.inputs[0] == match.result else reader.inputs[0]
    if other is None or other == match.result or uses.constant(other) is not None:
        return False
    if not kinds[other] == kinds[match.result] == kinds[reader.name]:
        return False
    match.residual, match.result = other, reader.name
    match.nodes.add(reader.name)
    return True
