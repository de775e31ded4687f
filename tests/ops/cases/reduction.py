"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.dtypes import DataType

INF, NAN = np.inf, np.nan
FLOATS = (np.float32, np.float16)
WIDE = (*FLOATS, np.int32, np.uint32, np.int64, np.uint64)
TYPES = (*WIDE, np.int8, np.uint8)
X = [[1, 2, 3], [4, 5, 6]]
LOG2 = 0.6931471805599453

CASES = [
    *(("reduceSum", f"{t.__name__} all axes", [t(X)], {}, t(21)) for t in WIDE),
    *(("reduceSum", f"{t.__name__} one axis", [t(X)], {"axes": [1]}, t([6, 15])) for t in WIDE),
    *(
        ("reduceSum", f"{t.__name__} kept", [t(X)], {"axes": [0], "keep_dimensions": True}, t([[5, 7, 9]]))
        for t in WIDE
    ),
    ("reduceSum", "no axes", [np.float32(X)], {"axes": []}, np.float32(X)),
    ("reduceSum", "a scalar", [np.float32(3)], {}, np.float32(3)),
    (
        "reduceSum",
        "axes out of order",
        [np.float32(np.arange(8).reshape(2, 2, 2))],
        {"axes": [2, 0]},
        np.float32([10, 18]),
    ),
    ("reduceSum", "float16 sums wider than float16", [np.float16([2048, 1, 1])], {}, np.float16(2050)),
    ("reduceSum", "float32 cancels late", [np.float32([1e8, 1, -1e8])], {}, np.float32(1)),
    ("reduceSum", "int32 wraps", [np.int32([2**31 - 1, 1])], {}, np.int32(-(2**31))),
    ("reduceSum", "int64 exact", [np.int64([2**53, 1, 1, 1])], {}, np.int64(2**53 + 3)),
    *(("reduceL1", t.__name__, [t(X)], {"axes": [1]}, t([6, 15])) for t in WIDE),
    ("reduceL1", "no axes is the absolute value", [np.float32([-1, 2])], {"axes": []}, np.float32([1, 2])),
    *(("reduceL2", t.__name__, [t([[3, 4], [5, 12]])], {"axes": [1]}, t([5, 13])) for t in FLOATS),
    ("reduceL2", "no axes is the absolute value", [np.float32([-1, 2])], {"axes": []}, np.float32([1, 2])),
    ("reduceL2", "squares that float32 cannot hold", [np.float32([3e30, 4e30])], {}, np.float32(5e30)),
    *(("reduceLogSum", t.__name__, [t([[1, 1], [0, 1]])], {"axes": [1]}, t([LOG2, 0])) for t in FLOATS),
    ("reduceLogSum", "no axes is the logarithm", [np.float32([1, 2])], {"axes": []}, np.float32([0, LOG2])),
    *(("reduceLogSumExp", t.__name__, [t([[1, 1], [0, 0]])], {"axes": [1]}, t([1 + LOG2, LOG2])) for t in FLOATS),
    ("reduceLogSumExp", "does not overflow", [np.float32([1000, 1000])], {}, np.float32(1000 + LOG2)),
    ("reduceLogSumExp", "infinities", [np.float32([[-INF, -INF], [INF, 1]])], {"axes": [1]}, np.float32([-INF, INF])),
    ("reduceLogSumExp", "no axes leaves the input", [np.float32([1, -200])], {"axes": []}, np.float32([1, -200])),
    *(("reduceMean", t.__name__, [t(X)], {"axes": [1], "keep_dimensions": True}, t([[2], [5]])) for t in FLOATS),
    ("reduceMean", "all axes", [np.float32(X)], {}, np.float32(3.5)),
    ("reduceMean", "float16 sum that float16 cannot hold", [np.float16([60000, 60000])], {}, np.float16(60000)),
    *(("reduceProduct", t.__name__, [t(X)], {"axes": [1]}, t([6, 120])) for t in WIDE),
    ("reduceProduct", "int32 wraps", [np.int32([2**16, 2**16, 3])], {}, np.int32(0)),
    *(("reduceSumSquare", t.__name__, [t(X)], {"axes": [1]}, t([14, 77])) for t in WIDE),
    ("reduceSumSquare", "no axes is the square", [np.float32([-3, 2])], {"axes": []}, np.float32([9, 4])),
    *(("reduceMax", t.__name__, [t(X)], {"axes": [1]}, t([3, 6])) for t in TYPES),
    *(("reduceMin", t.__name__, [t(X)], {"axes": [0]}, t([1, 2, 3])) for t in TYPES),
    ("reduceMax", "NaN wins", [np.float32([1, NAN, 3])], {}, np.float32(NAN)),
    ("reduceMin", "int64 exact", [np.int64([2**53 + 1, 2**53 + 2])], {}, np.int64(2**53 + 1)),
    *(("argMax", t.__name__, [t([[1, 7, 3], [9, 5, 9]])], {"axis": 1}, np.int32([1, 0])) for t in TYPES),
    *(("argMin", t.__name__, [t([[4, 2, 2], [0, 5, 0]])], {"axis": 1}, np.int32([1, 0])) for t in TYPES),
    (
        "argMax",
        "kept, as int64",
        [np.float32(X)],
        {"axis": 0, "keep_dimensions": True, "output_data_type": DataType.INT64},
        np.int64([[1, 1, 1]]),
    ),
    (
        "argMin",
        "kept, as int64",
        [np.float32(X)],
        {"axis": 0, "keep_dimensions": True, "output_data_type": DataType.INT64},
        np.int64([[0, 0, 0]]),
    ),
    *(("cumulativeSum", t.__name__, [t(X)], {"axis": 1}, t([[1, 3, 6], [4, 9, 15]])) for t in WIDE),
    ("cumulativeSum", "exclusive", [np.float32(X)], {"axis": 1, "exclusive": True}, np.float32([[0, 1, 3], [0, 4, 9]])),
    ("cumulativeSum", "reversed", [np.float32(X)], {"axis": 1, "reversed": True}, np.float32([[6, 5, 3], [15, 11, 6]])),
    (
        "cumulativeSum",
        "exclusive and reversed",
        [np.int32(X)],
        {"axis": 0, "exclusive": True, "reversed": True},
        np.int32([[4, 5, 6], [0, 0, 0]]),
    ),
    (
        "cumulativeSum",
        "exclusive of an infinity",
        [np.float32([1, INF, 2])],
        {"axis": 0, "exclusive": True},
        np.float32([0, 1, INF]),
    ),
    ("cumulativeSum", "one element", [np.int64([[5]])], {"axis": 1, "exclusive": True}, np.int64([[0]])),
]
