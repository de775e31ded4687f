"""How each WebNN operator becomes ONNX nodes: one file per operator family, as in the table."""

from __future__ import annotations

from typing import Final

from webnn_runtime.backends.base import Unsupported
from webnn_runtime.backends.onnxruntime.lowering import (
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
from webnn_runtime.backends.onnxruntime.lowering._registry import LOWERINGS, Lowering, lowering

__all__ = ["LOWERINGS", "UNSUPPORTED", "Lowering", "lowering"]

# Importing a family registers its operators.
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

# Stated gaps: (operator, type of its first operand or None for all) -> reason.
UNSUPPORTED: Final[Unsupported] = {}
