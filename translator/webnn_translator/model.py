"""The ONNX graph made ready: versions checked, names checked, nodes ordered, dead ones left out."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from typing import Final

import onnx

from webnn_translator._errors import InvalidModel, UnsupportedOpset

__all__ = [
    "NEWEST_OPSET",
    "OLDEST_OPSET",
    "check_names",
    "check_text",
    "live_nodes",
    "opset_versions",
    "ordered",
    "reads",
]

OLDEST_OPSET: Final = 7
# The newest whose changes the rules know; a later one may give an operator another meaning.
_NEWEST_KNOWN: Final = 28
# Of which the installed onnx has the definitions.
NEWEST_OPSET: Final = min(_NEWEST_KNOWN, onnx.defs.onnx_opset_version())


def opset_versions(model: onnx.ModelProto) -> dict[str, int]:
    """Domain -> version, with "" for ai.onnx.

    Raises:
        InvalidModel: the model states none, or one domain twice.
        UnsupportedOpset: ai.onnx is outside the supported range.
    """
    versions: dict[str, int] = {}
    for entry in model.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        if versions.setdefault(domain, entry.version) != entry.version:
            raise InvalidModel(f"the model imports two versions of '{domain or 'ai.onnx'}'")
    if not versions:
        raise InvalidModel("the model imports no operator set")
    version = versions.get("", NEWEST_OPSET)
    if not OLDEST_OPSET <= version <= NEWEST_OPSET:
        way_out = "onnx.version_converter converts models"
        if NEWEST_OPSET < version <= _NEWEST_KNOWN:
            way_out = f"onnx {onnx.__version__} knows no later one: pip install --upgrade onnx"
        raise UnsupportedOpset(
            f"the model uses opset {version}; {OLDEST_OPSET} to {NEWEST_OPSET} can be translated ({way_out})",
            opset=version,
        )
    return versions


def check_text(model: onnx.ModelProto) -> None:
    """Names must be text: protobuf hands out what is no UTF-8 as bytes.

    Raises:
        InvalidModel: a name is not.
    """
    names = [*_graph_names(model.graph)]
    for function in model.functions:
        names += [function.name, function.domain, *function.input, *function.output, *_node_names(function.node)]
    if any(not isinstance(name, str) for name in names):
        raise InvalidModel("a name is not valid UTF-8")


def _graph_names(graph: onnx.GraphProto) -> Iterable[str]:
    yield graph.name
    yield from (value.name for value in (*graph.input, *graph.output, *graph.initializer, *_sparse_values(graph)))
    yield from (dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim)
    yield from _node_names(graph.node)


def _sparse_values(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    return [sparse.values for sparse in graph.sparse_initializer]


def _node_names(nodes: Iterable[onnx.NodeProto]) -> Iterable[str]:
    for node in nodes:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            if attribute.HasField("g"):
                yield from _graph_names(attribute.g)


def check_names(graph: onnx.GraphProto) -> None:
    """Inputs and initializers are named, each once among its kind; an input that is both has a default.

    Raises:
        InvalidModel: one is not; which of two values counts would be a guess.
    """
    for what, names in (
        ("input", [value.name for value in graph.input]),
        ("initializer", [one.name for one in (*graph.initializer, *_sparse_values(graph))]),
    ):
        if "" in names:
            raise InvalidModel(f"an {what} has no name; every one needs its own")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise InvalidModel(f"{what} '{twice[0]}' occurs twice")


def reads(node: onnx.NodeProto) -> Iterable[str]:
    """Names a node reads, including those its subgraphs take from outside."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
        for graph in graphs:
            inner = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            inner |= {name for child in graph.node for name in child.output}
            for child in graph.node:
                yield from (name for name in reads(child) if name not in inner)
            yield from (value.name for value in graph.output if value.name not in inner)


def ordered(nodes: Iterable[onnx.NodeProto], available: set[str]) -> list[onnx.NodeProto]:
    """The nodes so that each follows what it reads, otherwise in the order of the file.

    Raises:
        InvalidModel: a value is made twice, never made, or depends on itself.
    """
    listed = list(nodes)
    maker: dict[str, int] = {}
    for position, node in enumerate(listed):
        for name in node.output:
            if name and (name in maker or name in available):
                raise InvalidModel(f"value '{name}' is assigned twice", node=label_of(node), op_type=node.op_type)
            if name:
                maker[name] = position
    waits: list[set[int]] = []
    followers: dict[int, list[int]] = {}
    for position, node in enumerate(listed):
        needed = {name for name in reads(node) if name not in available}
        missing = sorted(name for name in needed if name not in maker)
        if missing:
            raise InvalidModel(
                f"reads '{missing[0]}', which is no input, no initializer and no node's output",
                node=label_of(node),
                op_type=node.op_type,
            )
        waits.append({maker[name] for name in needed})
        for before in waits[-1]:
            followers.setdefault(before, []).append(position)
    ready = [position for position, before in enumerate(waits) if not before]
    heapq.heapify(ready)
    result: list[onnx.NodeProto] = []
    while ready:
        position = heapq.heappop(ready)
        result.append(listed[position])
        for after in followers.get(position, ()):
            waits[after].discard(position)
            if not waits[after]:
                heapq.heappush(ready, after)
    if len(result) != len(listed):
        stuck = next(listed[position] for position, before in enumerate(waits) if before)
        raise InvalidModel("depends on its own result", node=label_of(stuck), op_type=stuck.op_type)
    return result


def live_nodes(nodes: list[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Only those that an output depends on; the others need not be expressible."""
    live = set(outputs)
    kept: list[onnx.NodeProto] = []
    for node in reversed(nodes):
        if live.intersection(name for name in node.output if name):
            kept.append(node)
            live.update(reads(node))
    return kept[::-1]


def label_of(node: onnx.NodeProto) -> str:
    """The node's name, or that of its first output."""
    return node.name or next((name for name in node.output if name), "")
