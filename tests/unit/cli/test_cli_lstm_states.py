"""`--lstm-states`: what is told of quantised LSTMs, and what comes of them where it is passed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

WIDTH, HIDDEN = 3, 2


@pytest.fixture
def lstm(tmp_path: Path) -> Path:
    """A model of one quantised LSTM."""
    random = np.random.default_rng(4)
    arrays = {
        "w": random.integers(0, 255, (1, WIDTH, 4 * HIDDEN)).astype(np.uint8),
        "r": random.integers(0, 255, (1, HIDDEN, 4 * HIDDEN)).astype(np.uint8),
        "scale": np.array([0.01], np.float32),
        "zero": np.array([128], np.uint8),
    }
    names = ["x", "w", "r", "", "", "", "", "", "scale", "zero", "scale", "zero"]
    node = helper.make_node("DynamicQuantizeLSTM", names, ["y"], hidden_size=HIDDEN, domain="com.microsoft")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["steps", "batch", WIDTH])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    model = helper.make_model(
        helper.make_graph([node], "lstm", [x], [y], held),
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
    )
    model.ir_version = 10
    onnx.save(model, tmp_path / "lstm.onnx")
    return tmp_path / "lstm.onnx"


def test_a_refusal_names_the_switch_that_the_next_run_takes(
    run: Callable[..., Any], lstm: Path, tmp_path: Path
) -> None:
    refused = run("webnn-convert", lstm, "-o", tmp_path / "out")
    assert (refused.code, "--lstm-states float32" in refused.err) == (5, True)
    assert "converts" in run("webnn", "explain", lstm, "--lstm-states", "float32").out
    done = run("webnn-convert", lstm, "-o", tmp_path / "out", "--lstm-states", "float32")
    assert done.code == 0
    assert "ONNX Runtime's kernel, which rounds them, gives results that differ by up to" in done.err
    shown = run("webnn", "inspect", tmp_path / "out").out
    assert "data and states of quantised LSTMs, which are not rounded: y" in " ".join(shown.split())
    assert run("webnn", "verify", tmp_path / "out", "--source", lstm).code == 0


def test_another_word_is_refused(run: Callable[..., Any], lstm: Path) -> None:
    ran = run("webnn-convert", lstm, "--lstm-states", "int8")
    assert (ran.code, "--lstm-states int8: keep or float32" in ran.err) == (2, True)
