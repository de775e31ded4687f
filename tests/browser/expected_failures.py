"""Cases that the browser refuses or computes differently, and why; strict: one that passes has to go, but for those
that depend on the CPU.

Types and ranks outside the browser's own `opSupportLimits()` do not belong here: such cases are not run.
"""

from __future__ import annotations

# case id -> reason; right on one CPU, not on another
DEPENDS_ON_CPU: dict[str, str] = {
    "sqrt: squares": "it begins from the CPU's approximation: 2 ULP off on an Intel Xeon, exact on an AMD EPYC",
}

# case id -> reason
EXPECTED_FAILURES: dict[str, str] = {
    **dict.fromkeys(
        ["gelu: tails and infinities", "softplus: far below zero", "matmul: float32 cancels late"],
        "float32 loses what is left of a sum that cancels or of an exponential that underflows",
    ),
    **dict.fromkeys(
        ["prelu: float32", "prelu: float16", "prelu: the input stretches too"],
        "the slope may stretch to the input, not the input to the slope",
    ),
    **dict.fromkeys(
        ["softplus: float32", "softplus: float16", "reduceLogSumExp: does not overflow", "reduceLogSumExp: infinities"],
        "its exponential saturates at 88.376",
    ),
    **dict.fromkeys(
        ["reduceLogSumExp: no axes leaves the input"],
        "its exponential underflows to 0, whose logarithm is -Infinity",
    ),
    **dict.fromkeys(
        [
            "convTranspose2d: dilations",
            "convTranspose2d: padding crops",
            "convTranspose2d: padding and output sizes show what was cropped",
            "convTranspose2d: groups",
            "convTranspose2d: all options",
        ],
        "its transposed convolution has no dilations, groups or explicit padding",
    ),
    **dict.fromkeys(
        ["div: int32 lowest by -1 wraps"],
        "the process that computes stops for good",
    ),
    **dict.fromkeys(
        ["max: NaN on either side", "min: NaN on either side", "triangular: NaN does not leak", "reduceMax: NaN wins"],
        "NaN is dropped beside a number, or leaks through a product with 0",
    ),
    **dict.fromkeys(
        ["pow: int32 wraps", "pow: int32 negative powers truncate"],
        "powers of integers go through floats",
    ),
    **dict.fromkeys(
        ["sqrt: float32", "sqrt: float16"],
        "the square root of Infinity is NaN",
    ),
    **dict.fromkeys(
        ["scatterElements: uint32", "scatterND: uint32", "concat: uint64"],
        "its runtime does not compile this for unsigned integers, though its limits name them",
    ),
    **dict.fromkeys(
        ["pad: float32 edge", "pad: float16 edge", "pad: int32 edge", "pad: int64 edge", "pad: uint8 edge"],
        "it has no padding by the edge",
    ),
    **dict.fromkeys(
        ["slice: a stride beyond the window"],
        "it wants a stride of at most the size, which the specification does not",
    ),
    **dict.fromkeys(
        [
            "averagePool2d: padding as large as the window",
            "maxPool2d: padding as large as the window",
            "l2Pool2d: padding as large as the window",
            "averagePool2d: dilations",
            "averagePool2d: all options",
            "l2Pool2d: all options",
            "maxPool2d: all options",
            "averagePool2d: all options, nhwc",
            "l2Pool2d: all options, nhwc",
            "maxPool2d: all options, nhwc",
        ],
        "its pools have no dilations",
    ),
    **dict.fromkeys(
        [
            "averagePool2d: padding does not count",
            "averagePool2d: strides, rounded up",
            "averagePool2d: output sizes overrule the rounding",
        ],
        "its average counts padding",
    ),
    **dict.fromkeys(
        ["resample2d: smaller, nearest takes the lower half", "resample2d: the size is rounded down"],
        "nearest takes the upper of two equally near elements",
    ),
    **dict.fromkeys(
        ["l2Pool2d: squares that float32 cannot hold", "reduceL2: squares that float32 cannot hold"],
        "the squares overflow float32",
    ),
}

# Operators of which no case passes -> reason.
MISSING: dict[str, str] = {}
