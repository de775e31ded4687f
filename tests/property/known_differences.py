"""Where a backend is further from the definition than the specification's budget, and why.

Each entry gives its operator a wider allowance on that backend, together with operands for which the budget
is not enough: a test asserts that it still is not, so an entry that is no longer needed shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from webnn_runtime.format.graph import Array

__all__ = ["KNOWN", "Difference"]


@dataclass(frozen=True)
class Difference:
    """One stated difference.

    Attributes:
        absolute: allowed besides the budget, times the largest absolute value of the first operand.
        reason: what the backend does.
        operands: for which the budget alone is missed.
        options: of that call.
    """

    absolute: float
    reason: str
    operands: tuple[Array, ...]
    options: Mapping[str, Any]


# (backend, operator) -> difference
KNOWN: Final[dict[tuple[str, str], Difference]] = {
    ("onnxruntime", "gelu"): Difference(
        2.0**-22, "1 + erf(x) in float32 loses what erf(x) leaves of 1", (np.float32([-3.9, -5]),), {}
    ),
    ("onnxruntime", "instanceNormalization"): Difference(
        2.0**-12,
        "x * factor + (bias - mean * factor) in float32 loses what is small beside x * factor: the bias of one pixel",
        (np.float32([[[[2.9]]]]), np.float32([3]), np.float32([1e-5])),
        {},
    ),
}
