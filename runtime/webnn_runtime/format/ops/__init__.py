"""The operator table: one row per WebNN operator, and the only place that knows operators.

Parser, printer, builder, validation, backends, documentation and tests read `OPS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from webnn_runtime.format.ops import (
    activation,
    comparison,
    conv,
    elementwise,
    indexing,
    layout,
    matmul,
    normalization,
    pool,
    quantize,
    recurrent,
    reduction,
)
from webnn_runtime.format.ops.spec import REQUIRED, Operand, OpSpec, Option, Ranks, snake_case

__all__ = ["OPS", "REQUIRED", "OpSpec", "Operand", "Option", "Ranks", "snake_case"]

_FAMILIES: Final = (
    activation,
    comparison,
    conv,
    elementwise,
    indexing,
    layout,
    matmul,
    normalization,
    pool,
    quantize,
    recurrent,
    reduction,
)


def _table() -> Mapping[str, OpSpec]:
    rows: dict[str, OpSpec] = {}
    for family in _FAMILIES:
        for spec in family.SPECS:
            if spec.name in rows:
                raise LookupError(f"operator '{spec.name}' has two rows")
            rows[spec.name] = spec
    return MappingProxyType(dict(sorted(rows.items())))


OPS: Final = _table()
