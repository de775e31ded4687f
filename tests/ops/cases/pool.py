"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

FLOATS = (np.float32, np.float16)
TYPES = (*FLOATS, np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64)
IMAGE = np.arange(1, 10).reshape(1, 1, 3, 3)
WINDOW = {"window_dimensions": [2, 2]}
ROW = np.float32([[[[1, 2, 3, 4]]]])
SQUARE = np.float32([[[[1, 2], [3, 4]]]])
RANDOM = np.random.default_rng(17)
BIG = RANDOM.normal(size=(2, 3, 9, 8)).astype(np.float32)
EVERYTHING = {
    "window_dimensions": [3, 2],
    "padding": [1, 0, 1, 0],
    "strides": [2, 2],
    "dilations": [2, 1],
    "output_shape_rounding": "ceil",
}

CASES = [
    (
        "averagePool2d",
        "padding as large as the window",
        [np.float32([[[[3], [4]]]])],
        {"window_dimensions": [2, 1], "dilations": [2, 1], "padding": [0, 2, 0, 0]},
        np.float32([[[[3], [4]]]]),
    ),
    (
        "maxPool2d",
        "padding as large as the window",
        [np.float32([[[[3], [4]]]])],
        {"window_dimensions": [2, 1], "dilations": [2, 1], "padding": [0, 2, 0, 0]},
        np.float32([[[[3], [4]]]]),
    ),
    (
        "l2Pool2d",
        "padding as large as the window",
        [np.float32([[[[3], [4]]]])],
        {"window_dimensions": [2, 1], "dilations": [2, 1], "padding": [0, 2, 0, 0]},
        np.float32([[[[3], [4]]]]),
    ),
    *(("averagePool2d", t.__name__, [IMAGE.astype(t)], WINDOW, t([[[[3, 4], [6, 7]]]])) for t in FLOATS),
    ("averagePool2d", "the whole image", [np.float32(IMAGE)], {}, np.float32([[[[5]]]])),
    (
        "averagePool2d",
        "padding does not count",
        [SQUARE],
        {**WINDOW, "padding": [1, 0, 0, 1]},
        np.float32([[[[1.5, 2], [2.5, 3]]]]),
    ),
    (
        "averagePool2d",
        "strides, rounded down",
        [ROW],
        {"window_dimensions": [1, 3], "strides": [1, 2]},
        np.float32([[[[2]]]]),
    ),
    (
        "averagePool2d",
        "strides, rounded up",
        [ROW],
        {"window_dimensions": [1, 3], "strides": [1, 2], "output_shape_rounding": "ceil"},
        np.float32([[[[2, 3.5]]]]),
    ),
    (
        "averagePool2d",
        "output sizes overrule the rounding",
        [ROW],
        {"window_dimensions": [1, 3], "strides": [1, 2], "output_sizes": [1, 2]},
        np.float32([[[[2, 3.5]]]]),
    ),
    ("averagePool2d", "dilations", [np.float32(IMAGE)], {**WINDOW, "dilations": [2, 2]}, np.float32([[[[5]]]])),
    ("averagePool2d", "nhwc", [np.float32([[[[1, 10], [3, 30]]]])], {"layout": "nhwc"}, np.float32([[[[2, 20]]]])),
    *(
        ("l2Pool2d", t.__name__, [t([[[[3, 4], [0, 12]]]])], {"window_dimensions": [1, 2]}, t([[[[5], [12]]]]))
        for t in FLOATS
    ),
    (
        "l2Pool2d",
        "the whole image, nhwc",
        [np.float32([[[[3, 6], [4, 8]]]])],
        {"layout": "nhwc"},
        np.float32([[[[5, 10]]]]),
    ),
    (
        "l2Pool2d",
        "padding adds nothing",
        [np.float32([[[[3, 4]]]])],
        {"window_dimensions": [1, 2], "padding": [0, 0, 1, 1]},
        np.float32([[[[3, 5, 4]]]]),
    ),
    ("l2Pool2d", "squares that float32 cannot hold", [np.float32([[[[3e30, 4e30]]]])], {}, np.float32([[[[5e30]]]])),
    *(("maxPool2d", t.__name__, [IMAGE.astype(t)], WINDOW, t([[[[5, 6], [8, 9]]]])) for t in TYPES),
    *(
        (
            "maxPool2d",
            f"{t.__name__} padding is below everything",
            [t([[[[-5, -7]]]])],
            {"window_dimensions": [1, 2], "padding": [0, 0, 1, 1]},
            t([[[[-5, -5, -7]]]]),
        )
        for t in (*FLOATS, np.int8, np.int32, np.int64)
    ),
    (
        "maxPool2d",
        "rounded up",
        [ROW],
        {"window_dimensions": [1, 3], "strides": [1, 2], "output_shape_rounding": "ceil"},
        np.float32([[[[3, 4]]]]),
    ),
    ("maxPool2d", "nhwc", [np.float32([[[[1, 30], [3, 10]]]])], {"layout": "nhwc"}, np.float32([[[[3, 30]]]])),
    *((op, "all options", [BIG], EVERYTHING, "reference") for op in ("averagePool2d", "l2Pool2d", "maxPool2d")),
    *(
        (
            op,
            "all options, nhwc",
            [np.ascontiguousarray(BIG.transpose(0, 2, 3, 1))],
            {**EVERYTHING, "layout": "nhwc"},
            "reference",
        )
        for op in ("averagePool2d", "l2Pool2d", "maxPool2d")
    ),
    *(
        (
            "resample2d",
            f"{t.__name__} nearest",
            [t([[[[1, 2]]]])],
            {"scales": [2.0, 2.0]},
            t([[[[1, 1, 2, 2], [1, 1, 2, 2]]]]),
        )
        for t in (*FLOATS, np.uint8, np.int8)
    ),
    *(
        (
            "resample2d",
            f"{t.__name__} linear",
            [t([[[[1, 5]]]])],
            {"mode": "linear", "sizes": [1, 4]},
            t([[[[1, 2, 4, 5]]]]),
        )
        for t in (*FLOATS, np.uint8, np.int8)
    ),
    (
        "resample2d",
        "linear in both axes",
        [SQUARE],
        {"mode": "linear", "sizes": [4, 4]},
        np.float32([[[[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3, 3.25, 3.75, 4]]]]),
    ),
    ("resample2d", "smaller, nearest takes the lower half", [ROW], {"sizes": [1, 2]}, np.float32([[[[1, 3]]]])),
    ("resample2d", "smaller, linear", [ROW], {"mode": "linear", "scales": [1.0, 0.5]}, np.float32([[[[1.5, 3.5]]]])),
    ("resample2d", "sizes overrule scales", [ROW], {"sizes": [1, 4], "scales": [3.0, 3.0]}, ROW),
    (
        "resample2d",
        "other axes",
        [np.float32([[[[1]], [[2]]]])],
        {"axes": [1, 3], "scales": [2.0, 2.0]},
        np.float32([[[[1, 1]], [[1, 1]], [[2, 2]], [[2, 2]]]]),
    ),
    ("resample2d", "the size is rounded down", [ROW], {"scales": [1.0, 0.7]}, np.float32([[[[1, 3]]]])),
]
