"""Values for named dimensions, from everywhere they may be given.

In this order, the first one that names a dimension decides: options of the caller, a file of theirs, `STEM.dims.json`
beside the model, and `freeDimensionOverrides` in the model's own metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from webnn_runtime.format.dims import MAX_DIM
from webnn_runtime.format.errors import FormatError
from webnn_runtime.format.strict_json import read_json

if TYPE_CHECKING:
    import onnx

__all__ = ["GivenDim", "gather_dims", "sidecar_of"]

_KEY: Final = "freeDimensionOverrides"
_MAX_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class GivenDim:
    """A value for a dimension.

    Attributes:
        size: the value.
        origin: where it was given.
    """

    size: int
    origin: str


def gather_dims(
    model: onnx.ModelProto, model_file: Path, options: Mapping[str, int], file: Path | None
) -> dict[str, GivenDim]:
    """All values that are given: name -> value and where it comes from.

    Args:
        model: for its metadata.
        model_file: its sidecar lies beside it.
        options: of the caller; they outrank the rest.
        file: of the caller; None without one.

    Raises:
        FileNotFoundError: `file` is not there.
        FormatError: a file, or the metadata, does not map names to sizes.
    """
    sidecar = sidecar_of(model_file)
    found = _of_metadata(model, str(model_file))
    if sidecar.is_file():
        found |= _of_file(sidecar, sidecar.name)
    if file is not None:
        if not file.is_file():
            raise FileNotFoundError(f'{file}: there is no such file; --dims-file is a JSON file like {{"batch": 1}}')
        found |= _of_file(file, file.name)
    return found | {name: GivenDim(size, "--dim") for name, size in options.items()}


def sidecar_of(model_file: Path) -> Path:
    """The file beside a model that may hold values for its dimensions."""
    return model_file.with_name(f"{model_file.stem}.dims.json")


def _of_metadata(model: onnx.ModelProto, path: str) -> dict[str, GivenDim]:
    found: dict[str, GivenDim] = {}
    for entry in model.metadata_props:
        if entry.key == _KEY:
            value = read_json(entry.value.encode("utf-8"), FormatError, path)
            found |= _sizes(value, "the model's metadata", path)
    return found


def _of_file(path: Path, origin: str) -> dict[str, GivenDim]:
    with path.open("rb") as stream:
        data = stream.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise FormatError(f"more than {_MAX_BYTES} bytes, which no list of dimensions needs", path=str(path))
    return _sizes(read_json(data, FormatError, str(path)), origin, str(path))


def _sizes(value: Any, origin: str, path: str) -> dict[str, GivenDim]:
    if isinstance(value, dict) and _KEY in value:
        if len(value) > 1:
            raise FormatError(f"{origin}: '{_KEY}' stands beside other keys; write it alone", path=path)
        value = value[_KEY]
    if not isinstance(value, dict):
        raise FormatError(f'{origin} is no object of names and sizes; write {{"batch": 1}}', path=path)
    for name, size in value.items():
        if type(size) is not int or not 1 <= size <= MAX_DIM:
            raise FormatError(f"{origin}: dimension '{name}' is {str(size)[:40]}; 1 to {MAX_DIM} are valid", path=path)
    return {name: GivenDim(size, origin) for name, size in value.items()}
