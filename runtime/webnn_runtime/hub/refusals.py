"""What a Hub answered instead of a model, in words that say what to do."""

from __future__ import annotations

import errno
import re
from typing import Final

from webnn_runtime.format.errors import HubError

__all__ = ["WRONG_ANSWERS", "endpoint", "of_this_machine", "refusal", "unfinished", "what_happened"]

# What comes of an answer that is none of a Hub's, as the page of a proxy.
WRONG_ANSWERS: Final = (ValueError, LookupError, TypeError, AttributeError)

# Hubs repeat in an answer what they were sent, and an address may hold a password.
_SECRET: Final = re.compile(r"hf_[A-Za-z0-9_]{8,}|(?<=Bearer )\S+|(?<=://)[^/@\s]+(?=@)")
_DENIED: Final = (401, 403)
_TOO_MANY: Final = 429
_REFUSED: Final = 400
_SERVER: Final = 500
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)


def refusal(name: str, repo_id: str, revision: str | None, error: BaseException) -> HubError | None:
    """The error for an answer that no cached copy makes up for; None for any other.

    Args:
        name: what the model is called in messages.
        repo_id: its repository.
        revision: branch, tag or commit that was asked for.
        error: of `huggingface_hub`.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return HubError(
            f"{name}: access to this repository is restricted; accept its terms at "
            f"{endpoint()}/{repo_id} and pass token=, set HF_TOKEN, or run: hf auth login"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return HubError(
            f"{name}: no such folder here, and no such repository at {endpoint()}; "
            "check the spelling, and pass token= or set HF_TOKEN if it is private"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return HubError(f"{name}: the repository has no revision '{revision}'; pass a branch, a tag or a commit")
    if isinstance(error, errors.HFValidationError):
        return HubError(f"{name}: not a valid Hub id; it looks like 'owner/name'")
    return None


def endpoint() -> str:
    """The Hub's address as messages show it."""
    from huggingface_hub import constants

    return _SECRET.sub("***", constants.ENDPOINT)


def what_happened(error: BaseException) -> tuple[str, str]:
    """What a Hub did instead of answering, as said after its address, and what to do about it."""
    text = _first_line(error)
    status = _status(error)
    if status in _DENIED:
        way = "check the token that is passed as token=, in HF_TOKEN or saved by hf auth login, and what it may read"
        return f"denies access ({text})", way
    if status == _TOO_MANY:
        return f"has had too many requests ({text})", "wait some minutes, or set HF_TOKEN, which allows more of them"
    if isinstance(status, int) and status >= _SERVER:
        return f"fails ({text})", "try again later"
    if isinstance(status, int) and status >= _REFUSED:
        return f"refuses ({text})", "check the id and HF_ENDPOINT"
    if _is_wrong_answer(error):
        return (
            f"answers what no Hub would ({type(error).__name__}: {text})",
            "check HF_ENDPOINT, and whether a proxy or a login page answers in its place",
        )
    return f"cannot be reached ({text})", "check the network or HF_ENDPOINT"


def unfinished(error: BaseException) -> str:
    """What to say of a download that ended with `error`."""
    status = _status(error)
    if status in (*_DENIED, _TOO_MANY) or _is_wrong_answer(error):
        happened, way = what_happened(error)
        return f"{endpoint()} {happened}; {way}"
    return f"the download did not finish ({_first_line(error)}); run it again, finished files are kept"


def of_this_machine(error: OSError) -> str | None:
    """What to say where `error` comes of the cache's place and not of the network; None where it does not."""
    if error.errno in _NO_ROOM:
        return (
            f"the cache has no room for it ({error.strerror}); make room, or set HF_HOME or pass cache_dir= to choose "
            "another place; finished files are kept"
        )
    if error.filename is None:
        return None
    return (
        f"the cache cannot be written ({error.strerror or error}: {error.filename}); set HF_HOME or pass cache_dir= to "
        "choose another place"
    )


def _is_wrong_answer(error: BaseException) -> bool:
    # That a file is not in the cache is a ValueError too.
    return _status(error) is None and isinstance(error, WRONG_ANSWERS) and not isinstance(error, FileNotFoundError)


def _status(error: BaseException) -> object:
    return getattr(getattr(error, "response", None), "status_code", None)


def _first_line(error: BaseException) -> str:
    """What an error says, in one line and without tokens."""
    lines = str(error).strip().splitlines()
    return _SECRET.sub("***", lines[0]) if lines else type(error).__name__
