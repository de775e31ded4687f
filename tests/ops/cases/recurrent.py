"""Cases: (operator, what it shows, operands, options, expected, tolerance where it is not the published one).

With relu, or with zero weights, a step can be written out by hand; the rest is compared with the reference.
"""

from __future__ import annotations

import numpy as np

from webnn_runtime.conformance import Tolerance

# The published budgets, 1 and 3 ULP, are meant for relu of small integers: sigmoid alone may be off by 34.
SMOOTH = Tolerance(absolute=1e-6)
FLOATS = (np.float32, np.float16)
RANDOM = np.random.default_rng(19)


def random(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape).astype(np.float32)


STEPS, BATCH, IN, HIDDEN = 3, 2, 4, 5
GRU = [
    random(STEPS, BATCH, IN),
    random(1, 3 * HIDDEN, IN),
    random(1, 3 * HIDDEN, HIDDEN),
    random(1, 3 * HIDDEN),
    random(1, 3 * HIDDEN),
    random(1, BATCH, HIDDEN),
]
GRU_BOTH = [GRU[0], *(np.concatenate([array, random(*array.shape)]) for array in GRU[1:])]
LSTM = [
    random(STEPS, BATCH, IN),
    random(1, 4 * HIDDEN, IN),
    random(1, 4 * HIDDEN, HIDDEN),
    random(1, 4 * HIDDEN),
    random(1, 4 * HIDDEN),
    random(1, 3 * HIDDEN),
    random(1, BATCH, HIDDEN),
    random(1, BATCH, HIDDEN),
]
LSTM_BOTH = [LSTM[0], *(np.concatenate([array, random(*array.shape)]) for array in LSTM[1:])]
SIZES = {"steps": STEPS, "hidden_size": HIDDEN}
RELU2, RELU3 = ["relu", "relu"], ["relu", "relu", "relu"]

# One input, one hidden unit, relu everywhere: z = x/4, r = x/2, and before the reset n = x.
ONE = [[[0.25], [0.5], [1]]]
BACK = [[[0], [0], [1]]]  # only n looks at the state
# Likewise for lstm: i = x, o = 1, f = x/2, g = 2x, by weights and biases.
GATES, GATE_BIAS = [[[1], [0], [0.5], [2]]], [[0, 1, 0, 0]]
NO_BACK = [[[0], [0], [0], [0]]]


def permuted(array: np.ndarray, order: list[int]) -> np.ndarray:
    """The blocks of the second dimension in another order."""
    return np.concatenate([np.split(array, len(order), axis=1)[place] for place in order], axis=1)


