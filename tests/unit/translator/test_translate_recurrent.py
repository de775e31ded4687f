"""RNN, GRU and LSTM against ONNX Runtime: in one WebNN operator where it means the same, in cells where not."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.dtypes import DataType
from webnn_translator._errors import DynamicShape, UnsupportedOp
from webnn_translator.emitter import Emitter
from webnn_translator.intervals import Interval
from webnn_translator.translate import translate

F = np.float32
STEPS, BATCH, WIDTH, HIDDEN = 4, 3, 2, 5
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FUNCTIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}
ORDER = ("x", "w", "r", "b", "lengths", "h", "c", "p")


def case(op, *, directions=1, steps=STEPS, batch=BATCH, seed=0, peepholes=False):
    """Arrays for every input of an operator."""
    rng = np.random.default_rng(seed)
    rows = GATES[op] * HIDDEN

    def draw(*shape):
        return rng.standard_normal(shape).astype(F)

    arrays = {
        "x": draw(steps, batch, WIDTH),
        "w": draw(directions, rows, WIDTH),
        "r": draw(directions, rows, HIDDEN),
        "b": draw(directions, 2 * rows),
        "h": draw(directions, batch, HIDDEN),
    }
    if op == "LSTM":
        arrays["c"] = draw(directions, batch, HIDDEN)
    if peepholes:
        arrays["p"] = draw(directions, 3 * HIDDEN)
    return arrays


def network(build, op, arrays, outputs=None, *, free=("x",), shape=None, opset=14, **attributes):
    """A model of one operator; `free` are its inputs, the rest are constants. Also the feed."""
    names = ORDER[: 8 if op == "LSTM" else 6]
    given = [name if name in arrays else "" for name in names]
    if outputs is None:
        outputs = ["y", "yh", "yc"][: 3 if op == "LSTM" else 2]
    inputs = {name: (arrays[name].dtype, arrays[name].shape) for name in names if name in arrays and name in free}
    if shape is not None:
        inputs["x"] = (F, shape)
    constants = {name: array for name, array in arrays.items() if name not in free}
    node = helper.make_node(op, given, outputs, hidden_size=HIDDEN, **attributes)
    model = build([node], inputs, [name for name in outputs if name], opset=opset, constants=constants)
    return model, {name: arrays[name] for name in free}


def ops(translation):
    return {node.op for node in translation.graph.nodes}


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
def test_a_direction_is_one_operator(op, direction, build, agree) -> None:
    arrays = case(op, directions=1 + (direction == "bidirectional"))
    model, feed = network(build, op, arrays, direction=direction)
    assert ops(agree(model, feed)) <= {"lstm" if op == "LSTM" else "gru", "identity"}


@pytest.mark.parametrize("left_out", [("b",), ("h", "c"), ("b", "h", "c")])
@pytest.mark.parametrize("op", GATES)
def test_optional_inputs_may_be_missing(op, left_out, build, agree) -> None:
    arrays = {name: array for name, array in case(op).items() if name not in left_out}
    agree(*network(build, op, arrays))


@pytest.mark.parametrize("outputs", [["y"], ["", "yh"], ["", "", "yc"], ["y", "", "yc"]])
def test_outputs_may_be_left_out(outputs, build, agree) -> None:
    agree(*network(build, "LSTM", case("LSTM"), outputs))


@pytest.mark.parametrize("op", GATES)
def test_weights_and_states_may_be_inputs(op, build, agree) -> None:
    arrays = case(op)
    agree(*network(build, op, arrays, free=tuple(arrays)))


@pytest.mark.parametrize("opset", [7, 14, 22])
def test_versions_mean_the_same(opset, build, agree) -> None:
    agree(*network(build, "LSTM", case("LSTM"), opset=opset))


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("op", GATES)
def test_batch_and_length_stay_free(op, direction, build, agree) -> None:
    arrays = {name: array for name, array in case(op).items() if name not in ("h", "c")}
    model, feed = network(build, op, arrays, shape=("time", "batch", WIDTH), direction=direction)
    assert len(agree(model, feed, {"x": feed["x"][:1, :2]}).dims) == 2


def test_a_gru_may_reset_after_the_product(build, agree) -> None:
    agree(*network(build, "GRU", case("GRU"), linear_before_reset=1))


@pytest.mark.parametrize("op", GATES)
def test_functions_of_each_direction_may_differ(op, build, agree) -> None:
    names = ["Sigmoid", "Tanh", "Relu"][3 - FUNCTIONS[op] :] + ["Tanh", "Sigmoid", "Tanh"][3 - FUNCTIONS[op] :]
    model, feed = network(build, op, case(op, directions=2), direction="bidirectional", activations=names)
    assert ops(agree(model, feed)) <= {"lstm" if op == "LSTM" else "gru", "concat"}


@pytest.mark.parametrize(
    ("name", "alpha", "beta"),
    [
        ("Affine", 0.75, 0.25),
        ("Elu", 0.5, None),
        ("HardSigmoid", 0.3, 0.4),
        ("LeakyRelu", 0.1, None),
        ("ScaledTanh", 0.8, 0.6),
        ("Softplus", None, None),
        ("Softsign", None, None),
        ("ThresholdedRelu", 0.2, None),
    ],
)
@pytest.mark.parametrize("op", ["RNN", "GRU"])
def test_other_functions_are_written_out(op, name, alpha, beta, build, agree) -> None:
    parameters = {} if alpha is None else {"activation_alpha": [alpha]}
    parameters |= {} if beta is None else {"activation_beta": [beta]}
    functions = [name] if op == "RNN" else ["Sigmoid", name]
    agree(*network(build, op, case(op), activations=functions, **parameters))


def test_parameters_go_to_the_functions_that_have_them(build, agree) -> None:
    attributes = {
        "activations": ["HardSigmoid", "Tanh", "LeakyRelu", "Sigmoid", "Elu", "Affine"],
        "activation_alpha": [0.3, 0.1, 0.5, 0.75],
        "activation_beta": [0.4, 0.25],
        "direction": "bidirectional",
    }
    agree(*network(build, "LSTM", case("LSTM", directions=2), **attributes))


@pytest.mark.parametrize("op", GATES)
def test_the_input_of_gates_is_clipped(op, build, agree) -> None:
    agree(*network(build, op, case(op), clip=0.5))


@pytest.mark.parametrize("resets_after", [0, 1])
@pytest.mark.parametrize("biased", [True, False])
def test_cells_of_a_gru_reset_before_or_after(resets_after, biased, build, agree) -> None:
    arrays = case("GRU")
    if not biased:
        del arrays["b"]
    agree(*network(build, "GRU", arrays, clip=0.5, linear_before_reset=resets_after, direction="reverse"))


@pytest.mark.parametrize("clip", [{}, {"clip": 0.7}])
@pytest.mark.parametrize("coupled", [0, 1])
def test_gates_may_be_coupled_and_see_the_cell_state(coupled, clip, build, agree) -> None:
    agree(*network(build, "LSTM", case("LSTM", peepholes=True), input_forget=coupled, **clip))


def test_peepholes_that_the_output_gate_does_not_have_are_webnns_own(build, agree) -> None:
    arrays = case("LSTM", peepholes=True)
    arrays["p"][:, HIDDEN : 2 * HIDDEN] = 0
    model, feed = network(build, "LSTM", arrays)
    assert ops(agree(model, feed)) == {"lstm"}


LENGTHS = [np.asarray(lengths, np.int32) for lengths in ([4, 2, 1], [4, 4, 4], [2, 0, 3])]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("known", [True, False])
def test_rows_end_by_their_lengths(known, op, direction, build, agree) -> None:
    directions = 1 + (direction == "bidirectional")
    for lengths in LENGTHS if known else LENGTHS[:1]:
        arrays = case(op, directions=directions) | {"lengths": lengths}
        free = ("x",) if known else ("x", "lengths")
        model, feed = network(build, op, arrays, ["y", "yh"], free=free, direction=direction)
        feeds = [feed] if known else [feed | {"lengths": other} for other in LENGTHS]
        agree(model, *feeds)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_cell_state_of_rows_that_end_early_is_written_out(direction, build, agree) -> None:
    arrays = case("LSTM") | {"lengths": LENGTHS[0]}
    model, feed = network(build, "LSTM", arrays, free=("x", "lengths"), direction=direction)
    agree(model, *(feed | {"lengths": lengths} for lengths in LENGTHS))


def test_lengths_go_with_free_dimensions(build, agree) -> None:
    arrays = {name: array for name, array in case("GRU").items() if name != "h"} | {"lengths": LENGTHS[0]}
    model, feed = network(
        build, "GRU", arrays, free=("x", "lengths"), shape=("time", BATCH, WIDTH), direction="reverse"
    )
    agree(model, feed, {"x": feed["x"][:3], "lengths": np.asarray([3, 1, 2], np.int32)})


def test_steps_that_are_written_out_need_a_known_number(build) -> None:
    arrays = {name: array for name, array in case("GRU").items() if name != "h"}
    model, _ = network(build, "GRU", arrays, shape=("time", BATCH, WIDTH), clip=0.5)
    with pytest.raises(DynamicShape, match=r"--dim time=VALUE"):
        translate(model)
    with pytest.raises(UnsupportedOp, match="it has 600 steps to be written out; at most 512 are"):
        translate(model, dims={"time": 600})


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"activations": ["Sigmoid"]}, "1 activations, 2 are needed"),
        ({"activations": ["Sigmoid", "Gelu"]}, "activation 'gelu'; supported: affine, "),
        ({"activations": ["Sigmoid", "Elu"], "activation_alpha": [1.0, 2.0]}, "more values of activation_alpha"),
        (
            {"activations": ["Sigmoid", "ScaledTanh"], "activation_alpha": [0.8]},
            "'scaledtanh' without an alpha and a beta",
        ),
        ({"direction": "sideways"}, "attribute direction is 'sideways'"),
    ],
)
def test_what_no_gru_can_be_is_refused(attributes, reason, build) -> None:
    model, _ = network(build, "GRU", case("GRU"), **attributes)
    with pytest.raises(UnsupportedOp, match=reason):
        translate(model)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("clip", [{}, {"clip": 0.5}])
def test_the_batch_may_come_first(op, clip, build) -> None:
    # ONNX Runtime has no such layout: the answer is that of the other one.
    arrays = case(op, directions=2)
    attributes = {"direction": "bidirectional", **clip}
    plain, feed = network(build, op, arrays, **attributes)
    wanted = get_backend("numpy").compile(translate(plain).graph).run(feed)
    first = {name: array.swapaxes(0, 1) if name in ("x", "h", "c") else array for name, array in arrays.items()}
    turned, feed = network(build, op, first, layout=1, **attributes)
    found = get_backend("numpy").compile(translate(turned).graph).run(feed)
    np.testing.assert_allclose(found["y"], wanted["y"].transpose(2, 0, 1, 3), rtol=1e-6)
    for name in wanted.keys() - {"y"}:
        np.testing.assert_allclose(found[name], wanted[name].swapaxes(0, 1), rtol=1e-6)


@pytest.mark.parametrize("op", GATES)
def test_half_precision_stays_half(op, build) -> None:
    halves = {name: array.astype(np.float16) for name, array in case(op).items()}
    model, feed = network(build, op, halves)
    found = get_backend("numpy").compile(translate(model).graph).run(feed)
    wide = {name: array.astype(F) for name, array in halves.items()}
    model, feed = network(build, op, wide)
    wanted = get_backend("numpy").compile(translate(model).graph).run(feed)
    for name, array in wanted.items():
        assert found[name].dtype == np.float16
        np.testing.assert_allclose(found[name], array, rtol=2e-3, atol=2e-3)


def test_constants_that_are_each_made_of_the_other_end_somewhere() -> None:
    emit = Emitter("ends", [])
    first = emit.constant(np.asarray([1, 2]), DataType.INT64)
    assert emit.op("neg", emit.op("neg", first)) == first
    assert emit.interval(first) == Interval(1, 2)
