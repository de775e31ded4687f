"""The translation as a conversion needs it: a model in, a graph out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webnn_runtime.format.graph import Graph
from webnn_translator.translate import translate as translate_model

__all__ = ["translate"]


def translate(
    model: Any,
    *,
    name: str = "",
    base_dir: Path | None = None,
    dims: Mapping[str, int] | None = None,
    max_dims: Mapping[str, int] | None = None,
) -> Graph:
    """The graph of an ONNX model; see `webnn_translator.translate` for what else is known about it.

    Raises:
        TranslateError: it cannot be expressed; the leaf says why.
    """
    return translate_model(model, name=name, base_dir=base_dir, dims=dims, max_dims=max_dims).graph
