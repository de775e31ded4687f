"""manifest.json: which bytes of the weights file are which tensor, and what we add under one key.

A `Manifest` that exists is consistent in itself: sizes fit shapes, offsets are in order, without overlap
or gap. Everything of ours is under `x-webnn-runtime`; other readers ignore it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from webnn_runtime.format.companions import is_inside
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ManifestError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.records import dataclass, field
from webnn_runtime.format.strict_json import read_json, write_json

__all__ = ["EXTENSION_KEY", "HEADER_BYTES", "MAX_MANIFEST", "Extension", "Manifest", "TensorEntry", "read_manifest"]

EXTENSION_KEY: Final = "x-webnn-runtime"
FORMAT: Final = "wg-weights-manifest"
MAX_MANIFEST: Final = 64 << 20
# "WGWT" and a version; a headerless file starts at 0 instead.
HEADER_BYTES: Final = 8
_MAX_KEY: Final = 4096
_MAX_RANK: Final = 64
_MAX_FILE: Final = 1 << 62
_HEXADECIMAL: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a weights file.

    Attributes:
        dtype: type of its values.
        shape: static shape.
        offset: first byte, from the start of the file.
        length: number of bytes.
    """

    dtype: DataType
    shape: tuple[int, ...]
    offset: int
    length: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def type(self) -> TensorType:
        """Type and shape."""
        return TensorType(self.dtype, self.shape)

    @property
    def is_packed(self) -> bool:
        """Whether two 4-bit values share a byte; a single value is in the low nibble in either form."""
        return self.dtype.bits == 4 and self.length == self.dtype.byte_length(self.size)


