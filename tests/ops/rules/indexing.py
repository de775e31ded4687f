"""Gather and scatter."""

ELEMENTS = ("gatherElements", "scatterElements")
ALL = (*ELEMENTS, "gather", "gatherND", "scatterND")

ACCEPTED = [
    ("gather", "f32[30522, 384]; i64[batch, seq]", {}, "f32[batch, seq, 384]"),
    ("gather", "f32[2, 3, 4]; i32[5]", {"axis": 1}, "f32[2, 5, 4]"),
    ("gather", "f32[2, 3, 4]; u32[]", {"axis": 2}, "f32[2, 3]"),
    ("gather", "u8[3]; i64[]", {}, "u8[]"),
    ("gatherElements", "f32[2, 3]; i32[2, 5]", {"axis": 1}, "f32[2, 5]"),
    ("gatherElements", "f32[batch, 3]; i64[1, 3]", {}, "f32[1, 3]"),
    ("gatherND", "f32[2, 3, 4]; i32[5, 2]", {}, "f32[5, 4]"),
    ("gatherND", "f32[2, 3, 4]; i32[batch, seq, 3]", {}, "f32[batch, seq]"),
    ("gatherND", "f32[2]; u32[1]", {}, "f32[]"),
    ("scatterElements", "f32[2, 3]; i32[2, 5]; f32[2, 5]", {"axis": 1}, "f32[2, 3]"),
    ("scatterND", "f32[2, 3, 4]; i32[5, 2]; f32[5, 4]", {}, "f32[2, 3, 4]"),
    ("scatterND", "i8[batch, 3]; i64[seq, 1]; i8[seq, 3]", {}, "i8[batch, 3]"),
    ("scatterND", "f32[2]; u32[1]; f32[]", {}, "f32[2]"),
]

REFUSED = [
    ("gather", "f32[]; i32[2]", {}, "OperandError", "its rank must be 1 or more"),
    ("gather", "f32[2]; i32[2]", {"axis": 1}, "OptionError", "1 is not an axis"),
    ("gather", "f32[2]; i8[2]", {}, "OperandError", "'indices' is int8; allowed: int32, int64, uint32"),
    ("gather", "f32[9, 4]; i64[2]", {"shape": [2, 4]}, "OptionError", "has no option 'shape'"),
    ("gather", "f32[65536, 65536]; i64[65536]", {}, "ShapeError", "more than 2147483647 elements"),
    ("gatherElements", "f32[2, 3]; i32[2]", {}, "ShapeError", "ranks of input and indices differ"),
    ("gatherElements", "f32[2, 3]; i32[1, 3]", {"axis": 1}, "ShapeError", "dimensions 0 of indices and input differ"),
    ("gatherElements", "f32[2, 3]; i32[2, 4]", {}, "ShapeError", "dimensions 1 of indices and input differ"),
    ("gatherElements", "f32[2, 3]; i32[2, 3]", {"axis": 2}, "OptionError", "2 is not an axis"),
    ("gatherElements", "f32[2, 3]; u8[2, 3]", {}, "OperandError", "'indices' is uint8"),
    ("gatherND", "f32[2, 3]; i32[5, 3]", {}, "ShapeError", "have 3 coordinates for f32[2, 3]"),
    ("gatherND", "f32[2, 3]; i32[5, seq]", {}, "ShapeError", "must be an integer"),
    ("gatherND", "f32[2, 3]; i32[]", {}, "OperandError", "its rank must be 1 or more"),
    ("gatherND", "f32[]; i32[1]", {}, "OperandError", "its rank must be 1 or more"),
    ("scatterElements", "f32[2, 3]; i32[2, 3]; f32[2, 4]", {}, "ShapeError", "shapes of updates and indices differ"),
    ("scatterElements", "f32[2, 3]; i32[2, 3]; f32[3]", {}, "ShapeError", "shapes of updates and indices differ"),
    ("scatterElements", "f32[2, 3]; i32[2, 4]; f32[2, 4]", {}, "ShapeError", "dimensions 1"),
    ("scatterElements", "f32[2, 3]; i32[2, 3]; f16[2, 3]", {}, "OperandError", "they must agree"),
    ("scatterND", "f32[2, 3, 4]; i32[5, 2]; f32[5, 3]", {}, "ShapeError", "differ, 3 and 4"),
    ("scatterND", "f32[2, 3, 4]; i32[5, 2]; f32[5]", {}, "ShapeError", "differ, [5] and [5, 4]"),
    ("scatterND", "f32[2, 3]; i32[5, 3]; f32[5]", {}, "ShapeError", "have 3 coordinates"),
    ("scatterND", "f32[2]; i32[1]; i32[]", {}, "OperandError", "they must agree"),
    ("scatterND", "f32[2]; i32[1]", {}, "OperandError", "lacks operand 'updates'"),
]

LEFT_TO_THE_RUN = [
    ("gatherElements", "f32[batch, 3]; i32[seq, 2]", {"axis": 1}, "f32[seq, 2]", ["seq == batch"]),
]

COMPLETED = [
    ("gather", "f32[2, 3]; i32[1]", {}, {"axis": 0}),
    ("scatterElements", "f32[2, 3]; i32[2, 3]; f32[2, 3]", {"axis": 1}, {"axis": 1}),
]

OLDER_FILES = [
    ("gather", "f32[9, 4]; i64[2]", {"axis": -1, "shape": [9, 2]}, {"axis": 1}),
]

OLDER_FILES_REFUSED = [
    ("gather", "f32[9, 4]; i64[2]", {"shape": [4, 2]}, "ShapeError", "the result's shape and option 'shape' differ"),
    ("gather", "f32[9, 4]; i64[2]", {"shape": [8]}, "ShapeError", "the result's shape and option 'shape' differ"),
    ("gather", "f32[9, 4]; i64[2]", {"shape": "2,4"}, "OptionError", "'2,4' is not a list"),
]
