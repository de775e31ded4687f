"""Which files belong to a graph: two naming conventions, foreign names where they are unique.

A folder holds `model.webnn` or one other graph file. Beside a graph file lie its weights and manifest,
called after it (`encoder.weights`, `encoder.manifest.json`) or by the fixed names (`model.weights`,
`manifest.json`). Where two files could be meant, that is an error: nothing is guessed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Final

from webnn_runtime.format.errors import FormatError, ManifestError, MissingFile, WeightsError
from webnn_runtime.format.records import dataclass

__all__ = [
    "GRAPH_FILE",
    "MANIFEST_FILE",
    "WEIGHTS_FILE",
    "Companions",
    "find_companions",
    "find_graph",
    "is_inside",
    "is_packed",
    "packed_path",
]

GRAPH_FILE: Final = "model.webnn"
WEIGHTS_FILE: Final = "model.weights"
MANIFEST_FILE: Final = "manifest.json"
_JSON_GRAPH: Final = "model.json"
_PACKED: Final = ".packed."


@dataclass(frozen=True, slots=True)
class Companions:
    """Files beside a graph file; each may be missing.

    Attributes:
        manifest: says what the weights file holds.
        weights: the weights file.
        safetensors: all candidates. Model folders often hold the source's own; they matter only where
            weights are missing, so only then is it an error if there are several.
    """

    manifest: str | None
    weights: str | None
    safetensors: tuple[str, ...]


def find_graph(path: str | os.PathLike[str]) -> str:
    """The graph file that `path` is or holds.

    Raises:
        MissingFile: nothing has this name.
        FormatError: there is none, or more than one that could be meant; or this is no path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise FormatError(f"{path!r} is no path; give a bundle's folder or its .webnn file as a str or a Path")
    given = os.fspath(path)
    if not given:
        raise MissingFile("the path is empty; give a bundle's folder or its .webnn file, or '.' for this folder")
    if not os.path.isdir(given):
        if not _exists(given):
            # It may be a folder's name that is mistyped just as well.
            is_id = isinstance(path, str) and re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(?<!\.webnn)(?<!\.json)", path)
            way = ", or of a Hub id what webnn_runtime.hub.resolve(id).folder fetches" if is_id else ""
            raise MissingFile(f"no such file or folder; give a bundle's folder or its .webnn file{way}", path=given)
        if given.lower().endswith(".onnx"):
            raise FormatError("an ONNX file, not a bundle; webnn-convert makes a bundle of it", path=given)
        return given
    fixed = os.path.join(given, GRAPH_FILE)
    if _exists(fixed):
        return fixed
    found = _with_suffix(given, ".webnn")
    other = os.path.join(given, _JSON_GRAPH)
    if not found and _exists(other):
        return other
    if not found:
        raise FormatError(
            f"holds no .webnn file; a bundle has {GRAPH_FILE}, and webnn-convert makes one of a model", path=given
        )
    return _only(found, "graph", FormatError, "give the path of one of them")


def find_companions(graph: str | os.PathLike[str]) -> Companions:
    """Manifest and weights of a graph file.

    Raises:
        ManifestError: several manifests could be meant.
        WeightsError: several weights files could be meant.
    """
    folder, name = os.path.split(graph)
    folder, stem = folder or os.curdir, os.path.splitext(name)[0]
    manifests = _existing(folder, (f"{stem}.manifest.json", MANIFEST_FILE)) or _with_suffix(folder, ".manifest.json")
    weights = _existing(folder, (f"{stem}.weights", WEIGHTS_FILE)) or _with_suffix(folder, ".weights")
    tensors = _existing(folder, (f"{stem}.safetensors", "model.safetensors")) or _with_suffix(folder, ".safetensors")
    named = f"call the right one after the graph, '{stem}'"
    return Companions(
        _only(manifests, "manifest", ManifestError, named) if manifests else None,
        _only(weights, "weights file", WeightsError, named) if weights else None,
        tuple(tensors),
    )


def packed_path(weights: str, isa: str) -> str:
    """Where weights are packed for an instruction set: `model.packed.avx512` beside `model.weights`."""
    return f"{os.path.splitext(weights)[0]}{_PACKED}{isa}"


def is_packed(name: str) -> bool:
    """Whether a file is called as packed weights are, which belong to the weights beside them and stay with these."""
    return _PACKED in name


def is_inside(name: str) -> bool:
    """Whether a relative name, with `/` between folders, stays inside the folder it is joined to, on any system."""
    return not any(char in name for char in "\\:\0") and not {"", ".", ".."}.intersection(name.split("/"))


def _exists(path: str) -> bool:
    """Whether there is such a file; one that may not be looked at is an error, and not one that is missing."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return True


def _existing(folder: str, names: Iterable[str]) -> list[str]:
    """The first of `names` that exists: a name after the graph comes before a fixed one."""
    paths = (os.path.join(folder, name) for name in names)
    return next(([path] for path in paths if _exists(path)), [])


def _with_suffix(folder: str, suffix: str) -> list[str]:
    paths = (os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(suffix))
    return sorted(filter(os.path.isfile, paths))


def _only(found: list[str], what: str, error: type[FormatError], advice: str) -> str:
    if len(found) > 1:
        listed = ", ".join(map(os.path.basename, found[:5]))
        raise error(f"{len(found)} files could be the {what}: {listed}; {advice}", path=os.path.dirname(found[0]))
    return found[0]
