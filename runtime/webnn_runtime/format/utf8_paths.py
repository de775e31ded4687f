"""Paths for libraries that take a name and open the file themselves."""

from __future__ import annotations

import os

from webnn_runtime.format.errors import FormatError

__all__ = ["in_utf8"]


def in_utf8(path: str | os.PathLike[str]) -> str:
    """The path, where UTF-8 of its characters is its name on disk: libraries in C++ take it for that in any locale.

    Raises:
        FormatError: it is not, as where the locale has another encoding; another file would be opened, or none.
    """
    name = os.fspath(path)
    try:
        is_same = os.fsencode(name) == name.encode("utf-8")
    except UnicodeEncodeError:
        is_same = False
    if not is_same:
        raise FormatError(
            "to this process the name is not UTF-8, and libraries take no other; set PYTHONUTF8=1 or LC_ALL=C.UTF-8, "
            "or rename it",
            path=name,
        )
    return name
