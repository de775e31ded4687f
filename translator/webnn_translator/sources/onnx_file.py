"""An ONNX file -> `onnx.ModelProto`, or one clear error. Large values stay in files; see `ExternalFiles`.

The file is a stranger's: what it states about itself is checked before memory is taken or a byte of another file
is read. What the model means is none of this module's business.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import onnx
from google.protobuf.message import DecodeError

from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.strangers import stranger
from webnn_translator.external import ExternalFiles, tensors_of
from webnn_translator.sources.skeleton import skeleton

__all__ = ["parse_onnx", "read_onnx"]

# protobuf itself cannot hold more; larger models keep their values in external files.
_MAX_FILE_BYTES: Final = 2**31 - 1
_MAX_RANK: Final = 64
_PACKED_BITS: Final = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
# How many typed entries hold one value, where it is not one: complex numbers come in pairs.
_ENTRIES: Final = {"COMPLEX64": 2, "COMPLEX128": 2}


def read_onnx(path: Path) -> onnx.ModelProto:
    """Read and check the model at `path`; large values stay in its files.

    Raises:
        FormatError: the file is no ONNX model, or its tensors are not what they state.
        FileNotFoundError: there is no such file.
    """
    model = parse_onnx(path)
    files = ExternalFiles(path)
    held = len(model.graph.initializer)
    for position, tensor in enumerate(tensors_of(model, path)):
        # The initializers of the whole graph come first; they stay outside, everything else is small.
        _complete(tensor, path, files, stays=position < held)
    return model


def parse_onnx(path: Path) -> onnx.ModelProto:
    """The model at `path` as the file states it: no tensor is checked, no other file is read.

    Raises:
        FormatError: the file is no ONNX model.
        FileNotFoundError: there is no such file.
    """
    size = path.stat().st_size
    if not path.is_file():
        # A pipe would be waited for, and its values cannot be read where they are needed.
        raise FormatError("not a regular file; save the model to a file and pass that", path=str(path))
    if size > _MAX_FILE_BYTES:
        raise FormatError(
            f"{size} bytes; an ONNX file holds at most {_MAX_FILE_BYTES}, larger models use external data",
            path=str(path),
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(skeleton(path))
    except DecodeError as exc:
        raise _no_model(path, "the protobuf message is malformed or cut off; download or export it again") from exc
    # Almost any bytes are some protobuf message: a model is one that says so.
    if not model.HasField("graph") or not model.opset_import or not model.graph.output:
        raise _no_model(path, "it has no graph, no opset or no outputs")
    return model


def _no_model(path: Path, reason: str) -> FormatError:
    is_instead = stranger(path, b"")
    return FormatError(f"not an ONNX model: {reason if is_instead is None else f'it is {is_instead}'}", path=str(path))


def _complete(tensor: Any, path: Path, files: ExternalFiles, *, stays: bool) -> None:
    """Check one tensor's sizes; external values are brought in unless they may stay outside."""
    name = tensor.name or "(unnamed)"
    where = str(path)
    if tensor.data_type not in onnx.TensorProto.DataType.values() or tensor.data_type == onnx.TensorProto.UNDEFINED:
        raise FormatError(f"tensor '{name}' has the unknown data type {tensor.data_type}", path=where)
    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    if len(tensor.dims) > _MAX_RANK or any(dim < 0 for dim in tensor.dims):
        raise FormatError(f"tensor '{name}' has the impossible shape {list(tensor.dims)}", path=where)
    if tensor.HasField("segment"):
        raise FormatError(f"tensor '{name}' is stored in segments, which no exporter writes; save it whole", path=where)
    elements = math.prod(tensor.dims)
    if kind == "STRING":
        _expect(len(tensor.string_data), elements, f"tensor '{name}' of {elements} strings", where)
        return
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        needed = _byte_length(kind, elements)
        files.locate(tensor, needed)
        if not stays:
            _bring_in(tensor, needed, files)
    elif tensor.HasField("raw_data"):
        _expect(len(tensor.raw_data), _byte_length(kind, elements), f"tensor '{name}' in bytes", where)
    else:
        _expect(_typed_entries(tensor), _entries(kind, elements), f"tensor '{name}' in entries", where)


def _expect(found: int, needed: int, what: str, where: str) -> None:
    if found != needed:
        raise FormatError(f"{what}: {found} are there, its type and shape need {needed}", path=where)


def _byte_length(kind: str, elements: int) -> int:
    bits = _PACKED_BITS.get(kind)
    if bits is not None:
        return (elements * bits + 7) // 8
    return elements * int(onnx.helper.tensor_dtype_to_np_dtype(onnx.TensorProto.DataType.Value(kind)).itemsize)


def _entries(kind: str, elements: int) -> int:
    bits = _PACKED_BITS.get(kind)
    return (elements * bits + 7) // 8 if bits is not None else elements * _ENTRIES.get(kind, 1)


def _typed_entries(tensor: Any) -> int:
    fields = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    return max(map(len, fields))


def _bring_in(tensor: Any, needed: int, files: ExternalFiles) -> None:
    """Values of a small tensor into the message."""
    values = files.read(tensor, needed).tobytes()
    tensor.raw_data = values
    del tensor.external_data[:]
    tensor.data_location = onnx.TensorProto.DEFAULT
