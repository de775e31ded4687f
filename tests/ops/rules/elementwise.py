"""Arithmetic of two operands broadcasts; functions of one keep the shape."""

BINARY = ("add", "sub", "mul", "div", "max", "min", "pow")
SIGNED = ("abs", "neg", "sign")
FLOAT = ("ceil", "cos", "erf", "exp", "floor", "log", "reciprocal", "roundEven", "sin", "sqrt", "tan")

ACCEPTED = [
    *((op, "f32[batch, 1]; f32[3]", {}, "f32[batch, 3]") for op in BINARY),
    *((op, "u64[]; u64[2]", {}, "u64[2]") for op in BINARY),
    *((op, "u8[2, 1, 4]; u8[3, 1]", {}, "u8[2, 3, 4]") for op in BINARY),
    *((op, "f32[batch, seq]; f32[batch, seq]", {}, "f32[batch, seq]") for op in BINARY),
    *((op, "i8[2]", {}, "i8[2]") for op in SIGNED),
    *((op, "f32[batch, 3]", {}, "f32[batch, 3]") for op in (*SIGNED, *FLOAT)),
]

REFUSED = [
    *(
        (op, "f32[2]; f16[2]", {}, "OperandError", "'b' is float16, but 'a' is float32; they must agree")
        for op in BINARY
    ),
    *((op, "f32[2, 3]; f32[2]", {}, "ShapeError", "shapes [2, 3] and [2] do not broadcast: 3 and 2") for op in BINARY),
    *((op, "f32[2]", {}, "OperandError", "lacks operand 'b'") for op in BINARY),
    *((op, "i4[2]; i4[2]", {}, "OperandError", "is int4") for op in BINARY),
    *((op, "f32[2]; f32[2]; f32[2]", {}, "OperandError", "takes at most 2") for op in BINARY),
    *((op, "f32[2]; f32[2]", {"axis": 1}, "OptionError", "its options: none") for op in BINARY),
    *((op, "u8[2]", {}, "OperandError", "is uint8") for op in SIGNED),
    *((op, "i32[2]", {}, "OperandError", "is int32") for op in FLOAT),
    # seq is at most 512, and a name that might be 1 is not stretched.
    ("add", "f32[seq]; f32[513]", {}, "ShapeError", "do not broadcast"),
    ("add", "f32[65536, 1]; f32[65536]", {}, "ShapeError", "more than 2147483647 elements"),
]

LEFT_TO_THE_RUN = [
    ("add", "f32[batch]; f32[64]", {}, "f32[64]", ["batch == 64"]),
    ("mul", "f32[batch, seq]; f32[seq, batch]", {}, "f32[batch, seq]", ["seq == batch", "batch == seq"]),
]
