"""Files that a command writes: whole or not at all, and never over somebody's own."""

from __future__ import annotations

import os
from pathlib import Path

from webnn_runtime.format.errors import WriteError
from webnn_runtime.format.staged_file import staged_file

__all__ = ["check_place", "write_bytes", "write_text"]


def check_place(path: Path, *, mark: str | None = None) -> None:
    """Refuse a place that takes no file, before the work whose result it would hold.

    Args:
        path: the file; one that is there is going to be replaced.
        mark: how a file begins that may be replaced; None replaces any.

    Raises:
        FileExistsError: the file is there and does not begin with the mark.
        WriteError: a folder has the name, or something else that is no file, or the folder for it is not there or not
            to be written.
    """
    folder = path.parent
    if path.exists() and not path.is_file():
        what = "a folder" if path.is_dir() else "a device or a pipe"
        raise WriteError(f"is {what}; pass the name of a file", path=str(path))
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "is not there"
        raise WriteError(f"the folder '{folder}' {what}; choose another place, or make it first", path=str(path))
    if not os.access(folder, os.W_OK):
        raise WriteError(f"the folder '{folder}' cannot be written; choose another place", path=str(path))
    if mark is not None and path.exists() and not _begins_with(path, mark):
        raise FileExistsError(f"{path}: is there and was not written by this command; choose another name")


def write_text(path: Path, text: str) -> None:
    """Write a file, or leave what was there.

    Raises:
        WriteError: the place cannot be written.
    """
    # A name that is no text in UTF-8 is shown by its code, which JavaScript reads as what it was.
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, or leave what was there.

    Raises:
        WriteError: the place cannot be written.
    """
    try:
        with staged_file(path) as staged:
            staged.write_bytes(content)
    except OSError as exc:
        raise WriteError(f"cannot be written: {exc.strerror or exc}; choose another place", path=str(path)) from exc


def _begins_with(path: Path, mark: str) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark.encode())) == mark.encode()
