"""Quantising: fewer bits for weights, and fixed ranges for activations, with what it costs."""

from webnn_translator.quantize.options import BLOCK_SIZES, KINDS, QualityGateFailed, QuantizeMisuse, QuantizeOptions
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
