"""The part of ONNX's protobuf wire format that a model needs, written without the `onnx` package.

Importing `onnx` costs a third of a second and tens of megabytes, and running a bundle has no other use for
it. Only writing is here: messages are plain `bytes`, one function per message of `onnx.proto`, and field numbers
stand where they are used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.graph import Array

__all__ = ["IR_VERSION", "OPSET", "Attribute", "external_tensor", "graph", "model", "node", "tensor", "value_info"]

# Opset 21 has blocked and 4-bit quantisation; onnxruntime reads it since 1.18.
OPSET: Final = 21
IR_VERSION: Final = 10

Attribute: TypeAlias = "bool | int | float | str | Sequence[int] | Sequence[float] | Sequence[str] | Array"

_EXTERNAL: Final = 1  # TensorProto.DataLocation
_FLOAT, _INT, _STRING, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 6, 7, 8  # AttributeProto.AttributeType


def model(body: bytes) -> bytes:
    """ModelProto around a GraphProto."""
    opset = _integer(2, OPSET)
    return _integer(1, IR_VERSION) + _text(2, "webnn-runtime") + _bytes(7, body) + _bytes(8, opset)


def graph(
    name: str,
    *,
    nodes: Iterable[bytes],
    initializers: Iterable[bytes],
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    values: Iterable[bytes],
) -> bytes:
    """GraphProto."""
    parts = [_bytes(1, item) for item in nodes]
    parts.append(_text(2, name))
    for field, items in ((5, initializers), (11, inputs), (12, outputs), (13, values)):
        parts.extend(_bytes(field, item) for item in items)
    return b"".join(parts)


def node(
    op_type: str,
    name: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    attributes: Mapping[str, Attribute],
) -> bytes:
    """NodeProto; an absent optional input is the empty string."""
    parts = [_text(1, value) for value in inputs]
    parts.extend(_text(2, value) for value in outputs)
    parts.append(_text(3, name) + _text(4, op_type))
    parts.extend(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
    return b"".join(parts)


def tensor(name: str, elem_type: int, shape: Sequence[int], data: bytes) -> bytes:
    """TensorProto that holds its values."""
    return _tensor_head(name, elem_type, shape) + _bytes(9, data)


def external_tensor(name: str, elem_type: int, shape: Sequence[int]) -> bytes:
    """TensorProto whose values the session is given as arrays in memory."""
    # onnxruntime wants a location; it reads nothing from there once the initializer is supplied.
    location = _text(1, "location") + _text(2, "supplied-by-the-session")
    return _tensor_head(name, elem_type, shape) + _bytes(13, location) + _integer(14, _EXTERNAL)


def value_info(name: str, elem_type: int, shape: Sequence[Dim]) -> bytes:
    """ValueInfoProto; a symbolic dimension is known by its text, so that equal ones are equal."""
    dims = b"".join(_bytes(1, _integer(1, dim) if isinstance(dim, int) else _text(2, str(dim))) for dim in shape)
    tensor_type = _integer(1, elem_type) + _bytes(2, dims)
    return _text(1, name) + _bytes(2, _bytes(1, tensor_type))


def _attribute(name: str, value: Attribute) -> bytes:
    head = _text(1, name)
    if isinstance(value, int):
        return head + _integer(3, int(value)) + _integer(20, _INT)
    if isinstance(value, float):
        return head + _float(2, value) + _integer(20, _FLOAT)
    if isinstance(value, str):
        return head + _text(4, value) + _integer(20, _STRING)
    items = list(value)
    if items and isinstance(items[0], float):
        return head + b"".join(_float(7, item) for item in items) + _integer(20, _FLOATS)
    if items and isinstance(items[0], str):
        return head + b"".join(_text(9, item) for item in items) + _integer(20, _STRINGS)
    return head + b"".join(_integer(8, item) for item in items) + _integer(20, _INTS)


def _tensor_head(name: str, elem_type: int, shape: Sequence[int]) -> bytes:
    return b"".join(_integer(1, dim) for dim in shape) + _integer(2, elem_type) + _text(8, name)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative integers are their 64-bit two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    # A name may hold half of a surrogate pair, which UTF-8 does not have.
    return _bytes(field, value.encode(errors="backslashreplace"))
