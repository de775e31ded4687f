"""Convolutions. Padding is [beginning height, ending height, beginning width, ending width]."""

from webnn_runtime.format.dims import parse_dim as d

CONV, DECONV = "conv2d", "convTranspose2d"

ACCEPTED = [
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]", {}, "f32[1, 8, 3, 5]"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]; f32[8]", {"padding": [1, 1, 0, 0]}, "f32[1, 8, 5, 5]"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]", {"pads": [0, 0, 1, 1]}, "f32[1, 8, 3, 7]"),
    (CONV, "f32[1, 3, 224, 224]; f32[8, 3, 7, 7]", {"strides": [2, 4], "padding": [3] * 4}, "f32[1, 8, 112, 56]"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]", {"dilations": [2, 3]}, "f32[1, 8, 1, 1]"),
    (CONV, "f32[1, 4, 5, 7]; f32[8, 2, 1, 1]", {"groups": 2}, "f32[1, 8, 5, 7]"),
    (CONV, "f32[1, 4, 5, 7]; f32[4, 1, 1, 1]", {"groups": 4}, "f32[1, 4, 5, 7]"),
    (CONV, "f32[1, 5, 7, 3]; f32[8, 3, 2, 4]", {"inputLayout": "nhwc"}, "f32[1, 4, 4, 8]"),
    (CONV, "f32[1, 3, 5, 7]; f32[2, 4, 3, 8]", {"filterLayout": "hwio"}, "f32[1, 8, 4, 4]"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 2, 4, 3]", {"filterLayout": "ohwi"}, "f32[1, 8, 4, 4]"),
    (CONV, "f32[1, 3, 5, 7]; f32[3, 2, 4, 8]", {"filterLayout": "ihwo"}, "f32[1, 8, 4, 4]"),
    (CONV, "f32[batch, 3, seq, 8]; f32[8, 3, 3, 3]", {"padding": [1] * 4}, "f32[batch, 8, seq, 8]"),
    (CONV, "f32[1, 3, seq, 8]; f32[8, 3, 1, 1]", {"strides": [2, 2]}, "f32[1, 8, (seq + 1)//2, 4]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]", {}, "f32[1, 8, 7, 9]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]; f32[8]", {"strides": [2, 3]}, "f32[1, 8, 11, 21]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]", {"padding": [1, 0, 2, 1]}, "f32[1, 8, 6, 6]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]", {"pads": [1, 1, 1, 1], "dilations": [2, 1]}, "f32[1, 8, 7, 7]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]", {"strides": [2, 2], "outputPadding": [1, 0]}, "f32[1, 8, 12, 15]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]", {"strides": [2, 2], "outputSizes": [12, 15]}, "f32[1, 8, 12, 15]"),
    # outputPadding does not matter where outputSizes is given.
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {"strides": [2, 2], "outputSizes": [11, 16], "outputPadding": [5, 5]},
        "f32[1, 8, 11, 16]",
    ),
    (DECONV, "f32[1, 4, 5, 7]; f32[4, 2, 1, 1]", {"groups": 2}, "f32[1, 4, 5, 7]"),
    (DECONV, "f32[1, 5, 7, 3]; f32[2, 4, 8, 3]", {"inputLayout": "nhwc", "filterLayout": "hwoi"}, "f32[1, 6, 10, 8]"),
    (DECONV, "f32[1, 3, 5, 7]; f32[8, 2, 4, 3]", {"filterLayout": "ohwi"}, "f32[1, 8, 6, 10]"),
    (DECONV, "f32[batch, 3, seq, 7]; f32[3, 8, 2, 2]", {"strides": [2, 2]}, "f32[batch, 8, 2*seq, 14]"),
]

