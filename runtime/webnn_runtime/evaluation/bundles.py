"""What two bundles hold, side by side: operators, types, sizes, names, and what their manifests say of them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webnn_runtime.format.bundle import Bundle
from webnn_runtime.format.graph import Graph

__all__ = ["BundleDifference", "Contents", "contents_of", "size_on_disk"]


@dataclass(frozen=True, slots=True)
class Contents:
    """What a bundle holds.

    Attributes:
        nodes: number of nodes.
        operators: operator -> number of nodes.
        types: type of constants -> their bytes in the weights file.
        constants: number of constants.
        file_bytes: graph, weights and manifest on disk.
        weights_bytes: the weights file.
        inputs: name -> type and shape.
        outputs: name -> type and shape.
        quantization: kind of quantising that the manifest states; None for floats.
        tool: what wrote it.
    """

    nodes: int
    operators: Mapping[str, int]
    types: Mapping[str, int]
    constants: int
    file_bytes: int
    weights_bytes: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    quantization: str | None
    tool: str

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "nodes": self.nodes,
            "operators": dict(self.operators),
            "types": dict(self.types),
            "constants": self.constants,
            "fileBytes": self.file_bytes,
            "weightsBytes": self.weights_bytes,
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
            "quantization": self.quantization,
            "tool": self.tool,
        }


@dataclass(frozen=True, slots=True)
class BundleDifference:
    """Two bundles.

    Attributes:
        first: what one holds.
        second: what the other holds.
    """

    first: Contents
    second: Contents

    @property
    def operators(self) -> dict[str, tuple[int, int]]:
        """Operators whose number differs -> both numbers, the largest difference first."""
        names = {**self.first.operators, **self.second.operators}
        counts = {name: (self.first.operators.get(name, 0), self.second.operators.get(name, 0)) for name in names}
        differing = {name: pair for name, pair in counts.items() if pair[0] != pair[1]}
        return dict(sorted(differing.items(), key=lambda item: (-abs(item[1][0] - item[1][1]), item[0])))

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return {
            "first": self.first.record(),
            "second": self.second.record(),
            "operatorDifferences": {name: list(pair) for name, pair in self.operators.items()},
        }


def contents_of(bundle: Bundle) -> Contents:
    """What a loaded bundle holds."""
    graph, extension = bundle.graph, bundle.manifest.extension
    stated = extension.more.get("quantization")
    kind = stated.get("kind") if isinstance(stated, Mapping) else None
    return Contents(
        nodes=len(graph.nodes),
        operators=dict(Counter(node.op for node in graph.nodes).most_common()),
        types=_types(graph, bundle),
        constants=len(graph.constants),
        file_bytes=size_on_disk(bundle),
        weights_bytes=0 if bundle.weights_path is None else bundle.weights_path.stat().st_size,
        inputs={name: str(kind) for name, kind in graph.inputs.items()},
        outputs={name: str(kind) for name, kind in graph.output_types.items()},
        quantization=None if kind is None else str(kind),
        tool=extension.tool,
    )


def size_on_disk(bundle: Bundle) -> int:
    """Bytes of graph, weights and manifest."""
    from webnn_runtime.format.companions import find_companions

    files = {bundle.graph_file, bundle.weights_file, find_companions(bundle.graph_file).manifest}
    return sum(os.stat(path).st_size for path in files if path is not None)


def _types(graph: Graph, bundle: Bundle) -> dict[str, int]:
    if bundle.manifest.tensors:
        sizes = Counter[str]()
        for entry in bundle.manifest.tensors.values():
            sizes[entry.dtype.value] += entry.length
        return dict(sizes.most_common())
    sizes = Counter()
    for constant in graph.constants.values():
        kind = constant.type
        count = 1
        for dim in kind.static_shape:
            count *= dim
        sizes[kind.dtype.value] += kind.dtype.byte_length(count)
    return dict(sizes.most_common())
