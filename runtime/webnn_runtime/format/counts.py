"""What callers pass: numbers that count something (threads, bytes, texts, features), and yes or no."""

from __future__ import annotations

from operator import index

import numpy as np

__all__ = ["is_count", "is_flag"]


def is_count(value: object, least: int, most: int | None = None) -> bool:
    """Whether something is a whole number within bounds."""
    # NumPy's integers are as good as Python's; a float is not, even a whole one, and yes is no number.
    if isinstance(value, bool):
        return False
    try:
        count = index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return least <= count and (most is None or count <= most)


def is_flag(value: object) -> bool:
    """Whether something is yes or no; the word "no" would count as yes."""
    return isinstance(value, (bool, np.bool_))
