"""Cases: (operator, what it shows, operands, options, expected)."""

from __future__ import annotations

import numpy as np

INF, NAN = np.inf, np.nan
SIGNED = (np.int8, np.int32, np.int64)
INTEGERS = (*SIGNED, np.uint8, np.uint32, np.uint64)
FLOATS = (np.float32, np.float16)

CASES = [
    ("sqrt", "squares", [np.float32([0, 0.25, 1, 9])], {}, np.float32([0, 0.5, 1, 3])),
    *(
        ("add", f"{t.__name__} broadcast", [t([[1], [2]]), t([10, 20, 30])], {}, t([[11, 21, 31], [12, 22, 32]]))
        for t in (*FLOATS, *INTEGERS)
    ),
    *(("add", f"{t.__name__} wraps", [t([np.iinfo(t).max]), t([1])], {}, t([np.iinfo(t).min])) for t in INTEGERS),
    ("add", "scalars", [np.float32(1.5), np.float32(2.25)], {}, np.float32(3.75)),
    (
        "add",
        "infinities of both signs",
        [np.float32([INF, INF, NAN]), np.float32([-INF, INF, 1])],
        {},
        np.float32([NAN, INF, NAN]),
    ),
    ("add", "float16 overflows", [np.float16([65504, 2048]), np.float16([65504, 1])], {}, np.float16([INF, 2048])),
    ("add", "int64 beyond what float64 holds", [np.int64([2**53]), np.int64([1])], {}, np.int64([2**53 + 1])),
    *(
        ("sub", f"{t.__name__} wraps", [t([np.iinfo(t).min, 7]), t([1, 3])], {}, t([np.iinfo(t).max, 4]))
        for t in INTEGERS
    ),
    *(("sub", t.__name__, [t([1, 2.5]), t([0.5, 5])], {}, t([0.5, -2.5])) for t in FLOATS),
    *(
        (
            "mul",
            f"{t.__name__} wraps",
            [t([np.iinfo(t).max, 3]), t([2, 4])],
            {},
            np.array([(np.iinfo(t).max * 2) & ((1 << np.iinfo(t).bits) - 1), 12], np.uint64).astype(t),
        )
        for t in INTEGERS
    ),
    *(("mul", t.__name__, [t([1.5, -0.0]), t([[2], [-3]])], {}, t([[3, -0.0], [-4.5, 0]])) for t in FLOATS),
    ("mul", "int64 exact", [np.int64([3037000499]), np.int64([3037000499])], {}, np.int64([9223372030926249001])),
    *(
        ("div", f"{t.__name__} truncates toward zero", [t([7, -7, 7, -7]), t([2, 2, -2, -2])], {}, t([3, -3, -3, 3]))
        for t in SIGNED
    ),
    *(
        ("div", f"{t.__name__} lowest by -1 wraps", [t([np.iinfo(t).min]), t([-1])], {}, t([np.iinfo(t).min]))
        for t in SIGNED
    ),
    *(("div", t.__name__, [t([7, 255]), t([2, 16])], {}, t([3, 15])) for t in (np.uint8, np.uint32, np.uint64)),
    ("div", "int64 beyond what float64 holds", [np.int64([2**62 + 1]), np.int64([1])], {}, np.int64([2**62 + 1])),
    *(("div", f"{t.__name__} by zero", [t([1, -1, 0]), t([0, 0, 0])], {}, t([INF, -INF, NAN])) for t in FLOATS),
    *(("max", t.__name__, [t([1, 5]), t([[3], [0]])], {}, t([[3, 5], [1, 5]])) for t in (*FLOATS, *INTEGERS)),
    *(("min", t.__name__, [t([1, 5]), t([[3], [0]])], {}, t([[1, 3], [0, 0]])) for t in (*FLOATS, *INTEGERS)),
    ("max", "NaN on either side", [np.float32([NAN, 1]), np.float32([1, NAN])], {}, np.float32([NAN, NAN])),
    ("min", "NaN on either side", [np.float32([NAN, 1]), np.float32([1, NAN])], {}, np.float32([NAN, NAN])),
    *(("pow", t.__name__, [t([2, 9, -2, 0]), t([3, 0.5, 2, 0])], {}, t([8, 3, 4, 1])) for t in FLOATS),
    *(("pow", t.__name__, [t([2, 3, 5, 0]), t([6, 4, 0, 0])], {}, t([64, 81, 1, 1])) for t in INTEGERS),
    ("pow", "int32 wraps", [np.int32([3, -3]), np.int32([21, 21])], {}, np.int32([1870418611, -1870418611])),
    ("pow", "int64 exact", [np.int64([3]), np.int64([39])], {}, np.int64([4052555153018976267])),
    (
        "pow",
        "int32 negative powers truncate",
        [np.int32([1, -1, -1, 2]), np.int32([-3, -3, -2, -1])],
        {},
        np.int32([1, -1, 1, 0]),
    ),
    *(
        ("pow", f"roots, {t.__name__}", [t([-INF, INF, -0.0, 9, -4]), t([0.5])], {}, t([INF, INF, 0, 3, NAN]))
        for t in FLOATS
    ),
    ("pow", "negative base, broken power", [np.float32([-8]), np.float32([1 / 3])], {}, np.float32([NAN])),
    *(
        ("abs", f"{t.__name__} lowest wraps", [t([np.iinfo(t).min, -3, 3])], {}, t([np.iinfo(t).min, 3, 3]))
        for t in SIGNED
    ),
    *(("abs", t.__name__, [t([-0.0, -INF, NAN, -1.5])], {}, t([0, INF, NAN, 1.5])) for t in FLOATS),
    *(
        ("neg", f"{t.__name__} lowest wraps", [t([np.iinfo(t).min, -3, 3])], {}, t([np.iinfo(t).min, 3, -3]))
        for t in SIGNED
    ),
    *(("neg", t.__name__, [t([0.0, -INF, 1.5])], {}, t([-0.0, INF, -1.5])) for t in FLOATS),
    *(("sign", t.__name__, [t([-5, 0, 7])], {}, t([-1, 0, 1])) for t in (*FLOATS, *SIGNED)),
    ("sign", "NaN and infinities", [np.float32([NAN, INF, -INF, -0.0])], {}, np.float32([NAN, 1, -1, 0])),
    *(("ceil", t.__name__, [t([1.2, -1.2, -0.5, INF])], {}, t([2, -1, -0.0, INF])) for t in FLOATS),
    *(("floor", t.__name__, [t([1.2, -1.2, -0.5, -INF])], {}, t([1, -2, -1, -INF])) for t in FLOATS),
    *(("roundEven", t.__name__, [t([0.5, 1.5, 2.5, -0.5, -1.5, 0.75])], {}, t([0, 2, 2, -0.0, -2, 1])) for t in FLOATS),
    *(("cos", t.__name__, [t([0, 1, -2])], {}, t([1, 0.5403023058681398, -0.4161468365471424])) for t in FLOATS),
    *(("sin", t.__name__, [t([0, 1, -2])], {}, t([0, 0.8414709848078965, -0.9092974268256817])) for t in FLOATS),
    *(("tan", t.__name__, [t([0, 1, -2])], {}, t([0, 1.5574077246549023, 2.185039863261519])) for t in FLOATS),
    ("sin", "a large angle", [np.float32([1e6])], {}, np.float32([-0.3499935021712930])),
    *(
        (
            "erf",
            t.__name__,
            [t([0, 0.5, -1, 3, INF, NAN])],
            {},
            t([0, 0.5204998778130465, -0.8427007929497149, 0.9999779095030014, 1, NAN]),
        )
        for t in FLOATS
    ),
    ("erf", "tiny arguments keep their digits", [np.float32([1e-20])], {}, np.float32([1.1283791670955126e-20])),
    *(
        ("exp", t.__name__, [t([0, 1, -1, -INF])], {}, t([1, 2.718281828459045, 0.36787944117144233, 0]))
        for t in FLOATS
    ),
    (
        "exp",
        "overflows and underflows",
        [
            np.float32([88.8, -104]),
        ],
        {},
        np.float32([INF, 0]),
    ),
    ("exp", "float16 overflows and underflows", [np.float16([11.1, -18, -200])], {}, np.float16([INF, 0, 0])),
    *(("log", t.__name__, [t([1, 10, 0, -1])], {}, t([0, 2.302585092994046, -INF, NAN])) for t in FLOATS),
    *(("reciprocal", t.__name__, [t([2, -4, 0, INF])], {}, t([0.5, -0.25, INF, 0])) for t in FLOATS),
    *(("sqrt", t.__name__, [t([4, 2, 0, -1, INF])], {}, t([2, 1.4142135623730951, 0, NAN, INF])) for t in FLOATS),
]
