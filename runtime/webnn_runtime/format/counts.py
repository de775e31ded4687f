"""Numbers that count something: threads, bytes, texts, features."""

from __future__ import annotations

from operator import index

__all__ = ["is_count"]


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
