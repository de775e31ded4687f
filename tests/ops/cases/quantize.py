"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

FLOATS = (np.float32, np.float16)
QUANTIZED = (np.uint8, np.int8, np.uint32, np.int32)
GRID = np.arange(8).reshape(2, 4)

CASES = [
    *(
        ("dequantizeLinear", f"{q.__name__} to {t.__name__}", [q([1, 3, 5]), t([0.5]), q([3])], {}, t([-1, 0, 1]))
        for q in QUANTIZED
        for t in FLOATS
    ),
    (
        "dequantizeLinear",
        "one scale per row",
        [np.uint8([[1, 2], [3, 4]]), np.float32([[1], [10]]), np.uint8([[0], [3]])],
        {},
        np.float32([[1, 2], [0, 10]]),
    ),
    (
        "dequantizeLinear",
        "one scale per column",
        [np.int8([[1, 2], [3, 4]]), np.float32([[1, 10]]), np.int8([[0, 3]])],
        {},
        np.float32([[1, -10], [3, 10]]),
    ),
    (
        "dequantizeLinear",
        "blocks of two in a row",
        [np.uint8(GRID), np.float32([[1, 10], [100, 1000]]), np.uint8([[0, 2], [0, 6]])],
        {},
        np.float32([[0, 1, 0, 10], [400, 500, 0, 1000]]),
    ),
    (
        "dequantizeLinear",
        "blocks of both axes",
        [np.uint8(GRID), np.float32([[1, 10]]), np.uint8([[0, 2]])],
        {},
        np.float32([[0, 1, 0, 10], [4, 5, 40, 50]]),
    ),
    ("dequantizeLinear", "a scalar", [np.uint8(7), np.float32(0.5), np.uint8(5)], {}, np.float32(1)),
    (
        "dequantizeLinear",
        "a difference that int32 cannot hold",
        [np.int32([2**31 - 1]), np.float32([1]), np.int32([-(2**31)])],
        {},
        np.float32([2**32]),
    ),
    (
        "dequantizeLinear",
        "uint8 below its zero point",
        [np.uint8([0]), np.float32([1]), np.uint8([255])],
        {},
        np.float32([-255]),
    ),
    *(
        ("quantizeLinear", f"{t.__name__} to {q.__name__}", [t([-1, 0, 1]), t([0.5]), q([3])], {}, q([1, 3, 5]))
        for q in QUANTIZED
        for t in FLOATS
    ),
    (
        "quantizeLinear",
        "halves go to the even integer",
        [np.float32([0.5, 1.5, 2.5, -0.5, -1.5]), np.float32([1]), np.int8([0])],
        {},
        np.int8([0, 2, 2, 0, -2]),
    ),
    (
        "quantizeLinear",
        "rounded before the zero point is added",
        [np.float32([0.5, 1.5]), np.float32([1]), np.uint8([1])],
        {},
        np.uint8([1, 3]),
    ),
    (
        "quantizeLinear",
        "uint8 saturates",
        [np.float32([-1e9, 1e9, 1000, -np.inf, np.inf]), np.float32([2]), np.uint8([128])],
        {},
        np.uint8([0, 255, 255, 0, 255]),
    ),
    (
        "quantizeLinear",
        "int32 saturates",
        [np.float32([-1e10, 1e10]), np.float32([1]), np.int32([7])],
        {},
        np.int32([-(2**31), 2**31 - 1]),
    ),
    (
        "quantizeLinear",
        "uint32 saturates",
        [np.float32([-1, 1e10]), np.float32([1]), np.uint32([0])],
        {},
        np.uint32([0, 2**32 - 1]),
    ),
    (
        "quantizeLinear",
        "blocks of both axes",
        [np.float32(GRID), np.float32([[1, 2]]), np.uint8([[0, 10]])],
        {},
        np.uint8([[0, 1, 11, 12], [4, 5, 13, 14]]),
    ),
]
