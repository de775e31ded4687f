"""Comparisons and logic give uint8."""

COMPARE = ("equal", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "notEqual")
LOGIC = ("logicalAnd", "logicalOr", "logicalXor")
TEST = ("isInfinite", "isNaN")

ACCEPTED = [
    *((op, "f32[batch, 1]; f32[3]", {}, "u8[batch, 3]") for op in COMPARE),
    *((op, "i64[]; i64[]", {}, "u8[]") for op in COMPARE),
    *((op, "u8[batch, 1]; u8[3]", {}, "u8[batch, 3]") for op in LOGIC),
    *((op, "f16[batch, 2]", {}, "u8[batch, 2]") for op in TEST),
    ("logicalNot", "u8[batch]", {}, "u8[batch]"),
    ("where", "u8[2]; f32[2]; f32[2]", {}, "f32[2]"),
    ("where", "u8[batch, 1, 1]; i64[1, seq, 1]; i64[3]", {}, "i64[batch, seq, 3]"),
    ("where", "u8[]; f32[]; f32[4]", {}, "f32[4]"),
]

REFUSED = [
    *((op, "f32[2]; i32[2]", {}, "OperandError", "they must agree") for op in COMPARE),
    *((op, "f32[2]; f32[3]", {}, "ShapeError", "do not broadcast") for op in COMPARE),
    *((op, "f32[2]; f32[2]", {}, "OperandError", "is float32; allowed: uint8") for op in LOGIC),
    *((op, "u8[2]; i8[2]", {}, "OperandError", "they must agree") for op in LOGIC),
    *((op, "u8[2]; u8[3]", {}, "ShapeError", "do not broadcast") for op in LOGIC),
    *((op, "i32[2]", {}, "OperandError", "is int32") for op in TEST),
    ("logicalNot", "i8[2]", {}, "OperandError", "is int8; allowed: uint8"),
    ("where", "i8[2]; f32[2]; f32[2]", {}, "OperandError", "'condition' is int8"),
    ("where", "u8[2]; f32[2]; f16[2]", {}, "OperandError", "'falseValue' is float16, but 'trueValue' is float32"),
    ("where", "u8[2]; f32[3]; f32[1]", {}, "ShapeError", "do not broadcast"),
    ("where", "u8[2]; f32[2]", {}, "OperandError", "lacks operand 'falseValue'"),
]

LEFT_TO_THE_RUN = [
    ("where", "u8[batch]; f32[seq]; f32[batch]", {}, "f32[batch]", ["batch == seq"]),
]
