"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

FLOATS = (np.float32, np.float16)
RANDOM = np.random.default_rng(13)
IMAGE = np.arange(1, 10, dtype=np.float32).reshape(1, 1, 3, 3)
CROSS = np.float32([[[[1, 0], [0, -1]]]])
ONES = np.ones((1, 1, 2, 2), np.float32)
ROW = np.float32([[[[1, 2, 3]]]])
PAIR = np.float32([[[[1]], [[10]]]])  # two channels of one pixel: [1, 2, 1, 1]
# Two outputs of two inputs, [o, i, h, w]: o0 = i0 + 2 i1, o1 = 3 i0 + 4 i1.
MIX = np.float32([[[[1]], [[2]]], [[[3]], [[4]]]])
BIG = RANDOM.uniform(0.1, 1, (2, 4, 7, 6)).astype(np.float32)
WEIGHT = RANDOM.uniform(0.1, 1, (6, 2, 3, 2)).astype(np.float32)
BIAS = RANDOM.uniform(0.1, 1, 6).astype(np.float32)


def moved(array: np.ndarray, before: str, after: str) -> np.ndarray:
    return np.ascontiguousarray(array.transpose([before.index(axis) for axis in after]))


CASES = [
    *(
        ("conv2d", t.__name__, [IMAGE.astype(t), CROSS.astype(t), None], {}, t([[[[-4, -4], [-4, -4]]]]))
        for t in FLOATS
    ),
    ("conv2d", "bias", [IMAGE, CROSS, np.float32([10])], {}, np.float32([[[[6, 6], [6, 6]]]])),
    (
        "conv2d",
        "padding in the order top, bottom, left, right",
        [np.float32([[[[1]]]]), np.float32([[[[1, 2], [3, 4]]]]), None],
        {"padding": [1, 0, 0, 1]},
        np.float32([[[[3]]]]),
    ),
    (
        "conv2d",
        "strides",
        [IMAGE, np.float32([[[[1]]]]), None],
        {"strides": [2, 1]},
        np.float32([[[[1, 2, 3], [7, 8, 9]]]]),
    ),
    (
        "conv2d",
        "dilations",
        [IMAGE, ONES, None],
        {"dilations": [2, 1]},
        np.float32([[[[1 + 2 + 7 + 8, 2 + 3 + 8 + 9]]]]),
    ),
    ("conv2d", "channels are summed", [PAIR, MIX, None], {}, np.float32([[[[21]], [[43]]]])),
    ("conv2d", "groups", [PAIR, np.float32([[[[2]]], [[[3]]]]), None], {"groups": 2}, np.float32([[[[2]], [[30]]]])),
    *(
        (
            "conv2d",
            f"filter layout {layout}",
            [PAIR, moved(MIX, "oihw", layout), np.float32([1, 2])],
            {"filter_layout": layout},
            np.float32([[[[22]], [[45]]]]),
        )
        for layout in ("hwio", "ohwi", "ihwo")
    ),
    ("conv2d", "nhwc", [np.float32([[[[1, 10]]]]), MIX, None], {"input_layout": "nhwc"}, np.float32([[[[21, 43]]]])),
    (
        "conv2d",
        "all options",
        [BIG, WEIGHT, BIAS],
        {"padding": [1, 2, 0, 1], "strides": [2, 1], "dilations": [1, 2], "groups": 2},
        "reference",
    ),
    (
        "conv2d",
        "all options, nhwc",
        [moved(BIG, "nchw", "nhwc"), moved(WEIGHT, "oihw", "ohwi"), BIAS],
        {"padding": [1, 2, 0, 1], "strides": [2, 1], "groups": 2, "input_layout": "nhwc", "filter_layout": "ohwi"},
        "reference",
    ),
    *(
        ("convTranspose2d", t.__name__, [t([[[[1, 2]]]]), t([[[[1, 10]]]]), None], {}, t([[[[1, 12, 20]]]]))
        for t in FLOATS
    ),
    (
        "convTranspose2d",
        "bias",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1, 10]]]]), np.float32([5])],
        {},
        np.float32([[[[6, 17, 25]]]]),
    ),
    (
        "convTranspose2d",
        "strides",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1, 10, 100]]]]), None],
        {"strides": [1, 2]},
        np.float32([[[[1, 10, 102, 20, 200]]]]),
    ),
    (
        "convTranspose2d",
        "dilations",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1, 10]]]]), None],
        {"dilations": [1, 2]},
        np.float32([[[[1, 2, 10, 20]]]]),
    ),
    (
        "convTranspose2d",
        "padding crops",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1, 10]]]]), None],
        {"padding": [0, 0, 1, 0]},
        np.float32([[[[12, 20]]]]),
    ),
    (
        "convTranspose2d",
        "output padding is at the end",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1]]]]), np.float32([5])],
        {"strides": [2, 2], "output_padding": [1, 1]},
        np.float32([[[[6, 5, 7, 5], [5, 5, 5, 5]]]]),
    ),
    (
        "convTranspose2d",
        "output sizes",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1]]]]), None],
        {"strides": [1, 3], "output_sizes": [1, 6]},
        np.float32([[[[1, 0, 0, 2, 0, 0]]]]),
    ),
    (
        "convTranspose2d",
        "padding and output sizes show what was cropped",
        [np.float32([[[[1, 2]]]]), np.float32([[[[1, 10, 100]]]]), None],
        {"strides": [1, 3], "padding": [0, 0, 0, 2], "output_sizes": [1, 6]},
        np.float32([[[[1, 10, 100, 2, 20, 200]]]]),
    ),
    ("convTranspose2d", "channels", [PAIR, moved(MIX, "oihw", "iohw"), None], {}, np.float32([[[[21]], [[43]]]])),
    *(
        (
            "convTranspose2d",
            f"filter layout {layout}",
            [PAIR, moved(MIX, "oihw", layout), None],
            {"filter_layout": layout},
            np.float32([[[[21]], [[43]]]]),
        )
        for layout in ("hwoi", "ohwi")
    ),
    (
        "convTranspose2d",
        "groups",
        [PAIR, np.float32([[[[2]]], [[[3]]]]), None],
        {"groups": 2},
        np.float32([[[[2]], [[30]]]]),
    ),
    (
        "convTranspose2d",
        "nhwc",
        [np.float32([[[[1, 10]]]]), moved(MIX, "oihw", "iohw"), None],
        {"input_layout": "nhwc"},
        np.float32([[[[21, 43]]]]),
    ),
    (
        "convTranspose2d",
        "all options",
        [BIG, RANDOM.uniform(0.1, 1, (4, 3, 3, 2)).astype(np.float32), BIAS],
        {"padding": [1, 0, 0, 1], "strides": [3, 2], "dilations": [1, 2], "output_padding": [2, 1], "groups": 2},
        "reference",
    ),
]
