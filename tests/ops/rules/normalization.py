"""Normalisation: the shape is kept; vectors fit their axis."""

ACCEPTED = [
    ("batchNormalization", "f32[2, 3, 4, 4]; f32[3]; f32[3]", {}, "f32[2, 3, 4, 4]"),
    ("batchNormalization", "f32[batch, 3]; f32[3]; f32[3]; f32[3]; f32[3]", {"epsilon": 1e-3}, "f32[batch, 3]"),
    ("batchNormalization", "f32[2, 4, 4, 3]; f32[3]; f32[3]; -; f32[3]", {"axis": 3}, "f32[2, 4, 4, 3]"),
    ("batchNormalization", "f32[3]; f32[3]; f32[3]; f32[3]", {"axis": 0}, "f32[3]"),
    ("instanceNormalization", "f32[2, 3, 4, 5]", {}, "f32[2, 3, 4, 5]"),
    ("instanceNormalization", "f32[2, 3, 4, 5]; f32[3]; f32[3]", {"epsilon": 1}, "f32[2, 3, 4, 5]"),
    ("instanceNormalization", "f32[2, 4, 5, 3]; f32[3]; f32[3]", {"layout": "nhwc"}, "f32[2, 4, 5, 3]"),
    (
        "layerNormalization",
        "f32[batch, seq, 384]; f32[384]; f32[384]",
        {"axes": [2], "epsilon": 1e-12},
        "f32[batch, seq, 384]",
    ),
    ("layerNormalization", "f32[2, 3, 4]; f32[3, 4]; f32[3, 4]", {}, "f32[2, 3, 4]"),
    ("layerNormalization", "f32[2, 3, 4]; f32[4, 3]", {"axes": [2, 1]}, "f32[2, 3, 4]"),
    ("layerNormalization", "f32[2, 3, 4]; -; f32[4, 2]", {"axes": [2, 0]}, "f32[2, 3, 4]"),
    ("layerNormalization", "f32[]; f32[]; f32[]", {}, "f32[]"),
    ("layerNormalization", "f32[2, 3]", {"axes": []}, "f32[2, 3]"),
]

REFUSED = [
    (
        "batchNormalization",
        "f32[2, 3]; f32[2]; f32[3]",
        {},
        "ShapeError",
        "operand 'mean' and of the input's axis 1 differ, 2 and 3",
    ),
    ("batchNormalization", "f32[2, 3]; f32[3]; f32[2]", {}, "ShapeError", "operand 'variance'"),
    ("batchNormalization", "f32[2, 3]; f32[3]; f32[3]; f32[2]", {}, "ShapeError", "operand 'scale'"),
    ("batchNormalization", "f32[2, 3]; f32[3]; f32[3]; -; f32[2]", {}, "ShapeError", "operand 'bias'"),
    ("batchNormalization", "f32[2, 3]; f32[3, 1]; f32[3]", {}, "OperandError", "its rank must be 1"),
    ("batchNormalization", "f32[2, 3]; f32[3]", {}, "OperandError", "lacks operand 'variance'"),
    ("batchNormalization", "f32[2, 3]; f32[3]; f32[3]", {"axis": 2}, "OptionError", "2 is not an axis"),
    # The default axis is checked like a given one.
    ("batchNormalization", "f32[3]; f32[3]; f32[3]", {}, "OptionError", "1 is not an axis of f32[3]"),
    ("batchNormalization", "f32[]; f32[3]; f32[3]", {"axis": 0}, "OperandError", "its rank must be 1 or more"),
    ("batchNormalization", "f32[2, 3]; f16[3]; f32[3]", {}, "OperandError", "they must agree"),
    ("batchNormalization", "i32[2, 3]; i32[3]; i32[3]", {}, "OperandError", "is int32"),
    ("instanceNormalization", "f32[2, 3, 4]", {}, "OperandError", "its rank must be 4"),
    ("instanceNormalization", "f32[2, 3, 4, 5]; f32[5]", {}, "ShapeError", "operand 'scale'"),
    ("instanceNormalization", "f32[2, 3, 4, 5]; -; f32[5]", {}, "ShapeError", "operand 'bias'"),
    ("instanceNormalization", "f32[2, 3, 4, 5]; f32[3]", {"layout": "nhwc"}, "ShapeError", "axis 3 differ, 3 and 5"),
    ("instanceNormalization", "f32[2, 3, 4, 5]", {"layout": "chwn"}, "OptionError", "'chwn' is not one of nchw, nhwc"),
    ("layerNormalization", "f32[2, 3, 4]; f32[3, 4]", {"axes": [2, 1]}, "ShapeError", "normalised axes differ"),
    ("layerNormalization", "f32[2, 3, 4]; f32[4]", {"axes": [1, 2]}, "ShapeError", "normalised axes differ"),
    ("layerNormalization", "f32[2, 3, 4]; -; f32[3]", {"axes": [2]}, "ShapeError", "operand 'bias'"),
    ("layerNormalization", "f32[2, 3, 4]; f32[4]; f32[3, 4]", {}, "ShapeError", "operand 'scale'"),
    ("layerNormalization", "f32[2, 3]", {"axes": [1, 1]}, "OptionError", "names an axis twice"),
    ("layerNormalization", "f32[2, 3]", {"axes": [1, -1]}, "OptionError", "holds a negative axis"),
    ("layerNormalization", "f32[2, 3]", {"axes": [2]}, "OptionError", "2 is not an axis"),
    ("layerNormalization", "f32[2, 3]", {"axes": 1}, "OptionError", "1 is not a list"),
    ("layerNormalization", "i32[2, 3]", {}, "OperandError", "is int32"),
]

LEFT_TO_THE_RUN = [
    ("batchNormalization", "f32[2, n]; f32[3]; f32[3]", {}, "f32[2, n]", ["3 == n"]),
]

COMPLETED = [
    ("layerNormalization", "f32[2, 3, 4]", {}, {"axes": (1, 2), "epsilon": 1e-5}),
    ("batchNormalization", "f32[2, 3]; f32[3]; f32[3]", {}, {"axis": 1, "epsilon": 1e-5}),
    ("instanceNormalization", "f32[1, 1, 1, 1]", {}, {"epsilon": 1e-5, "layout": "nchw"}),
]

OLDER_FILES = [
    # Axes left out for the last one: scale or bias says so.
    ("layerNormalization", "f32[2, 3, 4]; f32[4]; f32[4]", {}, {"axes": (2,), "epsilon": 1e-5}),
    ("layerNormalization", "f32[2, 3, 4]; -; f32[4]", {}, {"axes": (2,), "epsilon": 1e-5}),
    ("layerNormalization", "f32[2, 3, 4]; f32[4]", {"axes": [-1]}, {"axes": (2,), "epsilon": 1e-5}),
]

OLDER_FILES_REFUSED = [
    ("layerNormalization", "f32[2, 3, 4]; f32[3]", {}, "ShapeError", "normalised axes differ"),
    ("layerNormalization", "f32[2, 3]", {"axes": [1, -1]}, "OptionError", "names an axis twice"),
    ("layerNormalization", "f32[4]; f32[1, 4]", {}, "ShapeError", "normalised axes differ"),
]
