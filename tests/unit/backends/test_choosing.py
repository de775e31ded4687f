"""What `auto` does about options, and numbers of threads that no backend should try."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime import load, save_bundle
from webnn_runtime.backends import CompileOptions, compile_graph
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import BackendUnavailable, OperandError, UnsupportedByBackend
from webnn_runtime.format.graph import Graph


def graph() -> Graph:
    builder = GraphBuilder()
    return builder.build({"y": builder.op("relu", builder.input("x", DataType.FLOAT32, (2,)))})


@pytest.mark.parametrize("threads", [0, -1, 1025, 1_000_000, 2.0, "2"])
@pytest.mark.parametrize("backend", ["auto", "numpy", "onnxruntime"])
def test_an_impossible_number_of_threads_is_refused(backend, threads):
    with pytest.raises(UnsupportedByBackend, match=r"must be 1 to 1024"):
        compile_graph(graph(), backend, CompileOptions(threads=threads))


@pytest.mark.native
def test_where_every_backend_refuses_the_best_one_says_why(optional):
    optional("webnn_kernels")
    with pytest.raises(UnsupportedByBackend, match="max_memory=0; must be at least 1 byte"):
        compile_graph(graph(), "auto", CompileOptions(max_memory=0))


@pytest.mark.native
def test_auto_asks_who_has_devices_for_one():
    with pytest.raises(BackendUnavailable) as refused:
        compile_graph(graph(), "auto", CompileOptions(device="npu"))
    assert refused.value.backend == "onnxruntime"


@pytest.mark.parametrize(
    "inputs", [None, [np.ones(2, np.float32)], np.ones(2, np.float32)], ids=["none", "list", "array"]
)
def test_inputs_without_names_are_refused(inputs, tmp_path):
    save_bundle(graph(), tmp_path / "b")
    with pytest.raises(OperandError, match="give a dict from name to array, of x"):
        load(tmp_path / "b", backend="numpy").run(inputs)


@pytest.mark.native
def test_an_instruction_set_that_is_not_there_is_no_reason_to_take_another_backend(optional):
    optional("webnn_kernels")
    code = (
        "from webnn_runtime.backends import available_backends, compile_graph\n"
        "from webnn_runtime.format.builder import GraphBuilder\n"
        "from webnn_runtime.format.dtypes import DataType\n"
        "builder = GraphBuilder()\n"
        "graph = builder.build({'y': builder.op('relu', builder.input('x', DataType.FLOAT32, (2,)))})\n"
        "assert 'rust' not in available_backends()\n"
        "compile_graph(graph)\n"
    )
    sources = [str(Path(__file__).resolve().parents[3] / "runtime"), *filter(None, sys.path)]
    environment = {**os.environ, "WEBNN_KERNELS_ISA": "abacus", "PYTHONPATH": os.pathsep.join(sources)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert "UnsupportedByBackend: backend 'rust': WEBNN_KERNELS_ISA=abacus: no such instruction set" in done.stderr
