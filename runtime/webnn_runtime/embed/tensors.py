"""Weights of the modules after pooling, from safetensors.

Pickles are never read: `pytorch_model.bin` can run code when it is loaded.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.format.errors import EmbedError

__all__ = ["read_tensors"]

Floats = npt.NDArray[np.float32]

_FILE: Final = "model.safetensors"
_PICKLE: Final = "pytorch_model.bin"
# A projection of 8192 x 8192 float32 values has 256 MiB; nothing after pooling comes near.
_MAX_BYTES: Final = 1 << 30
_MAX_HEADER_BYTES: Final = 1 << 20
# bfloat16 has no NumPy type: its bits are the upper half of a float32's.
_KINDS: Final = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


def read_tensors(folder: Path, *, module: str) -> dict[str, Floats]:
    """All tensors of `folder/model.safetensors` as float32.

    Raises:
        EmbedError: the file is missing or malformed, or only a pickle is there.
    """
    path = folder / _FILE
    if not path.is_file():
        if (folder / _PICKLE).exists():
            raise EmbedError(
                f"{folder / _PICKLE}: weights of module '{module}' in a pickle, which is never read because it can "
                f"run code; save the model again with sentence-transformers, which writes {_FILE}"
            )
        raise EmbedError(f"{path}: missing; module '{module}' needs its weights in safetensors")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise EmbedError(f"{path}: {path.stat().st_size} bytes; at most {_MAX_BYTES} are read")
        data = path.read_bytes()
    except OSError as exc:
        raise EmbedError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    header_bytes = int.from_bytes(data[:8], "little")
    if len(data) < 8 or header_bytes > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise EmbedError(f"{path}: not safetensors: its header does not fit the file")
    try:
        header = json.loads(data[8 : 8 + header_bytes])
    except (ValueError, RecursionError) as exc:
        raise EmbedError(f"{path}: not safetensors: its header is not JSON") from exc
    if not isinstance(header, dict):
        raise EmbedError(f"{path}: not safetensors: its header is not an object")
    body = memoryview(data)[8 + header_bytes :]
    return {name: _tensor(path, name, entry, body) for name, entry in header.items() if name != "__metadata__"}


def _tensor(path: Path, name: str, entry: Any, body: memoryview) -> Floats:
    try:
        kind, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        numbers = (*shape, start, stop)
        sound = all(isinstance(number, int) and number >= 0 for number in numbers) and stop <= len(body)
    except (TypeError, KeyError, ValueError) as exc:
        raise EmbedError(f"{path}: tensor '{name}' is described wrongly") from exc
    if kind not in _KINDS:
        raise EmbedError(f"{path}: tensor '{name}' is {kind}; expected one of {', '.join(_KINDS)}")
    stored = np.dtype(_KINDS[kind])
    if not sound or stop - start != math.prod(shape) * stored.itemsize:
        raise EmbedError(f"{path}: tensor '{name}' of shape {list(shape)} does not fit bytes {start}..{stop}")
    values = np.frombuffer(body[start:stop], dtype=stored).reshape(shape)
    if kind == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
