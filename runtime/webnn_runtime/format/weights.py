"""The weights file: written as a stream, read through a memory map.

Layout: `WGWT`, version 1 as a little-endian u32, then all tensors in the order of their keys without
padding. Files without the header (they start at offset 0) are read too. Offsets are absolute in both.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WeightsError
from webnn_runtime.format.graph import Array, TensorType
from webnn_runtime.format.manifest import HEADER_BYTES, Manifest, TensorEntry
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Weights", "WrittenWeights", "let_go", "map_file", "open_weights", "pack_nibbles", "view", "write_weights"]

_MAGIC: Final = b"WGWT"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class WrittenWeights:
    """What a written file holds.

    Attributes:
        tensors: key -> entry, in the order of the bytes.
        sha256: hash of the whole file.
        tensor_sha256: hash of each tensor's bytes.
    """

    tensors: Mapping[str, TensorEntry]
    sha256: str
    tensor_sha256: Mapping[str, str]


def write_weights(
    path: Path, tensors: Iterable[tuple[str, TensorType, Array]], *, pack_int4: bool = True
) -> WrittenWeights:
    """Write a new weights file, tensor by tensor, sorted by key, and flush it to the disk.

    Args:
        path: a file that does not exist yet.
        tensors: key, static type, values; one element per value also for int4 and uint4.
        pack_int4: two 4-bit values per byte, low nibble first; otherwise one byte each, as the older
            tools store them.
    """
    import hashlib

    entries: dict[str, TensorEntry] = {}
    hashes: dict[str, str] = {}
    whole = hashlib.sha256()
    offset = 0

    with path.open("xb") as file:

        def write(data: Any) -> int:
            whole.update(data)
            return file.write(data)

        offset += write(_MAGIC + struct.pack("<I", _VERSION))
        for key, kind, array in sorted(tensors, key=lambda item: item[0]):
            if key in entries:
                raise WeightsError(f"key '{key}' occurs twice; every tensor needs its own")
            data = _bytes_of(kind, array, pack_int4)
            hashes[key] = hashlib.sha256(data).hexdigest()
            entries[key] = TensorEntry(kind.dtype, kind.static_shape, offset, write(data))
            offset += entries[key].length
            let_go(array)
        file.flush()
        os.fsync(file.fileno())
    return WrittenWeights(MappingProxyType(entries), whole.hexdigest(), MappingProxyType(hashes))


def _bytes_of(kind: TensorType, array: Array, pack_int4: bool) -> memoryview | bytes:
    if array.dtype != kind.dtype.numpy or array.shape != kind.static_shape:
        raise WeightsError(f"values are {array.dtype}{list(array.shape)}, but the tensor is {kind}")
    if kind.dtype.bits == 4:
        low, high = kind.dtype.bounds
        if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
            raise WeightsError(f"a value of {kind} lies outside {low} to {high}")
        if pack_int4:
            return pack_nibbles(array)
    flat: Array = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    return flat.view(np.uint8).data


def let_go(*arrays: Array) -> None:
    """Give up the pages of mapped files that were only read to be copied; what is read again is mapped again."""
    maps: dict[int, mmap.mmap] = {}
    for array in arrays:
        base: object = array
        while isinstance(base, (np.ndarray, memoryview)):
            base = base.base if isinstance(base, np.ndarray) else base.obj
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            maps[id(base)] = base
    for each in maps.values():
        each.madvise(mmap.MADV_DONTNEED)


def pack_nibbles(array: Array) -> bytes:
    """Two 4-bit values per byte, the first in the low nibble; a missing last one is 0."""
    flat = array.reshape(-1).view(np.uint8) & 0xF
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    packed: bytes = (flat[0::2] | (flat[1::2] << 4)).astype(np.uint8).tobytes()
    return packed


def _unpack_nibbles(data: Array, dtype: DataType, size: int) -> Array:
    pairs = np.empty((data.size, 2), np.uint8)
    pairs[:, 0], pairs[:, 1] = data & 0xF, data >> 4
    values = pairs.reshape(-1)[:size]
    if dtype is DataType.INT4:
        # Shift left, then arithmetically right: bit 3 becomes the sign.
        return (values << 4).view(np.int8) >> 4
    return values


@dataclass(frozen=True, slots=True)
class Weights:
    """An open weights file.

    Attributes:
        path: for messages.
        manifest: what its bytes are.
        data: the whole file, read-only; pages are loaded when they are touched.
    """

    path: str
    manifest: Manifest
    data: memoryview

    def keys(self) -> Iterable[str]:
        """Keys of all tensors."""
        return self.manifest.tensors.keys()

    def read(self, key: str, kind: TensorType) -> Array:
        """The values under a key as a read-only array that must be of this type.

        A view of the file, except for packed 4-bit values and tensors that do not start at a multiple of
        their item size: kernels and libraries expect aligned arrays, so those are copied.

        Raises:
            WeightsError: the file holds another type or shape, or a 4-bit value out of range.
        """
        entry = self.manifest.tensors[key]
        if entry.type != kind:
            raise WeightsError(f"tensor '{key}' is {entry.type}, but the graph declares {kind}", path=self.path)
        raw = self.bytes_of(key)
        if entry.is_packed:
            values = _unpack_nibbles(np.frombuffer(raw, np.uint8), entry.dtype, entry.size).reshape(entry.shape)
            values.flags.writeable = False
            return values
        array = view(raw, entry.dtype.numpy, entry.shape)
        if entry.dtype.bits == 4 and array.size:
            low, high = entry.dtype.bounds
            if int(array.min()) < low or int(array.max()) > high:
                raise WeightsError(f"tensor '{key}' holds a value outside {low} to {high}", path=self.path)
        return array

    def bytes_of(self, key: str) -> memoryview:
        """The bytes under a key."""
        entry = self.manifest.tensors[key]
        return self.data[entry.offset : entry.offset + entry.length]

    def verify(self) -> None:
        """Compare all bytes with the hashes in the manifest; reads the whole file.

        Raises:
            WeightsError: with the first tensor that differs.
        """
        import hashlib

        extension = self.manifest.extension
        for key, wanted in extension.tensor_sha256.items():
            if hashlib.sha256(self.bytes_of(key)).hexdigest() != wanted:
                raise WeightsError(
                    f"tensor '{key}' does not have the SHA-256 of the manifest; copy or convert it again",
                    path=self.path,
                )
        if extension.weights_sha256 not in (None, hashlib.sha256(self.data).hexdigest()):
            raise WeightsError(
                "the file does not have the SHA-256 of the manifest; copy or convert it again", path=self.path
            )


def view(raw: memoryview, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """A read-only array over little-endian bytes; copied only if unaligned or of foreign byte order."""
    array: Array = np.frombuffer(raw, dtype.newbyteorder("<")).reshape(shape)
    if not array.flags.aligned or not array.dtype.isnative:
        array = array.astype(dtype)
    array.flags.writeable = False
    return array


def open_weights(path: str | os.PathLike[str], manifest: Manifest) -> Weights:
    """Map a weights file that must be exactly what the manifest describes.

    Raises:
        WeightsError: unreadable, truncated, extended, or with a header that does not fit.
    """
    data = map_file(path)
    has_header = bytes(data[:4]) == _MAGIC
    if manifest.start == HEADER_BYTES and (manifest.tensors or len(data)):
        if not has_header:
            raise WeightsError(
                _instead(path, data) or "the file does not begin with 'WGWT', but its first tensor is at 8",
                path=str(path),
            )
        if len(data) < HEADER_BYTES or struct.unpack("<I", data[4:8])[0] != _VERSION:
            raise WeightsError(f"the header's version is not {_VERSION}; no other is known", path=str(path))
    elif manifest.tensors and has_header and len(data) == manifest.end + HEADER_BYTES:
        raise WeightsError("the file has a header, but the manifest's offsets start at 0, not at 8", path=str(path))
    if manifest.tensors or len(data):
        wrong = "truncated" if len(data) < manifest.end else "too long"
        if len(data) != manifest.end:
            raise WeightsError(
                _instead(path, data)
                or f"the file is {wrong}: it has {len(data)} bytes, the manifest describes {manifest.end}; copy or "
                "download the bundle again",
                path=str(path),
            )
    return Weights(str(path), manifest, data)


def _instead(path: str | os.PathLike[str], data: memoryview) -> str | None:
    if not data:
        return None  # the size says it
    from webnn_runtime.format.strangers import stranger  # only for a file that is refused

    is_instead = stranger(path, _MAGIC)
    return None if is_instead is None else f"this is {is_instead}"


def map_file(path: str | os.PathLike[str]) -> memoryview:
    """A whole file as read-only memory.

    The file must not be changed in place while it is in use; our writers replace files, never edit them.

    Raises:
        WeightsError: missing, unreadable, or not a regular file.
    """
    try:
        # A FIFO or a device would block or never end: look before reading, without opening for good.
        with open(path, "rb", opener=_open_without_blocking) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise WeightsError("not a regular file", path=str(path))
            if status.st_size == 0:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise WeightsError(f"cannot be read: {reason}", path=str(path)) from exc


def _open_without_blocking(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
