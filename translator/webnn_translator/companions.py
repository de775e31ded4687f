"""What travels with a model into its bundle: the tokenizer, the modules and their configuration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from webnn_runtime.hub.files import select_companions

__all__ = ["companions_in"]


def companions_in(folder: Path) -> dict[str, Path]:
    """Name in the bundle -> file."""
    names = [path.relative_to(folder).as_posix() for path in _shallow(folder)]
    return {name: folder / name for name in select_companions(names)}


def _shallow(folder: Path) -> Iterator[Path]:
    # Companions lie in the folder itself or one below: a file may stand in a folder with a million others deeper down.
    for path in sorted(folder.iterdir()):
        if path.is_file():
            yield path
        elif path.is_dir() and path.name[:1].isdigit():
            yield from (inner for inner in sorted(path.iterdir()) if inner.is_file())
