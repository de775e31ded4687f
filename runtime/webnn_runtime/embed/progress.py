"""The progress bar of embedders and classifiers, drawn only where somebody wants to see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

__all__ = ["progress"]

# One for all: making a generator for each call would cost a single short text half a percent of its time.
_NO_BAR: Final = nullcontext()


def progress(
    total: int | None, show: bool | None, what: str = "Embedding"
) -> AbstractContextManager[Callable[[int], object] | None]:
    """Give what counts texts done, or None without a bar; `show=None` shows it at log level INFO or DEBUG.

    Without a `total` the bar says how many there were so far.
    """
    if show is None:
        show = _is_verbose()
    return _bar(total, what) if show else _NO_BAR


@contextmanager
def _bar(total: int | None, what: str) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    with tqdm(total=total, desc=what, unit="text") as bar:
        yield bar.update


def _is_verbose() -> bool:
    """Whether the embedder's log level is INFO or DEBUG; sentence-transformers goes by its own in the same way."""
    # A program that never loaded logging never set a level.
    logging = sys.modules.get("logging")
    if logging is None:
        return False
    level: int = logging.getLogger("webnn_runtime.embed.embedder").getEffectiveLevel()
    return level <= int(logging.INFO)
