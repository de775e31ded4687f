"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

INF, NAN = np.inf, np.nan
SIGNED = (np.int8, np.int32, np.int64)
INTEGERS = (*SIGNED, np.uint8, np.uint32, np.uint64)
FLOATS = (np.float32, np.float16)

CASES = [
    (
        "prelu",
        "the slope stretches",
        [np.float32([[-1, 2], [-3, 4]]), np.float32([0.5, 2])],
        {},
        np.float32([[-0.5, 2], [-1.5, 4]]),
    ),
    ("softplus", "moderate", [np.float32([-2, 0, 3])], {}, np.float32([0.126928, 0.6931472, 3.0485873])),
    *(
        ("clamp", t.__name__, [t([0, 3, 9])], {"min_value": 1, "max_value": 5}, t([1, 3, 5]))
        for t in (*FLOATS, *INTEGERS)
    ),
    ("clamp", "no bounds", [np.float32([-INF, NAN, 2])], {}, np.float32([-INF, NAN, 2])),
    ("clamp", "one bound only", [np.float32([-3, NAN, 2])], {"max_value": 1.5}, np.float32([-3, NAN, 1.5])),
    ("clamp", "equal bounds", [np.float32([-3, 2])], {"min_value": 1, "max_value": 1}, np.float32([1, 1])),
    (
        "clamp",
        "int32 bounds that float32 cannot hold",
        [np.int32([2**31 - 1, -(2**31)])],
        {"min_value": -2147483647, "max_value": 2147483645},
        np.int32([2147483645, -2147483647]),
    ),
    (
        "clamp",
        "int64 bounds that float64 cannot hold",
        [np.int64([2**62])],
        {"max_value": 2**53 + 1},
        np.int64([2**53 + 1]),
    ),
    (
        "clamp",
        "uint64 bounds that int64 cannot hold",
        [np.uint64([0, 2**63, 2**64 - 1])],
        {"min_value": 2**63 + 1, "max_value": 2**64 - 2},
        np.uint64([2**63 + 1, 2**63 + 1, 2**64 - 2]),
    ),
    (
        "clamp",
        "bounds beyond 64 bits",
        [np.uint64([0, 2**64 - 1])],
        {"min_value": -(2**70), "max_value": 2**70},
        np.uint64([0, 2**64 - 1]),
    ),
    (
        "clamp",
        "uint8 bounds beyond the type",
        [np.uint8([0, 255])],
        {"min_value": -5, "max_value": 300},
        np.uint8([0, 255]),
    ),
    (
        "clamp",
        "int8 bounds are rounded half to even",
        [np.int8([-9, 9])],
        {"min_value": -2.5, "max_value": 3.5},
        np.int8([-2, 4]),
    ),
    # As option numbers are cast; a float bound of NaN stays one and does not limit.
    ("clamp", "an integer bound of NaN is 0", [np.int32([-9, 9])], {"min_value": NAN}, np.int32([0, 9])),
    ("clamp", "a float bound of NaN does not limit", [np.float32([-9, 9])], {"min_value": NAN}, np.float32([-9, 9])),
    ("clamp", "float16 bound is rounded first", [np.float16([9999])], {"max_value": 2049.0}, np.float16([2048])),
    *(("elu", t.__name__, [t([1, 0, -1, -INF])], {"alpha": 2.0}, t([1, 0, -1.2642411176571153, -2])) for t in FLOATS),
    ("elu", "tiny arguments keep their digits", [np.float32([-1e-10])], {}, np.float32([-1e-10])),
    *(
        ("gelu", t.__name__, [t([0, 1, -1, 3])], {}, t([0, 0.8413447460685429, -0.15865525393145707, 2.99595030590511]))
        for t in FLOATS
    ),
    (
        "gelu",
        "tails and infinities",
        [np.float32([-6, -10, INF, NAN])],
        {},
        np.float32([-5.919525930622346e-09, -7.619853024160527e-23, INF, NAN]),
    ),
    *(
        ("hardSigmoid", t.__name__, [t([-5, 0, 1, 5])], {"alpha": 0.25, "beta": 0.5}, t([0, 0.5, 0.75, 1]))
        for t in FLOATS
    ),
    *(("hardSwish", t.__name__, [t([-4, -1, 0, 3, 9])], {}, t([-0.0, -1 / 3, 0, 3, 9])) for t in FLOATS),
    *(("leakyRelu", t.__name__, [t([-4, 0, 3, -INF])], {"alpha": 0.25}, t([-1, 0, 3, -INF])) for t in FLOATS),
    *(("linear", t.__name__, [t([-4, 0, 3])], {"alpha": 0.5, "beta": 1.0}, t([-1, 1, 2.5])) for t in FLOATS),
    (
        "linear",
        "alpha is cast to float16 first",
        [np.float16([1000])],
        {"alpha": 1.0002, "beta": 0.0},
        np.float16([1000]),
    ),
    *(("prelu", t.__name__, [t([-4, 3]), t([[2], [3]])], {}, t([[-8, 3], [-12, 3]])) for t in (*FLOATS, *SIGNED)),
    (
        "prelu",
        "the input stretches too",
        [np.float32([[-1], [1]]), np.float32([2, 3])],
        {},
        np.float32([[-2, -3], [1, 1]]),
    ),
    *(("relu", t.__name__, [t([-4, 0, 3])], {}, t([0, 0, 3])) for t in (*FLOATS, *SIGNED)),
    ("relu", "NaN stays", [np.float32([NAN, -INF, INF])], {}, np.float32([NAN, 0, INF])),
    *(
        ("sigmoid", t.__name__, [t([0, 1, -1, INF, -INF])], {}, t([0.5, 0.7310585786300049, 0.2689414213699951, 1, 0]))
        for t in FLOATS
    ),
    ("sigmoid", "far tails", [np.float32([-80, 80])], {}, np.float32([1.8048513878454153e-35, 1])),
    ("sigmoid", "float16, further tails", [np.float16([-200, 200])], {}, np.float16([0, 1])),
    *(
        (
            "softmax",
            f"{t.__name__} over the last axis",
            [t([[0, 1], [2, 2]])],
            {"axis": 1},
            t([[0.2689414213699951, 0.7310585786300049], [0.5, 0.5]]),
        )
        for t in FLOATS
    ),
    (
        "softmax",
        "over an inner axis",
        [np.float32([[[0, 5], [1, 5]]])],
        {"axis": 1},
        np.float32([[[0.2689414213699951, 0.5], [0.7310585786300049, 0.5]]]),
    ),
    (
        "softmax",
        "large values and a masked one",
        [np.float32([[3e38, 3e38, -3.4e38, -INF]])],
        {"axis": 1},
        np.float32([[0.5, 0.5, 0, 0]]),
    ),
    ("softmax", "one element", [np.float32([[7]])], {"axis": 1}, np.float32([[1]])),
    *(
        (
            "softplus",
            t.__name__,
            [t([0, 1, -1, 100, -INF])],
            {},
            t([0.6931471805599453, 1.3132616875182228, 0.31326168751822286, 100, 0]),
        )
        for t in FLOATS
    ),
    ("softplus", "far below zero", [np.float32([-50])], {}, np.float32([1.9287498479639178e-22])),
    ("softplus", "float16, further below zero", [np.float16([-200])], {}, np.float16([0])),
    *(("softsign", t.__name__, [t([0, 1, -3, 1000])], {}, t([0, 0.5, -0.75, 1000 / 1001])) for t in FLOATS),
    *(
        ("tanh", t.__name__, [t([0, 1, -1, INF])], {}, t([0, 0.7615941559557649, -0.7615941559557649, 1]))
        for t in FLOATS
    ),
]
