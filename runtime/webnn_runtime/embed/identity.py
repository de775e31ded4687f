"""One hash for everything that decides what vector a text gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from webnn_runtime.embed.pipeline import Pipeline
    from webnn_runtime.format.graph import Graph

__all__ = ["identify"]


def identify(pipeline: Pipeline, max_length: int | None) -> str:
    """SHA-256 in hexadecimal of graph, weights, tokenizer, modules, prompts and maximum length.

    Backends and threads are left out: they may change the last bits of a vector, not what it means.
    """
    import hashlib

    digest = hashlib.sha256()
    _add_graph(digest, pipeline.model.graph)
    modules = pipeline.modules
    facts: dict[str, Any] = {
        "output": pipeline.output.name,
        "tokenizer": pipeline.tokenizer.digest,
        "padding_side": pipeline.tokenizer.padding.side,
        "truncation_side": pipeline.tokenizer.truncation_side,
        "do_lower_case": pipeline.settings.do_lower_case,
        "max_length": max_length,
        "prompts": dict(pipeline.prompts.texts),
        "default_prompt": pipeline.prompts.default,
        "pooling": None if modules is None else [list(modules.pooling.modes), modules.pooling.include_prompt],
        "dimension": pipeline.dimension,
    }
    if pipeline.truncate_dim is not None:
        facts["truncate_dim"] = pipeline.truncate_dim
    digest.update(json.dumps(facts, sort_keys=True).encode())
    for stage in () if modules is None else modules.stages:
        digest.update(type(stage).__name__.encode())
        for value in stage.parameters():
            digest.update(value.encode() if isinstance(value, str) else np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _add_graph(digest: Any, graph: Graph) -> None:
    from webnn_runtime.format.names import safe_graph
    from webnn_runtime.format.printer import print_graph

    # Graphs of other tools may have names that the text cannot hold.
    digest.update(print_graph(safe_graph(graph)[0]).encode())
    for name, constant in graph.constants.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(constant.values).data)
