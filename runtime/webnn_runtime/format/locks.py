"""Locks that a forked child finds open.

The thread that has a lock when another one forks the process is not in the child, which would wait for it for ever:
servers load a model, run it in threads, and fork their workers. What these locks guard is changed in one step, so the
child goes on with what was there.
"""

from __future__ import annotations

import os
from _thread import RLock, allocate_lock
from weakref import WeakSet

__all__ = ["Lock"]

_KNOWN: WeakSet[Lock] = WeakSet()


class Lock:
    """For `with`.

    Args:
        reentrant: whether the thread that has it may take it again.
    """

    __slots__ = ("__weakref__", "_inner", "_make")

    def __init__(self, *, reentrant: bool = False) -> None:
        self._make = RLock if reentrant else allocate_lock
        self.renew()
        _KNOWN.add(self)

    def renew(self) -> None:
        """Be open, whoever had it."""
        self._inner = self._make()

    def __enter__(self) -> None:
        self._inner.acquire()

    def __exit__(self, *_: object) -> None:
        self._inner.release()


def _renew_all() -> None:
    for lock in list(_KNOWN):
        lock.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
