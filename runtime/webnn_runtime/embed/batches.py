"""Which texts run together: sorted by length, limited by rows and by tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

__all__ = ["TOKEN_BUDGET", "plan", "plan_unpadded"]

# Padded tokens in one run. Attention scores take heads * length values per token, so what a run needs
# grows with this times the length: 12 heads at 512 tokens are 200 MB, whatever batch_size says.
TOKEN_BUDGET: Final = 8192
# Tokens in one run without padding: enough for every thread to have many chunks, and few enough for the token vectors
# that are pooled afterwards to be in a cache (6 MB at 384 features).
_UNPADDED_BUDGET: Final = 4096


def plan(lengths: Sequence[int], *, rows: int, is_uniform: bool, budget: int = TOKEN_BUDGET) -> Iterator[list[int]]:
    """Indices of the texts of each batch, longest first, so that neighbours need little padding.

    Args:
        lengths: tokens of each text.
        rows: most texts in a batch.
        is_uniform: whether a batch may hold one length only.
        budget: most tokens in a batch, padding included; a single longer text still runs, alone.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist()
    batch: list[int] = []
    for index in order:
        # Sorted: the first of a batch is its longest, and so decides what a row costs.
        if batch:
            longest = lengths[batch[0]]
            is_full = len(batch) >= rows or (len(batch) + 1) * longest > budget
            if is_full or (is_uniform and lengths[index] != longest):
                yield batch
                batch = []
        batch.append(index)
    if batch:
        yield batch


def plan_unpadded(lengths: Sequence[int], budget: int = _UNPADDED_BUDGET) -> Iterator[list[int]]:
    """Indices of the texts of each run, longest first, where each text costs its own tokens and nothing more."""
    # Longest first, so that threads which take chunks in turn finish together.
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable").tolist()
    run: list[int] = []
    tokens = 0
    for index in order:
        if run and tokens + lengths[index] > budget:
            yield run
            run, tokens = [], 0
        run.append(index)
        tokens += lengths[index]
    if run:
        yield run
