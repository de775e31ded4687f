"""The clean-ups that a graph gets before it is written: fewer nodes, the same numbers.

Each is a function from a graph to changes, in a file of its kind; here they run in order until none finds anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn_runtime.format.graph import Graph
from webnn_runtime.format.records import dataclass
from webnn_runtime.passes.dead import remove_dead
from webnn_runtime.passes.fold import fold_constants
from webnn_runtime.passes.recognise import (
    recognise_gelu,
    recognise_hard_swish,
    recognise_layer_norm,
    recognise_softmax,
)
from webnn_runtime.passes.rewrite import Rewrite, apply
from webnn_runtime.passes.tidy import drop_duplicates, drop_idle, merge_moves

__all__ = ["PASSES", "PassReport", "simplify"]

# Each round may uncover something for the next; real models need two or three.
_MOST_ROUNDS: Final = 10
# Results of folding up to this size are kept whatever they are made of: scalars, small tables.
_SMALL_BYTES: Final = 1024
# Larger ones would have to be held in memory and written a second time.
_LARGEST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class PassReport:
    """What one pass has done to a graph, over all rounds.

    Attributes:
        name: of the pass.
        doc: what it does, in a line.
        changes: one line each, beginning with the name of a value.
        nodes: how many nodes fewer there are.
    """

    name: str
    doc: str
    changes: tuple[str, ...]
    nodes: int

    def record(self) -> dict[str, object]:
        """What a script would want to know."""
        return {"pass": self.name, "changes": list(self.changes), "nodes": self.nodes}


def simplify(graph: Graph) -> tuple[Graph, tuple[PassReport, ...]]:
    """The graph after all passes, and what each of them did."""
    changes: dict[str, list[str]] = {name: [] for name in PASSES}
    removed: dict[str, int] = dict.fromkeys(PASSES, 0)
    for _ in range(_MOST_ROUNDS):
        before = graph
        for name, run in PASSES.items():
            made, done = run(graph)
            removed[name] += len(graph.nodes) - len(made.nodes)
            changes[name] += done
            graph = made
        if graph is before:
            break
    reports = (
        PassReport(name, (run.__doc__ or "").splitlines()[0], tuple(changes[name]), removed[name])
        for name, run in PASSES.items()
    )
    return graph, tuple(reports)


def _fold(graph: Graph) -> tuple[Graph, list[str]]:
    """Compute what depends on constants alone."""
    made = fold_constants(graph, max_growth=1, small_bytes=_SMALL_BYTES, largest_bytes=_LARGEST_BYTES)
    if made is graph:
        return graph, []
    left = {node.name for node in made.nodes}
    done = [f"{node.name}: this {node.op} is known" for node in graph.nodes if node.name not in left]
    # An output that is known stays a node, and there is nothing new about it in the next round.
    return made, done


def _dead(graph: Graph) -> tuple[Graph, list[str]]:
    """Leave out what no output depends on."""
    made = remove_dead(graph)
    if len(made.nodes) == len(graph.nodes) and len(made.constants) == len(graph.constants):
        return graph, []
    left = {node.name for node in made.nodes}
    return made, [f"{node.name}: nothing reads this {node.op}" for node in graph.nodes if node.name not in left]


def _rewriting(find: Callable[[Graph], Rewrite]) -> Callable[[Graph], tuple[Graph, list[str]]]:
    def run(graph: Graph) -> tuple[Graph, list[str]]:
        rewrite = find(graph)
        return apply(graph, rewrite), rewrite.changes

    run.__doc__ = find.__doc__
    return run


PASSES: Final[dict[str, Callable[[Graph], tuple[Graph, list[str]]]]] = {
    "fold-constants": _fold,
    "drop-idle": _rewriting(drop_idle),
    "drop-duplicates": _rewriting(drop_duplicates),
    "merge-moves": _rewriting(merge_moves),
    "recognise-gelu": _rewriting(recognise_gelu),
    "recognise-layer-normalization": _rewriting(recognise_layer_norm),
    "recognise-softmax": _rewriting(recognise_softmax),
    "recognise-hard-swish": _rewriting(recognise_hard_swish),
    "drop-dead": _dead,
}
"""Pass name -> pass, in the order in which they run."""
