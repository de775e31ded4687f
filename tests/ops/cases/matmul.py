"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

FLOATS = (np.float32, np.float16)
A, B = [[1, 2, 3], [4, 5, 6]], [[1, 0], [0, 1], [2, -1]]
AB = [[7, -1], [16, -1]]
RANDOM = np.random.default_rng(7)

CASES = [
    *(("matmul", t.__name__, [t(A), t(B)], {}, t(AB)) for t in FLOATS),
    (
        "matmul",
        "batches broadcast",
        [np.float32([[A], [A]]), np.float32([[B, B, B]])],
        {},
        np.float32([[AB, AB, AB]] * 2),
    ),
    ("matmul", "one matrix for a batch", [np.float32([A, A]), np.float32(B)], {}, np.float32([AB, AB])),
    ("matmul", "a batch of the second operand", [np.float32(A), np.float32([B, B])], {}, np.float32([AB, AB])),
    (
        "matmul",
        "inner dimension 1",
        [np.float32([[2], [3]]), np.float32([[5, 7]])],
        {},
        np.float32([[10, 14], [15, 21]]),
    ),
    ("matmul", "one element", [np.float32([[2]]), np.float32([[5]])], {}, np.float32([[10]])),
    (
        "matmul",
        "float32 cancels late",
        [np.float32([[1e8, 1, -1e8]]), np.float32([[1], [1], [1]])],
        {},
        np.float32([[1]]),
    ),
    (
        "matmul",
        "float16 sums wider than float16",
        [np.float16([[2048, 1, 1]]), np.float16([[1], [1], [1]])],
        {},
        np.float16([[2050]]),
    ),
    ("matmul", "infinity times zero", [np.float32([[np.inf, 1]]), np.float32([[0], [1]])], {}, np.float32([[np.nan]])),
    (
        "matmul",
        "odd sizes",
        [
            RANDOM.uniform(0.1, 1, (2, 3, 37, 19)).astype(np.float32),
            RANDOM.uniform(0.1, 1, (3, 19, 5)).astype(np.float32),
        ],
        {},
        "reference",
    ),
    *(("gemm", t.__name__, [t(A), t(B)], {}, t(AB)) for t in FLOATS),
    (
        "gemm",
        "alpha, beta and a row",
        [np.float32(A), np.float32(B), np.float32([10, 20])],
        {"alpha": 2.0, "beta": 0.5},
        np.float32([[19, 8], [37, 8]]),
    ),
    ("gemm", "a column", [np.float32(A), np.float32(B), np.float32([[1], [2]])], {}, np.float32([[8, 0], [18, 1]])),
    ("gemm", "a scalar", [np.float32(A), np.float32(B), np.float32(1)], {}, np.float32([[8, 0], [17, 0]])),
    ("gemm", "a transposed", [np.float32(np.transpose(A)), np.float32(B)], {"a_transpose": True}, np.float32(AB)),
    ("gemm", "b transposed", [np.float32(A), np.float32(np.transpose(B))], {"b_transpose": True}, np.float32(AB)),
    (
        "gemm",
        "both transposed",
        [np.float32(np.transpose(A)), np.float32(np.transpose(B)), np.float32([[1, 1], [1, 1]])],
        {"a_transpose": True, "b_transpose": True, "beta": -1.0},
        np.float32([[6, -2], [15, -2]]),
    ),
]
