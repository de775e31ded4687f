"""A session that survives a fork: a child opens its own where it cannot go on with its parent's.

The threads of a session are not in a forked child, and what another thread had locked in it stays locked: a run would
wait for ever there, or run on one thread, and the end of the process waits for threads that are not there.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from weakref import WeakSet

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.onnxruntime.model import OnnxModel
from webnn_runtime.backends.onnxruntime.session import open_session, threads_of
from webnn_runtime.format.locks import Lock

__all__ = ["KeptSession"]

_KNOWN: WeakSet[KeptSession] = WeakSet()


class KeptSession:
    """One session in each process; safe to run from many threads at once."""

    def __init__(self, model: OnnxModel, options: CompileOptions) -> None:
        self._model: Final = model
        self._options: Final = options
        self._lock: Final = Lock()
        self._running = 0
        self._is_left = False
        # The weights stay the arrays they were (memory maps): the session only borrows them.
        self._session, self._borrowed = open_session(model, options)
        _KNOWN.add(self)

    def run(self, outputs: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """What `onnxruntime.InferenceSession.run` gives."""
        with self._lock:
            session = self._own()
            self._running += 1
        try:
            results: list[Any] = session.run(outputs, feeds)
        finally:
            with self._lock:
                self._running -= 1
        return results

    def get_providers(self) -> list[str]:
        """What the session runs on."""
        with self._lock:
            found: list[str] = self._own().get_providers()
        return found

    def leave_in_child(self) -> None:
        """Give up the parent's session, unless it has no threads and nobody was running it; called after a fork."""
        if threads_of(self._options) == 1 and not self._running:
            return
        self._running, self._is_left = 0, True
        import ctypes

        # It is never taken apart, not even when the process ends: that would wait for its threads.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._session))

    def _own(self) -> Any:
        if self._is_left:
            self._session, self._borrowed = open_session(self._model, self._options)
            self._is_left = False
        return self._session


def _leave_all() -> None:
    for session in list(_KNOWN):
        session.leave_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
