"""The range of a whole tensor as 256 steps.

It is what DynamicQuantizeLinear of ONNX is written out as:

high = max(reduceMax(x), 0); low = min(reduceMin(x), 0); spread = (high - low) / 255
scale = where(spread == 0, 1, spread); zero = uint8(clamp(roundEven(-(low / scale)), 0, 255))
"""

from __future__ import annotations

from collections.abc import Iterator

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.uses import Uses

__all__ = ["DynamicRangeMatch", "find_dynamic_range"]


@dataclass(frozen=True, slots=True)
class DynamicRangeMatch:
    """One range.

    Attributes:
        source: the tensor, in float32.
        result: the size of a step.
        zero: the integer that stands for 0.
        nodes: names of the nodes it replaces.
    """

    source: str
    result: str
    zero: str
    nodes: frozenset[str]

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        return (self.source,)


def find_dynamic_range(graph: Graph | Uses) -> Iterator[DynamicRangeMatch]:
    """All such ranges whose intermediates nothing else reads, in graphs that quantise something."""
    uses = Uses.of(graph)
    graph = uses.graph
    if not any(node.op == "quantizeLinear" for node in graph.nodes):
        return
    for node in graph.nodes:
        if node.op == "where" and graph.types[node.name].dtype is DataType.FLOAT32:
            match = _around(uses, node)
            if match is not None:
                yield match


def _around(uses: Uses, scale: Node) -> DynamicRangeMatch | None:
    """The range whose step `scale` is."""
    spread = uses.maker(scale.inputs[2], "div")
    test = uses.maker(scale.inputs[0], "equal")
    if spread is None or test is None or uses.number(scale.inputs[1]) != 1.0:
        return None
    if _against(uses, test, spread.name) != 0.0 or uses.number(spread.inputs[1]) != 255.0:
        return None
    width = uses.maker(spread.inputs[0], "sub")
    high = uses.maker(width.inputs[0], "max") if width is not None else None
    low = uses.maker(width.inputs[1], "min") if width is not None else None
    if width is None or high is None or low is None:
        return None
    most, least = _reduced(uses, high, "reduceMax"), _reduced(uses, low, "reduceMin")
    point = _point(uses, low.name, scale.name)
    if most is None or least is None or point is None or most.inputs[0] != least.inputs[0]:
        return None
    source = most.inputs[0]
    inner = {node.name for node in (spread, test, width, high, low, most, least)} | {node.name for node in point[:-1]}
    nodes = frozenset({*inner, scale.name, point[-1].name})
    if source is None or not all(uses.is_private(value, nodes) for value in inner):
        return None
    shapes = {uses.graph.types[name].shape for name in nodes}
    return DynamicRangeMatch(source, scale.name, point[-1].name, nodes) if shapes == {()} else None


def _against(uses: Uses, node: Node, value: str) -> float | None:
    """The constant number that `value` is joined with."""
    left, right = node.inputs
    return uses.number(right) if left == value else uses.number(left) if right == value else None


def _reduced(uses: Uses, bound: Node, op: str) -> Node | None:
    """The reduction over all axes that is bounded by 0."""
    for value in bound.inputs:
        found = uses.maker(value, op)
        if found is not None and _against(uses, bound, found.name) == 0.0:
            axes = found.options["axes"]
            rank = uses.graph.types[str(found.inputs[0])].rank
            is_whole = axes is None or (isinstance(axes, tuple) and len(axes) == rank)
            return found if is_whole else None
    return None


def _point(uses: Uses, low: str, scale: str) -> tuple[Node, ...] | None:
    """From `low / scale` to the integer that stands for 0."""
    chain = [reader for reader in uses.readers(low) if reader.op == "div" and reader.inputs == (low, scale)]
    if len(chain) != 1:
        return None
    for op in ("neg", "roundEven", "clamp", "cast"):
        following = uses.only_reader(chain[-1].name)
        if following is None or following.op != op:
            return None
        chain.append(following)
    bounds = (chain[3].options["minValue"], chain[3].options["maxValue"])
    is_byte = uses.graph.types[chain[-1].name].dtype is DataType.UINT8
    return tuple(chain) if bounds == (0.0, 255.0) and is_byte else None
