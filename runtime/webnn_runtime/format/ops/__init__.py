"""The operator table: one row per WebNN operator, and the only place that knows operators.

Parser, printer, builder, validation, backends, documentation and tests read `OPS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from webnn_runtime.format.locks import Lock
from webnn_runtime.format.ops.spec import REQUIRED, Operand, OpSpec, Option, Ranks, snake_case

__all__ = ["OPS", "REQUIRED", "OpSpec", "Operand", "Option", "Ranks", "snake_case"]

# Files of this package, those that most graphs need before the others.
_FAMILIES: Final = (
    "elementwise",
    "layout",
    "matmul",
    "activation",
    "normalization",
    "indexing",
    "comparison",
    "reduction",
    "quantize",
    "conv",
    "pool",
    "recurrent",
)


class _Table(Mapping[str, OpSpec]):
    """Rows by name; a family is loaded when a row is asked for that those before it lack: few graphs need all."""

    def __init__(self) -> None:
        self._rows: dict[str, OpSpec] = {}
        self._left = list(_FAMILIES)
        self._lock = Lock()

    def __getitem__(self, name: str) -> OpSpec:
        try:
            return self._rows[name]
        except KeyError:
            self._load(name)
            return self._rows[name]

    def __iter__(self) -> Iterator[str]:
        self._load(None)
        return iter(sorted(self._rows))

    def __len__(self) -> int:
        self._load(None)
        return len(self._rows)

    def _load(self, name: str | None) -> None:
        """Load families until there is a row of this name, or all of them."""
        with self._lock:
            while self._left and name not in self._rows:
                family = import_module(f"{__name__}.{self._left[0]}")
                rows: dict[str, OpSpec] = {spec.name: spec for spec in family.SPECS}
                twice = rows.keys() & self._rows.keys()
                if twice or len(rows) != len(family.SPECS):
                    raise LookupError(f"operator '{min(twice, default=self._left[0])}' has two rows")
                self._rows.update(rows)
                del self._left[0]


OPS: Final[Mapping[str, OpSpec]] = _Table()
