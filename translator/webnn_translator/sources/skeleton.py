"""An ONNX file without its large values: they stay in the file, and the model says where.

Parsing the whole file would hold every weight twice, once as the file's bytes and once as the message. A model
without them is small, and its weights are mapped like external data; they *are* external data, in the file itself.

Only what protobuf writes in its plain form is understood. Anything else - a field that occurs twice, a group, a
length beyond the end - leaves the file to protobuf as it is.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx

__all__ = ["skeleton"]

# Field numbers of onnx.proto.
_MODEL_GRAPH: Final = 7
_GRAPH_INITIALIZER: Final = 5
_TENSOR_RAW_DATA: Final = 9
_TENSOR_EXTERNAL: Final = (13, 14)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# A graph has a field for each node and weight, a tensor a few; a tensor with a field for each value is left alone.
_MAX_FIELDS: Final = 300_000
# Smaller values are not worth a reference.
_LARGE: Final = 1 << 14


class _Odd(Exception):
    """Not the plain form."""


def skeleton(path: Path) -> bytes:
    """The bytes of the file at `path`, large initializers replaced by references into it."""
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        if size < _LARGE:
            stream.seek(0)
            return stream.read()
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _model(data, size, path.name)
            except _Odd:
                return bytes(data)


def _model(data: mmap.mmap, size: int, name: str) -> bytes:
    parts: list[bytes] = []
    graphs = 0
    for number, kind, start, begin, end in _fields(data, 0, size):
        if number == _MODEL_GRAPH and kind == _BYTES:
            graphs += 1
            parts.append(_framed(_MODEL_GRAPH, _graph(data, begin, end, name)))
        else:
            parts.append(data[start:end])
    if graphs != 1:
        raise _Odd
    return b"".join(parts)


def _graph(data: mmap.mmap, start: int, stop: int, name: str) -> bytes:
    parts: list[bytes] = []
    for number, kind, first, begin, end in _fields(data, start, stop):
        if number == _GRAPH_INITIALIZER and kind == _BYTES and end - begin >= _LARGE:
            parts.append(_framed(_GRAPH_INITIALIZER, _tensor(data, begin, end, name)))
        else:
            parts.append(data[first:end])
    return b"".join(parts)


def _tensor(data: mmap.mmap, start: int, stop: int, name: str) -> bytes:
    parts: list[bytes] = []
    reference = b""
    for number, kind, first, begin, end in _fields(data, start, stop):
        if number in _TENSOR_EXTERNAL:
            raise _Odd
        if number == _TENSOR_RAW_DATA and kind == _BYTES and end - begin >= _LARGE:
            if reference:
                raise _Odd
            reference = _reference(name, begin, end - begin)
        else:
            parts.append(data[first:end])
    return b"".join([*parts, reference])


def _reference(name: str, offset: int, length: int) -> bytes:
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    for key, value in (("location", name), ("offset", str(offset)), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    encoded: bytes = tensor.SerializeToString()
    return encoded


def _fields(data: mmap.mmap, start: int, stop: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Number, wire type, and where the field, its value and its end are."""
    position = start
    seen = 0
    while position < stop:
        tag, begin = _varint(data, position, stop)
        number, kind = tag >> 3, tag & 7
        if kind == _BYTES:
            length, begin = _varint(data, begin, stop)
            end = begin + length
        elif kind == _VARINT:
            _, end = _varint(data, begin, stop)
        elif kind in (_FIXED32, _FIXED64):
            end = begin + (4 if kind == _FIXED32 else 8)
        else:
            raise _Odd
        seen += 1
        if number == 0 or end > stop or seen > _MAX_FIELDS:
            raise _Odd
        yield number, kind, position, begin, end
        position = end


def _varint(data: mmap.mmap, position: int, stop: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= stop:
            raise _Odd
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Odd


def _framed(number: int, content: bytes) -> bytes:
    prefix = bytearray()
    for value in (number << 3 | _BYTES, len(content)):
        while value > 0x7F:
            prefix.append(value & 0x7F | 0x80)
            value >>= 7
        prefix.append(value)
    return bytes(prefix) + content
