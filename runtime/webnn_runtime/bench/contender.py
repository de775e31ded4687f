"""A contender as the benchmark sees it: a process that is told what to do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from webnn_runtime.bench.channel import Channel
from webnn_runtime.bench.engines.base import Spec
from webnn_runtime.bench.errors import BenchError
from webnn_runtime.bench.workload import Work

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Contender", "opened"]


class Contender:
    """One engine in a process of its own.

    Args:
        spec: what to open.

    Attributes:
        name: the contender.
        note: what exactly runs.

    Raises:
        BenchError: it cannot be opened.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.name = spec.name
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "webnn_runtime.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(spec.threads),
        )
        self._channel = Channel(_pipe(self._process.stdout), _pipe(self._process.stdin))
        try:
            self.note = str(self._ask("open", {"spec": spec.record()})[0]["note"])
        except BaseException:
            self.close()
            raise

    def load(self, work: Work) -> None:
        """Hand over what is to be run."""
        batches = [{"names": list(batch.arrays), "spans": batch.spans} for batch in work.batches]
        self._ask("load", {"batches": batches}, [each for batch in work.batches for each in batch.arrays.values()])

    def answer(self) -> list[npt.NDArray[np.float32]]:
        """The answer to each batch."""
        return self._ask("answer", {})[1]

    def time(self) -> list[float]:
        """Seconds that each batch takes."""
        return [float(each) for each in self._ask("time", {})[0]["seconds"]]

    def state(self) -> dict[str, Any]:
        """`memory` of the process and what the engine says of itself (`describe`)."""
        return self._ask("state", {})[0]

    @property
    def age(self) -> float:
        """Seconds since the process was started."""
        return time.perf_counter() - self._started

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self, do: str, message: Mapping[str, Any], arrays: Sequence[npt.NDArray[Any]] = ()
    ) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        try:
            self._channel.send({"do": do, **message}, arrays)
            reply, made = self._channel.receive()
        except (EOFError, OSError) as exc:
            code = self._process.poll()
            raise BenchError(f"{self.name}: its process ended with {code} during '{do}'") from exc
        if "error" in reply:
            raise BenchError(f"{self.name}: {reply['error']}")
        return reply, made


@contextlib.contextmanager
def opened(specs: Sequence[Spec], obstacles: dict[str, str]) -> Iterator[list[Contender]]:
    """Open contenders, the first of which has to open; the reasons why others do not are added to `obstacles`."""
    with contextlib.ExitStack() as stack:
        found: list[Contender] = []
        for spec in specs:
            try:
                found.append(stack.enter_context(Contender(spec)))
            except BenchError as exc:
                if not found:
                    raise
                obstacles[spec.name] = str(exc)
        yield found


def _environment(threads: int) -> dict[str, str]:
    path = os.pathsep.join(dict.fromkeys(entry for entry in sys.path if entry))
    return os.environ | {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": str(threads),
        # Nothing here may go looking for models on the network.
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _pipe(pipe: IO[bytes] | None) -> Any:
    assert pipe is not None
    return pipe
