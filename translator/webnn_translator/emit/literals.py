"""Values as JavaScript: strings that cannot end early, exact numbers, typed arrays, dimension expressions.

The text is ASCII and holds no `<`, so that a module may stand inside a page as it is.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, rebuild
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Array

__all__ = ["dimension", "json_text", "key", "literal", "number", "record", "shape", "string", "typed_array"]

_CLASSES: Final = {
    DataType.FLOAT32: "Float32Array",
    # The bits: not every browser has a Float16Array.
    DataType.FLOAT16: "Uint16Array",
    DataType.INT32: "Int32Array",
    DataType.UINT32: "Uint32Array",
    DataType.INT64: "BigInt64Array",
    DataType.UINT64: "BigUint64Array",
    DataType.INT8: "Int8Array",
    DataType.UINT8: "Uint8Array",
    # One value a byte; the module packs them where the browser wants that.
    DataType.INT4: "Int8Array",
    DataType.UINT4: "Uint8Array",
}
# From here on an array of one value is shorter filled than listed.
_FILLED: Final = 8
_EXACT: Final = 2**53


def string(text: str) -> str:
    """A string literal: ASCII, without `<`, and so without an end of a script or of a line."""
    return json_text(text)


def json_text(value: object) -> str:
    """JSON that may stand in a script: ASCII, without `<`."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\x7f", "\\u007f")


def key(name: str) -> str:
    """A name as the key of an object literal; `__proto__` as it stands would set the prototype."""
    return f"[{string(name)}]" if name == "__proto__" else string(name)


def record(items: Iterable[tuple[str, str]]) -> str:
    """An object literal of names and expressions."""
    inner = ", ".join(f"{key(name)}: {value}" for name, value in items)
    return f"{{ {inner} }}" if inner else "{}"


def number(value: int | float, *, wide: bool = False) -> str:
    """A number literal; an integer that a double does not hold becomes a BigInt where the type is `wide`."""
    if isinstance(value, int):
        return f"{value}n" if wide and abs(value) > _EXACT else str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value).removesuffix(".0")


def literal(value: object, *, wide: bool = False) -> str:
    """What an option holds, as `Kind.write` gives it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(literal(item, wide=wide) for item in value)}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # How numbers without a literal stand in files; no choice of an option is called so.
        return value if value in ("Infinity", "-Infinity", "NaN") else string(value)
    if isinstance(value, (int, float)):
        return number(value, wide=wide)
    return dimension(value)  # type: ignore[arg-type]  # what is left is symbolic


def shape(dims: Iterable[Dim]) -> str:
    """A list of dimensions."""
    return f"[{', '.join(dimension(dim) for dim in dims)}]"


def dimension(dim: Dim) -> str:
    """An expression of the members of `d`; names are identifiers, and any identifier may follow a dot."""
    text, _ = rebuild(dim, integer=_integer, name=lambda name: (f"d.{name}", 9), combine=_combine)
    return text


def _integer(value: int) -> tuple[str, int]:
    return (str(value), 9) if value >= 0 else (f"({value})", 9)


def _combine(sign: str, left: tuple[str, int], right: tuple[str, int]) -> tuple[str, int]:
    if sign in ("+", "*"):
        binding = 1 if sign == "+" else 2
        sides = [text if own >= binding else f"({text})" for text, own in (left, right)]
        return f"{sides[0]} {sign} {sides[1]}", binding
    function = {"//": "floorDiv", "min": "Math.min", "max": "Math.max"}[sign]
    return f"{function}({left[0]}, {right[0]})", 9


def typed_array(dtype: DataType, array: Array) -> str:
    """A typed array of the same bits: by value where that is exact, else by bytes."""
    flat = array.reshape(-1)
    if dtype is DataType.FLOAT16:
        flat = flat.view(np.uint16)
    elif dtype is DataType.FLOAT32 and bool(np.isnan(flat).any()):
        raw = flat.astype("<f4").tobytes()
        return f"Uint8Array.of({', '.join(map(str, raw))})"
    name = _CLASSES[dtype]
    if flat.size > _FILLED and _is_uniform(flat):
        return f"new {name}({flat.size}).fill({_element(dtype, flat[0])})"
    # A call takes only so many arguments.
    return f"{name}.from([{', '.join(_element(dtype, item) for item in flat)}])"


def _is_uniform(flat: Array) -> bool:
    raw = np.ascontiguousarray(flat).view(np.uint8).reshape(flat.size, -1)
    return bool((raw == raw[0]).all())


def _element(dtype: DataType, value: np.generic) -> str:
    if dtype is DataType.FLOAT32:
        # The shortest digits of a float32, unless going through a double rounds them elsewhere.
        short = float(str(value))
        return number(short if np.float32(short) == value else float(value))
    return f"{int(value)}n" if dtype in (DataType.INT64, DataType.UINT64) else str(int(value))
