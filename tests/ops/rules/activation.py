"""Activations: shape kept, except where prelu broadcasts."""

import math

SIMPLE = (
    "elu",
    "gelu",
    "hardSigmoid",
    "hardSwish",
    "leakyRelu",
    "linear",
    "relu",
    "sigmoid",
    "softplus",
    "softsign",
    "tanh",
)

ACCEPTED = [
    *((op, "f32[batch, 3]", {}, "f32[batch, 3]") for op in SIMPLE),
    *((op, "f16[]", {}, "f16[]") for op in SIMPLE),
    ("relu", "i64[2]", {}, "i64[2]"),
    ("relu", "i8[2]", {}, "i8[2]"),
    ("elu", "f32[2]", {"alpha": -0.5}, "f32[2]"),
    ("hardSigmoid", "f32[2]", {"alpha": 1, "beta": 2}, "f32[2]"),
    ("leakyRelu", "f32[2]", {"alpha": 0.2}, "f32[2]"),
    ("linear", "f32[2]", {"alpha": 1, "beta": 2}, "f32[2]"),
    ("clamp", "f32[2]", {}, "f32[2]"),
    ("clamp", "f32[2]", {"minValue": 1, "maxValue": 1}, "f32[2]"),
    ("clamp", "f32[2]", {"minValue": math.inf}, "f32[2]"),
    ("clamp", "f32[2]", {"min_value": 0, "max_value": 6}, "f32[2]"),
    # Both bounds are one value in the type they are cast to.
    ("clamp", "u8[2]", {"minValue": 300, "maxValue": 255}, "u8[2]"),
    ("clamp", "i32[2]", {"minValue": 1.5, "maxValue": 2}, "i32[2]"),
    ("clamp", "u64[2]", {"minValue": 2**63 + 1, "maxValue": 2**64 - 1}, "u64[2]"),
    ("prelu", "f32[2, 3]; f32[3]", {}, "f32[2, 3]"),
    ("prelu", "f32[3]; f32[2, 3]", {}, "f32[2, 3]"),
    ("prelu", "i32[batch, 1]; i32[4]", {}, "i32[batch, 4]"),
    ("softmax", "f32[batch, seq]", {"axis": 1}, "f32[batch, seq]"),
    ("softmax", "f16[3]", {"axis": 0}, "f16[3]"),
]

REFUSED = [
    *((op, "i32[2]", {}, "OperandError", "is int32; allowed: float16, float32") for op in SIMPLE if op != "relu"),
    *((op, "-", {}, "OperandError", "lacks operand 'input'") for op in SIMPLE),
    *((op, "f32[2]", {"axis": 0}, "OptionError", "has no option 'axis'") for op in SIMPLE),
    *((op, "f32[2]; f32[2]", {}, "OperandError", "has 2 operands; it takes at most 1") for op in SIMPLE),
    ("relu", "u8[2]", {}, "OperandError", "is uint8; allowed: float16, float32, int32, int64, int8"),
    ("elu", "f32[2]", {"alpha": "1"}, "OptionError", "'1' is not a number"),
    ("elu", "f32[2]", {"alpha": math.inf}, "OptionError", "inf is not finite"),
    ("elu", "f32[2]", {"alpha": 10**400}, "OptionError", "is not finite"),
    ("elu", "f32[2]", {"alhpa": 1}, "OptionError", "did you mean 'alpha'?"),
    ("clamp", "f32[2]", {"minValue": 2, "maxValue": 1}, "OptionError", "'minValue' 2.0 is larger than 'maxValue' 1.0"),
    ("clamp", "i64[2]", {"minValue": 2**53 + 1, "maxValue": 2**53}, "OptionError", "is larger"),
    ("clamp", "i32[2]", {"minValue": math.nan, "maxValue": -1}, "OptionError", "'minValue' 0 is larger"),
    ("clamp", "f32[2]", {"minValue": 1, "min_value": 1}, "OptionError", "'minValue' is given twice"),
    ("clamp", "f32[2]", {"minValue": True}, "OptionError", "True is not a number"),
    ("prelu", "f32[2, 3]; f32[2]", {}, "ShapeError", "do not broadcast"),
    ("prelu", "f32[2]; f16[2]", {}, "OperandError", "they must agree"),
    ("prelu", "f32[2]", {}, "OperandError", "lacks operand 'slope'"),
    ("prelu", "u8[2]; u8[2]", {}, "OperandError", "is uint8"),
    ("softmax", "f32[2]", {}, "OptionError", "needs option 'axis'"),
    ("softmax", "f32[2]", {"axis": 1}, "OptionError", "1 is not an axis of f32[2]"),
    ("softmax", "f32[2]", {"axis": -2}, "OptionError", "-2 is negative; count from 0"),
    ("softmax", "f32[2]", {"axis": 0.0}, "OptionError", "0.0 is not an integer"),
    ("softmax", "f32[2]", {"axis": True}, "OptionError", "True is not an integer"),
    ("softmax", "f32[]", {"axis": 0}, "OperandError", "its rank must be 1 or more"),
]

LEFT_TO_THE_RUN = [
    ("prelu", "f32[batch, 3]; f32[seq, 1]", {}, "f32[batch, 3]", ["batch == seq"]),
]

COMPLETED = [
    ("clamp", "f32[2]", {"maxValue": 6}, {"maxValue": 6.0, "minValue": None}),
    ("clamp", "i32[2]", {"maxValue": 6}, {"maxValue": 6, "minValue": None}),
    ("clamp", "i32[2]", {"maxValue": "NaN"}, {"maxValue": 0, "minValue": None}),
    ("clamp", "f32[2]", {"maxValue": None, "minValue": "-Infinity"}, {"maxValue": None, "minValue": -math.inf}),
    ("linear", "f32[2]", {"beta": 2}, {"alpha": 1.0, "beta": 2.0}),
    ("elu", "f32[2]", {}, {"alpha": 1.0}),
    ("leakyRelu", "f32[2]", {}, {"alpha": 0.01}),
    ("hardSigmoid", "f32[2]", {}, {"alpha": 0.2, "beta": 0.5}),
]

OLDER_FILES = [
    ("softmax", "f32[2, 3]", {"axis": -1}, {"axis": 1}),
]

OLDER_FILES_REFUSED = [
    ("softmax", "f32[2, 3]", {"axis": -3}, "OptionError", "-3 is not an axis"),
]
