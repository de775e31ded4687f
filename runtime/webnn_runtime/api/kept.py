"""What belongs to one context of one process."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["Kept"]


class Kept:
    """Refuses to be copied or pickled: a copy would share what `destroy` frees, and elsewhere has nothing behind it."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__}: belongs to its context, and cannot be copied or pickled; another process makes a "
            "context of its own, and MLGraph.save and MLGraph.load take a graph there"
        )
