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
    pooling = sys.argv[4] if len(sys.argv) > 4 else None
    marks = [time.perf_counter()]

    def mark() -> None:
        marks.append(time.perf_counter())

    import numpy  # noqa: F401  # its import is what is timed

    mark()
    import tokenizers

    mark()
    from webnn_runtime.backends.base import CompileOptions
    from webnn_runtime.backends.registry import compile_graph, get_backend
    from webnn_runtime.embed.embedder import WebNNEmbedder  # noqa: F401  # what a program would import
    from webnn_runtime.embed.pipeline import Pipeline
    from webnn_runtime.format.bundle import load_bundle
    from webnn_runtime.model import Model, stated_arithmetic

    if backend != "auto":
        get_backend(backend)
    mark()
    loaded = load_bundle(bundle)
    mark()
    options = CompileOptions(threads=threads, stated=stated_arithmetic(loaded.manifest), bundle=loaded)
    model = Model(loaded, compile_graph(loaded.graph, backend, options))
    mark()
    reading: list[float] = []
    original = tokenizers.Tokenizer

    class Timed:
        """Times what the library makes of tokenizer.json where it happens: read a second time, it takes less."""

        @staticmethod
        def from_str(text: str) -> object:
            start = time.perf_counter()
            made = original.from_str(text)
            reading.append(time.perf_counter() - start)
            return made

    tokenizers.Tokenizer = Timed  # type: ignore[assignment, misc]
    pipeline = Pipeline.open(model, bundle, pooling=pooling)
    mark()
    pipeline.embed(pipeline.tokenizer.encode([_TEXT], pipeline.limit.tokens), batch_size=1)
    mark()
    import json

    first, second, imported, read, compiled, opened, ran = (b - a for a, b in itertools.pairwise(marks))
    print(json.dumps([first, second, sum(reading), imported, read, compiled, opened - sum(reading), ran]))