REFUSED = [
    *((op, "f32[3, 5, 7]; f32[3, 3, 3, 3]", {}, "OperandError", "its rank must be 4") for op in (CONV, DECONV)),
    *((op, "f32[1, 3, 5, 7]; f32[3, 3, 3]", {}, "OperandError", "its rank must be 4") for op in (CONV, DECONV)),
    *((op, "f32[1, 3, 5, 7]; f16[3, 3, 3, 3]", {}, "OperandError", "they must agree") for op in (CONV, DECONV)),
    *((op, "i32[1, 3, 5, 7]; i32[3, 3, 3, 3]", {}, "OperandError", "is int32") for op in (CONV, DECONV)),
    *((op, "f32[1, 3, 5, 7]; f32[3, 3, 3, 3]; f32[1, 3]", {}, "OperandError", "must be 1") for op in (CONV, DECONV)),
    *(
        (op, "f32[1, 3, 5, 7]; f32[3, 3, 3, 3]; f32[4]", {}, "ShapeError", "'bias' and of the output")
        for op in (CONV, DECONV)
    ),
    *(
        (op, "f32[1, 3, 5, 7]; f32[3, 3, 3, 3]", options, "OptionError", words)
        for op in (CONV, DECONV)
        for options, words in (
            ({"strides": [0, 1]}, "0 is out of range"),
            ({"strides": [1]}, "has 1 items; 2 are needed"),
            ({"dilations": [1, 0]}, "0 is out of range"),
            ({"dilations": [1, 1, 1]}, "has 3 items; 2 are needed"),
            ({"padding": [1, 1]}, "has 2 items; 4 are needed"),
            ({"padding": [1, 1, -1, 1]}, "-1 is out of range"),
            ({"groups": 0}, "0 is too small"),
            ({"inputLayout": "chwn"}, "is not one of nchw, nhwc"),
            ({"filterLayout": "nchw"}, "is not one of"),
            ({"autoPad": "same-upper"}, "give 'padding' as [beginning height"),
            ({"padding": [0] * 4, "pads": [0] * 4}, "'padding' is given twice"),
        )
    ),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 4, 3, 3]", {}, "ShapeError", "input channels and filter channels"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 1, 3, 3]", {"groups": 2}, "ShapeError", "input channels and filter channels"),
    (
        CONV,
        "f32[1, 4, 5, 7]; f32[9, 2, 3, 3]",
        {"groups": 2},
        "ShapeError",
        "output channels is 9; it must be a multiple",
    ),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 6, 3]", {}, "ShapeError", "padded height"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]", {"dilations": [1, 4]}, "ShapeError", "padded width"),
    (CONV, "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]", {"outputSizes": [1, 1]}, "OptionError", "has no option 'outputSizes'"),
    (DECONV, "f32[1, 3, 5, 7]; f32[4, 8, 3, 3]", {}, "ShapeError", "channels of input and filter differ"),
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {"groups": 2},
        "ShapeError",
        "input channels is 3; it must be a multiple",
    ),
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {"outputPadding": [1, 0]},
        "OptionError",
        "must be smaller than the stride 1",
    ),
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {"strides": [2, 2], "outputSizes": [10, 15]},
        "ShapeError",
        "at least 11",
    ),
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {"strides": [2, 2], "outputSizes": [13, 15]},
        "ShapeError",
        "at least 13",
    ),
    (DECONV, "f32[1, 3, 1, 1]; f32[3, 8, 1, 1]", {"padding": [1, 1, 0, 0]}, "ShapeError", "has dimension -1"),
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {"filterLayout": "oihw"},
        "OptionError",
        "is not one of iohw, hwoi, ohwi",
    ),
]

LEFT_TO_THE_RUN = [
    (CONV, "f32[1, 3, seq, 8]; f32[8, 3, 3, 3]", {}, "f32[1, 8, seq - 2, 6]", ["seq >= 3"]),
    (CONV, "f32[1, n, 8, 8]; f32[8, 3, 1, 1]", {}, "f32[1, 8, 8, 8]", ["n == 3"]),
    (
        DECONV,
        "f32[1, 3, seq, 4]; f32[3, 8, 2, 2]",
        {"strides": [2, 2], "outputSizes": [d("n"), 8]},
        "f32[1, 8, n, 8]",
        ["n >= 2*seq", "2*seq + 1 >= n"],
    ),
]

COMPLETED = [
    (
        CONV,
        "f32[1, 3, 5, 7]; f32[8, 3, 3, 3]",
        {"pads": [1, 1, 1, 1]},
        {
            "dilations": (1, 1),
            "filterLayout": "oihw",
            "groups": 1,
            "inputLayout": "nchw",
            "padding": (1, 1, 1, 1),
            "strides": (1, 1),
        },
    ),
    (
        DECONV,
        "f32[1, 3, 5, 7]; f32[3, 8, 3, 3]",
        {},
        {
            "dilations": (1, 1),
            "filterLayout": "iohw",
            "groups": 1,
            "inputLayout": "nchw",
            "outputPadding": (0, 0),
            "outputSizes": None,
            "padding": (0, 0, 0, 0),
            "strides": (1, 1),
        },
    ),
]
