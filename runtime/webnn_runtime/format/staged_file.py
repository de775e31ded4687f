"""A file that appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

__all__ = ["staged_file"]


@contextlib.contextmanager
def staged_file(target: Path) -> Iterator[Path]:
    """A hidden name beside the target; what is written there takes its place where all went well, else it goes.

    Raises:
        OSError: the place cannot be written, or has something that is no file; the target is as it was.
    """
    if target.exists() and not target.is_file():
        # A device or a pipe would be replaced by a file, by who may: /dev/null for every program of the machine.
        raise FileExistsError(errno.EEXIST, "it is there and is no file", str(target))
    staged = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        yield staged
        os.replace(staged, target)
    finally:
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
