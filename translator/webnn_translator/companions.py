"""What travels with a model into its bundle: the tokenizer, the modules and their configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from webnn_runtime.format.errors import MissingFile
from webnn_runtime.hub.files import select_companions

__all__ = ["companions_in"]


def companions_in(folder: Path) -> dict[str, Path]:
    """Name in the bundle -> file.

    Raises:
        MissingFile: one is a link to nothing, as a copy of a cache may hold. Without it texts would have other vectors.
    """
    names = [path.relative_to(folder).as_posix() for path in _shallow(folder)]
    found = {name: folder / name for name in select_companions(names)}
    for path in found.values():
        if not path.is_file():
            raise MissingFile("a link to a file that is not there; copy or download the model again", path=str(path))
    return found


def _shallow(folder: Path) -> Iterator[Path]:
    # Companions lie in the folder itself or one below: a file may stand in a folder with a million others deeper down.
    for path in sorted(folder.iterdir()):
        if _is_file(path):
            yield path
        elif path.is_dir() and path.name[:1].isdigit():
            yield from (inner for inner in sorted(path.iterdir()) if _is_file(inner))


def _is_file(path: Path) -> bool:
    return path.is_file() or (path.is_symlink() and not path.exists())
