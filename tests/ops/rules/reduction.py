"""Reductions, indices of extremes, running sums."""

FLOAT = ("reduceL2", "reduceLogSum", "reduceLogSumExp", "reduceMean")
WIDE = ("reduceL1", "reduceProduct", "reduceSum", "reduceSumSquare")
ANY = ("reduceMax", "reduceMin")
REDUCE = (*FLOAT, *WIDE, *ANY)
ARG = ("argMax", "argMin")

ACCEPTED = [
    *((op, "f32[batch, seq, 4]", {}, "f32[]") for op in REDUCE),
    *((op, "f32[]", {}, "f32[]") for op in REDUCE),
    *((op, "f32[batch, seq, 4]", {"axes": [1]}, "f32[batch, 4]") for op in REDUCE),
    *((op, "f32[batch, seq, 4]", {"axes": [2, 0], "keepDimensions": True}, "f32[1, seq, 1]") for op in REDUCE),
    *((op, "f32[batch, seq, 4]", {"axes": []}, "f32[batch, seq, 4]") for op in REDUCE),
    *((op, "u64[2, 3]", {"axes": [0]}, "u64[3]") for op in (*WIDE, *ANY)),
    *((op, "i8[2, 3]", {"axes": [0]}, "i8[3]") for op in ANY),
    *((op, "f32[batch, 3]", {"axis": 1}, "i32[batch]") for op in ARG),
    *((op, "u8[2, 3]", {"axis": 0, "keepDimensions": True, "outputDataType": "int64"}, "i64[1, 3]") for op in ARG),
    *((op, "i32[3]", {"axis": 0}, "i32[]") for op in ARG),
    ("cumulativeSum", "f32[batch, 3]", {"axis": 1}, "f32[batch, 3]"),
    ("cumulativeSum", "u64[2]", {"axis": 0, "exclusive": True, "reversed": True}, "u64[2]"),
]

REFUSED = [
    *((op, "i32[2]", {}, "OperandError", "is int32") for op in FLOAT),
    *((op, "i8[2]", {}, "OperandError", "is int8") for op in WIDE),
    *((op, "i4[2]", {}, "OperandError", "is int4") for op in (*ANY, *ARG)),
    *((op, "f32[2]", {"axes": [1]}, "OptionError", "1 is not an axis") for op in REDUCE),
    *((op, "f32[]", {"axes": [0]}, "OptionError", "0 is not an axis") for op in REDUCE),
    *((op, "f32[2, 3]", {"axes": [0, 0]}, "OptionError", "names an axis twice") for op in REDUCE),
    *((op, "f32[2]", {"axis": 0}, "OptionError", "did you mean 'axes'?") for op in REDUCE),
    *((op, "f32[2]", {}, "OptionError", "needs option 'axis'") for op in (*ARG, "cumulativeSum")),
    *((op, "f32[2]", {"axis": 1}, "OptionError", "1 is not an axis") for op in (*ARG, "cumulativeSum")),
    *((op, "f32[]", {"axis": 0}, "OperandError", "its rank must be 1 or more") for op in (*ARG, "cumulativeSum")),
    *(
        (op, "f32[2]", {"axis": 0, "outputDataType": "uint32"}, "OptionError", "'uint32' is not one of int32, int64")
        for op in ARG
    ),
    ("cumulativeSum", "u8[2]", {"axis": 0}, "OperandError", "is uint8"),
]

LEFT_TO_THE_RUN = [
    *((op, "f32[past]", {"axis": 0}, "i32[]", ["past >= 1"]) for op in ARG),
]

COMPLETED = [
    ("reduceSum", "f32[2, 3]", {}, {"axes": (0, 1), "keepDimensions": False}),
    ("reduceSum", "f32[2, 3]", {"axes": [1], "keepDimensions": 1}, {"axes": (1,), "keepDimensions": True}),
    ("cumulativeSum", "f32[2, 3]", {"axis": 0}, {"axis": 0, "exclusive": False, "reversed": False}),
]

OLDER_FILES = [
    ("reduceSum", "f32[2, 3]", {"axes": [-1]}, {"axes": (1,), "keepDimensions": False}),
    ("cumulativeSum", "f32[2, 3]", {"axis": -2}, {"axis": 0, "exclusive": False, "reversed": False}),
]
