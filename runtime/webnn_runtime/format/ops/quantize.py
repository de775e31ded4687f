"""Conversion between integers with a scale and a zero point, and floats.

Scale and zero point have the input's rank, and each dimension divides the input's: one scale for all,
for each channel, or for each block. 4-bit types are beyond the specification; quantised files need them.
"""

from __future__ import annotations

from webnn_runtime.format.dims import is_equal
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference
from webnn_runtime.format.ops.limits import FLOATS, INT4S, QUANTIZED, operand, result
from webnn_runtime.format.ops.spec import OpSpec

__all__ = ["SPECS"]

_BYTES = frozenset({DataType.UINT8, DataType.INT8})


def _dequantize(context: Inference, x: TensorType, scale: TensorType, zero_point: TensorType) -> TensorType:
    _check_blocks(context, x, scale, zero_point)
    return TensorType(scale.dtype, x.shape)


def _quantize(context: Inference, x: TensorType, scale: TensorType, zero_point: TensorType) -> TensorType:
    _check_blocks(context, x, scale, zero_point)
    return TensorType(zero_point.dtype, x.shape)


def _check_blocks(context: Inference, x: TensorType, scale: TensorType, zero_point: TensorType) -> None:
    context.same_shape(zero_point.shape, scale.shape, "shapes of zeroPoint and scale")
    if scale.rank != x.rank:
        raise context.error(f"scale {scale} must have the rank of the input {x}")
    for axis, (dim, blocks) in enumerate(zip(x.shape, scale.shape, strict=True)):
        # Equal dimensions are one value a block; a symbolic one may be 0, and nothing is divided by it.
        if blocks == 1 or is_equal(dim, blocks, context.dims):
            continue
        context.multiple_of(dim, blocks, f"dimension {axis} of the input, whose scale has {blocks},")


SPECS = (
    OpSpec(
        "dequantizeLinear",
        (
            operand("input", QUANTIZED, _BYTES, extra=INT4S),
            operand("scale", FLOATS, FLOATS),
            operand("zeroPoint", "input", _BYTES | {DataType.INT32}),
        ),
        (),
        (result("scale", FLOATS),),
        _dequantize,
        "(x - zeroPoint) * scale, in the type of scale.",
        "quantize",
    ),
    OpSpec(
        "quantizeLinear",
        (
            operand("input", FLOATS, FLOATS),
            operand("scale", "input", FLOATS),
            operand("zeroPoint", QUANTIZED, _BYTES, extra=INT4S),
        ),
        (),
        (result("zeroPoint", _BYTES),),
        _quantize,
        "x / scale rounded half to even, plus zeroPoint, limited to the type of zeroPoint.",
        "quantize",
    ),
)
