"""Quantising: fewer bits for weights, and fixed ranges for activations, with what it costs.

Each name is loaded when it is first used: a command line that only offers the switches does without ONNX.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from webnn_translator.quantize.options import BLOCK_SIZES, KINDS, QualityGateFailed, QuantizeMisuse, QuantizeOptions

if TYPE_CHECKING:
    from webnn_translator.quantize.quantise import Quantized, quantize_graph
    from webnn_translator.quantize.recheck import is_quantized, recheck_loss
    from webnn_translator.quantize.writing import QuantizedBundle, quantize_bundle, write_quantized

__all__ = [
    "BLOCK_SIZES",
    "KINDS",
    "QualityGateFailed",
    "QuantizeMisuse",
    "QuantizeOptions",
    "Quantized",
    "QuantizedBundle",
    "is_quantized",
    "quantize_bundle",
    "quantize_graph",
    "recheck_loss",
    "write_quantized",
]

_HOMES: Final = {
    "Quantized": "quantise",
    "QuantizedBundle": "writing",
    "is_quantized": "recheck",
    "quantize_bundle": "writing",
    "quantize_graph": "quantise",
    "recheck_loss": "recheck",
    "write_quantized": "writing",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name, obj=sys.modules[__name__])
    return getattr(import_module(f"{__name__}.{home}"), name)
