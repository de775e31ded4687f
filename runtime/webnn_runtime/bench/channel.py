"""Messages between the benchmark and the process of a contender: JSON, with arrays behind it as bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Channel"]

_SIZE_BYTES: Final = 8


class Channel:
    """Both directions of a pair of pipes; both ends are processes of this program."""

    def __init__(self, reader: BinaryIO, writer: BinaryIO) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, message: dict[str, Any], arrays: Sequence[npt.NDArray[Any]] = ()) -> None:
        """Send a message and the arrays that belong to it."""
        whole = [np.ascontiguousarray(array) for array in arrays]
        head = {"message": message, "arrays": [[array.dtype.str, array.shape] for array in whole]}
        text = json.dumps(head).encode()
        self._writer.write(len(text).to_bytes(_SIZE_BYTES, "little"))
        self._writer.write(text)
        for array in whole:
            self._writer.write(array.tobytes())
        self._writer.flush()

    def receive(self) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        """The next message and its arrays.

        Raises:
            EOFError: the other end is gone.
        """
        head = json.loads(self._read(int.from_bytes(self._read(_SIZE_BYTES), "little")))
        arrays = []
        for kind, shape in head["arrays"]:
            dtype = np.dtype(kind)
            arrays.append(np.frombuffer(self._read(math.prod(shape) * dtype.itemsize), dtype).reshape(shape))
        return head["message"], arrays

    def _read(self, count: int) -> bytes:
        data = self._reader.read(count)
        if len(data) < count:
            raise EOFError
        return data
