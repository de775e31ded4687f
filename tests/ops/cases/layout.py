"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.dtypes import WEBNN_TYPES, DataType

INF, NAN = np.inf, np.nan
FLOATS = (np.float32, np.float16)
INTEGERS = (np.int8, np.int32, np.int64, np.uint8, np.uint32, np.uint64)
TYPES = (*FLOATS, *INTEGERS)
X = [[1, 2, 3], [4, 5, 6]]
PADS = {"beginning_padding": [1, 0], "ending_padding": [0, 2]}

NO_PADS = {"beginning_padding": [], "ending_padding": []}

CASES = [
    *(
        ("cast", f"{t.__name__} to {to.value}", [t([0, 1, 100])], {"to": to}, np.array([0, 1, 100], to.numpy))
        for t in TYPES
        for to in sorted(WEBNN_TYPES, key=lambda kind: kind.value)
    ),
    *(
        (
            "cast",
            f"float32 to {to.value} truncates",
            [np.float32([1.9, -0.9, 2.5])],
            {"to": to},
            np.array([1, 0, 2], to.numpy),
        )
        for to in sorted(WEBNN_TYPES, key=lambda kind: kind.value)
        if not to.is_float
    ),
    (
        "cast",
        "float32 to int8 truncates toward zero",
        [np.float32([-1.9, -2.5])],
        {"to": DataType.INT8},
        np.int8([-1, -2]),
    ),
    (
        "cast",
        "int32 to int8 keeps the low bits",
        [np.int32([255, 128, -129])],
        {"to": DataType.INT8},
        np.int8([-1, -128, 127]),
    ),
    (
        "cast",
        "int64 to uint32 keeps the low bits",
        [np.int64([-1, 2**33 + 5])],
        {"to": DataType.UINT32},
        np.uint32([2**32 - 1, 5]),
    ),
    ("cast", "uint64 to int64 keeps the bits", [np.uint64([2**64 - 1])], {"to": DataType.INT64}, np.int64([-1])),
    (
        "cast",
        "float32 to float16 rounds and overflows",
        [np.float32([2049, 1e6, NAN, 1e-8])],
        {"to": DataType.FLOAT16},
        np.float16([2048, INF, NAN, 0]),
    ),
    (
        "cast",
        "int64 to float32 rounds to nearest",
        [np.int64([16777217, 2**62 + 1])],
        {"to": DataType.FLOAT32},
        np.float32([16777216, 2**62]),
    ),
    ("cast", "float32 to int64 beyond 2^53", [np.float32([2**62])], {"to": DataType.INT64}, np.int64([2**62])),
    *(("concat", t.__name__, [t([[1], [4]]), t([[2, 3], [5, 6]])], {"axis": 1}, t(X)) for t in TYPES),
    ("concat", "one operand", [np.int32(X)], {"axis": 0}, np.int32(X)),
    ("concat", "five operands", [np.int32([k]) for k in range(5)], {"axis": 0}, np.int32(range(5))),
    *(
        ("expand", t.__name__, [t([[1], [2]])], {"new_shape": [2, 2, 3]}, t([[[1, 1, 1], [2, 2, 2]]] * 2))
        for t in TYPES
    ),
    ("expand", "a scalar", [np.float32(5)], {"new_shape": [2, 2]}, np.float32([[5, 5], [5, 5]])),
    ("expand", "to its own shape", [np.float32(X)], {"new_shape": [2, 3]}, np.float32(X)),
    *(("identity", t.__name__, [t(X)], {}, t(X)) for t in TYPES),
    ("identity", "a scalar NaN", [np.float16(NAN)], {}, np.float16(NAN)),
    *(("pad", t.__name__, [t([[1, 2]])], PADS, t([[0, 0, 0, 0], [1, 2, 0, 0]])) for t in TYPES),
    *(
        ("pad", f"a scalar has no border, {mode}", [np.float32(3)], {**NO_PADS, "mode": mode}, np.float32(3))
        for mode in ("constant", "edge", "reflection")
    ),
    (
        "pad",
        "a value",
        [np.float32([1])],
        {"beginning_padding": [1], "ending_padding": [1], "value": -INF},
        np.float32([-INF, 1, -INF]),
    ),
    (
        "pad",
        "the value is cast",
        [np.uint8([1])],
        {"beginning_padding": [1], "ending_padding": [0], "value": 300},
        np.uint8([255, 1]),
    ),
    (
        "pad",
        "an int64 value that float64 cannot hold",
        [np.int64([1])],
        {"beginning_padding": [1], "ending_padding": [0], "value": 2**53 + 1},
        np.int64([2**53 + 1, 1]),
    ),
    *(
        (
            "pad",
            f"{t.__name__} edge",
            [t([1, 2])],
            {"beginning_padding": [2], "ending_padding": [1], "mode": "edge"},
            t([1, 1, 1, 2, 2]),
        )
        for t in TYPES
    ),
    *(
        (
            "pad",
            f"{t.__name__} reflection",
            [t([1, 2, 3])],
            {"beginning_padding": [2], "ending_padding": [1], "mode": "reflection"},
            t([3, 2, 1, 2, 3, 2]),
        )
        for t in TYPES
    ),
    (
        "pad",
        "reflection of two axes",
        [np.float32([[1, 2], [3, 4]])],
        {"beginning_padding": [1, 0], "ending_padding": [0, 1], "mode": "reflection"},
        np.float32([[3, 4, 3], [1, 2, 1], [3, 4, 3]]),
    ),
    *(
        (
            "pad",
            f"uint64 with {value}",
            [np.uint64([7])],
            {"beginning_padding": [1], "ending_padding": [0], "value": value},
            np.uint64([min(value, 2**64 - 1), 7]),
        )
        for value in (2**63 + 5, 2**64 - 1, 2**70)
    ),
    ("pad", "by nothing", [np.float32(X)], {"beginning_padding": [0, 0], "ending_padding": [0, 0]}, np.float32(X)),
    *(("reshape", t.__name__, [t(X)], {"new_shape": [3, 1, 2]}, t([[[1, 2]], [[3, 4]], [[5, 6]]])) for t in TYPES),
    ("reshape", "to a scalar", [np.float32([[7]])], {"new_shape": []}, np.float32(7)),
    ("reshape", "from a scalar", [np.float32(7)], {"new_shape": [1, 1]}, np.float32([[7]])),
    *(("reverse", f"{t.__name__} all axes", [t(X)], {}, t([[6, 5, 4], [3, 2, 1]])) for t in TYPES),
    ("reverse", "one axis", [np.float32(X)], {"axes": [1]}, np.float32([[3, 2, 1], [6, 5, 4]])),
    ("reverse", "no axes", [np.float32(X)], {"axes": []}, np.float32(X)),
    *(("slice", t.__name__, [t(X)], {"starts": [1, 0], "sizes": [1, 2]}, t([[4, 5]])) for t in TYPES),
    (
        "slice",
        "strides count inside the window",
        [np.int32(range(10))],
        {"starts": [1], "sizes": [7], "strides": [3]},
        np.int32([1, 4, 7]),
    ),
    (
        "slice",
        "a stride beyond the window",
        [np.int32(range(4))],
        {"starts": [1], "sizes": [2], "strides": [9]},
        np.int32([1]),
    ),
    *(
        (
            "split",
            f"{t.__name__} equal parts",
            [t(X)],
            {"splits": 3, "axis": 1},
            [t([[1], [4]]), t([[2], [5]]), t([[3], [6]])],
        )
        for t in TYPES
    ),
    (
        "split",
        "given sizes",
        [np.float32(X)],
        {"splits": [1, 2], "axis": 1},
        [np.float32([[1], [4]]), np.float32([[2, 3], [5, 6]])],
    ),
    ("split", "one part", [np.float32(X)], {"splits": 1}, [np.float32(X)]),
    *(("tile", t.__name__, [t([[1, 2]])], {"repetitions": [2, 2]}, t([[1, 2, 1, 2], [1, 2, 1, 2]])) for t in TYPES),
    ("tile", "once", [np.float32(X)], {"repetitions": [1, 1]}, np.float32(X)),
    *(("transpose", f"{t.__name__} reversed axes", [t(X)], {}, t([[1, 4], [2, 5], [3, 6]])) for t in TYPES),
    (
        "transpose",
        "a rotation of three axes",
        [np.int32(np.arange(6).reshape(1, 2, 3))],
        {"permutation": [2, 0, 1]},
        np.int32([[[0, 3]], [[1, 4]], [[2, 5]]]),
    ),
    ("transpose", "a scalar", [np.float32(3)], {}, np.float32(3)),
    *(("triangular", f"{t.__name__} upper", [t([[1, 2], [3, 4]])], {}, t([[1, 2], [0, 4]])) for t in TYPES),
    (
        "triangular",
        "lower, a batch",
        [np.float32([[[1, 2], [3, 4]]] * 2)],
        {"upper": False},
        np.float32([[[1, 0], [3, 4]]] * 2),
    ),
    (
        "triangular",
        "above the diagonal, not square",
        [np.float32(X)],
        {"diagonal": 1},
        np.float32([[0, 2, 3], [0, 0, 6]]),
    ),
    (
        "triangular",
        "below the diagonal",
        [np.float32(X)],
        {"upper": False, "diagonal": -1},
        np.float32([[0, 0, 0], [4, 0, 0]]),
    ),
    ("triangular", "a diagonal outside", [np.float32(X)], {"diagonal": 9}, np.float32(np.zeros((2, 3)))),
    (
        "triangular",
        "NaN does not leak",
        [np.float32([[1, NAN], [NAN, 1]])],
        {"upper": False},
        np.float32([[1, 0], [NAN, 1]]),
    ),
]
