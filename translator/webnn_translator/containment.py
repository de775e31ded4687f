"""A file that a model names must lie beside the model: names are a stranger's, and never lead elsewhere."""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath

from webnn_runtime.format.errors import FormatError

__all__ = ["contained_file"]


def contained_file(folder: Path, name: str, *, what: str, path: str) -> Path:
    """The file `name` in `folder`.

    Links are followed, and must end in the folder as well; the Hub's cache keeps a snapshot as links into the
    `blobs` of the same repository, and these as links into the `blobs` of all repositories, which are the only other
    places they may end in.

    Raises:
        FormatError: the name is absolute, has `..`, leads out of the folder, names no regular file, or one that
            has a second name.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts
    absolute = name.startswith(("/", "\\")) or PureWindowsPath(name).drive != ""
    if not name or "\x00" in name or absolute or ".." in parts:
        raise FormatError(
            f"{what} is said to be in '{name}'; it must name a file beside the model, without '..'", path=path
        )
    try:
        found = (folder / name).resolve()
        is_file = found.is_file()
    except (OSError, RuntimeError) as exc:
        # A name that is longer than names can be, or links in a circle.
        raise FormatError(f"{what}: '{name}' cannot be a file beside the model: {exc}", path=path) from exc
    if not any(found.is_relative_to(root) for root in _roots(folder)):
        raise FormatError(f"{what}: '{name}' is a link out of the model's folder; copy the file there", path=path)
    if not is_file:
        raise FormatError(f"{what}: there is no file '{name}' beside the model; keep both together", path=path)
    if found.stat().st_nlink > 1 and not _is_cached(found, folder):
        # A second name may be that of a file anywhere; onnx itself refuses such files for this reason.
        raise FormatError(f"{what}: '{name}' has another name elsewhere (a hard link); copy the file", path=path)
    return found


def _is_cached(found: Path, folder: Path) -> bool:
    return any(found.is_relative_to(root) for root in _roots(folder)[1:])


def _roots(folder: Path) -> list[Path]:
    # .../models--owner--name/snapshots/REVISION/[folders/]model.onnx
    snapshots = [parent for parent in folder.absolute().parents if parent.name == "snapshots"]
    repositories = [parent.parent for parent in snapshots if parent.parent.name.startswith("models--")]
    cached = [place / "blobs" for repository in repositories for place in (repository, repository.parent)]
    return [folder.resolve(), *(blobs.resolve() for blobs in cached)]
