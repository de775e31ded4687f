"""A bundle written to disk: complete or not at all, and byte for byte reproducible.

Apart from `bundle`, which reads: whoever runs a model needs none of this.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from webnn_runtime.format.companions import GRAPH_FILE, MANIFEST_FILE, WEIGHTS_FILE
from webnn_runtime.format.errors import WriteError
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.manifest import Extension, Manifest
from webnn_runtime.format.names import safe_graph
from webnn_runtime.format.printer import print_graph
from webnn_runtime.format.records import replace
from webnn_runtime.format.staging import StagedFolder, write_files
from webnn_runtime.format.version import VERSION
from webnn_runtime.format.weights import write_weights

__all__ = ["StagedBundle", "save_bundle", "staged_bundle"]

_OWN_FILES: Final = frozenset({GRAPH_FILE, WEIGHTS_FILE, MANIFEST_FILE})


class StagedBundle:
    """A bundle that is written but not yet visible.

    Attributes:
        folder: where its files are for now; open them with `load_bundle`.
    """

    def __init__(self, staged: StagedFolder, manifest: Manifest) -> None:
        self._staged = staged
        self._manifest = manifest
        self.folder = staged.folder

    def annotate(self, extra: Mapping[str, Any]) -> None:
        """Add to our key of the manifest, or replace there: a certificate exists only after the check.

        Raises:
            FormatError: a key the format defines, or a value JSON cannot hold.
        """
        extension = self._manifest.extension
        self._manifest = replace(self._manifest, extension=replace(extension, more={**extension.more, **extra}))
        self._staged.write(MANIFEST_FILE, self._manifest.to_bytes())

    def commit(self) -> Path:
        """Make the bundle visible under its name.

        Raises:
            FormatError: the target exists by now and `force` was not given.
        """
        return self._staged.publish()


@contextmanager
def staged_bundle(
    graph: Graph,
    folder: str | Path,
    *,
    manifest_extra: Mapping[str, Any] | None = None,
    files: Mapping[str, Path | bytes] | None = None,
    force: bool = False,
    tool: str | None = None,
    names: Mapping[str, str] | None = None,
    pack_int4: bool = True,
    remarks: Sequence[str] = (),
    is_quantized: bool = False,
    free: Collection[str] = (),
) -> Iterator[StagedBundle]:
    """Write a bundle beside its target; it appears on `commit`, and vanishes if the block ends without.

    Args:
        graph: any names; they become identifiers, and the manifest keeps the original ones.
        folder: the target; its parent is created.
        manifest_extra: goes under our key of the manifest.
        files: relative path -> content or file to copy, for what travels along.
        force: replace an existing folder, in one step, on `commit`.
        tool: program and version for the manifest; ours by default.
        names: identifier -> original name, for names that were replaced before; added to the manifest.
        pack_int4: store two 4-bit values per byte.
        remarks: what a reader of the text should know first; each becomes a comment line.
        is_quantized: whether the text's header says so.
        free: names of `files` that may change or go: no hash is stated of them.

    Raises:
        FormatError: the target exists, or something cannot be written.
    """
    safe, originals = safe_graph(graph)
    known = {**(names or {}), **{new: (names or {}).get(old, old) for new, old in originals.items()}}
    text = print_graph(safe, is_quantized=is_quantized, remarks=remarks).encode()
    with StagedFolder(Path(folder), force=force, sign=GRAPH_FILE) as staged:
        staged.write(GRAPH_FILE, text)
        tensors = ((c.key, c.type, c.values) for c in safe.constants.values() if c.key is not None)
        try:
            written = write_weights(staged.path_of(WEIGHTS_FILE), tensors, pack_int4=pack_int4)
        except OSError as exc:
            raise WriteError(f"cannot be written: {exc.strerror}; choose another place", path=str(folder)) from exc
        hashes = write_files(staged, files or {}, _OWN_FILES)
        used = {name for kind in safe.inputs.values() for name in kind.names}
        extension = Extension(
            tool=tool or f"webnn-runtime {VERSION}",
            inputs=tuple(safe.inputs),
            outputs=tuple(safe.outputs),
            names={new: old for new, old in known.items() if new in safe.types},
            unbounded=tuple(sorted(name for name in used if safe.dims[name].is_unbounded)),
            graph_sha256=hashlib.sha256(text).hexdigest(),
            weights_sha256=written.sha256,
            tensor_sha256=written.tensor_sha256,
            file_sha256={name: digest for name, digest in hashes.items() if name not in free},
            more=dict(manifest_extra or {}),
        )
        manifest = Manifest(written.tensors, extension)
        staged.write(MANIFEST_FILE, manifest.to_bytes())
        yield StagedBundle(staged, manifest)


def save_bundle(
    graph: Graph,
    folder: str | Path,
    *,
    manifest_extra: Mapping[str, Any] | None = None,
    files: Mapping[str, Path | bytes] | None = None,
    force: bool = False,
    pack_int4: bool = True,
) -> Path:
    """Write a bundle, completely or not at all; see `staged_bundle`.

    Raises:
        FormatError: the target exists, or something cannot be written.

    Example:
        >>> from webnn_runtime import load_bundle, save_bundle
        >>> save_bundle(load_bundle("model-webnn").graph, "copy-webnn").name
        'copy-webnn'
    """
    with staged_bundle(
        graph, folder, manifest_extra=manifest_extra, files=files, force=force, pack_int4=pack_int4
    ) as staged:
        return staged.commit()
