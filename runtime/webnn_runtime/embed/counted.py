"""Graphs that read a mask only to count its tokens, as those with GroupQueryAttention of ONNX Runtime do.

The tokens of a row have to be its first then: a graph that only knows how many they are cannot tell them from padding
before them, and vectors of a batch that is padded on the left would be wrong without a sign of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from webnn_runtime.format.graph import Graph

__all__ = ["is_only_counted"]

_SAME_NUMBERS: Final = frozenset({"cast", "identity"})


def is_only_counted(graph: Graph, mask: str = "attention_mask") -> bool:
    """Whether everything that reads the input `mask` [batch, length] sums it over the length."""
    same, is_summed = {mask}, False
    for node in graph.nodes:
        if same.isdisjoint(str(each) for each in node.inputs):
            continue
        if node.op in _SAME_NUMBERS:
            same.add(node.name)
        elif node.op == "reduceSum" and node.options["axes"] == (1,):
            is_summed = True
        else:
            return False
    return is_summed and same.isdisjoint(graph.outputs.values())
