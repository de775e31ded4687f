"""Cuts a graph where it rounds data or chooses by scores at run time, so that a check can go from one to the next.

Rounding turns a difference in the last bit into a whole step wherever a value lies between two steps, and a model
that quantises its data does so at every layer; the best of a thousand proposals change places as easily. Behind a cut
the graph reads what the reference rounded to or chose; its own, and what it is made from, become outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from webnn_runtime.format.dims import DynamicDim, bounds
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array, Graph, Node, TensorType
from webnn_translator.naming import identifier
from webnn_translator.narrowing import narrowed_to_reach
from webnn_translator.verify.compare import Difference, Ties, compare, compare_chosen, compare_rounded
from webnn_translator.verify.reference import Ranking

__all__ = ["Choice", "Cut", "cut_graph", "find_choices", "find_cuts", "roundings"]

Arrays: TypeAlias = Mapping[str, Array]
_ROUNDING: Final = frozenset({"quantizeLinear", "roundEven"})
# What may stand between a rounding and the value of the model that holds its result.
_FOLLOWING: Final = frozenset({"add", "cast", "clamp", "reshape", "transpose"})


@dataclass(frozen=True, slots=True)
class _Fed:
    """A value that the cut graph reads from the reference.

    Attributes:
        value: the graph's value that holds what was rounded to, or the places that were chosen.
        source: the model's name of it.
        kind: type of the value.
    """

    value: str
    source: str
    kind: TensorType

    @property
    def fed(self) -> str:
        """Input of the cut graph that stands for the value."""
        return f"{self.value}__fed"


@dataclass(frozen=True, slots=True)
class Cut(_Fed):
    """One rounding of data.

    Attributes:
        chain: nodes from the one that rounds to the one that makes the value; from several where it joins them.
    """

    chain: tuple[Node, ...]

    @property
    def unrounded(self) -> str:
        """Output of the cut graph: what is rounded."""
        return f"{self.value}__unrounded"

    @property
    def watched(self) -> dict[str, str]:
        """Values that the reference has to give -> the model's names of them."""
        return {self.value: self.source}

    def judge(self, expected: Arrays, actual: Arrays, tolerance: float) -> tuple[Difference, Ties]:
        """Compare the reference's steps with those of a run of the cut graph."""
        return compare_rounded(expected[self.value], actual[self.value], actual[self.unrounded], tolerance)


@dataclass(frozen=True, slots=True)
class Choice(_Fed):
    """Places of the best scores, as TopK gives them.

    Attributes:
        scores: the graph's value that is chosen by.
        source_scores: the model's name of it.
        axis: of the scores, along which the places count.
        is_sorted: whether the model wants the best first.
    """

    scores: str
    source_scores: str
    axis: int
    is_sorted: bool

    @property
    def judged_by(self) -> str:
        """Output of the cut graph: the scores."""
        return f"{self.value}__scores"

    @property
    def watched(self) -> dict[str, str]:
        """Values that the reference has to give -> the model's names of them."""
        return {self.value: self.source, self.judged_by: self.source_scores}

    def judge(self, expected: Arrays, actual: Arrays, tolerance: float) -> tuple[Difference, Ties]:
        """Compare the reference's scores with those of a run of the cut graph, and then the places."""
        scores = actual[self.judged_by]
        difference = compare(expected[self.judged_by], scores, tolerance)
        if not difference.passed:
            return difference, Ties()
        places = expected[self.value], actual[self.value]
        return compare_chosen(*places, scores, self.axis, tolerance, is_sorted=self.is_sorted)


def roundings(graph: Graph) -> list[Node]:
    """Nodes that round data at run time; they make steps of differences that are too small to matter."""
    return [node for node in graph.nodes if node.op in _ROUNDING and node.inputs[0] not in graph.constants]


def find_cuts(graph: Graph, names: Iterable[str]) -> list[Cut] | None:
    """A cut for every rounding, by the model's names of values; None where one rounds to a value without a name."""
    known = _by_identifier(names)
    readers = graph.consumers()
    found: dict[str, Cut] = {}
    for node in roundings(graph):
        if any(graph.types[value].dtype is not DataType.FLOAT32 for value in node.inputs[:1] if value is not None):
            return None
        if node.op == "quantizeLinear" and not _is_plain(graph, node):
            return None
        chain = [node]
        while (source := known.get(chain[-1].name)) is None:
            following = readers[chain[-1].name]
            is_result = chain[-1].name in graph.outputs.values()
            if is_result or len(following) != 1 or not _follows(graph, following[0], chain[-1].name):
                return None
            chain.append(following[0])
        value = chain[-1].name
        others = found[value].chain if value in found else ()
        found[value] = Cut(value, source, graph.types[value], (*others, *chain))
    return None if _ranges(graph, found) is None else list(found.values())


