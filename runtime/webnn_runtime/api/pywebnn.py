"""Argument orders of pywebnn, for code that moves over by changing an import.

The specification puts everything optional into one dictionary after the operands; pywebnn takes it by position.
A call that gives more arguments than the specification has, and no dictionary, is read in pywebnn's order.
Defaults are the specification's, also where pywebnn's differ. `pad` is missing on purpose: pywebnn's single list
contradicts the specification's two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["ORDERS"]

_REDUCTIONS: Final = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Product", "Sum", "SumSquare")
_POOL: Final = ("input", "windowDimensions", "strides", "dilations", "padding", "layout")
_CONV: Final = ("input", "filter", "strides", "dilations", "padding", "groups", "inputLayout", "filterLayout", "bias")

ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "argMax": ("input", "axis", "keepDimensions", "outputDataType"),
    "argMin": ("input", "axis", "keepDimensions", "outputDataType"),
    "averagePool2d": _POOL,
    "batchNormalization": ("input", "mean", "variance", "scale", "bias", "epsilon", "axis"),
    "clamp": ("input", "minValue", "maxValue"),
    "conv2d": _CONV,
    "elu": ("input", "alpha"),
    "gather": ("input", "indices", "axis"),
    "gemm": ("a", "b", "c", "alpha", "beta", "aTranspose", "bTranspose"),
    "hardSigmoid": ("input", "alpha", "beta"),
    "instanceNormalization": ("input", "scale", "bias", "epsilon", "layout"),
    "layerNormalization": ("input", "scale", "bias", "epsilon", "axes"),
    "leakyRelu": ("input", "alpha"),
    "maxPool2d": _POOL,
    "scatterElements": ("input", "indices", "updates", "axis"),
    "slice": ("input", "starts", "sizes", "strides"),
    "split": ("input", "splits", "axis"),
    "transpose": ("input", "permutation"),
    "triangular": ("input", "upper", "diagonal"),
    **{f"reduce{name}": ("input", "axes", "keepDimensions") for name in _REDUCTIONS},
}