CASES = [
    # x = 2, h = 1: z = 1/2, r = 1, n = 2 + 1 * 1 = 3, h' = 1/2 * 1 + 1/2 * 3.
    *(
        (
            "gru",
            f"{t.__name__} one step by hand",
            [t([[[2]]]), t(ONE), t(BACK), None, None, t([[[1]]])],
            {"steps": 1, "hidden_size": 1, "activations": RELU2},
            [t([[[2]]])],
        )
        for t in FLOATS
    ),
    (
        "gru",
        "no initial state is zero",
        [np.float32([[[2]]]), np.float32(ONE), np.float32(BACK), None, None, None],
        {"steps": 1, "hidden_size": 1, "activations": RELU2},
        [np.float32([[[1]]])],
    ),
    (
        "gru",
        "layout rzn",
        [np.float32([[[2]]]), np.float32([[[0.5], [0.25], [1]]]), np.float32(BACK), None, None, np.float32([[[1]]])],
        {"steps": 1, "hidden_size": 1, "activations": RELU2, "layout": "rzn"},
        [np.float32([[[2]]])],
    ),
    (
        "gru",
        "the sequence, backward, each step at its place",
        [np.float32([[[2]], [[0]]]), np.float32(ONE), np.float32(BACK), None, None, np.float32([[[1]]])],
        {"steps": 2, "hidden_size": 1, "activations": RELU2, "direction": "backward", "return_sequence": True},
        [np.float32([[[1]]]), np.float32([[[[1]]], [[[0]]]])],
    ),
    *(
        (
            "gru",
            f"reset_after={after}",
            GRU,
            {**SIZES, "reset_after": after, "return_sequence": True},
            "reference",
            SMOOTH,
        )
        for after in (True, False)
    ),
    ("gru", "both directions", GRU_BOTH, {**SIZES, "direction": "both", "return_sequence": True}, "reference", SMOOTH),
    ("gru", "backward", GRU, {**SIZES, "direction": "backward"}, "reference", SMOOTH),
    *(
        (
            "gruCell",
            f"{t.__name__} by hand",
            [t([[2]]), t(ONE[0]), t(BACK[0]), t([[1]]), None, None],
            {"hidden_size": 1, "activations": RELU2},
            t([[2]]),
        )
        for t in FLOATS
    ),
    # r = 1/2 of x = 1: with recurrent bias 2 the candidate is 1 + 1/2 * (2 + 2) after, 1 + (1/2 * 2 + 2) before.
    (
        "gruCell",
        "reset after",
        [
            np.float32([[1]]),
            np.float32([[0], [0.5], [1]]),
            np.float32(BACK[0]),
            np.float32([[2]]),
            None,
            np.float32([0, 0, 2]),
        ],
        {"hidden_size": 1, "activations": RELU2},
        np.float32([[3]]),
    ),
    (
        "gruCell",
        "reset before",
        [
            np.float32([[1]]),
            np.float32([[0], [0.5], [1]]),
            np.float32(BACK[0]),
            np.float32([[2]]),
            None,
            np.float32([0, 0, 2]),
        ],
        {"hidden_size": 1, "activations": RELU2, "reset_after": False},
        np.float32([[4]]),
    ),
    # Zero weights: both gates are 1/2 and the candidate 0.
    (
        "gruCell",
        "default activations",
        [np.float32([[1]]), np.zeros((3, 1), np.float32), np.zeros((3, 1), np.float32), np.float32([[2]]), None, None],
        {"hidden_size": 1},
        np.float32([[1]]),
    ),
    (
        "gruCell",
        "random",
        [GRU[0][0], GRU[1][0], GRU[2][0], GRU[5][0], GRU[3][0], GRU[4][0]],
        {"hidden_size": HIDDEN},
        "reference",
        SMOOTH,
    ),
    # x = 2, c = 3: i = 2, o = 1, f = 1, g = 4, c' = 3 + 8, h' = 11.
    *(
        (
            "lstm",
            f"{t.__name__} one step by hand",
            [t([[[2]]]), t(GATES), t(NO_BACK), t(GATE_BIAS), None, None, None, t([[[3]]])],
            {"steps": 1, "hidden_size": 1, "activations": RELU3},
            [t([[[11]]]), t([[[11]]])],
        )
        for t in FLOATS
    ),
    (
        "lstm",
        "layout ifgo",
        [
            np.float32([[[2]]]),
            permuted(np.float32(GATES), [0, 2, 3, 1]),
            np.float32(NO_BACK),
            permuted(np.float32(GATE_BIAS), [0, 2, 3, 1]),
            None,
            None,
            None,
            np.float32([[[3]]]),
        ],
        {"steps": 1, "hidden_size": 1, "activations": RELU3, "layout": "ifgo"},
        [np.float32([[[11]]]), np.float32([[[11]]])],
    ),
    ("lstm", "all operands", LSTM, {**SIZES, "return_sequence": True}, "reference", SMOOTH),
    (
        "lstm",
        "both directions",
        LSTM_BOTH,
        {**SIZES, "direction": "both", "return_sequence": True},
        "reference",
        SMOOTH,
    ),
    (
        "lstm",
        "backward, no peepholes",
        [*LSTM[:5], None, *LSTM[6:]],
        {**SIZES, "direction": "backward", "return_sequence": True},
        "reference",
        SMOOTH,
    ),
    *(
        (
            "lstmCell",
            f"{t.__name__} by hand",
            [t([[2]]), t(GATES[0]), t(NO_BACK[0]), t([[0]]), t([[3]]), t(GATE_BIAS[0]), None, None],
            {"hidden_size": 1, "activations": RELU3},
            [t([[11]]), t([[11]])],
        )
        for t in FLOATS
    ),
    # Zeros in the place of peepholes that are not there would make it NaN.
    *(
        (
            "lstmCell",
            f"{t.__name__} infinite state without peepholes",
            [t([[2]]), t(GATES[0]), t(NO_BACK[0]), t([[0]]), t([[np.inf]]), t(GATE_BIAS[0]), None, None],
            {"hidden_size": 1, "activations": RELU3},
            [t([[np.inf]]), t([[np.inf]])],
        )
        for t in FLOATS
    ),
    # Peepholes i, o, f = 1, 1, 0 on the old cell state 3: i = 5, o = 4, c' = 3 + 20, h' = 4 * 23.
    (
        "lstmCell",
        "peepholes see the old cell state",
        [
            np.float32([[2]]),
            np.float32(GATES[0]),
            np.float32(NO_BACK[0]),
            np.float32([[0]]),
            np.float32([[3]]),
            np.float32(GATE_BIAS[0]),
            None,
            np.float32([1, 1, 0]),
        ],
        {"hidden_size": 1, "activations": RELU3},
        [np.float32([[92]]), np.float32([[23]])],
    ),
    (
        "lstmCell",
        "random",
        [LSTM[0][0], LSTM[1][0], LSTM[2][0], LSTM[6][0], LSTM[7][0], LSTM[3][0], LSTM[4][0], LSTM[5][0]],
        {"hidden_size": HIDDEN},
        "reference",
        SMOOTH,
    ),
]
