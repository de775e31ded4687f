"""Scale and zero point: one value, one per channel, or one per block."""

DQ, Q = "dequantizeLinear", "quantizeLinear"

ACCEPTED = [
    (DQ, "i8[2, 3]; f32[1, 1]; i8[1, 1]", {}, "f32[2, 3]"),
    (DQ, "u8[2, 3]; f16[2, 1]; u8[2, 1]", {}, "f16[2, 3]"),
    (DQ, "i32[4, 6]; f32[2, 3]; i32[2, 3]", {}, "f32[4, 6]"),
    (DQ, "u32[]; f32[]; u32[]", {}, "f32[]"),
    (DQ, "u4[384, 64]; f32[384, 2]; u4[384, 2]", {}, "f32[384, 64]"),
    (DQ, "i8[batch, seq]; f32[batch, 1]; i8[batch, 1]", {}, "f32[batch, seq]"),
    (DQ, "i8[4*seq]; f32[4]; i8[4]", {}, "f32[4*seq]"),
    (Q, "f32[2, 3]; f32[1, 1]; u8[1, 1]", {}, "u8[2, 3]"),
    (Q, "f16[4, 6]; f16[2, 1]; i8[2, 1]", {}, "i8[4, 6]"),
    (Q, "f32[2, 3]; f32[2, 3]; i32[2, 3]", {}, "i32[2, 3]"),
    (Q, "f32[4]; f32[1]; i4[1]", {}, "i4[4]"),
]

REFUSED = [
    (DQ, "i8[2, 3]; f32[1]; i8[1]", {}, "ShapeError", "must have the rank of the input"),
    (DQ, "i8[2, 3]; f32[]; i8[]", {}, "ShapeError", "must have the rank of the input"),
    (DQ, "i8[2, 3]; f32[1, 1]; i8[1, 3]", {}, "ShapeError", "shapes of zeroPoint and scale differ"),
    (DQ, "i8[2, 3]; f32[1, 1]; i8[1]", {}, "ShapeError", "shapes of zeroPoint and scale differ"),
    (DQ, "i8[2, 3]; f32[1, 2]; i8[1, 2]", {}, "ShapeError", "is 3; it must be a multiple of 2"),
    (DQ, "i8[2, 3]; f32[4, 1]; i8[4, 1]", {}, "ShapeError", "is 2; it must be a multiple of 4"),
    (DQ, "i8[2]; f32[1]; u8[1]", {}, "OperandError", "they must agree"),
    (DQ, "i64[2]; f32[1]; i64[1]", {}, "OperandError", "is int64"),
    (DQ, "i8[2]; i32[1]; i8[1]", {}, "OperandError", "'scale' is int32"),
    (DQ, "i8[2]; f32[1]", {}, "OperandError", "lacks operand 'zeroPoint'"),
    (Q, "f32[2]; f16[1]; i8[1]", {}, "OperandError", "they must agree"),
    (Q, "i32[2]; i32[1]; i8[1]", {}, "OperandError", "is int32"),
    (Q, "f32[2]; f32[1]; i64[1]", {}, "OperandError", "'zeroPoint' is int64"),
    (Q, "f32[2]; f32[1]", {}, "OperandError", "lacks operand 'zeroPoint'"),
    (Q, "f32[3]; f32[2]; i8[2]", {}, "ShapeError", "must be a multiple of 2"),
]

LEFT_TO_THE_RUN = [
    (DQ, "i8[seq]; f32[2]; i8[2]", {}, "f32[seq]", ["seq == 2*(seq//2)"]),
    (Q, "f32[seq]; f32[batch]; i8[batch]", {}, "i8[seq]", ["seq == batch*(seq//batch)"]),
]
