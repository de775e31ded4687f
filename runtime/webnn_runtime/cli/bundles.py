"""The bundle that a command is given: a path, or an id of the Hub, whose files are fetched."""

from __future__ import annotations

import os
from pathlib import Path

from webnn_runtime.cli.exits import Misuse
from webnn_runtime.format.records import dataclass
from webnn_runtime.hub import resolve, select_bundle
from webnn_runtime.hub.resolve import Select

__all__ = ["FoundBundle", "find_bundle"]


@dataclass(frozen=True, slots=True)
class FoundBundle:
    """Where a bundle lies.

    Attributes:
        named: as the user calls it.
        path: its folder, or its graph file where the user named that.
        repository: on the Hub; None for a path of the user's.
    """

    named: str
    path: str
    repository: str | None = None

    @property
    def folder(self) -> Path:
        """The folder of its files."""
        found = Path(self.path)
        return found if found.is_dir() else found.parent

    def beside(self, name: str) -> Path:
        """Where a file goes that belongs to the bundle.

        Raises:
            Misuse: the bundle is not the user's own.
        """
        if self.repository is not None:
            raise Misuse(f"{self.named}: lies in the Hub's cache, where nothing is written; pass -o FILE")
        return self.folder / name


def find_bundle(named: str, select: Select = select_bundle) -> FoundBundle:
    """The bundle that a path or a Hub id names; nothing is read of it.

    Args:
        named: by the user.
        select: chooses the files to fetch from a repository's list of names.

    Raises:
        HubError: it is not there, or cannot be fetched.
        Misuse: an empty name, as an unset variable of a shell gives.
    """
    if not named:
        raise Misuse("the bundle's name is empty; pass its folder, or a Hub id 'owner/name'")
    if os.path.exists(named):
        return FoundBundle(named, named)
    found = resolve(named, select=select)
    return FoundBundle(named, found.graph or found.folder, found.repo_id)
