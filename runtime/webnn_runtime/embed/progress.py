"""The progress bar of `encode`, drawn only where somebody wants to see it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]


@contextmanager
def progress(total: int, show: bool | None) -> Iterator[Callable[[int], object] | None]:
    """Give what counts texts done, or None without a bar; `show=None` shows it at log level INFO or DEBUG."""
    if show is None:
        show = _is_verbose()
    if not show:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="Embedding", unit="text") as bar:
        yield bar.update


def _is_verbose() -> bool:
    """Whether the embedder's log level is INFO or DEBUG; sentence-transformers goes by its own in the same way."""
    # A program that never loaded logging never set a level.
    logging = sys.modules.get("logging")
    if logging is None:
        return False
    level: int = logging.getLogger("webnn_runtime.embed.embedder").getEffectiveLevel()
    return level <= int(logging.INFO)
