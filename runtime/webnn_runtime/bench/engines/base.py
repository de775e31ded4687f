"""What an engine is told, and what it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy.typing as npt

__all__ = ["CLASSIFICATION", "EMBEDDING", "GRAPH", "Arrays", "Engine", "Spec"]

Arrays = Mapping[str, npt.NDArray[Any]]

EMBEDDING: Final = "embedding"
CLASSIFICATION: Final = "classification"
GRAPH: Final = "graph"


@dataclass(frozen=True, slots=True)
class Spec:
    """All that a fresh process needs to open an engine; plain data.

    Attributes:
        name: the contender.
        kind: `EMBEDDING`, `CLASSIFICATION`, or `GRAPH` for any other.
        threads: threads it may use.
        bundle: folder of the bundle.
        backend: backend for the bundle.
        onnx: the source as an ONNX file, None when there is none.
        folder: the source as a transformers folder, None when there is none.
        output: the graph's output to compute, by its name in the bundle.
        original_output: and by its name in the source.
        is_pooled: whether that output has one vector per text already.
        labels: number of labels of a classifier, else 0.
        pooling: pooling modes in place of those that the bundle's files state.
    """

    name: str
    kind: str
    threads: int
    bundle: str
    backend: str
    onnx: str | None
    folder: str | None
    output: str
    original_output: str
    is_pooled: bool = False
    labels: int = 0
    pooling: str | None = None

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Engine(ABC):
    """One model, opened.

    Attributes:
        note: what exactly runs, for people.
        gives: "output" for the graph's output, "tokens" for a vector per token, "texts" for the same as a list with an
            array [tokens, features] of each text, "vectors" for a pooled vector per text, "answer" for the finished
            answer.
    """

    note: str = ""
    gives: str = "output"

    @abstractmethod
    def prepare(self, arrays: Arrays) -> Any:
        """Inputs as the engine takes them: not timed, for no contender."""

    @abstractmethod
    def run(self, prepared: Any) -> Any:
        """Compute; this is what is timed."""

    def describe(self) -> dict[str, object]:
        """More about what runs, JSON-ready."""
        return {}
