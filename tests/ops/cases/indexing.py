"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

TYPES = (np.float32, np.float16, np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64)
INDICES = (np.int32, np.uint32, np.int64)
X = [[1, 2], [3, 4], [5, 6]]

CASES = [
    *(("gather", t.__name__, [t(X), np.int32([2, 0])], {}, t([[5, 6], [1, 2]])) for t in TYPES),
    *(
        ("gather", f"{i.__name__} indices", [np.float32(X), i([[1], [0]])], {}, np.float32([[[3, 4]], [[1, 2]]]))
        for i in INDICES
    ),
    (
        "gather",
        "another axis",
        [np.float32(X), np.int32([1, 1, 0])],
        {"axis": 1},
        np.float32([[2, 2, 1], [4, 4, 3], [6, 6, 5]]),
    ),
    ("gather", "a scalar index", [np.float32(X), np.int32(1)], {}, np.float32([3, 4])),
    ("gather", "a scalar index of a vector", [np.float32([7, 8]), np.int32(1)], {}, np.float32(8)),
    (
        "gather",
        "negative indices count from the end",
        [np.float32(X), np.int64([-1, -3])],
        {},
        np.float32([[5, 6], [1, 2]]),
    ),
    (
        "gather",
        "indices out of range are clamped",
        [np.float32(X), np.int32([3, 99, -4, -(2**31)])],
        {},
        np.float32([[5, 6], [5, 6], [1, 2], [1, 2]]),
    ),
    ("gather", "the largest uint32 is clamped", [np.float32([1, 2]), np.uint32([2**32 - 1])], {}, np.float32([2])),
    *(("gatherElements", t.__name__, [t(X), np.int32([[2, 0]])], {}, t([[5, 2]])) for t in TYPES),
    *(
        (
            "gatherElements",
            f"{i.__name__} indices",
            [np.float32(X), i([[1, 0]] * 3)],
            {"axis": 1},
            np.float32([[2, 1], [4, 3], [6, 5]]),
        )
        for i in INDICES
    ),
    ("gatherElements", "negative and out of range", [np.float32(X), np.int32([[-1, 7]])], {}, np.float32([[5, 6]])),
    *(("gatherND", t.__name__, [t(X), np.int32([[2, 0], [0, 1]])], {}, t([5, 2])) for t in TYPES),
    *(
        (
            "gatherND",
            f"{i.__name__} indices of slices",
            [np.float32(X), i([[[2]], [[1]]])],
            {},
            np.float32([[[5, 6]], [[3, 4]]]),
        )
        for i in INDICES
    ),
    ("gatherND", "negative and out of range", [np.float32(X), np.int32([[-1, -1], [9, 9]])], {}, np.float32([6, 6])),
    ("gatherND", "one element", [np.float32(X), np.int32([1, 1])], {}, np.float32(4)),
    *(
        ("scatterElements", t.__name__, [t(X), np.int32([[2, 0]]), t([[8, 9]])], {}, t([[1, 9], [3, 4], [8, 6]]))
        for t in TYPES
    ),
    *(
        (
            "scatterElements",
            f"{i.__name__} indices",
            [np.float32(X), i([[1], [0], [1]]), np.float32([[7], [8], [9]])],
            {"axis": 1},
            np.float32([[1, 7], [8, 4], [5, 9]]),
        )
        for i in INDICES
    ),
    (
        "scatterElements",
        "negative and out of range",
        [np.float32(X), np.int32([[-1, 7]]), np.float32([[8, 9]])],
        {},
        np.float32([[1, 2], [3, 4], [8, 9]]),
    ),
    *(
        ("scatterND", t.__name__, [t(X), np.int32([[2, 0], [0, 1]]), t([8, 9])], {}, t([[1, 9], [3, 4], [8, 6]]))
        for t in TYPES
    ),
    *(
        (
            "scatterND",
            f"{i.__name__} indices of slices",
            [np.float32(X), i([[1]]), np.float32([[8, 9]])],
            {},
            np.float32([[1, 2], [8, 9], [5, 6]]),
        )
        for i in INDICES
    ),
    (
        "scatterND",
        "negative and out of range",
        [np.float32(X), np.int32([[-1, -1], [-9, 0]]), np.float32([8, 9])],
        {},
        np.float32([[9, 2], [3, 4], [5, 8]]),
    ),
]
