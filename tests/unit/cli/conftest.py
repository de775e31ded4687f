"""Run the two commands in this process, and small ONNX models for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from webnn_runtime import cli as webnn
from webnn_translator.cli import convert


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        (line,) = self.out.splitlines()
        answer: dict[str, Any] = json.loads(line)
        return answer


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Ran]:
    """`run("webnn-convert", ...)` or `run("webnn", ...)` in a folder of its own: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(command: str, *arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", [command, *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            (convert if command == "webnn-convert" else webnn).main()
        captured = capsys.readouterr()
        return Ran(int(exited.value.code or 0), captured.out, captured.err)

    return call


def dense_model(*, batch: str | int = "batch") -> Any:
    """relu(x @ w + b), with one free dimension."""
    rng = np.random.default_rng(3)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["p"], name="product"),
            helper.make_node("Add", ["p", "b"], ["s"], name="sum"),
            helper.make_node("Relu", ["s"], ["y"], name="out"),
        ],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(rng.standard_normal((4, 3)).astype(np.float32), "w"),
            numpy_helper.from_array(rng.standard_normal(3).astype(np.float32), "b"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    path = tmp_path / "dense.onnx"
    path.write_bytes(dense_model().SerializeToString())
    return path


@pytest.fixture
def bundle(dense: Path, run: Callable[..., Ran]) -> Path:
    assert run("webnn-convert", dense, "--quiet").code == 0
    return dense.parent / "dense-webnn"
