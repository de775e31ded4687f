"""A case that failed, made smaller: as long as it fails in the same way.

Every trial runs in a process of its own, so a case that crashes or hangs is made smaller like any other.
"""

from __future__ import annotations

import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import onnx
from fuzz_checks import examine
from fuzz_protobuf import is_repeated, messages
from google.protobuf.message import DecodeError

MAX_TRIALS: Final = 400
_WALL_SECONDS: Final = 40.0
_OURS: Final = ("webnn_runtime", "webnn_translator", "webnn_kernels")


def signature_of(error: BaseException) -> str:
    """What tells one defect from another: the error's class, and the last line of ours that it came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if any(f"/{part}/" in frame.filename for part in _OURS)]
    if type(error).__name__ == "Finding":
        words = [
            word for word in str(error).partition(":")[0].split() if not any(c.isdigit() or c == "'" for c in word)
        ]
        return f"Finding {' '.join(words)}"[:80]
    last = (ours or frames)[-1]
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.name}"


def outcome(folder: Path, files: Mapping[str, bytes], thorough: int) -> tuple[str, str]:
    """(signature, message) of a finding; ("", the outcome) where all is well."""
    try:
        return "", examine(folder, files, thorough)
    except Exception as exc:  # noqa: BLE001  # whatever it is, it is what is looked for
        return signature_of(exc), f"{type(exc).__name__}: {exc}"


def apart(folder: Path, files: Mapping[str, bytes], thorough: int) -> tuple[str, str]:
    """`outcome` in a process of its own: the end of that process is a finding, too."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.write(writing, "\0".join(outcome(folder, files, thorough))[:4000].encode("utf-8", "replace"))
        finally:
            os._exit(0)
    os.close(writing)
    ended = time.monotonic() + _WALL_SECONDS
    data = b""
    while (left := ended - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        block = os.read(reading, 4096)
        if not block:
            break
        data += block
    else:
        os.kill(child, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    if data:
        signature, _, message = data.decode("utf-8", "replace").partition("\0")
        return signature, message
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        return "hang", f"no answer after {_WALL_SECONDS:.0f} s"
    return f"crash {code}", f"the process ended with {code}"


def minimise(folder: Path, files: dict[str, bytes], thorough: int, signature: str) -> dict[str, bytes]:
    """Smaller files with the same finding."""
    trials = 0

    def fails(candidate: Mapping[str, bytes]) -> bool:
        nonlocal trials
        trials += 1
        return apart(folder, candidate, thorough)[0] == signature

    smaller = True
    while smaller and trials < MAX_TRIALS:
        smaller = False
        for candidate in _candidates(files):
            if trials >= MAX_TRIALS:
                break
            if fails(candidate):
                files, smaller = candidate, True
                break
    return files


def _candidates(files: dict[str, bytes]) -> Iterator[dict[str, bytes]]:
    for name, data in files.items():
        makers: tuple[Callable[[bytes], Iterator[bytes]], ...] = (_shorter,)
        if name.endswith(".onnx"):
            makers = (_smaller_models, _shorter)
        for make in makers:
            for less in make(data):
                if len(less) < len(data):
                    yield {**files, name: less}


def _smaller_models(data: bytes) -> Iterator[bytes]:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return
    count = sum(1 for _ in messages(model))
    for place in range(count):
        for step in range(40):
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            message = list(messages(copy))[place]
            removable = [
                (field, at)
                for field, value in message.ListFields()
                for at in (range(len(value)) if is_repeated(field) else [None])
            ]
            if step >= len(removable):
                break
            field, at = removable[step]
            if at is None:
                message.ClearField(field.name)
            else:
                del getattr(message, field.name)[at]
            yield copy.SerializeToString()


def _shorter(data: bytes) -> Iterator[bytes]:
    size = len(data) // 2
    while size >= 1:
        for start in range(0, len(data), size):
            yield data[:start] + data[start + size :]
        size //= 2
