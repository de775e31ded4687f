"""DynamicQuantizeLSTM: an LSTM of the same weights for who asks for one, else refused."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_translator._errors import UnsupportedOp
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.translate import translate

F = np.float32
WIDTH, HIDDEN = 6, 5
NAMES = ("x", "w", "r", "b", "lengths", "h", "c", "p", "ws", "wz", "rs", "rz")


def arrays_of(directions, *, is_signed, per_column):
    random = np.random.default_rng(directions + 2 * is_signed + 4 * per_column)
    kind, low = (np.int8, -127) if is_signed else (np.uint8, 0)
    count = (directions, 4 * HIDDEN) if per_column else (directions,)

    # The kernel wants 0 where each column has a scale of its own and the type is signed.
    zero_point = 130 if not is_signed else 0 if per_column else -7

    def integers(*shape):
        return random.integers(low, low + 255, shape).astype(kind)

    return {
        "w": integers(directions, WIDTH, 4 * HIDDEN),
        "r": integers(directions, HIDDEN, 4 * HIDDEN),
        "b": random.standard_normal((directions, 8 * HIDDEN)).astype(F),
        **{scale: random.uniform(0.002, 0.006, count).astype(F) for scale in ("ws", "rs")},
        **{zero: np.full(count, zero_point, kind) for zero in ("wz", "rz")},
    }


def quantised(build, arrays, direction="forward", outputs=("y", "yh", "yc")):
    given = [name if name in {*arrays, "x"} else "" for name in NAMES]
    settings = {"hidden_size": HIDDEN, "direction": direction, "domain": "com.microsoft"}
    node = helper.make_node("DynamicQuantizeLSTM", given, list(outputs), name="cells", **settings)
    model = build(
        [node], {"x": (F, ("steps", "batch", WIDTH))}, outputs, constants=arrays, domains=[("com.microsoft", 1)]
    )
    for output in model.graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None))
    return model


def plain(build, arrays, direction):
    """The same in floats, computed with NumPy."""
    floats = {"b": arrays["b"]}
    for name in "wr":
        scale, zero = (arrays[f"{name}{part}"].astype(F) for part in "sz")
        shape = (scale.shape[0], 1, -1)
        whole = (arrays[name].astype(F) - zero.reshape(shape)) * scale.reshape(shape)
        floats[name] = np.ascontiguousarray(whole.transpose(0, 2, 1))
    outputs = ("y", "yh", "yc")
    node = helper.make_node("LSTM", ["x", "w", "r", "b"], list(outputs), hidden_size=HIDDEN, direction=direction)
    return build([node], {"x": (F, ("steps", "batch", WIDTH))}, outputs, constants=floats)


def outputs_of(runtime, model, feed):
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


@pytest.mark.parametrize("per_column", [False, True])
@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
def test_it_is_the_lstm_of_its_weights(direction, is_signed, per_column, build, optional) -> None:
    runtime = optional("onnxruntime")
    arrays = arrays_of(2 if direction == "bidirectional" else 1, is_signed=is_signed, per_column=per_column)
    model, floats = quantised(build, arrays, direction), plain(build, arrays, direction)
    for output in floats.graph.output:
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, None))
    found = translate(model, lstm_states="float32")
    assert found.float_states == ("cells",)
    assert [node.op for node in found.graph.nodes].count("lstm") == 1
    for steps, batch in ((1, 1), (7, 3)):
        feed = {"x": np.random.default_rng(steps).standard_normal((steps, batch, WIDTH)).astype(F)}
        ours = get_backend("numpy").compile(found.graph).run(feed)
        near, rounded = outputs_of(runtime, floats, feed), outputs_of(runtime, model, feed)
        for name, wanted, kernel in zip(("y", "yh", "yc"), near, rounded, strict=True):
            np.testing.assert_allclose(ours[name], wanted, rtol=1e-5, atol=1e-6)
            # Eight bits for the data and for each state.
            np.testing.assert_allclose(ours[name], kernel, rtol=0, atol=0.05)


def test_who_does_not_ask_for_it_is_told_how_to(build) -> None:
    model = quantised(build, arrays_of(1, is_signed=False, per_column=False))
    with pytest.raises(UnsupportedOp, match=r"rounds its data and its hidden state .* --lstm-states float32"):
        translate(model)


def test_the_certificate_says_how_far_the_kernel_is(build, optional, tmp_path) -> None:
    optional("onnxruntime")
    arrays = arrays_of(2, is_signed=True, per_column=True)
    onnx.save(quantised(build, arrays, "bidirectional"), tmp_path / "m.onnx")
    told: list[str] = []
    options = ConvertOptions(lstm_states="float32")
    done = convert_model(str(tmp_path / "m.onnx"), tmp_path / "out", options, note=told.append)
    assert done.certificate is not None
    assert done.certificate.passed
    stated = json.loads((tmp_path / "out" / "manifest.json").read_text())["x-webnn-runtime"]
    assert stated["floatStates"] == ["cells"]
    apart = stated["certificate"]["roundedStates"]
    assert set(apart) == {"y", "yh", "yc"}
    assert all(1e-5 < part < 0.1 for part in apart.values())
    assert "data and states of quantised LSTMs stay float32: cells" in told
    assert any(line.startswith("compared with LSTMs whose states are not rounded") for line in told)
