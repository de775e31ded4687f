"""Whether the files beside a graph tell how it takes texts. Nothing runs: only the files are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

from webnn_runtime.embed.feed import choose_output
from webnn_runtime.embed.pipeline import Pipeline
from webnn_runtime.embed.static import tokenizer_of
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import Array, Graph, TensorType

__all__ = ["Encoder", "beside", "why_no_texts"]


class Encoder:
    """What `Pipeline.open` reads of a model; nothing runs through it."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        return self.graph.inputs

    @property
    def outputs(self) -> Mapping[str, TensorType]:
        return self.graph.output_types

    def run(self, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        del inputs
        raise NotImplementedError

    def texts(
        self, outputs: Iterable[str] | None = None, pooling: str | None = None, *, normalize: bool = False
    ) -> None:
        del outputs, pooling, normalize

    def describe(self) -> Mapping[str, object]:
        return {}


def why_no_texts(graph: Graph, folder: Path) -> str | None:
    """What stands in the way of texts, where files beside the graph promise that it takes them; else None."""
    if find_spec("tokenizers") is None:
        return None  # which says nothing of the files
    try:
        tokenizer_of(folder)
        if (folder / "modules.json").exists() and _is_encoder(graph):
            Pipeline.open(Encoder(graph), folder)
    except EmbedError as exc:
        return beside(folder, exc)
    return None


def beside(folder: Path, error: EmbedError) -> str:
    """The message with names inside the folder, which may be one that the caller never sees."""
    return str(error).replace(f"{folder}{os.sep}", "").replace(f"{folder}: ", "")


def _is_encoder(graph: Graph) -> bool:
    # A classifier may have modules as well, which are not ours to judge.
    try:
        choose_output(graph.output_types, name=None, want_tokens=False)
    except EmbedError:
        return False
    return True
