"""JSON settings beside a model: read with a size limit, checked by kind, never executed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.strict_json import BYTE_ORDER_MARK, WITHOUT_MARK

__all__ = ["StrPath", "expect", "inside", "read_json", "read_json_text", "read_object", "read_optional", "read_text"]

StrPath: TypeAlias = "str | os.PathLike[str]"

# Real settings files have a few kilobytes; the largest seen are tokenizer_config.json with thousands of added tokens.
_MAX_BYTES: Final = 16 << 20


def read_text(path: StrPath, *, max_bytes: int = _MAX_BYTES, newline: str | None = None) -> str:
    """The file's text.

    Args:
        path: the file.
        max_bytes: size of the largest file that is read.
        newline: as `open` has it: with "" the ends of lines stay what they are.

    Raises:
        EmbedError: the file is missing, larger than `max_bytes`, or not UTF-8.
    """
    try:
        size = os.stat(path).st_size
        if size > max_bytes:
            raise EmbedError(f"{path}: {size} bytes; at most {max_bytes} are read")
        with open(path, "rb") as file:
            text = file.read().decode("utf-8")
    except UnicodeDecodeError as exc:
        if exc.object.startswith(b"\x1f\x8b"):
            raise EmbedError(f"{path}: compressed by gzip; unpack it first, with gunzip -k {path}") from exc
        raise EmbedError(f"{path}: not UTF-8 text at byte {exc.start}; convert it, for example with iconv") from exc
    except OSError as exc:
        if os.path.islink(path) and not os.path.exists(path):
            raise EmbedError(f"{path}: a link to a file that is not there; copy or download the model again") from exc
        raise EmbedError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    # As a text file is read, which takes four times as long: 2.6 ms for the tokenizer.json of BERT.
    return text.replace("\r\n", "\n").replace("\r", "\n") if newline is None and "\r" in text else text


def read_json_text(path: StrPath, *, max_bytes: int = _MAX_BYTES) -> str:
    """The text of a JSON file.

    Raises:
        EmbedError: as `read_text`, and for a byte order mark, of which readers of JSON say what it is not.
    """
    text = read_text(path, max_bytes=max_bytes)
    if text.startswith(BYTE_ORDER_MARK):
        raise EmbedError(f"{path}: {WITHOUT_MARK}")
    return text


def read_json(path: StrPath) -> Any:
    """Any JSON value.

    Raises:
        EmbedError: also for text that is not JSON, and for nesting deeper than the parser goes.
    """
    text = read_json_text(path)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as exc:
        raise EmbedError(f"{path}:{exc.lineno}:{exc.colno}: not JSON: {exc.msg}") from exc
    except ValueError as exc:
        raise EmbedError(f"{path}: not acceptable as JSON: {exc}") from exc
    except RecursionError as exc:
        raise EmbedError(f"{path}: nested too deeply; settings are flat") from exc


def read_object(path: StrPath) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        EmbedError: the file holds something else.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise EmbedError(f"{path}: holds {_kind(value)}; expected a JSON object")
    return value


def read_optional(folders: Iterable[StrPath], name: str) -> tuple[str, Mapping[str, Any]] | None:
    """The first `name` that exists in `folders`, with its path.

    Raises:
        EmbedError: it cannot be read. A link to nothing, as a copy of a cache may hold, is not a file that is absent.
    """
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            return path, read_object(path)
    return None


def expect(
    path: StrPath, settings: Mapping[str, Any], key: str, kind: type | tuple[type, ...], default: Any = None
) -> Any:
    """`settings[key]` when it is of `kind`; `default` when it is absent or null.

    Raises:
        EmbedError: the value has another kind. A JSON boolean is not an integer here.
    """
    value = settings.get(key)
    if value is None:
        return default
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        wanted = " or ".join(_NAMES[each] for each in kinds)
        raise EmbedError(f"{path}: '{key}' is {_kind(value)}; expected {wanted}")
    return value


def inside(root: StrPath, relative: str, *, what: str) -> StrPath:
    """`root / relative`, if that stays inside `root`.

    Raises:
        EmbedError: the path is absolute or climbs out of the folder.
    """
    if relative.startswith(("/", "\\")) or ":" in relative or ".." in relative.replace("\\", "/").split("/"):
        raise EmbedError(f"{what}: path '{relative}' leaves the model's folder; it must be a folder inside it")
    plain = os.path.normpath(relative)
    return root if plain == os.curdir else os.path.join(root, plain)


_NAMES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")


def _kind(value: object) -> str:
    return _NAMES.get(type(value), "null")
