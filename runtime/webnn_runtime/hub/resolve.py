"""From a model id to a local folder: the folder itself, or a snapshot in the Hub's cache.

The network is used through `huggingface_hub` only, which brings the shared cache, resumed downloads,
tokens, `HF_ENDPOINT` and `HF_HUB_OFFLINE`; its errors are translated here and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

from webnn_runtime.format.counts import is_flag
from webnn_runtime.format.errors import HubError, HubMisuse
from webnn_runtime.format.records import dataclass
from webnn_runtime.hub.files import select_bundle

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ModelFolder", "Select", "resolve"]

Select = Callable[[Collection[str]], Sequence[str]]

# owner/name, and a branch, tag or commit after an @.
_HUB_ID: Final = r"([A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+)(?:@([A-Za-z0-9][A-Za-z0-9_./+-]*))?"
# The page of a model, of its files or of one of them.
_ADDRESS: Final = r"https?://[^/@]+/([A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9_.-]+)(?:/.*)?"
# Matches no file: asks the cache only where a snapshot lies, not whether all of it is there.
_NO_FILE: Final = "\x00"


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model's files on this machine.

    Attributes:
        folder: where they are.
        graph: the graph inside it, when the caller named a file and not a folder.
        repo_id: repository on the Hub, None for a local folder.
        revision: commit the files belong to, None for a local folder.
    """

    folder: str
    graph: str | None = None
    repo_id: str | None = None
    revision: str | None = None

    @property
    def path(self) -> Path:
        """The folder as a path."""
        from pathlib import Path  # 2 ms, which who only reads the files has no need of

        return Path(self.folder)

    @property
    def file(self) -> Path | None:
        """The graph as a path."""
        from pathlib import Path

        return None if self.graph is None else Path(self.graph)

    @property
    def source(self) -> str:
        """What to call the model in messages."""
        return self.repo_id if self.repo_id is not None else self.graph or self.folder


def resolve(
    model_id: str | os.PathLike[str],
    *,
    select: Select = select_bundle,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
) -> ModelFolder:
    """Find `model_id` on disk or fetch it from the Hub.

    An existing path wins over a repository of the same name, as everywhere in the Hub's tools.

    Args:
        model_id: a folder, a `.webnn` file, or a Hub id `owner/name` or `owner/name@revision`.
        select: chooses the files to fetch from the repository's list of names.
        revision: branch, tag or commit; `main` when None. Only for a Hub id.
        token: access token; None uses the one that was saved by `hf auth login`, False uses none.
        cache_dir: the Hub cache; None uses `HF_HOME` and its relatives.
        local_files_only: never use the network.

    Raises:
        HubError: the model is not there, or cannot be fetched; the message says what to do.
    """
    if not isinstance(model_id, (str, os.PathLike)):
        raise HubMisuse(
            f"the model {model_id!r} is no name; pass an existing folder or 'owner/name' as a str or a Path"
        )
    if not is_flag(local_files_only):
        raise HubMisuse(f"local_files_only={local_files_only!r}; expected True or False")
    text = os.fspath(model_id)
    if not text:
        raise HubError("the model's name is empty; pass an existing folder or 'owner/name'")
    path = os.path.expanduser(text) or os.curdir
    path = path if os.path.basename(path) else os.path.dirname(path)
    if os.path.exists(path):
        if revision is not None:
            raise HubError(f"{text}: a local path has no revision '{revision}'; leave revision out, or pass a Hub id")
        if os.path.isdir(path):
            return ModelFolder(path)
        return ModelFolder(os.path.dirname(path) or os.curdir, graph=path)
    if os.path.islink(path):
        raise HubError(f"{text}: a link to something that is not there; check where it points to")
    named = re.fullmatch(_HUB_ID, text) if isinstance(model_id, str) else None
    if named is None:
        if address := re.fullmatch(_ADDRESS, text):
            raise HubError(
                f"{text}: the address of a page; pass the id '{address[1]}', with HF_ENDPOINT where it is another Hub's"
            )
        raise HubError(f"{text}: no such folder, and not a Hub id; pass an existing folder or 'owner/name'")
    if named[2] is not None and revision is not None:
        raise HubError(f"{text}: says a revision, and '{revision}' is given as well; leave one of them out")
    asked = named[2] if revision is None else revision
    return _Repository(named[1], asked, token, None if cache_dir is None else os.fspath(cache_dir)).fetch(
        select, local_files_only=local_files_only
    )


