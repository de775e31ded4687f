"""A folder that appears complete or not at all.

Files are written into a hidden folder beside the target and flushed; publishing is one rename. A process
that dies leaves only the hidden folder, which the next writer of the same target removes: each is locked
for the life of its process, so a lock that can be taken means nobody is at work there.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final

from webnn_runtime.format.companions import is_inside
from webnn_runtime.format.errors import FormatError, WriteError
from webnn_runtime.format.file_hashes import file_sha256

__all__ = ["StagedFolder", "write_files"]

_MARK: Final = "webnn-staging"
# renameat2(2): swap two names in one step, so that not even a power cut finds the target missing.
_RENAME_EXCHANGE: Final = 2
_AT_FDCWD: Final = -100


def refuse_target(target: Path, *, sign: str, force: bool) -> None:
    """Refuse a place where no folder can be put; also for a caller who would know it before the work.

    Raises:
        WriteError: it is no name, or something is there that may not be replaced.
    """
    if target.name in ("", ".", ".."):
        raise WriteError(f"'{target}' is no name for a new folder; choose another one", path=str(target))
    if not os.path.lexists(target):
        above = next(folder for folder in (*target.parents, Path()) if os.path.lexists(folder))
        if not above.is_dir():
            raise WriteError(f"cannot create the folder: '{above}' is a file; choose another place", path=str(target))
        _refuse_read_only(above, target)
        return
    if target.is_symlink() or not target.is_dir():
        raise WriteError("exists already and is no folder; choose another name", path=str(target))
    if not force:
        raise WriteError(
            "exists already; choose another folder, or replace it by --force (force=True)", path=str(target)
        )
    if any(target.iterdir()) and not (target / sign).exists():
        raise WriteError(f"exists already and holds no {sign}; only such folders are replaced", path=str(target))
    _refuse_read_only(target.parent, target)


def _refuse_read_only(folder: Path, target: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(
            f"cannot create the folder: nothing can be written into '{folder}'; choose another place", path=str(target)
        )


class StagedFolder:
    """`with StagedFolder(target) as staged: ...; staged.publish()`; without `publish` nothing remains.

    Attributes:
        target: where the folder will be.
        folder: where its files are written until then.
        force: whether an older folder may be replaced.
        sign: a file that tells an older folder from one that only has the same name; without it, `force`
            would delete whatever somebody mistyped.
    """

    def __init__(self, target: Path, *, sign: str, force: bool = False) -> None:
        self.target = target
        self.force = force
        self.sign = sign
        name = f".{target.name}.{_MARK}-{os.getpid()}-{secrets.token_hex(4)}"
        self.folder = target.parent / name
        self._lock: int | None = None
        self._published = False

    def __enter__(self) -> StagedFolder:
        try:
            refuse_target(self.target, sign=self.sign, force=self.force)
            self.target.parent.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(self.target)
            self.folder.mkdir()
        except (OSError, ValueError) as exc:
            # Python's own functions refuse a NUL with a ValueError.
            reason = exc.strerror if isinstance(exc, OSError) else str(exc)
            raise WriteError(
                f"cannot create the folder: {reason}; choose another place", path=str(self.target)
            ) from exc
        self._lock = _locked(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._published:
            shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)

    def write(self, name: str, data: bytes) -> Path:
        """Write one file, replacing an earlier one, and flush it to the disk.

        Raises:
            FormatError: a name that does not stay inside the folder, or a disk that does not take it.
        """
        return self._fill(name, lambda file: file.write(data))

    def copy(self, name: str, source: Path) -> Path:
        """Copy one file in pieces, and flush it to the disk.

        Raises:
            FormatError: as for `write`, or a source that cannot be read.
        """
        try:
            with source.open("rb") as original:
                return self._fill(name, lambda file: shutil.copyfileobj(original, file, 1 << 20))
        except OSError as exc:
            raise WriteError(f"cannot be read: {exc.strerror}; it belongs beside the graph", path=str(source)) from exc

    def _fill(self, name: str, fill: Callable[[BinaryIO], object]) -> Path:
        path = self.path_of(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                fill(file)
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            # The folder it is staged in is gone by the time anybody reads this.
            wrong = f"'{name}' cannot be written: {exc.strerror}; choose another place"
            raise WriteError(wrong, path=str(self.target)) from exc
        return path

    def path_of(self, name: str) -> Path:
        """Where a file goes; `name` is relative, with `/` between folders.

        Raises:
            FormatError: a name that does not stay inside the folder.
        """
        if not is_inside(name):
            raise FormatError(f"file name {name!r} does not stay inside the folder; give a relative path with '/'")
        return self.folder.joinpath(*name.split("/"))

    def publish(self) -> Path:
        """Make the folder appear under its target name, in place of an older one if `force` was given.

        Raises:
            FormatError: the target exists, or cannot be replaced.
        """
        refuse_target(self.target, sign=self.sign, force=self.force)
        for place, _, _ in os.walk(self.folder):
            _flush_folder(Path(place))
        try:
            if self.target.is_dir():
                self._replace()
            else:
                self.folder.rename(self.target)
        except OSError as exc:
            raise WriteError(f"cannot be put in place: {exc.strerror}", path=str(self.target)) from exc
        self._published = True
        _flush_folder(self.target.parent)
        return self.target

    def _replace(self) -> None:
        """Swap with the older folder, which is removed only afterwards."""
        if _exchange(self.folder, self.target):
            shutil.rmtree(self.folder, ignore_errors=True)
            return
        old = self.folder.with_name(f"{self.folder.name}-old")
        self.target.rename(old)
        try:
            self.folder.rename(self.target)
        except OSError:
            old.rename(self.target)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _exchange(left: Path, right: Path) -> bool:
    """Swap two names atomically; False where the system cannot."""
    if sys.platform != "linux":
        return False
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(left), _AT_FDCWD, os.fsencode(right), _RENAME_EXCHANGE)
    return bool(done == 0)


def _flush_folder(folder: Path) -> None:
    # Only POSIX systems open folders; elsewhere the rename itself is all there is.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """A descriptor that keeps the folder locked until it is closed; None if a living process has it."""
    if sys.platform == "win32":
        return None
    import fcntl  # POSIX only

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _remove_abandoned(target: Path) -> None:
    for folder, process in _hidden_folders(target):
        # Between its creation and its lock a folder looks abandoned; then its process is alive.
        if _is_alive(process):
            continue
        with contextlib.suppress(FileNotFoundError):
            lock = _locked(folder)
            if lock is None:
                continue
            if folder.name.endswith("-old") and not target.exists():
                folder.rename(target)
            else:
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _hidden_folders(target: Path) -> Iterator[tuple[Path, int]]:
    """Staging folders of a target, and the process each belongs to."""
    prefix = f".{target.name}.{_MARK}-"
    for path in sorted(target.parent.iterdir()):
        if path.name.startswith(prefix) and path.is_dir() and not path.is_symlink():
            process = path.name[len(prefix) :].split("-")[0]
            if process.isdigit():
                yield path, int(process)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def write_files(staged: StagedFolder, files: Mapping[str, Path | bytes], taken: frozenset[str]) -> dict[str, str]:
    """Write further files beside those of the format; returns the SHA-256 of each.

    Raises:
        FormatError: a name is taken, leaves the folder, or a source cannot be read.
    """
    hashes = {}
    for name, source in sorted(files.items()):
        if name in taken:
            raise FormatError(f"file name '{name}' is one of the bundle's own; call it otherwise")
        written = staged.write(name, source) if isinstance(source, bytes) else staged.copy(name, source)
        hashes[name] = file_sha256(written)
    return hashes
