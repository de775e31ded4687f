"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

FLOATS = (np.float32, np.float16)
X = [[1, 2, 3], [4, 6, 8]]
RANDOM = np.random.default_rng(11)
IMAGE = [[[[1, 3]], [[10, 30]]]]  # [1, 2, 1, 2]

CASES = [
    *(
        (
            "batchNormalization",
            t.__name__,
            [t([[1, 10], [3, 30]]), t([2, 20]), t([1, 100]), None, None],
            {"epsilon": 0.0},
            t([[-1, -1], [1, 1]]),
        )
        for t in FLOATS
    ),
    (
        "batchNormalization",
        "scale and bias",
        [
            np.float32([[1, 10], [3, 30]]),
            np.float32([2, 20]),
            np.float32([1, 100]),
            np.float32([2, 3]),
            np.float32([1, -1]),
        ],
        {"epsilon": 0.0},
        np.float32([[-1, -4], [3, 2]]),
    ),
    (
        "batchNormalization",
        "scale only, another axis",
        [np.float32([[1, 3], [10, 30]]), np.float32([2, 20]), np.float32([1, 100]), np.float32([2, 3]), None],
        {"axis": 0, "epsilon": 0.0},
        np.float32([[-2, 2], [-3, 3]]),
    ),
    (
        "batchNormalization",
        "bias only, epsilon",
        [np.float32([[1], [3]]), np.float32([2]), np.float32([0]), None, np.float32([5])],
        {"epsilon": 0.25},
        np.float32([[3], [7]]),
    ),
    (
        "batchNormalization",
        "rank 1",
        [np.float32([1, 30]), np.float32([2, 20]), np.float32([1, 100]), None, None],
        {"axis": 0, "epsilon": 0.0},
        np.float32([-1, 1]),
    ),
    *(
        ("instanceNormalization", t.__name__, [t(IMAGE), None, None], {"epsilon": 0.0}, t([[[[-1, 1]], [[-1, 1]]]]))
        for t in FLOATS
    ),
    (
        "instanceNormalization",
        "scale and bias",
        [np.float32(IMAGE), np.float32([2, 3]), np.float32([1, -1])],
        {"epsilon": 0.0},
        np.float32([[[[-1, 3]], [[-4, 2]]]]),
    ),
    (
        "instanceNormalization",
        "nhwc",
        [np.float32([[[[1, 10], [3, 30]]]]), np.float32([2, 3]), None],
        {"epsilon": 0.0, "layout": "nhwc"},
        np.float32([[[[-2, -3], [2, 3]]]]),
    ),
    ("instanceNormalization", "one pixel", [np.float32([[[[7]]]]), None, np.float32([5])], {}, np.float32([[[[5]]]])),
    *(
        ("layerNormalization", t.__name__, [t([[1, 3], [10, 30]]), None, None], {"epsilon": 0.0}, t([[-1, 1], [-1, 1]]))
        for t in FLOATS
    ),
    *(
        (
            "layerNormalization",
            f"{t.__name__} scale and bias",
            [t([[1, 3], [10, 30]]), t([2, 3]), t([1, -1])],
            {"epsilon": 0.0, "axes": [1]},
            t([[-1, 2], [-1, 2]]),
        )
        for t in FLOATS
    ),
    (
        "layerNormalization",
        "all but the first axis by default",
        [np.float32([[[1, 1], [3, 3]]]), None, None],
        {"epsilon": 0.0},
        np.float32([[[-1, -1], [1, 1]]]),
    ),
    (
        "layerNormalization",
        "axes out of order, scale in their order",
        [np.float32([[[1, 3], [1, 3]]]), np.float32([[1, 2], [3, 4]]), None],
        {"epsilon": 0.0, "axes": [2, 1]},
        np.float32([[[-1, 3], [-2, 4]]]),
    ),
    (
        "layerNormalization",
        "a leading axis",
        [np.float32([[1, 10], [3, 30]]), np.float32([2, 3]), None],
        {"epsilon": 0.0, "axes": [0]},
        np.float32([[-2, -2], [3, 3]]),
    ),
    (
        "layerNormalization",
        "no axes leaves the bias",
        [np.float32(X), np.float32(3), np.float32(0.5)],
        {"axes": []},
        np.float32([[0.5] * 3] * 2),
    ),
    ("layerNormalization", "no axes and no bias", [np.float32(X), None, None], {"axes": []}, np.float32([[0] * 3] * 2)),
    (
        "layerNormalization",
        "epsilon",
        [np.float32([[2, 2]]), None, np.float32([4, 5])],
        {"epsilon": 1e-12},
        np.float32([[4, 5]]),
    ),
    (
        "layerNormalization",
        "far from zero",
        [np.float32([[10001, 10003]]), None, None],
        {"epsilon": 0.0},
        np.float32([[-1, 1]]),
    ),
    (
        "layerNormalization",
        "an odd size",
        [
            RANDOM.normal(size=(3, 5, 37)).astype(np.float32),
            RANDOM.normal(size=37).astype(np.float32),
            RANDOM.normal(size=37).astype(np.float32),
        ],
        {"axes": [2], "epsilon": 1e-12},
        "reference",
    ),
]
