"""Tensors of an ONNX file as arrays: raw, typed and external data.

External files are memory-mapped, and they must lie inside the model's own folder: a model is a stranger's
file, and a path in it must not read anything else.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from webnn_runtime.format.graph import Array
from webnn_translator._errors import InvalidModel
from webnn_translator.elements import Elem
from webnn_translator.minifloats import decode_bfloat16, decode_minifloats

__all__ = ["elem_of", "read_tensor"]

# Typed fields as the format assigns them; everything else of 32 bits or less is kept in int32_data.
_FIELDS: Final = {
    Elem.FLOAT: "float_data",
    Elem.INT64: "int64_data",
    Elem.DOUBLE: "double_data",
    Elem.UINT32: "uint64_data",
    Elem.UINT64: "uint64_data",
}


def elem_of(data_type: int, what: str) -> Elem:
    """The element type of a declaration.

    Raises:
        InvalidModel: a type that is not handled; `what` names the place.
    """
    try:
        return Elem(data_type)
    except ValueError:
        known = onnx.TensorProto.DataType.items()
        name = next((text.lower() for text, number in known if number == data_type), str(data_type))
        raise InvalidModel(f"{what} has element type {name}, which has no WebNN counterpart") from None


def read_tensor(tensor: onnx.TensorProto, base_dir: Path | None) -> tuple[Elem, Array]:
    """Element type and values; one array element per value, also for types below a byte.

    Raises:
        InvalidModel: data that does not fit the declaration, or lies outside the model's folder.
    """
    what = f"tensor '{tensor.name}'"
    elem = elem_of(tensor.data_type, what)
    shape = tuple(tensor.dims)
    if any(dim < 0 for dim in shape):
        raise InvalidModel(f"{what} is declared with shape {list(shape)}; a dimension is negative")
    count = math.prod(shape)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        data: Array = _external(tensor, elem, count, base_dir, what)
    elif tensor.HasField("raw_data"):
        data = _decode(np.frombuffer(tensor.raw_data, np.uint8), elem, count, what)
    else:
        data = _typed(tensor, elem, count, what)
    return elem, data.reshape(shape)


def _bytes_of(elem: Elem, count: int) -> int:
    return (count * elem.bits + 7) // 8


def _decode(data: Array, elem: Elem, count: int, what: str) -> Array:
    if data.nbytes != _bytes_of(elem, count):
        raise InvalidModel(
            f"{what} holds {data.nbytes} bytes; {count} values of {elem.text} need {_bytes_of(elem, count)}"
        )
    codes = _unpacked(data, elem, count) if elem.is_packed else data
    if elem.is_minifloat:
        return decode_minifloats(codes, elem)
    if elem is Elem.BFLOAT16:
        return decode_bfloat16(data.view(np.dtype(np.uint16).newbyteorder("<")))
    if elem.is_packed:
        return _signed(codes, elem)
    if elem is Elem.BOOL:
        flags: Array = data != 0
        return flags
    typed: Array = data.view(elem.numpy.newbyteorder("<"))
    return typed.astype(elem.numpy, copy=False)


def _unpacked(data: Array, elem: Elem, count: int) -> Array:
    """One code per byte; the first one is in the low bits."""
    parts = [(data >> shift) & ((1 << elem.bits) - 1) for shift in range(0, 8, elem.bits)]
    codes: Array = np.stack(parts, axis=-1).reshape(-1)[:count]
    return codes


def _signed(codes: Array, elem: Elem) -> Array:
    """Codes as numbers of their type."""
    sign = 1 << (elem.bits - 1)
    return codes if elem.integer_range[0] == 0 else ((codes.astype(np.int8) ^ sign) - sign).astype(np.int8)


def _typed(tensor: onnx.TensorProto, elem: Elem, count: int, what: str) -> Array:
    values: Any = getattr(tensor, _FIELDS.get(elem, "int32_data"))
    if elem.is_packed or elem.is_minifloat:
        return _decode(np.asarray(values, np.int64).astype(np.uint8), elem, count, what)
    if len(values) != count:
        raise InvalidModel(f"{what} holds {len(values)} values; its shape needs {count}")
    if elem in (Elem.FLOAT16, Elem.BFLOAT16):
        # The bits of each value, in the low half of an int32.
        codes: Array = np.asarray(values, np.int64).astype(np.uint16)
        return codes.view(np.float16) if elem is Elem.FLOAT16 else decode_bfloat16(codes)
    wide = np.uint64 if elem in (Elem.UINT32, Elem.UINT64) else (elem.numpy if elem.is_float else np.int64)
    return np.asarray(values, wide).astype(elem.numpy)


def _external(tensor: onnx.TensorProto, elem: Elem, count: int, base_dir: Path | None, what: str) -> Array:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if base_dir is None:
        raise InvalidModel(f"{what} lies in the file '{location}', but the model has no folder")
    path = _inside(base_dir, location, what)
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(_bytes_of(elem, count))))
    except ValueError as exc:
        raise InvalidModel(f"{what}: offset or length of its external data is no integer") from exc
    size = path.stat().st_size
    if offset < 0 or length < 0 or offset + length > size:
        raise InvalidModel(f"{what} is at bytes {offset} to {offset + length} of '{location}', which has {size}")
    if length == 0:
        return _decode(np.zeros(0, np.uint8), elem, count, what)
    return _decode(np.memmap(path, np.uint8, "r", offset, (length,)), elem, count, what)


def _inside(base_dir: Path, location: str, what: str) -> Path:
    relative = Path(location)
    if not location or relative.is_absolute() or ".." in relative.parts:
        raise InvalidModel(f"{what} points to '{location}'; external data must lie in the model's folder")
    root = base_dir.resolve()
    path = (root / relative).resolve()
    if not path.is_relative_to(root):
        raise InvalidModel(f"{what} points to '{location}', a link out of the model's folder")
    if not path.is_file():
        raise InvalidModel(f"{what} lies in the file '{location}', which is not there")
    return path
