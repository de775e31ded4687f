"""The process that `webnn bench --start` looks at; imports nothing beforehand that would hide a part's cost."""

from __future__ import annotations

import itertools
import sys
import time

__all__ = ["main"]

_TEXT = "The cat sits on the mat"


def main() -> None:
    """Print the seconds of each part of `start.PARTS`, in its order, as JSON."""
    bundle, backend, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    import numpy  # noqa: F401  # its import is what is timed

    mark()
    import tokenizers

    mark()
    with open(f"{bundle}/tokenizer.json", encoding="utf-8") as file:  # pathlib is not loaded yet
        tokenizers.Tokenizer.from_str(file.read())
    mark()
    from webnn_runtime.backends.base import CompileOptions
    from webnn_runtime.backends.registry import compile_graph, get_backend
    from webnn_runtime.embed.embedder import WebNNEmbedder  # noqa: F401  # what a program would import
    from webnn_runtime.embed.pipeline import Pipeline
    from webnn_runtime.format.bundle import load_bundle
    from webnn_runtime.model import Model

    if backend != "auto":
        get_backend(backend)
    mark()
    loaded = load_bundle(bundle)
    mark()
    model = Model(loaded, compile_graph(loaded.graph, backend, CompileOptions(threads=threads)))
    mark()
    pipeline = Pipeline.open(model, bundle)
    mark()
    pipeline.embed(pipeline.tokenizer.encode([_TEXT], pipeline.limit.tokens), batch_size=1)
    mark()
    import json

    print(json.dumps([after - before for before, after in itertools.pairwise(marks)]))
