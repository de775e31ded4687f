"""Adding to the manifest of a bundle that exists: in one step, and nothing else of it changes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from webnn_runtime.format.companions import find_companions, find_graph
from webnn_runtime.format.errors import ManifestError, WriteError
from webnn_runtime.format.manifest import MAX_MANIFEST, read_manifest
from webnn_runtime.format.records import replace
from webnn_runtime.format.staged_file import staged_file

__all__ = ["annotate_bundle"]


def annotate_bundle(path: str | Path, extra: Mapping[str, Any]) -> Path:
    """Add to our key of a bundle's manifest, or replace there.

    Args:
        path: a bundle's folder, or its graph file.
        extra: key -> value.

    Returns:
        The manifest file.

    Raises:
        ManifestError: there is no manifest, or it is not one of ours.
        WriteError: it cannot be written.
        FormatError: a key that the format defines, or a value that JSON cannot hold.
    """
    graph = find_graph(Path(path))
    found = find_companions(graph).manifest
    if found is None:
        raise ManifestError("there is no manifest to write to", path=str(path))
    file = Path(found)
    with file.open("rb") as stream:
        manifest = read_manifest(stream.read(MAX_MANIFEST + 1), path=str(file))
    if not manifest.extension.tool:
        # Writing it again would lose what other tools keep there.
        raise ManifestError("the manifest was written by another tool; only our own are added to", path=str(file))
    extension = replace(manifest.extension, more={**manifest.extension.more, **extra})
    content = replace(manifest, extension=extension).to_bytes()
    try:
        with staged_file(file) as staged:
            staged.write_bytes(content)
    except OSError as exc:
        raise WriteError(
            f"cannot be written: {exc.strerror or exc}; copy the bundle to another place", path=str(file)
        ) from exc
    return file
