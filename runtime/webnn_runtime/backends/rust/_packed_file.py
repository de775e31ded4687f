"""Files of packed weights: their layout, and whether one may be used.

Layout: `WNPK`; format version, bytes of the head and CRC-32 of the head, each a little-endian u32; the head, JSON; then
packed matrices, each at a multiple of 4096. The head says what they were packed from and for: a file is used only where
all of that is so again. Whoever opens one compares numbers and times, and reads no weights; `webnn verify` reads all.
"""

from __future__ import annotations

import os
from binascii import crc32
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.format.bundle import Bundle
from webnn_runtime.format.companions import packed_path
from webnn_runtime.format.errors import FormatError, WeightsError
from webnn_runtime.format.records import dataclass
from webnn_runtime.format.strict_json import read_json, write_json
from webnn_runtime.format.weights import map_file

if TYPE_CHECKING:
    from webnn_kernels import PackedFile

__all__ = ["PAGE", "Matrix", "PackedWeights", "facts", "head_of", "open_packed", "read_packed"]

PAGE: Final = 4096
_MAGIC: Final = b"WNPK"
_VERSION: Final = 1
_FIXED_BYTES: Final = 16
_MAX_HEAD: Final = 16 << 20
_MAX_BYTES: Final = 1 << 62

# Rows, and of columns side by side: first byte among the weights, count, and strides of rows and columns in elements.
Matrix = tuple[int, Sequence[tuple[int, int, int, int]]]


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """What became of the file of packed weights beside a bundle.

    Attributes:
        native: for the engine; None where every layer has to be packed in memory.
        reason: why that is so.
        is_stale: whether there is a file that somebody should replace.
    """

    native: PackedFile | None
    reason: str
    is_stale: bool = False

    def record(self) -> dict[str, object]:
        """Where packed weights are, and of how many layers."""
        if self.native is None:
            return {"from": "memory", "reason": self.reason}
        from_file, from_memory = self.native.counts
        return {"from": "file" if from_file else "memory", "in_file": from_file, "in_memory": from_memory}


def facts(bundle: Bundle, isa: str) -> dict[str, Any]:
    """What packed weights depend on, apart from the numbers themselves.

    Hashing the weights would take longer than packing them. Their size, their time and the hash that the manifest
    states stand for them; `webnn pack` has made sure of that hash.

    Raises:
        OSError: the weights are no longer there.
    """
    import sys

    import webnn_kernels

    assert bundle.weights_file is not None
    status = os.stat(bundle.weights_file)
    return {
        "weights": {
            "sha256": bundle.manifest.extension.weights_sha256,
            "bytes": status.st_size,
            "modified": status.st_mtime_ns,
        },
        "engine": {
            "version": webnn_kernels.__version__,
            "revision": webnn_kernels.packed_revision,
            "plans": webnn_kernels.plan_revision,
            "isa": isa,
            "panel": webnn_kernels.panel_width(isa),
            "endianness": sys.byteorder,
        },
    }


