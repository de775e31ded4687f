"""Values of tensors that lie in files: beside the model, or in the model's own file. Mapped, never read as a whole.

A model is a stranger's file: what it says of other files is checked before one is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.graph import Array
from webnn_runtime.format.weights import map_file
from webnn_translator.containment import contained_file

if TYPE_CHECKING:
    import onnx

__all__ = ["ExternalFiles", "locations_of", "tensors_of"]

# Offsets and lengths are text; no file has more digits.
_MAX_DIGITS: Final = 19
_MAX_DEPTH: Final = 32
# A mapping keeps its file open, of which a process may have 1,024. Exporters that give each tensor a file write
# hundreds of biases and norms, which are no larger than this.
_SMALL: Final = 1 << 16


class ExternalFiles:
    """The files of one model; each is looked up and mapped once.

    Attributes:
        model_file: the ONNX file; its name is a location as well, for values inside of it.
    """

    def __init__(self, model_file: Path) -> None:
        self.model_file = model_file
        self._found: dict[str, tuple[Path, int]] = {}
        self._mapped: dict[Path, memoryview] = {}

    def locate(self, tensor: onnx.TensorProto, needed: int) -> tuple[Path, int]:
        """File and offset of the `needed` bytes of a tensor.

        Raises:
            FormatError: the file lies elsewhere or is not there, or it does not have those bytes.
        """
        where, what = str(self.model_file), f"external data of tensor '{tensor.name or '(unnamed)'}'"
        stated = {entry.key: entry.value for entry in tensor.external_data}
        if not all(isinstance(text, str) for entry in stated.items() for text in entry):
            raise FormatError(f"{what}: its location is not valid UTF-8", path=where)
        location = stated.get("location", "")
        file, size = self._file(location, what)
        numbers = [stated.get("offset", "0"), stated.get("length", str(needed))]
        if any(not text.isascii() or not text.lstrip("-").isdigit() or len(text) > _MAX_DIGITS for text in numbers):
            raise FormatError(f"{what}: offset or length is not a number", path=where)
        offset, length = map(int, numbers)
        if length != needed:
            raise FormatError(f"{what} in bytes: {length} are there, its type and shape need {needed}", path=where)
        if offset < 0 or offset + length > size:
            raise FormatError(
                f"{what} is at {offset}..{offset + length} of '{location}', which has {size} bytes; "
                "the file is cut off or belongs to another model",
                path=where,
            )
        return file, offset

    def read(self, tensor: onnx.TensorProto, needed: int) -> Array:
        """The bytes of a tensor: a view of the file, whose pages come and go with use; small files are held.

        Raises:
            FormatError: see `locate`; or the file cannot be read.
        """
        file, offset = self.locate(tensor, needed)
        if not needed:
            return np.zeros(0, np.uint8)
        whole = self._mapped.get(file)
        if whole is None:
            is_small = file.stat().st_size <= _SMALL
            whole = self._mapped[file] = memoryview(file.read_bytes()) if is_small else map_file(file)
        return np.frombuffer(whole[offset : offset + needed], np.uint8)

    def take_inside(self, tensor: onnx.TensorProto, needed: int) -> bool:
        """Put the bytes of a tensor that lies beside the model into it; returns whether it lay there.

        Raises:
            FormatError: see `read`.
        """
        from onnx import TensorProto

        if tensor.data_location != TensorProto.EXTERNAL:
            return False
        tensor.raw_data = self.read(tensor, needed).tobytes()
        tensor.ClearField("data_location")
        del tensor.external_data[:]
        return True

    def _file(self, location: str, what: str) -> tuple[Path, int]:
        if location not in self._found:
            file = self.model_file
            if location != file.name:
                file = contained_file(file.parent, location, what=what, path=str(file))
            self._found[location] = file, file.stat().st_size
        return self._found[location]


def locations_of(model: onnx.ModelProto, path: Path) -> list[Any]:
    """The entries of the model at `path` that name files with values of it, as it states them: they may lead anywhere.

    Raises:
        FormatError: the model has graphs in graphs without end.
    """
    entries = [entry for tensor in tensors_of(model, path) for entry in tensor.external_data]
    # What is not UTF-8 comes as bytes, and is refused where it is read.
    return [entry for entry in entries if entry.key == "location" and isinstance(entry.value, str)]


def tensors_of(model: onnx.ModelProto, path: Path) -> Iterator[Any]:
    """Every tensor of the model at `path`, the initializers of its graph first.

    Raises:
        FormatError: the model has graphs in graphs without end.
    """
    yield from _graph_tensors(model.graph, path, 0)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node, path, 0)


def _graph_tensors(graph: Any, path: Path, depth: int) -> Iterator[Any]:
    if depth > _MAX_DEPTH:
        raise FormatError(f"graphs nested more than {_MAX_DEPTH} deep", path=str(path))
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        yield from _node_tensors(node, path, depth)


def _node_tensors(node: Any, path: Path, depth: int) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        if attribute.HasField("g"):
            yield from _graph_tensors(attribute.g, path, depth + 1)
        for graph in attribute.graphs:
            yield from _graph_tensors(graph, path, depth + 1)
