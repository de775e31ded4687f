"""Without the native package or without ONNX Runtime everything else still works."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRELUDE = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import numpy as np
from webnn_runtime.backends import available_backends, compile_graph, get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import BackendUnavailable
builder = GraphBuilder()
x = builder.input("x", DataType.FLOAT32, (2,))
graph = builder.build({{"y": builder.op("relu", x)}})
"""


def run_without(*blocked: str, code: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE.format(blocked=blocked) + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "runtime"), str(ROOT / "translator")])},
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize(
    ("library", "backend", "command"),
    [("onnxruntime", "onnxruntime", "pip install onnxruntime"), ("webnn_kernels", "rust", "pip install ./rust")],
)
def test_asking_for_a_backend_without_its_library_names_the_command(library, backend, command):
    printed = run_without(
        library,
        code=f"""
        assert {backend!r} not in available_backends()
        try:
            get_backend({backend!r})
        except BackendUnavailable as exc:
            print(exc)
        """,
    )
    assert command in printed


@pytest.mark.parametrize("library", ["onnxruntime", "webnn_kernels"])
def test_auto_takes_what_is_left(library):
    printed = run_without(
        library,
        code="""
        executable = compile_graph(graph)
        assert executable.run({"x": np.float32([-1, 2])})["y"].tolist() == [0, 2]
        print(executable.describe()["backend"])
        """,
    )
    assert printed.strip() in {"numpy", "onnxruntime", "rust"}


def test_numpy_alone_runs_graphs():
    printed = run_without(
        "onnx", "onnxruntime", "webnn_kernels", "tokenizers", "huggingface_hub", "torch",
        code="""
        assert available_backends() == ("numpy",), available_backends()
        executable = compile_graph(graph)
        assert executable.run({"x": np.float32([-1, 2])})["y"].tolist() == [0, 2]
        print(executable.describe()["backend"])
        """,
    )  # fmt: skip
    assert printed.strip() == "numpy"