def head_of(stated: Mapping[str, Any], matrices: Sequence[tuple[Matrix, int, str]]) -> tuple[bytes, list[int], int]:
    """The first bytes of a file, where each matrix of so many bytes and this SHA-256 begins in it, and its size."""
    places: list[int] = []
    end = 0
    for _, size, _ in matrices:
        places.append(-(-end // PAGE) * PAGE)
        end = places[-1] + size
    rows = [
        {"rows": rows, "columns": [list(each) for each in columns], "offset": place, "bytes": size, "sha256": sha256}
        for ((rows, columns), size, sha256), place in zip(matrices, places, strict=True)
    ]
    # Offsets count from the first matrix, so that they do not depend on how long the head is.
    head = write_json({**stated, "matrices": rows})
    fixed = _MAGIC + b"".join(word.to_bytes(4, "little") for word in (_VERSION, len(head), crc32(head)))
    start = -(-(len(fixed) + len(head)) // PAGE) * PAGE
    return (fixed + head).ljust(start, b"\0"), [start + place for place in places], start + end


def read_packed(
    data: memoryview, path: str, *, verify: bool = False
) -> tuple[dict[str, Any], list[tuple[Matrix, int, int]]]:
    """What a file says it depends on, and its matrices with their first bytes and sizes.

    Args:
        data: the whole file.
        path: for messages.
        verify: compare the matrices with their hashes, which reads all of them.

    Raises:
        WeightsError: it is damaged, truncated, or of another format.
    """
    if bytes(data[:4]) != _MAGIC:
        raise WeightsError("is no file of packed weights", path=path)
    version, size, checksum = (int.from_bytes(data[at : at + 4], "little") for at in (4, 8, 12))
    if version != _VERSION:
        raise WeightsError(f"is of format {version}; this version reads {_VERSION}", path=path)
    if size > min(_MAX_HEAD, len(data) - _FIXED_BYTES):
        raise WeightsError("is truncated", path=path)
    head = bytes(data[_FIXED_BYTES : _FIXED_BYTES + size])
    if crc32(head) != checksum:
        raise WeightsError("is damaged: its head does not have the checksum it states", path=path)
    stated = read_json(head, WeightsError, path)
    start = -(-(_FIXED_BYTES + size) // PAGE) * PAGE
    if not isinstance(stated, dict) or not isinstance(stated.get("matrices"), list):
        raise WeightsError("has a head that lists no matrices", path=path)
    rows = stated.pop("matrices")
    found = [_matrix(row, start, path) for row in rows]
    end = max((first + length for _, first, length in found), default=start)
    if end != len(data):
        wrong = "truncated" if end > len(data) else "too long"
        raise WeightsError(f"is {wrong}: it has {len(data)} bytes, its head describes {end}", path=path)
    if verify:
        from hashlib import sha256

        for number, ((_, first, length), row) in enumerate(zip(found, rows, strict=True)):
            if sha256(data[first : first + length]).hexdigest() != row.get("sha256"):
                raise WeightsError(f"is damaged: matrix {number} does not have its SHA-256", path=path)
    return stated, found


def _matrix(row: object, start: int, path: str) -> tuple[Matrix, int, int]:
    wrong = WeightsError("has a matrix that is not described as one", path=path)
    if not isinstance(row, dict) or not isinstance(row.get("columns"), list):
        raise wrong
    numbers = [row.get("rows"), row.get("offset"), row.get("bytes")]
    columns = [tuple(each) if isinstance(each, list) else () for each in row["columns"]]
    for number in (*numbers, *(number for each in columns for number in each)):
        if type(number) is not int or not 0 <= number < _MAX_BYTES:
            raise wrong
    if any(len(each) != 4 for each in columns) or row["offset"] % PAGE:
        raise wrong
    return (row["rows"], columns), start + row["offset"], row["bytes"]


def open_packed(bundle: Bundle | None, isa: str) -> PackedWeights:
    """The packed weights beside a bundle, if they are those of its weights for this engine.

    Never fails: weights that are not there or do not fit are packed in memory.
    """
    if bundle is None or bundle.weights is None or bundle.weights_file is None:
        return PackedWeights(None, "the graph does not come from a bundle with a weights file")
    path = packed_path(bundle.weights_file, isa)
    if not os.path.lexists(path):
        return PackedWeights(None, f"{path}: there is no such file; `webnn pack` writes it")
    try:
        from webnn_kernels import PackedFile

        data = map_file(path)
        stated, matrices = read_packed(data, path)
        _refuse_other(stated, facts(bundle, isa), path)
        weights, file = (np.frombuffer(each, np.uint8) for each in (bundle.weights.data, data))
        return PackedWeights(PackedFile(weights, file, matrices), "")
    except (FormatError, OSError, ValueError, OverflowError) as exc:
        reason = exc.reason if isinstance(exc, FormatError) else str(exc)
        return PackedWeights(None, f"{path}: {reason}; `webnn pack` makes a new one", is_stale=True)


def _refuse_other(stated: Mapping[str, Any], wanted: Mapping[str, Any], path: str) -> None:
    """Refuse what was packed from other weights, or for another engine.

    Raises:
        WeightsError: with the first fact that is another one.
    """
    if stated.keys() != wanted.keys():
        raise WeightsError("has a head of other facts than this version's", path=path)
    for part, expected in wanted.items():
        found = stated[part]
        if not isinstance(found, dict) or found.keys() != expected.keys():
            raise WeightsError("has a head of other facts than this version's", path=path)
        for key, value in expected.items():
            if type(found[key]) is type(value) and (found[key] == value or _is_rounded(key, found[key], value)):
                continue
            if part == "engine":
                wrong = f"was packed for an engine with {key} {found[key]!r}, and this one has {value!r}"
            elif key == "modified":
                wrong = "was packed before the weights were last written or copied"
            else:
                wrong = "was packed from other weights"
            raise WeightsError(wrong[:300], path=path)


def _is_rounded(key: str, stated: int, found: int) -> bool:
    """Whether a time is another one only because an archive, such as a layer of an image, keeps whole seconds."""
    return key == "modified" and found % 10**9 == 0 and abs(stated - found) < 10**9
