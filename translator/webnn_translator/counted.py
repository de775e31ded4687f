"""Positions that go through float16 on their way to other integers: the buckets of T5 and DeBERTa.

A converter to float16 leaves nothing out, also not the logarithm of a distance that names a row of a table. ONNX
Runtime computes such a chain in float32, since it has no kernels for less; rounded at each step, a distance at the
edge of a bucket falls into the next one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.builder import Value
from webnn_runtime.format.dtypes import DataType
from webnn_translator.emitter import Emitter

__all__ = ["counted_in_float32"]

_ELEMENT_BY_ELEMENT: Final = frozenset(
    {
        *("abs", "neg", "sign", "ceil", "floor", "roundEven", "log", "exp", "sqrt", "reciprocal", "clamp", "relu"),
        *("add", "sub", "mul", "div", "pow", "min", "max", "where"),
    }
)
_MOVES: Final = frozenset({"identity", "reshape", "expand", "transpose", "slice", "concat", "tile"})


def counted_in_float32(emit: Emitter, value: Value) -> Value | None:
    """The float16 `value` in float32, where it is computed from integers and constants alone; else None."""
    made: dict[str, Value | None] = {}
    counts = False
    pending = [value]
    while pending:
        current = pending[-1]
        if current.name in made:
            pending.pop()
            continue
        origin = emit.origin(current)
        if current.dtype is not DataType.FLOAT16:
            # Conditions of `where`, and the integers that are counted.
            made[current.name] = current
        elif origin is None:
            array = emit.array(current)
            made[current.name] = None if array is None else emit.constant(array, DataType.FLOAT32)
            # Integers of sizes that are known.
            counts |= array is not None and bool((np.rint(array) == array).all())
        elif origin[0] == "cast":
            source = origin[1][0]
            is_counted = source is not None and not source.dtype.is_float
            made[current.name] = emit.cast(source, DataType.FLOAT32) if source is not None and is_counted else None
            counts |= is_counted
        elif origin[0] in _ELEMENT_BY_ELEMENT or origin[0] in _MOVES:
            op, operands, options = origin
            given = [one for one in operands if one is not None]
            waits = [one for one in given if one.name not in made]
            if waits:
                pending.extend(waits)
                continue
            wide = [made[one.name] for one in given]
            made[current.name] = None if None in wide else emit.op(op, *wide, **options)
        else:
            made[current.name] = None
    return made[value.name] if counts else None
