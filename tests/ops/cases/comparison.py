"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

NAN, INF = np.nan, np.inf
INTEGERS = (np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64)
TYPES = (np.float32, np.float16, *INTEGERS)
RESULTS = {
    "equal": [0, 1, 0],
    "notEqual": [1, 0, 1],
    "greater": [0, 0, 1],
    "greaterOrEqual": [0, 1, 1],
    "lesser": [1, 0, 0],
    "lesserOrEqual": [1, 1, 0],
}

CASES = [
    *(
        (op, t.__name__, [t([1, 2, 3]), t(2)], {}, np.uint8(expected))
        for op, expected in RESULTS.items()
        for t in TYPES
    ),
    *(
        (op, "NaN", [np.float32([NAN, 1, NAN]), np.float32([1, NAN, NAN])], {}, np.uint8([op == "notEqual"] * 3))
        for op in RESULTS
    ),
    *(
        (
            op,
            "zeros of both signs",
            [np.float32([0.0]), np.float32([-0.0])],
            {},
            np.uint8([op in ("equal", "greaterOrEqual", "lesserOrEqual")]),
        )
        for op in RESULTS
    ),
    *(
        (
            op,
            "int64 neighbours that float64 cannot tell apart",
            [np.int64([2**53]), np.int64([2**53 + 1])],
            {},
            np.uint8([op in ("notEqual", "lesser", "lesserOrEqual")]),
        )
        for op in RESULTS
    ),
    *(
        (
            op,
            "uint64 above the signed range",
            [np.uint64([2**63]), np.uint64([1])],
            {},
            np.uint8([op in ("notEqual", "greater", "greaterOrEqual")]),
        )
        for op in RESULTS
    ),
    ("equal", "both operands stretch", [np.int32([[1], [2]]), np.int32([1, 2])], {}, np.uint8([[1, 0], [0, 1]])),
    ("logicalNot", "any value but 0 is true", [np.uint8([0, 1, 2, 255])], {}, np.uint8([1, 0, 0, 0])),
    (
        "logicalAnd",
        "any value but 0 is true",
        [np.uint8([0, 1, 2, 0]), np.uint8([0, 0, 4, 7])],
        {},
        np.uint8([0, 0, 1, 0]),
    ),
    (
        "logicalOr",
        "any value but 0 is true",
        [np.uint8([0, 1, 2, 0]), np.uint8([0, 0, 4, 7])],
        {},
        np.uint8([0, 1, 1, 1]),
    ),
    (
        "logicalXor",
        "any value but 0 is true",
        [np.uint8([0, 1, 2, 0]), np.uint8([0, 0, 4, 7])],
        {},
        np.uint8([0, 1, 0, 1]),
    ),
    ("logicalAnd", "operands stretch", [np.uint8([[1], [0]]), np.uint8([1, 0])], {}, np.uint8([[1, 0], [0, 0]])),
    *(("isNaN", t.__name__, [t([NAN, 1, INF, -INF])], {}, np.uint8([1, 0, 0, 0])) for t in (np.float32, np.float16)),
    *(
        ("isInfinite", t.__name__, [t([NAN, 1, INF, -INF])], {}, np.uint8([0, 0, 1, 1]))
        for t in (np.float32, np.float16)
    ),
    ("isNaN", "a scalar", [np.float32(NAN)], {}, np.uint8(1)),
    *(("where", t.__name__, [np.uint8([1, 0, 9]), t([1, 2, 3]), t([4, 5, 6])], {}, t([1, 5, 3])) for t in TYPES),
    (
        "where",
        "all three stretch",
        [np.uint8([[1], [0]]), np.float32(1), np.float32([[5, 6]])],
        {},
        np.float32([[1, 1], [5, 6]]),
    ),
    (
        "where",
        "what is not chosen does not matter",
        [np.uint8([1, 0]), np.float32([1, NAN]), np.float32([INF, 2])],
        {},
        np.float32([1, 2]),
    ),
]
