"""Recurrent networks: input [steps, batch, 4], hidden size 3."""

from webnn_runtime.format.dims import parse_dim as d

GRU = "f32[5, 2, 4]; f32[1, 9, 4]; f32[1, 9, 3]"
GRU_BOTH = "f32[5, 2, 4]; f32[2, 9, 4]; f32[2, 9, 3]; f32[2, 9]; f32[2, 9]; f32[2, 2, 3]"
GRU_CELL = "f32[2, 4]; f32[9, 4]; f32[9, 3]; f32[2, 3]"
LSTM = "f32[5, 2, 4]; f32[1, 12, 4]; f32[1, 12, 3]"
LSTM_BOTH = "f32[5, 2, 4]; f32[2, 12, 4]; f32[2, 12, 3]; f32[2, 12]; f32[2, 12]; f32[2, 9]; f32[2, 2, 3]; f32[2, 2, 3]"
LSTM_CELL = "f32[2, 4]; f32[12, 4]; f32[12, 3]; f32[2, 3]; f32[2, 3]"
H = {"hiddenSize": 3}
S = {"hiddenSize": 3, "steps": 5}

ACCEPTED = [
    ("gru", GRU, S, "f32[1, 2, 3]"),
    ("gru", GRU, {**S, "returnSequence": True}, "f32[1, 2, 3]; f32[5, 1, 2, 3]"),
    ("gru", GRU, {**S, "direction": "backward", "layout": "rzn", "resetAfter": False}, "f32[1, 2, 3]"),
    ("gru", GRU_BOTH, {**S, "direction": "both", "activations": ["relu", "relu"]}, "f32[2, 2, 3]"),
    (
        "gru",
        "f32[seq, batch, 4]; f32[1, 9, 4]; f32[1, 9, 3]",
        {"hiddenSize": 3, "steps": d("seq"), "returnSequence": True},
        "f32[1, batch, 3]; f32[seq, 1, batch, 3]",
    ),
    ("gruCell", GRU_CELL, H, "f32[2, 3]"),
    (
        "gruCell",
        GRU_CELL + "; f32[9]; f32[9]",
        {**H, "layout": "rzn", "resetAfter": False, "activations": ["tanh", "relu"]},
        "f32[2, 3]",
    ),
    ("lstm", LSTM, S, "f32[1, 2, 3]; f32[1, 2, 3]"),
    ("lstm", LSTM, {**S, "returnSequence": True}, "f32[1, 2, 3]; f32[1, 2, 3]; f32[5, 1, 2, 3]"),
    (
        "lstm",
        LSTM_BOTH,
        {**S, "direction": "both", "layout": "ifgo", "activations": ["relu", "tanh", "sigmoid"]},
        "f32[2, 2, 3]; f32[2, 2, 3]",
    ),
    ("lstmCell", LSTM_CELL, H, "f32[2, 3]; f32[2, 3]"),
    (
        "lstmCell",
        LSTM_CELL + "; f32[12]; f32[12]; f32[9]",
        {**H, "layout": "ifgo", "activations": ["relu", "tanh", "sigmoid"]},
        "f32[2, 3]; f32[2, 3]",
    ),
]

