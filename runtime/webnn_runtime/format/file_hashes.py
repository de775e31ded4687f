"""SHA-256 of the files that travel along with a graph: a tokenizer that was cut short gives other vectors, or none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from webnn_runtime.format.errors import FormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_files", "file_sha256"]


def file_sha256(path: Path) -> str:
    """Hash of a file, read in pieces.

    Raises:
        OSError: it cannot be read.
    """
    import hashlib  # whoever only runs a model has no need of it

    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def check_files(folder: Path, hashes: Mapping[str, str]) -> None:
    """Compare files below `folder` with their hashes.

    Raises:
        FormatError: one is missing, cannot be read, or is another one.
    """
    for name, wanted in sorted(hashes.items()):
        path = folder.joinpath(*name.split("/"))
        if not path.is_file():
            raise FormatError("came with the bundle, and is not there; copy or convert it again", path=str(path))
        try:
            found = file_sha256(path)
        except OSError as exc:
            raise FormatError(f"cannot be read: {exc.strerror or exc}", path=str(path)) from exc
        if found != wanted:
            raise FormatError(
                "the file does not have the SHA-256 of the manifest; copy or convert the bundle again", path=str(path)
            )
