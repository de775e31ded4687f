"""Files that a command writes: whole or not at all, and never over somebody's own."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["write_text"]


def write_text(path: Path, text: str, *, mark: str | None = None) -> None:
    """Write a file, or leave what was there.

    Args:
        path: the file; replaced if it is there.
        text: its content.
        mark: how a file begins that may be replaced; None replaces any.

    Raises:
        FileExistsError: the file is there and does not begin with the mark.
        OSError: the place cannot be written.
    """
    if mark is not None and path.exists() and not _begins_with(path, mark):
        raise FileExistsError(f"{path}: is there and was not written by this command; choose another name")
    staged = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        staged.write_text(text, encoding="utf-8", newline="\n")
        os.replace(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def _begins_with(path: Path, mark: str) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark.encode())) == mark.encode()