def find_choices(graph: Graph, names: Iterable[str], rankings: Iterable[Ranking]) -> list[Choice]:
    """A cut for every choice of places by computed scores, where both are in the graph under the model's names."""
    known = _by_identifier(names)
    made = {node.name for node in graph.nodes}
    found = []
    for one in rankings:
        value, scores = identifier(one.places), identifier(one.scores)
        if known.get(value) != one.places or known.get(scores) != one.scores or not {value, scores} <= made:
            continue
        kind, scored = graph.types[value], graph.types[scores]
        is_ranking = scored.dtype in (DataType.FLOAT32, DataType.FLOAT16) and len(scored.shape) == len(kind.shape)
        if is_ranking and _ranges(graph, [value]) is not None:
            axis = one.axis % len(scored.shape)
            found.append(Choice(value, one.places, kind, scores, one.scores, axis, one.is_sorted))
    return found


def _ranges(graph: Graph, values: Iterable[str]) -> dict[str, DynamicDim] | None:
    """Ranges of the names for which every value has elements, as an input must; None where it is not certain whose."""
    ranges = dict(graph.dims)
    for dim in (dim for value in values for dim in graph.types[value].shape):
        if bounds(dim, ranges)[0] < 1:
            ranges |= {one.name: one for one in narrowed_to_reach(dim, 1, ranges)}
        if bounds(dim, ranges)[0] < 0:
            return None
    return ranges


def _by_identifier(names: Iterable[str]) -> dict[str, str | None]:
    """Identifier -> the model's name; None where there are several."""
    known: dict[str, str | None] = {}
    for name in names:
        stem = identifier(name)
        known[stem] = None if stem in known else name
    return known


def _follows(graph: Graph, node: Node, value: str) -> bool:
    if node.op == "concat":
        # Beside what is rounded stand steps that were made earlier.
        return not graph.types[node.name].dtype.is_float
    others = (other for other in node.inputs if other not in (None, value))
    return node.op in _FOLLOWING and all(other in graph.constants for other in others)


def _is_plain(graph: Graph, node: Node) -> bool:
    """Whether scales broadcast as in a division: blocks of them do not."""
    shape, scale = (graph.types[str(value)].shape for value in node.inputs[:2])
    return all(part in (1, whole) for part, whole in zip(scale[::-1], shape[::-1], strict=False))


def cut_graph(graph: Graph, cuts: Sequence[Cut | Choice]) -> Graph:
    """The graph with each cut's value as an input; its own, and what that is made from, are outputs as well."""
    fed = {cut.value: cut.fed for cut in cuts}
    rounded, chosen = [cut for cut in cuts if isinstance(cut, Cut)], [cut for cut in cuts if isinstance(cut, Choice)]
    within = {node.name for cut in rounded for node in cut.chain}
    free: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.nodes:
        inputs = tuple(fed.get(value, value) if value is not None else None for value in node.inputs)
        nodes.append(replace(node, inputs=inputs))
        if node.name in within:
            nodes.extend(_unrounded(graph, replace(node, inputs=inputs), free))
    outputs = {name: value for name, value in graph.outputs.items() if value not in fed}
    ranges = _ranges(graph, fed)
    assert ranges is not None
    return Graph.create(
        graph.name,
        dims=ranges,
        inputs={**graph.inputs, **{cut.fed: cut.kind for cut in cuts}},
        constants=graph.constants,
        nodes=tuple(nodes),
        outputs={
            **outputs,
            **{cut.value: cut.value for cut in cuts},
            **{cut.unrounded: free[cut.value] for cut in rounded},
            **{cut.judged_by: cut.scores for cut in chosen},
        },
    )


def _unrounded(graph: Graph, node: Node, free: dict[str, str]) -> Iterable[Node]:
    """The node in float32 and without rounding; `free` says where the value in place of each result is."""
    inputs = tuple(value if value is None else free.get(value, value) for value in node.inputs)
    x, name = str(inputs[0]), f"{node.name}__free"
    if node.op in ("roundEven", "cast"):
        free[node.name] = x
        return []
    free[node.name] = name
    if node.op == "concat":
        parts = {value: f"{name}_{place}" for place, value in enumerate(node.inputs) if value not in free}
        wide = [Node("cast", (value,), {"to": DataType.FLOAT32}, (part,)) for value, part in parts.items()]
        return [*wide, replace(node, inputs=tuple(parts.get(v, v) for v in inputs), outputs=(name,))]
    if node.op != "quantizeLinear":
        return [replace(node, inputs=inputs, outputs=(name,))]
    steps, zero = Node("div", (x, node.inputs[1]), {}, (f"{name}_steps",)), node.inputs[2]
    low, high = graph.types[node.name].dtype.bounds
    clamp = {"minValue": float(low), "maxValue": float(high)}
    if zero is None:
        return [steps, Node("clamp", (steps.name,), clamp, (name,))]
    offset = Node("cast", (zero,), {"to": DataType.FLOAT32}, (f"{name}_zero",))
    moved = Node("add", (steps.name, offset.name), {}, (f"{name}_moved",))
    return [steps, offset, moved, Node("clamp", (moved.name,), clamp, (name,))]
