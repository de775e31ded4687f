"""Matrix products."""

ACCEPTED = [
    ("matmul", "f32[2, 3]; f32[3, 4]", {}, "f32[2, 4]"),
    ("matmul", "f16[5, 1, 2, 3]; f16[6, 3, 4]", {}, "f16[5, 6, 2, 4]"),
    ("matmul", "f32[batch, 12, seq, 32]; f32[batch, 12, 32, seq]", {}, "f32[batch, 12, seq, seq]"),
    ("matmul", "f32[batch, seq, 384]; f32[384, 1536]", {}, "f32[batch, seq, 1536]"),
    ("matmul", "f32[batch, 12, seq, past + seq]; f32[batch, 12, seq + past, 32]", {}, "f32[batch, 12, seq, 32]"),
    ("gemm", "f32[2, 3]; f32[3, 4]", {}, "f32[2, 4]"),
    ("gemm", "f32[3, 2]; f32[4, 3]", {"aTranspose": True, "bTranspose": True}, "f32[2, 4]"),
    ("gemm", "f32[3, 2]; f32[4, 3]", {"a_transpose": 1, "b_transpose": 1}, "f32[2, 4]"),
    ("gemm", "f32[batch, 3]; f32[3, 4]; f32[4]", {"alpha": 2, "beta": 0.5}, "f32[batch, 4]"),
    ("gemm", "f16[2, 3]; f16[3, 4]; f16[]", {}, "f16[2, 4]"),
    ("gemm", "f32[2, 3]; f32[3, 4]; f32[2, 1]", {}, "f32[2, 4]"),
]

REFUSED = [
    ("matmul", "f32[2, 3]; f32[4, 5]", {}, "ShapeError", "inner dimensions of [2, 3] and [4, 5] differ, 3 and 4"),
    ("matmul", "f32[2, 2, 3]; f32[3, 3, 4]", {}, "ShapeError", "do not broadcast"),
    ("matmul", "f32[3]; f32[3, 4]", {}, "OperandError", "its rank must be 2 or more"),
    ("matmul", "f32[2, 3]; f32[3]", {}, "OperandError", "its rank must be 2 or more"),
    ("matmul", "i32[2, 3]; i32[3, 2]", {}, "OperandError", "is int32"),
    ("matmul", "f32[2, 3]; f16[3, 2]", {}, "OperandError", "they must agree"),
    ("gemm", "f32[2, 3]; f32[4, 3]", {}, "ShapeError", "inner dimensions of [2, 3] and [4, 3] differ, 3 and 4"),
    ("gemm", "f32[2, 3]; f32[3, 4]", {"aTranspose": True}, "ShapeError", "inner dimensions of [3, 2] and [3, 4]"),
    ("gemm", "f32[1, 2, 3]; f32[3, 4]", {}, "OperandError", "its rank must be 2"),
    ("gemm", "f32[2, 3]; f32[3, 4]; f32[3]", {}, "ShapeError", "operand 'c' [3] does not broadcast to [2, 4]"),
    ("gemm", "f32[1, 3]; f32[3, 4]; f32[2, 4]", {}, "ShapeError", "does not broadcast to [1, 4]"),
    ("gemm", "f32[2, 3]; f32[3, 4]; f32[1, 2, 4]", {}, "OperandError", "its rank must be 0 to 2"),
    ("gemm", "f32[2, 3]; f32[3, 4]; f16[4]", {}, "OperandError", "they must agree"),
    ("gemm", "f32[2, 3]; f32[3, 4]", {"aTranspose": 2}, "OptionError", "2 is not true or false"),
]

LEFT_TO_THE_RUN = [
    ("matmul", "f32[2, seq]; f32[384, 4]", {}, "f32[2, 4]", ["seq == 384"]),
    ("gemm", "f32[seq, batch]; f32[n, 4]", {}, "f32[seq, 4]", ["batch == n"]),
]

COMPLETED = [
    (
        "gemm",
        "f32[2, 3]; f32[3, 4]",
        {"alpha": 2},
        {"aTranspose": False, "alpha": 2.0, "bTranspose": False, "beta": 1.0},
    ),
]
