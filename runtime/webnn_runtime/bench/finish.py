"""From an engine's result to the answer that contenders are compared by: unit vectors, scores, or the result itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from webnn_runtime.bench.engines.base import CLASSIFICATION, EMBEDDING, Spec

__all__ = ["Finish", "Floats", "open_finish"]

Floats = npt.NDArray[np.float32]
Finish = Callable[[Any, Sequence[tuple[int, int]]], Floats]


def open_finish(spec: Spec, gives: str) -> Finish:
    """What makes the answer; timed with the engine, and the same code for every engine that does not do it itself.

    Takes a result with one row per text, and for each text where its tokens lie in its row.

    Raises:
        EmbedError: nothing says how the model's token vectors become one, or the files that say it are malformed.
    """
    if gives == "answer" or spec.kind not in (EMBEDDING, CLASSIFICATION):
        return lambda raw, _: raw
    if spec.kind == CLASSIFICATION:
        from webnn_runtime.classify.labels import read_labels

        labels = read_labels([Path(spec.bundle)], spec.labels)
        return lambda raw, spans: labels.scores(raw[: len(spans)].astype(np.float32, copy=False))
    from webnn_runtime.embed.modules import chosen_modules
    from webnn_runtime.embed.stages import Normalize

    normalize = Normalize()
    if gives == "output" and spec.is_pooled:
        return lambda raw, spans: normalize(raw[: len(spans)].astype(np.float32, copy=False))
    modules = chosen_modules(Path(spec.bundle), spec.pooling)

    def pooled(raw: Any, spans: Sequence[tuple[int, int]]) -> Floats:
        if gives == "vectors":
            vectors: Floats = raw
        elif gives == "texts":
            vectors = modules.pooling.of_texts(raw, raw[0].shape[1])
        else:
            vectors = modules.pooling(raw[: len(spans)].astype(np.float32, copy=False), spans)
        for stage in modules.stages:
            vectors = stage(vectors)
        return vectors if modules.is_normalized else normalize(vectors)

    return pooled
