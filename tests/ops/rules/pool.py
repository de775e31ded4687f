"""Pools and resampling."""

POOLS = ("averagePool2d", "l2Pool2d", "maxPool2d")
HALF = {"windowDimensions": [2, 2], "strides": [2, 2]}

ACCEPTED = [
    *(
        (op, operand, options, result)
        for op in POOLS
        for operand, options, result in (
            ("f32[2, 3, 5, 7]", {}, "f32[2, 3, 1, 1]"),
            ("f32[2, 5, 7, 3]", {"layout": "nhwc"}, "f32[2, 1, 1, 3]"),
            ("f32[batch, 3, seq, seq]", {}, "f32[batch, 3, 1, 1]"),
            ("f32[1, 3, 5, 7]", HALF, "f32[1, 3, 2, 3]"),
            ("f32[1, 3, 5, 7]", {**HALF, "outputShapeRounding": "ceil"}, "f32[1, 3, 3, 4]"),
            ("f32[1, 3, 5, 7]", {**HALF, "roundingType": "ceil"}, "f32[1, 3, 3, 4]"),
            ("f32[1, 3, 5, 7]", {**HALF, "outputSizes": [2, 3]}, "f32[1, 3, 2, 3]"),
            ("f32[1, 3, 5, 7]", {**HALF, "outputSizes": [3, 4]}, "f32[1, 3, 3, 4]"),
            ("f32[1, 3, 5, 7]", {**HALF, "padding": [0, 1, 1, 1]}, "f32[1, 3, 3, 4]"),
            ("f32[1, 3, 5, 7]", {**HALF, "pads": [0, 1, 0, 0]}, "f32[1, 3, 3, 3]"),
            ("f32[1, 3, 5, 7]", {"windowDimensions": [2, 2], "dilations": [4, 1]}, "f32[1, 3, 1, 6]"),
        )
    ),
    ("maxPool2d", "u8[1, 3, 5, 7]", HALF, "u8[1, 3, 2, 3]"),
    ("resample2d", "f32[1, 3, 4, 6]", {}, "f32[1, 3, 4, 6]"),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [2, 0.5], "mode": "linear"}, "f32[1, 3, 8, 3]"),
    ("resample2d", "f32[1, 3, 5, 5]", {"scales": [1.5, 0.25]}, "f32[1, 3, 7, 1]"),
    ("resample2d", "i8[1, 4, 6, 3]", {"sizes": [5, 7], "axes": [1, 2]}, "i8[1, 5, 7, 3]"),
    ("resample2d", "f32[1, 3, 4, 6]", {"sizes": [9, 9], "scales": [2, 2], "axes": [3, 0]}, "f32[9, 3, 4, 9]"),
    ("resample2d", "f32[1, 3, seq, 6]", {"scales": [2, 1.5]}, "f32[1, 3, 2*seq, 9]"),
]

REFUSED = [
    *(
        (op, "f32[1, 3, 5, 7]", options, error, words)
        for op in POOLS
        for options, error, words in (
            ({"windowDimensions": [6, 1]}, "ShapeError", "padded height"),
            ({"windowDimensions": [1, 8]}, "ShapeError", "padded width"),
            ({"windowDimensions": [0, 1]}, "OptionError", "0 is out of range"),
            ({"windowDimensions": [1]}, "OptionError", "has 1 items; 2 are needed"),
            ({"strides": [0, 1]}, "OptionError", "0 is out of range"),
            ({"dilations": [0, 1]}, "OptionError", "0 is out of range"),
            ({"padding": [0, 0]}, "OptionError", "has 2 items; 4 are needed"),
            ({**HALF, "outputSizes": [2, 4]}, "ShapeError", "is [2, 4]; it must be [2, 3] or [3, 4]"),
            ({**HALF, "outputSizes": [4, 5]}, "ShapeError", "must be [2, 3] or [3, 4]"),
            ({**HALF, "outputSizes": [2]}, "OptionError", "has 1 items; 2 are needed"),
            ({"outputShapeRounding": "round"}, "OptionError", "is not one of floor, ceil"),
            ({"layout": "oihw"}, "OptionError", "is not one of nchw, nhwc"),
            ({"autoPad": "same-lower"}, "OptionError", "give 'padding'"),
        )
    ),
    *((op, "f32[3, 5, 7]", {}, "OperandError", "its rank must be 4") for op in (*POOLS, "resample2d")),
    *((op, "i32[1, 3, 5, 7]", {}, "OperandError", "is int32") for op in ("averagePool2d", "l2Pool2d", "resample2d")),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [0, 1]}, "OptionError", "more than 0"),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [-1, 1]}, "OptionError", "more than 0"),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [1]}, "OptionError", "has 1 items; 2 are needed"),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [float("inf"), 1]}, "OptionError", "not finite"),
    ("resample2d", "f32[1, 3, 4, 6]", {"sizes": [0, 1]}, "OptionError", "0 is out of range"),
    ("resample2d", "f32[1, 3, 4, 6]", {"axes": [1, 1]}, "OptionError", "names an axis twice"),
    ("resample2d", "f32[1, 3, 4, 6]", {"axes": [1, 4]}, "OptionError", "4 is not an axis"),
    ("resample2d", "f32[1, 3, 4, 6]", {"axes": [1, 2, 3]}, "OptionError", "has 3 items; 2 are needed"),
    ("resample2d", "f32[1, 3, 4, 6]", {"mode": "cubic"}, "OptionError", "is not one of nearest-neighbor, linear"),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [0.1, 1]}, "ShapeError", "has dimension 0"),
    ("resample2d", "f32[1, 3, 4, 6]", {"scales": [1e9, 1]}, "ShapeError", "has dimension 4000000000"),
    ("resample2d", "f32[1, 3, seq, 6]", {"scales": [1.1, 1]}, "ShapeError", "give 'sizes'"),
]

LEFT_TO_THE_RUN = [
    ("averagePool2d", "f32[1, 3, seq, 4]", HALF, "f32[1, 3, seq//2, 2]", ["seq >= 2"]),
]

COMPLETED = [
    *(
        (
            op,
            "f32[1, 3, 5, 7]",
            {"roundingType": "ceil"},
            {
                "dilations": (1, 1),
                "layout": "nchw",
                "outputShapeRounding": "ceil",
                "outputSizes": None,
                "padding": (0, 0, 0, 0),
                "strides": (1, 1),
                "windowDimensions": (5, 7),
            },
        )
        for op in POOLS
    ),
    (
        "resample2d",
        "f32[1, 3, 5, 7]",
        {"sizes": [2, 2]},
        {"axes": (2, 3), "mode": "nearest-neighbor", "scales": (1.0, 1.0), "sizes": (2, 2)},
    ),
]
