"""Tensors of an ONNX file as arrays: raw, typed and external data. External data is a view of its file."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import onnx

from webnn_runtime.format.graph import Array
from webnn_translator._errors import InvalidModel, UnsupportedType
from webnn_translator.elements import Elem
from webnn_translator.external import ExternalFiles
from webnn_translator.minifloats import decode_bfloat16, decode_minifloats

__all__ = ["elem_of", "read_sparse", "read_tensor"]

_LARGE: Final = 1 << 20
# A few numbers in a file may stand for as many zeros as its author likes.
_MOST_SPARSE: Final = 1 << 28
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
        UnsupportedType: text or complex numbers; `what` names the place.
        InvalidModel: ONNX has no such type.
    """
    try:
        return Elem(data_type)
    except ValueError:
        known = onnx.TensorProto.DataType.items()
        name = next((text.lower() for text, number in known if number == data_type != 0), None)
        if name is None:
            raise InvalidModel(f"{what} has element type {data_type}, which ONNX does not have") from None
        raise UnsupportedType(
            f"{what} has element type {name}, which has no WebNN counterpart; leave it to what runs before the model"
        ) from None


def read_tensor(tensor: onnx.TensorProto, files: ExternalFiles | None) -> tuple[Elem, Array]:
    """Element type and values; one array element per value, also for types below a byte.

    Raises:
        InvalidModel: data that does not fit the declaration.
        FormatError: data in a file that is not there, or not the model's.
    """
    what = f"tensor '{tensor.name}'"
    elem = elem_of(tensor.data_type, what)
    shape = tuple(tensor.dims)
    if any(dim < 0 for dim in shape):
        raise InvalidModel(f"{what} is declared with shape {list(shape)}; a dimension is negative")
    count = math.prod(shape)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        if files is None:
            raise InvalidModel(f"{what} lies in a file, but the model is none")
        data: Array = _decode(files.read(tensor, _bytes_of(elem, count)), elem, count, what)
    elif tensor.HasField("raw_data"):
        data = _decode(np.frombuffer(tensor.raw_data, np.uint8), elem, count, what)
    else:
        data = _typed(tensor, elem, count, what)
    return elem, data.reshape(shape)


def read_sparse(sparse: onnx.SparseTensorProto, files: ExternalFiles | None) -> tuple[Elem, Array]:
    """Element type and values, zeros included: WebNN has dense tensors only.

    Raises:
        InvalidModel: places that are not in the tensor, not in order, or of another number than the values.
        FormatError: see `read_tensor`.
    """
    elem, values = read_tensor(sparse.values, files)
    kind, places = read_tensor(sparse.indices, files)
    what, shape = f"sparse tensor '{sparse.values.name}'", tuple(sparse.dims)
    count = math.prod(shape)
    if any(dim < 0 for dim in shape) or count > _MOST_SPARSE:
        raise InvalidModel(f"{what} has shape {list(shape)}; up to {_MOST_SPARSE} elements are supported")
    if kind is not Elem.INT64 or values.ndim != 1 or places.shape not in ((values.size,), (values.size, len(shape))):
        raise InvalidModel(f"{what}: {values.size} values need as many places, not {list(places.shape)} of {kind.text}")
    if places.ndim == 2:
        if ((places < 0) | (places >= np.asarray(shape))).any():
            raise InvalidModel(f"{what} has places outside of its shape {list(shape)}")
        places = np.ravel_multi_index(tuple(places.T), shape)
    if values.size and (places[0] < 0 or places[-1] >= count or (np.diff(places) <= 0).any()):
        raise InvalidModel(f"{what} has places outside of its shape {list(shape)}, or not in ascending order")
    dense: Array = np.zeros(count, values.dtype)
    dense[places] = values
    return elem, dense.reshape(shape)


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
    # Libraries expect aligned values; large ones lie in a file at any offset, and are only copied to another one.
    return typed.astype(elem.numpy, copy=not typed.flags.aligned and typed.nbytes < _LARGE)


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
