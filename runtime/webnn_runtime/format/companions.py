"""Which files belong to a graph: two naming conventions, foreign names where they are unique.

A folder holds `model.webnn` or one other graph file. Beside a graph file lie its weights and manifest,
called after it (`encoder.weights`, `encoder.manifest.json`) or by the fixed names (`model.weights`,
`manifest.json`). Where two files could be meant, that is an error: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from webnn_runtime.format.errors import FormatError, ManifestError, WeightsError
from webnn_runtime.format.records import dataclass

__all__ = ["GRAPH_FILE", "MANIFEST_FILE", "WEIGHTS_FILE", "Companions", "find_companions", "find_graph"]

GRAPH_FILE: Final = "model.webnn"
WEIGHTS_FILE: Final = "model.weights"
MANIFEST_FILE: Final = "manifest.json"
_JSON_GRAPH: Final = "model.json"


@dataclass(frozen=True, slots=True)
class Companions:
    """Files beside a graph file; each may be missing.

    Attributes:
        manifest: says what the weights file holds.
        weights: the weights file.
        safetensors: all candidates. Model folders often hold the source's own; they matter only where
            weights are missing, so only then is it an error if there are several.
    """

    manifest: Path | None
    weights: Path | None
    safetensors: tuple[Path, ...]


def find_graph(path: Path) -> Path:
    """The graph file that `path` is or holds.

    Raises:
        FormatError: there is none, or more than one that could be meant.
    """
    if not path.is_dir():
        if not path.exists():
            raise FormatError("no such file or folder; give a bundle's folder or its .webnn file", path=str(path))
        return path
    fixed = path / GRAPH_FILE
    if fixed.exists():
        return fixed
    found = _with_suffix(path, ".webnn")
    if not found and (path / _JSON_GRAPH).exists():
        return path / _JSON_GRAPH
    if not found:
        raise FormatError(f"holds no .webnn file; a bundle has {GRAPH_FILE}", path=str(path))
    return _only(found, "graph", FormatError, "give the path of one of them")


def find_companions(graph: Path) -> Companions:
    """Manifest and weights of a graph file.

    Raises:
        ManifestError: several manifests could be meant.
        WeightsError: several weights files could be meant.
    """
    stem = graph.name.removesuffix(graph.suffix)
    folder = graph.parent
    manifests = _existing(folder, (f"{stem}.manifest.json", MANIFEST_FILE)) or _with_suffix(folder, ".manifest.json")
    weights = _existing(folder, (f"{stem}.weights", WEIGHTS_FILE)) or _with_suffix(folder, ".weights")
    tensors = _existing(folder, (f"{stem}.safetensors", "model.safetensors")) or _with_suffix(folder, ".safetensors")
    named = f"call the right one after the graph, '{stem}'"
    return Companions(
        _only(manifests, "manifest", ManifestError, named) if manifests else None,
        _only(weights, "weights file", WeightsError, named) if weights else None,
        tuple(tensors),
    )


def _existing(folder: Path, names: Iterable[str]) -> list[Path]:
    """The first of `names` that exists: a name after the graph comes before a fixed one."""
    return next(([folder / name] for name in names if (folder / name).exists()), [])


def _with_suffix(folder: Path, suffix: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.endswith(suffix) and path.is_file())


def _only(found: list[Path], what: str, error: type[FormatError], advice: str) -> Path:
    if len(found) > 1:
        listed = ", ".join(path.name for path in found[:5])
        raise error(f"{len(found)} files could be the {what}: {listed}; {advice}", path=str(found[0].parent))
    return found[0]