@dataclass(frozen=True, slots=True)
class _Repository:
    repo_id: str
    revision: str | None
    token: str | bool | None
    cache_dir: str | None

    @property
    def name(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"

    def fetch(self, select: Select, *, local_files_only: bool) -> ModelFolder:
        try:
            from huggingface_hub import constants
        except ImportError as exc:
            raise HubError(
                f"{self.name}: huggingface_hub is not installed; pip install huggingface_hub, or pass a local folder"
            ) from exc
        cache = os.path.expanduser(constants.HF_HUB_CACHE if self.cache_dir is None else self.cache_dir)
        if cache.startswith("~"):
            # As in a container whose user has neither HOME nor an entry among the users.
            raise HubError(
                f"{self.name}: no such folder here, and the cache is in a home folder that nothing says ({cache}); set "
                "HF_HOME or pass cache_dir= to choose another place"
            )
        if local_files_only or constants.HF_HUB_OFFLINE:
            asked = "local_files_only=True" if local_files_only else "HF_HUB_OFFLINE is set"
            return self._from_cache(
                select,
                f"no such folder here, {asked}, and it is not in the cache; check the path, or download it once with "
                "network",
            )
        return self._from_network(select)

    def _from_network(self, select: Select) -> ModelFolder:
        from huggingface_hub import HfApi, constants, errors

        from webnn_runtime.hub.refusals import WRONG_ANSWERS, refusal

        try:
            # Without a limit a Hub that takes the call and says nothing is waited for without end.
            info = HfApi(token=self.token).model_info(
                self.repo_id, revision=self.revision, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
            if not isinstance(info.sha, str):
                raise ValueError("no commit")
            names = [sibling.rfilename for sibling in info.siblings or ()]
        # HTTPError is that of the client this release is built on: requests, httpx ...
        except (OSError, errors.HTTPError, *WRONG_ANSWERS) as exc:  # type: ignore[attr-defined]
            if refused := refusal(self.name, self.repo_id, self.revision, exc):
                raise refused from exc
            return self._without_network(select, exc)
        wanted = self._choose(select, names)
        path = self._snapshot(wanted)
        _require(self.name, path, wanted)
        # The folder is called after the commit that was fetched, which may be newer than the one that was asked about.
        return ModelFolder(str(path), repo_id=self.repo_id, revision=path.name)

    def _without_network(self, select: Select, reason: Exception) -> ModelFolder:
        from webnn_runtime.hub.refusals import endpoint, what_happened

        happened, way = what_happened(reason)
        folder = self._from_cache(
            select,
            f"no such folder here, {endpoint()} {happened}, and it is not in the cache; {way}, or pass a local folder",
        )
        import logging

        logging.getLogger(__name__).warning("%s: %s %s; using the cached copy", self.name, endpoint(), happened)
        return folder

    def _cached(self) -> Path | None:
        """Where a snapshot of the revision lies in the cache, be it whole or not."""
        from pathlib import Path

        from huggingface_hub import errors, snapshot_download

        try:
            return Path(
                snapshot_download(
                    self.repo_id,
                    revision=self.revision,
                    cache_dir=self.cache_dir,
                    local_files_only=True,
                    allow_patterns=[_NO_FILE],
                )
            )
        except errors.LocalEntryNotFoundError:
            return None

    def _from_cache(self, select: Select, missing: str) -> ModelFolder:
        path = self._cached()
        if path is None:
            raise HubError(f"{self.name}: {missing}")
        names = [file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()]
        known = self._names_of(path.name)
        if known is None:
            from webnn_runtime.hub.arrivals import stated_names

            known = [*names, *stated_names(path, names)]
        wanted = self._choose(select, known)
        # Of an interrupted download a file of settings may be all that is missing, and its absence says something else.
        if absent := sorted(set(wanted) - set(names)):
            raise HubError(
                f"{self.name}: the copy in the cache lacks {', '.join(absent)}; run it once with network, finished "
                "files are kept"
            )
        return ModelFolder(str(path), repo_id=self.repo_id, revision=path.name)

    def _names_of(self, commit: str) -> list[str] | None:
        """Files of the repository, as the last download noted them; None where it noted nothing."""
        try:
            from huggingface_hub import get_cached_repo_tree
        except ImportError:
            return None  # older releases, such as 1.20
        from huggingface_hub import errors

        try:
            tree = get_cached_repo_tree(self.repo_id, revision=commit, cache_dir=self.cache_dir)
        except errors.CachedRepoTreeNotFoundError:
            return None
        return [file.path for file in tree]

    def _snapshot(self, wanted: Sequence[str]) -> Path:
        import glob
        from pathlib import Path

        from huggingface_hub import errors, snapshot_download

        from webnn_runtime.hub.arrivals import blobs_of, refuse_altered
        from webnn_runtime.hub.refusals import WRONG_ANSWERS, of_this_machine, refusal, unfinished

        arguments: dict[str, Any] = {"revision": self.revision, "cache_dir": self.cache_dir, "token": self.token}
        before = blobs_of(self._cached(), wanted)
        try:
            path = Path(
                snapshot_download(self.repo_id, allow_patterns=[glob.escape(name) for name in wanted], **arguments)
            )
        except (OSError, errors.HTTPError, errors.EntryNotFoundError, *WRONG_ANSWERS) as exc:  # type: ignore[attr-defined]
            # A file that is neither there nor in the cache hides what the Hub answered.
            answer: BaseException = exc.__cause__ or exc if isinstance(exc, errors.LocalEntryNotFoundError) else exc
            if isinstance(answer, OSError) and (local := of_this_machine(answer)):
                raise HubError(f"{self.name}: {local}") from exc
            if refused := refusal(self.name, self.repo_id, self.revision, answer):
                raise refused from exc
            raise HubError(f"{self.name}: {unfinished(answer)}") from exc
        refuse_altered(self.name, path, wanted, before)
        return path

    def _choose(self, select: Select, names: Collection[str]) -> Sequence[str]:
        try:
            return select(names)
        except HubError as exc:
            raise HubError(f"{self.name}: {exc}") from exc


def _require(name: str, path: Path, wanted: Sequence[str]) -> None:
    missing = [file for file in wanted if not (path / file).is_file()]
    if missing:
        raise HubError(
            f"{name}: the download lacks {', '.join(missing)}; run it again, finished files are kept, and where that "
            f"changes nothing, remove {path.parent.parent} before"
        )