@dataclass(frozen=True, slots=True)
class Extension:
    """What we add to a manifest.

    Attributes:
        tool: program and version that wrote the bundle.
        inputs: identifiers of the inputs in declared order; empty when not stated.
        outputs: identifiers of the outputs in declared order; empty when not stated.
        names: identifier -> original name, where they differ.
        unbounded: named dimensions whose maximum is only the largest valid one.
        graph_sha256: hash of the graph file.
        weights_sha256: hash of the weights file.
        tensor_sha256: hash of each tensor's bytes by key.
        file_sha256: hash of each file that travels along, by its place in the folder.
        more: what the format does not interpret: source, certificate, canaries and what was decided at conversion.
    """

    tool: str = ""
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    unbounded: tuple[str, ...] = ()
    graph_sha256: str | None = None
    weights_sha256: str | None = None
    tensor_sha256: Mapping[str, str] = field(default_factory=dict)
    file_sha256: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The object under our key, sorted.

        Raises:
            ManifestError: `more` uses a key the format defines.
        """
        clash = _OWN_KEYS & self.more.keys()
        if clash:
            raise ManifestError(f"key '{min(clash)}' belongs to the format; call it otherwise")
        hashes = {
            "files": dict(self.file_sha256),
            "graph": self.graph_sha256,
            "tensors": dict(self.tensor_sha256),
            "weights": self.weights_sha256,
        }
        own = {
            "dimensions": {"unbounded": sorted(self.unbounded)},
            "inputs": list(self.inputs),
            "names": dict(self.names),
            "outputs": list(self.outputs),
            "sha256": {name: value for name, value in hashes.items() if value},
            "tool": self.tool,
        }
        everything = {**own, **self.more}
        return {key: _sorted(everything[key]) for key in sorted(everything)}

    @property
    def identifiers(self) -> dict[str, str]:
        """Original name -> identifier, for the inputs."""
        return {self.names[name]: name for name in self.inputs if name in self.names}


_OWN_KEYS: Final = frozenset({"dimensions", "inputs", "names", "outputs", "sha256", "tool", "int4"})


@dataclass(frozen=True, slots=True)
class Manifest:
    """A consistent manifest; made by `read_manifest` or the weights writer.

    Attributes:
        tensors: key -> entry, in the order of the bytes.
        extension: ours; empty for files of other writers.
    """

    tensors: Mapping[str, TensorEntry]
    extension: Extension = field(default_factory=Extension)

    def __repr__(self) -> str:
        return f"Manifest({len(self.tensors)} tensors, tool={self.extension.tool!r})"

    @property
    def start(self) -> int:
        """Offset of the first tensor: 8 behind a header, 0 without one."""
        return next((entry.offset for entry in self.tensors.values()), HEADER_BYTES)

    @property
    def end(self) -> int:
        """Number of bytes the weights file must have."""
        return max((entry.offset + entry.length for entry in self.tensors.values()), default=HEADER_BYTES)

    def to_bytes(self) -> bytes:
        """The file, byte for byte reproducible.

        Raises:
            FormatError: the extension holds what JSON cannot.
        """
        extension = self.extension.to_json()
        four_bits = {key: entry for key, entry in sorted(self.tensors.items()) if entry.dtype.bits == 4}
        if four_bits:
            extension["int4"] = {key: _packing(entry) for key, entry in four_bits.items()}
        tensors = {
            key: {
                "dataType": entry.dtype.value,
                "shape": list(entry.shape),
                "byteOffset": entry.offset,
                "byteLength": entry.length,
                "layout": "row-major",
            }
            for key, entry in sorted(self.tensors.items())
        }
        head = {"format": FORMAT, "version": 1, "endianness": "little", "tensors": tensors}
        return write_json({**head, EXTENSION_KEY: {key: extension[key] for key in sorted(extension)}})


def read_manifest(data: bytes, *, path: str | None = None) -> Manifest:
    """Read and check a manifest; keys nobody knows are ignored, as the family's readers do.

    Raises:
        ManifestError: with the tensor or key that is wrong.
    """
    if len(data) > MAX_MANIFEST:
        raise ManifestError(f"the manifest has {len(data)} bytes; at most {MAX_MANIFEST} are read", path=path)
    raw = read_json(data, ManifestError, path)
    try:
        return _manifest(raw)
    except ManifestError as exc:
        raise ManifestError(exc.reason, path=path) from exc.__cause__


def _manifest(raw: object) -> Manifest:
    top = _mapping(raw, "the manifest")
    for key, wanted in (("format", FORMAT), ("version", 1), ("endianness", "little")):
        if top.get(key) != wanted or isinstance(top.get(key), bool):
            raise ManifestError(f"'{key}' is {_shown(top.get(key))}; it must be {wanted!r}")
    entries = {
        key: _entry(key, _mapping(value, f"tensor '{key[:80]}'"))
        for key, value in _mapping(top.get("tensors"), "'tensors'").items()
    }
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].offset, item[1].length, item[0])))
    _check_layout(ordered)
    extension = (
        _extension(_mapping(top[EXTENSION_KEY], f"'{EXTENSION_KEY}'"), ordered) if EXTENSION_KEY in top else None
    )
    return Manifest(MappingProxyType(ordered), extension or Extension())


def _entry(key: str, raw: Mapping[str, object]) -> TensorEntry:
    if not key or len(key) > _MAX_KEY:
        raise ManifestError(f"a tensor key has {len(key)} characters; 1 to {_MAX_KEY} are allowed")
    try:
        dtype = DataType(raw.get("dataType"))
    except ValueError:
        known = ", ".join(dtype.value for dtype in DataType)
        raise ManifestError(f"tensor '{key}': dataType {_shown(raw.get('dataType'))}; one of {known}") from None
    shape = raw.get("shape")
    if not isinstance(shape, list) or len(shape) > _MAX_RANK:
        raise ManifestError(f"tensor '{key}': shape {_shown(shape)}; a list of at most {_MAX_RANK} integers is needed")
    dims = tuple(_size(key, "a dimension", dim, 2**32 - 1) for dim in shape)
    offset = _size(key, "byteOffset", raw.get("byteOffset"), _MAX_FILE)
    length = _size(key, "byteLength", raw.get("byteLength"), _MAX_FILE)
    entry = TensorEntry(dtype, dims, offset, length)
    needed = {dtype.byte_length(entry.size)} | ({entry.size} if dtype.bits == 4 else set())
    if length not in needed:
        wanted = " or ".join(map(str, sorted(needed)))
        raise ManifestError(f"tensor '{key}': byteLength is {length}, but {entry.type} takes {wanted} bytes")
    if raw.get("layout") not in (None, "row-major"):
        raise ManifestError(f"tensor '{key}': layout {_shown(raw.get('layout'))}; only 'row-major' is known")
    return entry


def _size(key: str, what: str, raw: object, maximum: int) -> int:
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= maximum:
        raise ManifestError(f"tensor '{key}': {what} is {_shown(raw)}; an integer from 0 to {maximum} is needed")
    return raw


def _check_layout(entries: Mapping[str, TensorEntry]) -> None:
    """In order, no overlap, no hole: every byte of the file belongs to exactly one tensor."""
    previous, end = "", None
    for key, entry in entries.items():
        if end is None:
            if entry.offset not in (0, HEADER_BYTES):
                raise ManifestError(
                    f"tensor '{key}' is the first and starts at {entry.offset}; it must start at {HEADER_BYTES}, "
                    "or at 0 in a file without a header"
                )
        elif entry.offset != end:
            wrong = "overlaps" if entry.offset < end else "leaves a hole after"
            raise ManifestError(
                f"tensor '{key}' starts at {entry.offset} and {wrong} '{previous}', which ends at {end}"
            )
        previous, end = key, entry.offset + entry.length


def _extension(raw: Mapping[str, Any], tensors: Mapping[str, TensorEntry]) -> Extension:
    hashes = _mapping(raw.get("sha256", {}), "'sha256'")
    of_tensors = {key: _hash(value) for key, value in _mapping(hashes.get("tensors", {}), "'sha256.tensors'").items()}
    lost = of_tensors.keys() - tensors.keys()
    if lost:
        raise ManifestError(f"'sha256.tensors' names '{min(lost)[:80]}', which is not among the tensors")
    of_files = {name: _hash(value) for name, value in _mapping(hashes.get("files", {}), "'sha256.files'").items()}
    outside = [name for name in of_files if not is_inside(name)]
    if outside:
        raise ManifestError(f"'sha256.files' names '{min(outside)[:80]}', which is no place inside the folder")
    packing = _mapping(raw.get("int4", {}), "'int4'")
    for key, value in packing.items():
        entry = tensors.get(key)
        if entry is None or entry.dtype.bits != 4 or value != _packing(entry):
            raise ManifestError(f"'int4' says '{key[:80]}' is {_shown(value)}, but its entry says otherwise")
    dimensions = _mapping(raw.get("dimensions", {}), "'dimensions'")
    return Extension(
        tool=_string(raw.get("tool", ""), "'tool'"),
        inputs=_strings(raw.get("inputs", []), "'inputs'"),
        outputs=_strings(raw.get("outputs", []), "'outputs'"),
        names=MappingProxyType(
            {key: _string(value, "'names'") for key, value in _mapping(raw.get("names", {}), "'names'").items()}
        ),
        unbounded=_strings(dimensions.get("unbounded", []), "'dimensions.unbounded'"),
        graph_sha256=_hash(hashes["graph"]) if "graph" in hashes else None,
        weights_sha256=_hash(hashes["weights"]) if "weights" in hashes else None,
        tensor_sha256=MappingProxyType(of_tensors),
        file_sha256=MappingProxyType(of_files),
        more=MappingProxyType({key: value for key, value in raw.items() if key not in _OWN_KEYS}),
    )


def _packing(entry: TensorEntry) -> str:
    return "packed-low-nibble-first" if entry.is_packed else "byte"


def _mapping(raw: object, what: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ManifestError(f"{what} is {_shown(raw)}; an object is needed")
    return raw


def _string(raw: object, what: str) -> str:
    if not isinstance(raw, str):
        raise ManifestError(f"{what} holds {_shown(raw)}; a string is needed")
    return raw


def _strings(raw: object, what: str) -> tuple[str, ...]:
    if not isinstance(raw, list):
        raise ManifestError(f"{what} is {_shown(raw)}; a list of strings is needed")
    found = tuple(_string(item, what) for item in raw)
    if len(set(found)) != len(found):
        raise ManifestError(f"{what} holds a name twice")
    return found


def _hash(raw: object) -> str:
    if not isinstance(raw, str) or len(raw) != 64 or not _HEXADECIMAL.issuperset(raw):
        raise ManifestError(f"{_shown(raw)} is not a SHA-256 in lower-case hexadecimal")
    return raw


def _shown(raw: object) -> str:
    try:
        text = repr(raw)
    except (RecursionError, ValueError):
        # Nested to the limit of the reader, or an integer too long to print.
        return f"a {type(raw).__name__}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _sorted(value: Any) -> Any:
    """Objects with sorted keys all the way down: the same content is the same bytes."""
    if isinstance(value, Mapping):
        return {str(key): _sorted(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_sorted(item) for item in value]
    return value
