"""Whether what a download wrote is what the Hub has, and all of it.

`huggingface_hub` compares lengths. A download that was cut off by a crash of the machine and went on afterwards, a
proxy or a faulty disk leave other bytes of the right length, and weights with other bytes are other numbers.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from webnn_runtime.format.companions import MANIFEST_FILE, WEIGHTS_FILE
from webnn_runtime.format.errors import FormatError, HubError
from webnn_runtime.format.file_hashes import file_sha256

__all__ = ["blobs_of", "refuse_altered", "stated_names"]

# The cache calls a large file after its SHA-256. Small files have a hash of git's, or what another Hub takes.
_SHA256: Final = r"[0-9a-f]{64}"


def blobs_of(snapshot: Path | None, names: Iterable[str]) -> frozenset[str]:
    """Paths of what the links of a snapshot lead to."""
    found = () if snapshot is None else (_blob(snapshot, name) for name in names)
    return frozenset(str(blob) for blob in found if blob is not None)


def refuse_altered(model: str, snapshot: Path, names: Iterable[str], known: Collection[str]) -> None:
    """Compare files that arrived with their hashes, and remove those that are others.

    Args:
        model: what it is called in messages.
        snapshot: folder of the commit.
        names: the files in it.
        known: paths of blobs that were there before.

    Raises:
        HubError: a file is not what the Hub says.
    """
    for name in names:
        blob = _blob(snapshot, name)
        if blob is None or str(blob) in known or not re.fullmatch(_SHA256, blob.name):
            continue
        if blob.is_file() and file_sha256(blob) != blob.name:
            (snapshot / name).unlink()
            blob.unlink()
            raise HubError(
                f"{model}: {name} is not the file that the Hub has (another SHA-256), and was removed; run it again, "
                "and where that changes nothing, check HF_ENDPOINT, and proxies on the way"
            )


def _blob(snapshot: Path, name: str) -> Path | None:
    """The repository's own file behind a link of a snapshot, if there is one."""
    file = snapshot / name
    if not file.is_symlink():
        return None  # a copy, where the system has no links: nothing says its hash
    blob = Path(os.path.normpath(file.parent / os.readlink(file)))
    # What repositories share lies elsewhere under another kind of hash, by which it was compared when it came.
    is_own = blob.parent == snapshot.parent.parent / "blobs" and not blob.is_symlink()
    return blob if is_own else None


def stated_names(snapshot: Path, names: Collection[str]) -> list[str]:
    """Files that the manifest of a bundle says came with it, for a cache that does not know what the repository has.

    Of an interrupted download the settings of a tokenizer may be all that is missing, and texts have other vectors
    without them.
    """
    if MANIFEST_FILE not in names:
        return []
    from webnn_runtime.format.manifest import read_manifest

    try:
        found = read_manifest((snapshot / MANIFEST_FILE).read_bytes())
    except (OSError, FormatError):
        return []  # whoever opens the bundle says so
    weights = [WEIGHTS_FILE] if found.extension.weights_sha256 else []
    return [name for name in (*weights, *found.extension.file_sha256) if name not in names]
