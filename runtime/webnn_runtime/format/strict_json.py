"""JSON from files nobody vouches for: no duplicate keys, no NaN, no endless numbers or nesting, no half characters."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Final

from webnn_runtime.format.errors import FormatError

__all__ = ["BYTE_ORDER_MARK", "MAX_JSON", "WITHOUT_MARK", "read_json", "write_json"]

BYTE_ORDER_MARK: Final = "\ufeff"
# JSON may not begin with one (RFC 8259), and the libraries that read the files of models refuse it.
WITHOUT_MARK: Final = "begins with a byte order mark, which JSON may not; save it as UTF-8 without one"

# Some writers put all constants of a graph inline, as decimal numbers.
MAX_JSON: Final = 512 << 20
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(data: bytes, error: type[FormatError], path: str | None) -> Any:
    """The value of a JSON text.

    Raises:
        FormatError: the given leaf, with line and column where the text is not JSON.
    """
    try:
        text = data.decode("utf-8")
        if text.startswith(BYTE_ORDER_MARK):
            raise error(WITHOUT_MARK, path=path)
        value = json.loads(text, object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
        if _SURROGATE.search(text):
            _check_characters(value)
        return value
    except UnicodeDecodeError as exc:
        raise error(f"byte {exc.start} is not UTF-8; write the file as UTF-8", path=path) from exc
    except json.JSONDecodeError as exc:
        raise error(f"not JSON: {exc.msg}", path=path, line=exc.lineno, column=exc.colno) from exc
    except ValueError as exc:
        reason = "an integer of thousands of digits" if "int_max_str_digits" in str(exc) else exc
        raise error(f"not acceptable as JSON: {reason}", path=path) from exc
    except RecursionError as exc:
        raise error("nested too deeply to be read", path=path) from exc


def write_json(value: object) -> bytes:
    """Pretty-printed UTF-8 in the order given, two spaces deep, without a line end at the end.

    Raises:
        FormatError: something JSON cannot hold: NaN, infinities, lone surrogates, other Python objects.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2).encode("utf-8")
    except (TypeError, ValueError, RecursionError) as exc:
        raise FormatError(f"cannot be written as JSON: {exc}") from exc


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"key {twice[:80]!r} occurs twice in one object")
    return found


def _check_characters(value: object) -> None:
    """Refuse strings that nothing can print or write."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ValueError("a string holds half of a character, one surrogate without the other") from exc


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"number {text[:40]} is too large")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON number")
