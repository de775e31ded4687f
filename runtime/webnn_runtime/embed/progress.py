"""The progress bar of `encode`, drawn only where somebody wants to see it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress"]

# The log level that speaks for the embedder; sentence-transformers goes by its own in the same way.
_log = logging.getLogger("webnn_runtime.embed.embedder")


@contextmanager
def progress(total: int, show: bool | None) -> Iterator[Callable[[int], object] | None]:
    """Give what counts texts done, or None without a bar; `show=None` shows it at log level INFO or DEBUG."""
    if show is None:
        show = _log.getEffectiveLevel() <= logging.INFO
    if not show:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc="Embedding", unit="text") as bar:
        yield bar.update
