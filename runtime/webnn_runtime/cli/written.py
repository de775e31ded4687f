"""Files that a command writes: whole or not at all, and never over somebody's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from webnn_runtime.format.errors import WriteError
from webnn_runtime.format.staged_file import staged_file

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["check_place", "write_bytes", "write_rows", "write_text"]


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
    with _writing(path) as staged:
        staged.write_bytes(content)


def write_rows(path: Path, portions: Iterable[npt.NDArray[Any]]) -> tuple[int, int]:
    """Write matrices of one type below each other to one `.npy` file, or leave what was there.

    Args:
        path: the file.
        portions: at least one matrix; each is written when it comes, so that all of them are never in memory.

    Returns:
        How many rows there are, and their size.

    Raises:
        WriteError: the place cannot be written.
    """
    shape = (0, 0)
    with _writing(path) as staged, staged.open("wb") as file:
        for rows in portions:
            if not file.tell():
                _write_header(file, rows.dtype, rows.shape)
            file.write(rows.tobytes())
            shape = (shape[0] + len(rows), rows.shape[1])
        # NumPy's header has room for the longest number of rows, so that the one of all fits where the first one was.
        file.seek(0)
        _write_header(file, rows.dtype, shape)
    return shape


def _write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    from numpy.lib import format as npy

    npy.write_array_header_1_0(file, {"descr": npy.dtype_to_descr(dtype), "fortran_order": False, "shape": shape})


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        with staged_file(path) as staged:
            yield staged
    except OSError as exc:
        raise WriteError(f"cannot be written: {exc.strerror or exc}; choose another place", path=str(path)) from exc


def _begins_with(path: Path, mark: str) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark.encode())) == mark.encode()
