"""A bundle read from disk: `model.webnn`, `model.weights`, `manifest.json`, and files that travel along.

Reading maps the weights and trusts nothing; `bundle_writing` writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn, Protocol

from webnn_runtime.format.companions import MANIFEST_FILE, WEIGHTS_FILE, Companions, find_companions, find_graph
from webnn_runtime.format.document import attach, reorder
from webnn_runtime.format.errors import FormatError, ManifestError, ParseError, WeightsError
from webnn_runtime.format.graph import Array, Graph, TensorType
from webnn_runtime.format.manifest import MAX_MANIFEST, Extension, Manifest, read_manifest
from webnn_runtime.format.records import dataclass, field
from webnn_runtime.format.strict_json import MAX_JSON
from webnn_runtime.format.text import parse_graph
from webnn_runtime.format.weights import Weights, open_weights

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Bundle", "load_bundle", "read_graph_file"]


class TensorSource(Protocol):
    """Where values of constants come from: a weights file or a safetensors file."""

    def keys(self) -> Iterable[str]:
        """Keys of all tensors."""

    def read(self, key: str, kind: TensorType) -> Array:
        """Values under a key, which must be of this type."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        graph: with its values, inputs and outputs in declared order.
        manifest: empty when there is no manifest file.
        graph_file: the graph file.
        weights_file: the file with the values; None when the graph file holds them all.
    """

    graph: Graph
    manifest: Manifest
    graph_file: str
    weights_file: str | None
    _weights: Weights | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return f"Bundle({self.graph_file!r}, {self.graph!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "Bundle: holds mapped files, which cannot be copied or pickled; send its graph, or let another process "
            f"open its own: load_bundle({self.graph_file!r})"
        )

    @property
    def folder(self) -> Path:
        """Where the files are."""
        return self.graph_path.parent

    @property
    def graph_path(self) -> Path:
        """The graph file, as a path."""
        from pathlib import Path  # 2 ms, which who only runs a model has no need of

        return Path(self.graph_file)

    @property
    def weights_path(self) -> Path | None:
        """The file with the values, as a path."""
        from pathlib import Path

        return None if self.weights_file is None else Path(self.weights_file)

    @property
    def weights(self) -> Weights | None:
        """The open weights file; None where the values come from elsewhere."""
        return self._weights

    @property
    def names(self) -> Mapping[str, str]:
        """Identifier -> original name, where they differ."""
        return self.manifest.extension.names

    def verify(self) -> None:
        """Compare every byte of graph and weights, and of the files that came with them, with the manifest's hashes.

        Raises:
            FormatError: a file that differs, or a manifest without hashes.
        """
        extension = self.manifest.extension
        if extension.graph_sha256 is None or (self.manifest.tensors and extension.weights_sha256 is None):
            raise ManifestError(
                "holds no hashes to compare with; convert the model again, or check it against its source (--source)",
                path=str(self.folder),
            )
        import hashlib

        if hashlib.sha256(_read(self.graph_file, MAX_JSON)).hexdigest() != extension.graph_sha256:
            raise FormatError(
                "the file does not have the SHA-256 of the manifest; copy or convert it again", path=self.graph_file
            )
        if self._weights is not None:
            self._weights.verify()
        elif extension.weights_sha256 is not None:
            raise WeightsError(
                "the manifest has the hash of weights that are not there; copy or convert it again",
                path=str(self.folder),
            )
        if extension.file_sha256:
            from webnn_runtime.format.file_hashes import check_files

            check_files(self.folder, extension.file_sha256)


def load_bundle(path: str | Path, *, verify: bool = False) -> Bundle:
    """Read a bundle from its folder, its `.webnn` file, or a JSON graph; find the files that go with it.

    Structure is always checked: offsets, sizes, types. Hashes are only with `verify`, as that reads all
    bytes of the weights, which are otherwise mapped and read when used.

    Raises:
        FormatError: a file that is missing, ambiguous, malformed, or disagrees with another.
        GraphError: a graph that WebNN does not allow.

    Example:
        >>> from webnn_runtime import load_bundle
        >>> bundle = load_bundle("model-webnn", verify=True)
        >>> list(bundle.graph.outputs)
        ['last_hidden_state']
    """
    try:
        bundle = _load(path)
    except OSError as exc:
        raise FormatError(f"cannot be read: {exc.strerror}", path=str(exc.filename or path)) from exc
    except ValueError as exc:
        # Python's own functions refuse paths with a NUL.
        raise FormatError(f"cannot be read: {exc}", path=repr(path)) from exc
    if verify:
        bundle.verify()
    return bundle


def _load(path: str | os.PathLike[str]) -> Bundle:
    graph_path = find_graph(path)
    graph = read_graph_file(graph_path)
    found = find_companions(graph_path)
    manifest = Manifest(MappingProxyType({}))
    weights: Weights | None = None
    if found.manifest is not None:
        manifest = read_manifest(_read(found.manifest, MAX_MANIFEST), path=found.manifest)
        if found.weights is not None:
            weights = open_weights(found.weights, manifest)
    needs_values = any(constant.array is None for constant in graph.constants.values())
    values_path: str | None = found.weights if weights is not None else None
    if needs_values:
        source, values_path = _values(found, weights, graph_path)
        keys = _keys_in_file(graph, frozenset(source.keys()), values_path)
        graph = attach(graph, {name: source.read(key, graph.constants[name].type) for name, key in keys.items()}, keys)
    return Bundle(
        _declared_order(graph, manifest.extension, found.manifest),
        manifest,
        graph_path,
        values_path,
        weights,
    )


def read_graph_file(path: str | os.PathLike[str]) -> Graph:
    """The graph of a text or JSON file, told apart by their first character; without weights.

    Raises:
        FormatError: neither of the two, or malformed.
        GraphError: a graph that WebNN does not allow.
    """
    data = _read(path, MAX_JSON)
    if data.lstrip(b" \t\r\n").startswith(b"{"):
        from webnn_runtime.format.json_graph import parse_json_graph

        return parse_json_graph(data, path=str(path))
    try:
        return parse_graph(data, path=str(path))
    except ParseError as exc:
        from webnn_runtime.format.strangers import stranger  # only for a file that is refused

        is_instead = stranger(path, b"webnn_graph")
        if is_instead is None:
            raise
        raise ParseError(f"not a WebNN graph: this is {is_instead}", path=str(path)) from exc


def _values(found: Companions, weights: Weights | None, graph_path: str) -> tuple[TensorSource, str]:
    """Where values come from: the weights the manifest describes, else safetensors."""
    folder, name = os.path.split(graph_path)
    folder, stem = folder or os.curdir, os.path.splitext(name)[0]
    if weights is not None and found.weights is not None:
        return weights, found.weights
    if len(found.safetensors) == 1:
        from webnn_runtime.format.safetensors import open_safetensors

        return open_safetensors(found.safetensors[0]), found.safetensors[0]
    if found.safetensors:
        listed = ", ".join(map(os.path.basename, found.safetensors[:5]))
        raise WeightsError(f"several files could hold the weights: {listed}", path=folder)
    if found.weights is not None:
        raise ManifestError(
            f"there is no manifest for '{os.path.basename(found.weights)}'; it is called {stem}.manifest.json or "
            f"{MANIFEST_FILE}",
            path=folder,
        )
    names = " or ".join(dict.fromkeys([f"{stem}.weights", WEIGHTS_FILE]))
    raise WeightsError(
        f"the graph needs weights, and there are none; they are called {names}",
        path=folder,
    )


def _keys_in_file(graph: Graph, keys: frozenset[str], path: str) -> dict[str, str]:
    """What the file calls the values of the constants that lack them, by value name."""
    alike: dict[str, list[str]] | None = None
    found: dict[str, str] = {}
    for name, constant in graph.constants.items():
        if constant.array is not None or constant.key is None:
            continue
        matches = [constant.key]
        if constant.key not in keys:
            from webnn_runtime.format.names import by_sanitised_form, same_when_sanitised

            alike = by_sanitised_form(keys) if alike is None else alike
            matches = alike.get(same_when_sanitised(constant.key), [])
        if len(matches) != 1:
            wrong = f"could be any of {', '.join(sorted(matches)[:5])}" if matches else "is not in the file"
            raise WeightsError(
                f"the graph's constant '{name}' needs tensor '{constant.key}', which {wrong}", path=str(path)
            )
        found[name] = matches[0]
    return found


def _declared_order(graph: Graph, extension: Extension, path: str | None) -> Graph:
    """Inputs and outputs in the order of the manifest; as in the graph file where it states none."""
    inputs = extension.inputs or tuple(graph.inputs)
    outputs = extension.outputs or tuple(graph.outputs)
    for what, stated, known in (("inputs", inputs, graph.inputs), ("outputs", outputs, graph.outputs)):
        if set(stated) != set(known):
            raise ManifestError(
                f"'{what}' are {', '.join(stated)[:200]}, but the graph has {', '.join(known)[:200]}", path=str(path)
            )
    return reorder(graph, inputs, outputs)


def _read(path: str | os.PathLike[str], limit: int) -> bytes:
    """A whole regular file of bounded size."""
    if not os.path.isfile(path):
        raise FormatError("not a regular file", path=str(path))
    with open(path, "rb") as file:
        # Python allocates what it is asked to read, which for the limit is more than a small machine may have.
        data = file.read(min(os.fstat(file.fileno()).st_size, limit) + 1)
    if len(data) > limit:
        raise FormatError(f"the file has more than {limit} bytes, which no such file needs", path=str(path))
    return data