REFUSED = [
    *(
        (op, operands, {**given, **options}, "OptionError", words)
        for op, operands, given in (
            ("gru", GRU, S),
            ("lstm", LSTM, S),
            ("gruCell", GRU_CELL, H),
            ("lstmCell", LSTM_CELL, H),
        )
        for options, words in (
            ({"hiddenSize": 0}, "0 is too small"),
            ({"hiddenSize": 2**30}, "is too large"),
            ({"activations": ["tanh"]}, "has 1 items"),
            ({"activations": ["gelu"] * (3 if "lstm" in op else 2)}, "'gelu' is not one of relu, sigmoid, tanh"),
            ({"layout": "abc"}, "is not one of"),
            ({"hiddenSize": None}, "needs option 'hiddenSize'"),
        )
    ),
    ("gru", GRU, {**S, "steps": 4}, "ShapeError", "first dimension of the input and option 'steps' differ, 5 and 4"),
    ("gru", GRU, {**S, "steps": 0}, "OptionError", "0 is out of range"),
    ("gru", GRU, {"hiddenSize": 3}, "OptionError", "needs option 'steps'"),
    ("gru", GRU, {**S, "direction": "up"}, "OptionError", "is not one of forward, backward, both"),
    ("gru", GRU, {**S, "direction": "both"}, "ShapeError", "operand 'weight' and the shape [2, 9, 4] that it needs"),
    ("gru", "f32[5, 2, 4]; f32[1, 9, 4]; f32[1, 9, 4]", S, "ShapeError", "operand 'recurrentWeight'"),
    ("gru", GRU + "; f32[1, 8]", S, "ShapeError", "operand 'bias'"),
    ("gru", GRU + "; -; f32[2, 9]", S, "ShapeError", "operand 'recurrentBias'"),
    ("gru", GRU + "; -; -; f32[1, 2, 4]", S, "ShapeError", "operand 'initialHiddenState'"),
    ("gru", GRU + "; f32[9]", S, "OperandError", "its rank must be 2"),
    ("gru", "f32[2, 4]; f32[1, 9, 4]; f32[1, 9, 3]", S, "OperandError", "its rank must be 3"),
    ("gru", "i32[5, 2, 4]; i32[1, 9, 4]; i32[1, 9, 3]", S, "OperandError", "is int32"),
    ("gru", GRU, {**S, "returnSequence": True}, "OperandError", "gru has 2 results, but 1 are named"),
    ("gruCell", "f32[2, 4]; f32[9, 5]; f32[9, 3]; f32[2, 3]", H, "ShapeError", "operand 'weight'"),
    ("gruCell", "f32[2, 4]; f32[9, 4]; f32[8, 3]; f32[2, 3]", H, "ShapeError", "operand 'recurrentWeight'"),
    ("gruCell", "f32[2, 4]; f32[9, 4]; f32[9, 3]; f32[1, 3]", H, "ShapeError", "operand 'hiddenState'"),
    ("gruCell", "f32[2, 4]; f32[9, 4]; f32[9, 3]", H, "OperandError", "lacks operand 'hiddenState'"),
    ("gruCell", GRU_CELL + "; f32[8]", H, "ShapeError", "operand 'bias'"),
    ("gruCell", GRU_CELL + "; -; f32[8]", H, "ShapeError", "operand 'recurrentBias'"),
    ("gruCell", GRU_CELL + "; f16[9]", H, "OperandError", "they must agree"),
    ("lstm", LSTM, {**S, "steps": 6}, "ShapeError", "option 'steps' differ, 5 and 6"),
    ("lstm", "f32[5, 2, 4]; f32[1, 9, 4]; f32[1, 12, 3]", S, "ShapeError", "operand 'weight'"),
    ("lstm", "f32[5, 2, 4]; f32[1, 12, 4]; f32[1, 12, 4]", S, "ShapeError", "operand 'recurrentWeight'"),
    ("lstm", LSTM + "; f32[1, 9]", S, "ShapeError", "operand 'bias'"),
    ("lstm", LSTM + "; -; f32[1, 9]", S, "ShapeError", "operand 'recurrentBias'"),
    ("lstm", LSTM + "; -; -; f32[1, 12]", S, "ShapeError", "operand 'peepholeWeight'"),
    ("lstm", LSTM + "; -; -; -; f32[2, 2, 3]", S, "ShapeError", "operand 'initialHiddenState'"),
    ("lstm", LSTM + "; -; -; -; -; f32[1, 1, 3]", S, "ShapeError", "operand 'initialCellState'"),
    ("lstm", LSTM, {**S, "resetAfter": True}, "OptionError", "has no option 'resetAfter'"),
    ("lstmCell", "f32[2, 4]; f32[12, 4]; f32[12, 3]; f32[2, 3]; f32[2, 4]", H, "ShapeError", "operand 'cellState'"),
    ("lstmCell", "f32[2, 4]; f32[12, 4]; f32[12, 3]; f32[3, 3]; f32[2, 3]", H, "ShapeError", "operand 'hiddenState'"),
    ("lstmCell", "f32[2, 4]; f32[9, 4]; f32[12, 3]; f32[2, 3]; f32[2, 3]", H, "ShapeError", "operand 'weight'"),
    (
        "lstmCell",
        "f32[2, 4]; f32[12, 4]; f32[9, 3]; f32[2, 3]; f32[2, 3]",
        H,
        "ShapeError",
        "operand 'recurrentWeight'",
    ),
    ("lstmCell", LSTM_CELL + "; f32[9]", H, "ShapeError", "operand 'bias'"),
    ("lstmCell", LSTM_CELL + "; -; f32[9]", H, "ShapeError", "operand 'recurrentBias'"),
    ("lstmCell", LSTM_CELL + "; -; -; f32[12]", H, "ShapeError", "operand 'peepholeWeight'"),
]

LEFT_TO_THE_RUN = [
    ("gru", "f32[seq, 2, 4]; f32[1, 9, 4]; f32[1, 9, 3]", S, "f32[1, 2, 3]", ["seq == 5"]),
]

COMPLETED = [
    (
        "gru",
        GRU,
        S,
        {
            "activations": ("sigmoid", "tanh"),
            "direction": "forward",
            "hiddenSize": 3,
            "layout": "zrn",
            "resetAfter": True,
            "returnSequence": False,
            "steps": 5,
        },
    ),
    ("lstmCell", LSTM_CELL, H, {"activations": ("sigmoid", "tanh", "tanh"), "hiddenSize": 3, "layout": "iofg"}),
]
