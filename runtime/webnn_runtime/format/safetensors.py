"""Reads safetensors files, which some exporters put beside a graph instead of a weights file.

The file is checked as its format demands: bounded header, no duplicate keys, offsets in order without
overlap or hole, the last byte covered.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WeightsError
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.records import dataclass
from webnn_runtime.format.strict_json import read_json
from webnn_runtime.format.weights import map_file, view

__all__ = ["Safetensors", "open_safetensors"]

_MAX_HEADER: Final = 100_000_000
_MAX_RANK: Final = 64
_TYPES: Final = {
    "F32": DataType.FLOAT32,
    "F16": DataType.FLOAT16,
    "I32": DataType.INT32,
    "U32": DataType.UINT32,
    "I64": DataType.INT64,
    "U64": DataType.UINT64,
    "I8": DataType.INT8,
    "U8": DataType.UINT8,
    "BOOL": DataType.UINT8,
}
# Sizes of the types WebNN lacks, so that a file that also holds such tensors can be checked.
_ITEM_BYTES: Final = {
    **{name: dtype.numpy.itemsize for name, dtype in _TYPES.items()},
    "F64": 8,
    "I16": 2,
    "U16": 2,
    "BF16": 2,
    "F8_E5M2": 1,
    "F8_E4M3": 1,
}


@dataclass(frozen=True, slots=True)
class _Entry:
    type: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Safetensors:
    """An open file; see `Weights`, which it stands in for."""

    path: str
    entries: Mapping[str, _Entry]
    data: memoryview

    def keys(self) -> Iterable[str]:
        """Keys of all tensors."""
        return self.entries.keys()

    def read(self, key: str, kind: TensorType) -> Array:
        """The values under a key, which must be of this type; bfloat16 is widened for a float32 constant.

        Raises:
            WeightsError: the file holds another type or shape.
        """
        entry = self.entries[key]
        raw = self.data[entry.start : entry.end]
        if entry.shape == kind.shape:
            if entry.type == "BF16" and kind.dtype is DataType.FLOAT32:
                bits: Array = view(raw, np.dtype(np.uint16), entry.shape).astype(np.uint32) << 16
                return view(memoryview(bits.tobytes()), kind.dtype.numpy, entry.shape)
            if _TYPES.get(entry.type) is kind.dtype:
                return view(raw, kind.dtype.numpy, entry.shape)
        raise WeightsError(
            f"tensor '{key}' is {entry.type}{list(entry.shape)}, but the graph declares {kind}", path=self.path
        )


def open_safetensors(path: str | os.PathLike[str]) -> Safetensors:
    """Map a safetensors file and check its header.

    Raises:
        WeightsError: not a sound file.
    """
    data = map_file(path)
    where = str(path)
    if len(data) < 8:
        raise WeightsError(f"the file has {len(data)} bytes; a safetensors file has at least 8", path=where)
    length = int.from_bytes(data[:8], "little")
    if length > min(_MAX_HEADER, len(data) - 8):
        raise WeightsError(f"the header claims {length} bytes; the file has {len(data)} in all", path=where)
    header = bytes(data[8 : 8 + length])
    if not header.startswith(b"{"):
        raise WeightsError("the header does not begin with '{'", path=where)
    raw = read_json(header, WeightsError, where)
    entries = {key: _entry(key, value, where) for key, value in raw.items() if key != "__metadata__"}
    end = 0
    for key, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != end:
            raise WeightsError(f"tensor '{key}' starts at {entry.start}; {end} is the next free byte", path=where)
        end = entry.end
    base = 8 + length
    if base + end != len(data):
        raise WeightsError(f"the tensors end at byte {base + end}, the file at {len(data)}", path=where)
    moved = {
        key: _Entry(entry.type, entry.shape, base + entry.start, base + entry.end) for key, entry in entries.items()
    }
    return Safetensors(where, MappingProxyType(moved), data)


def _entry(key: str, raw: object, where: str) -> _Entry:
    fields = raw if isinstance(raw, dict) else {}
    kind = fields.get("dtype")
    if not isinstance(kind, str) or kind not in _ITEM_BYTES:
        raise WeightsError(f"tensor '{key[:80]}' has an unknown dtype; one of {', '.join(_ITEM_BYTES)}", path=where)
    dims, range_ = _sizes(fields.get("shape")), _sizes(fields.get("data_offsets"))
    if dims is None or len(dims) > _MAX_RANK or range_ is None or len(range_) != 2:
        raise WeightsError(f"tensor '{key[:80]}' needs a shape and two data_offsets, all integers", path=where)
    start, end = range_
    needed = math.prod(dims) * _ITEM_BYTES[kind]
    if end - start != needed:
        raise WeightsError(
            f"tensor '{key[:80]}' takes {end - start} bytes; {kind}{list(dims)} needs {needed}", path=where
        )
    return _Entry(kind, dims, start, end)


def _sizes(raw: object) -> tuple[int, ...] | None:
    """A list of integers that fit a file, or None."""
    if not isinstance(raw, list):
        return None
    found = tuple(item for item in raw if isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 1 << 62)
    return found if len(found) == len(raw) else None
