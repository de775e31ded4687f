"""The process of one contender: opens it, keeps the loads, runs and times them when told to.

A process each: libraries do not share thread pools or settings, and memory is that of one contender.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from webnn_runtime.bench.channel import Channel
from webnn_runtime.bench.engines.base import Engine, Spec
from webnn_runtime.bench.engines.registry import open_engine
from webnn_runtime.bench.finish import Finish, open_finish
from webnn_runtime.bench.memory import resident_memory

__all__ = ["main"]

Reply = tuple[dict[str, Any], list[npt.NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class _Batch:
    prepared: Any
    spans: list[tuple[int, int]]


class _Worker:
    def __init__(self) -> None:
        self._engine: Engine
        self._finish: Finish
        self._batches: list[_Batch] = []

    def open(self, message: dict[str, Any], _: list[npt.NDArray[Any]]) -> Reply:
        """Open the engine."""
        start = time.perf_counter()
        spec = Spec(**message["spec"])
        self._engine = open_engine(spec)
        self._finish = open_finish(spec, self._engine.gives)
        return {"note": self._engine.note, "seconds": time.perf_counter() - start}, []

    def load(self, message: dict[str, Any], arrays: list[npt.NDArray[Any]]) -> Reply:
        """Take the batches that are run from now on."""
        self._batches = []
        given = iter(arrays)
        for batch in message["batches"]:
            inputs = {name: next(given) for name in batch["names"]}
            spans = [(start, stop) for start, stop in batch["spans"]]
            self._batches.append(_Batch(self._engine.prepare(inputs), spans))
        return {}, []

    def answer(self, _: dict[str, Any], __: list[npt.NDArray[Any]]) -> Reply:
        """Run, and give the answers; also what warms the engine up."""
        start = time.perf_counter()
        found = [self._finish(self._engine.run(batch.prepared), batch.spans) for batch in self._batches]
        return {"seconds": time.perf_counter() - start}, found

    def time(self, _: dict[str, Any], __: list[npt.NDArray[Any]]) -> Reply:
        """Run every batch once; seconds of each, from token ids to answer."""
        seconds: list[float] = []
        # A collection in the middle would be charged to whoever happens to run.
        gc.collect()
        gc.disable()
        try:
            for batch in self._batches:
                start = time.perf_counter()
                self._finish(self._engine.run(batch.prepared), batch.spans)
                seconds.append(time.perf_counter() - start)
        finally:
            gc.enable()
        return {"seconds": seconds}, []

    def state(self, _: dict[str, Any], __: list[npt.NDArray[Any]]) -> Reply:
        """What runs, and the memory of this process."""
        return {"memory": resident_memory(), "describe": _plain(self._engine.describe())}, []


def main() -> None:
    """Serve until the other end is closed."""
    # What libraries print must not end up between messages.
    with os.fdopen(os.dup(sys.stdin.fileno()), "rb") as reader, os.fdopen(os.dup(sys.stdout.fileno()), "wb") as writer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        channel = Channel(reader, writer)
        worker = _Worker()
        tasks: dict[str, Callable[[dict[str, Any], list[npt.NDArray[Any]]], Reply]] = {
            each.__name__: each for each in (worker.open, worker.load, worker.answer, worker.time, worker.state)
        }
        while True:
            try:
                message, arrays = channel.receive()
            except EOFError:
                return
            try:
                reply, made = tasks[message["do"]](message, arrays)
            # Whatever a contender's library raises is a fact about it, for the other end to report.
            except Exception as exc:  # noqa: BLE001  # see above
                reply, made = {"error": str(exc) or type(exc).__name__, "kind": type(exc).__name__}, []
            channel.send(reply, made)


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


if __name__ == "__main__":
    main()
