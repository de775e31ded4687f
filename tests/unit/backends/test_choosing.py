"""What `auto` does about options, and numbers of threads that no backend should try."""

from __future__ import annotations

import copy
import os
import pickle
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


@pytest.mark.parametrize("threads", [0, -1, 1025, 1_000_000, 2.0, "2", True])
@pytest.mark.parametrize("backend", ["auto", "numpy", "onnxruntime"])
def test_an_impossible_number_of_threads_is_refused(backend, threads):
    with pytest.raises(UnsupportedByBackend, match=r"must be 1 to 1024"):
        compile_graph(graph(), backend, CompileOptions(threads=threads))


@pytest.mark.parametrize("backend", ["auto", "numpy", "onnxruntime"])
def test_strictness_is_yes_or_no(backend):
    with pytest.raises(UnsupportedByBackend, match="strict='no'; expected True or False"):
        compile_graph(graph(), backend, CompileOptions(strict="no"))  # type: ignore[arg-type]


def test_session_options_are_a_dictionary(tmp_path):
    folder = save_bundle(graph(), tmp_path / "bundle")
    with pytest.raises(UnsupportedByBackend, match="session_options='fast'; expected a dict"):
        load(folder, session_options="fast")  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["auto", "numpy", "onnxruntime"])
def test_a_number_of_numpy_is_a_number_of_threads(backend):
    compile_graph(graph(), backend, CompileOptions(threads=np.int64(1))).run({"x": np.ones(2, np.float32)})


@pytest.mark.parametrize("name", [None, 3, ["rust"]])
def test_what_is_no_name_of_a_backend_is_refused(name):
    with pytest.raises(BackendUnavailable, match="there is no such backend; one of auto, rust"):
        compile_graph(graph(), name)


@pytest.mark.native
def test_where_every_backend_refuses_the_best_one_says_why(optional):
    optional("webnn_kernels")
    with pytest.raises(UnsupportedByBackend, match="max_memory=0; must be at least 1 byte"):
        compile_graph(graph(), "auto", CompileOptions(max_memory=0))
    with pytest.raises(UnsupportedByBackend, match="'none' is not available on this CPU; available: scalar"):
        compile_graph(graph(), "auto", CompileOptions(session_options={"isa": "none"}))


@pytest.mark.native
def test_what_auto_chooses_by_needs_no_plan_of_texts(optional):
    optional("webnn_kernels")
    found = compile_graph(graph(), "auto")
    assert found._texts == {}  # type: ignore[attr-defined]  # of the rust backend
    assert found.all_native is True
    assert found.describe()["all_native"] is True


@pytest.mark.native
@pytest.mark.parametrize("most", [0, -1, 1e9, "1G"])
def test_an_impossible_amount_of_memory_is_refused(most, optional):
    optional("webnn_kernels")
    with pytest.raises(UnsupportedByBackend, match="must be at least 1 byte, as a whole number"):
        compile_graph(graph(), "rust", CompileOptions(max_memory=most))


@pytest.mark.parametrize("backend", ["numpy", "onnxruntime", pytest.param("rust", marks=pytest.mark.native)])
@pytest.mark.parametrize("kind", ["matrix", "mapped", "record", "unmasked"])
def test_a_class_of_its_own_is_read_as_the_array_it_is(backend, kind, optional, tmp_path):
    optional({"rust": "webnn_kernels"}.get(backend, backend))
    builder = GraphBuilder()
    twice = builder.op("relu", builder.op("neg", builder.input("x", DataType.FLOAT32, (2, 2))))
    values = np.array([[-1, 2], [3, -4]], np.float32)
    np.save(tmp_path / "x.npy", values)
    given = {
        "matrix": lambda: values.view(np.matrix),
        "mapped": lambda: np.load(tmp_path / "x.npy", mmap_mode="r"),
        "record": lambda: values.view(np.recarray),
        "unmasked": lambda: np.ma.masked_invalid(values),
    }[kind]()
    (found,) = compile_graph(builder.build({"y": twice}), backend).run({"x": given}).values()
    assert type(found) is np.ndarray
    assert found.tolist() == [[1, 0], [0, 4]]


@pytest.mark.parametrize("copying", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_copy_of_a_model_is_refused_with_what_to_do(copying, tmp_path):
    model = load(save_bundle(graph(), tmp_path / "bundle"), "numpy")
    with pytest.raises(TypeError, match=r"another process opens its own: load\("):
        copying(model)


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
