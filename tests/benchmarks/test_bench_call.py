"""What one call costs: relu(a + b) on 2x3 floats through `compute`, beside onnxruntime alone and pywebnn.

pywebnn has wheels for CPython 3.12 only. Where such an interpreter is found, it is installed into
`.cache/bench/pywebnn` and measured there on the same work; otherwise the table says that it is missing.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.api import ML, MLGraphBuilder

pytestmark = pytest.mark.bench

ROOT = Path(__file__).parents[2]
PEER = ROOT / ".cache" / "bench" / "pywebnn"
PEER_PACKAGES = ("pywebnn==0.5.12", "onnxruntime", "numpy")
CALLS = 2000
INPUTS = {"a": np.float32([[1, -2, 3], [-4, 5, -6]]), "b": np.ones((2, 3), np.float32)}
EXPECTED = [[2, 0, 4], [0, 6, 0]]
PEER_SCRIPT = """
import json, statistics, sys, time
import numpy as np, webnn
context = webnn.ML().create_context(accelerated=False)
builder = context.create_graph_builder()
a, b = builder.input("a", [2, 3], "float32"), builder.input("b", [2, 3], "float32")
graph = builder.build({"y": builder.relu(builder.add(a, b))})
inputs = {name: np.asarray(values, np.float32) for name, values in json.loads(sys.argv[1]).items()}
assert context.compute(graph, inputs)["y"].tolist() == json.loads(sys.argv[2])
times = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    context.compute(graph, inputs)
    times.append(time.perf_counter() - start)
print(statistics.median(times) * 1e6)
"""


def compute(backend):
    context = ML().create_context(backend=backend, threads=1)
    builder = MLGraphBuilder(context)
    a, b = (builder.input(name, [2, 3], "float32") for name in INPUTS)
    graph = builder.build({"y": builder.relu(builder.add(a, b))})
    return lambda: context.compute(graph, INPUTS)["y"]


def onnxruntime_alone(optional):
    ort, onnx = optional("onnxruntime"), optional("onnx")
    kinds = {name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 3]) for name in "aby"}
    nodes = [onnx.helper.make_node("Add", ["a", "b"], ["s"]), onnx.helper.make_node("Relu", ["s"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", [kinds["a"], kinds["b"]], [kinds["y"]])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options)
    return lambda: session.run(["y"], INPUTS)[0]


def python_312():
    """An interpreter that really starts: a version manager may put a stand-in on the path that does not."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [shutil.which("python3.12"), *map(str, sorted(versions.glob("3.12*/bin/python")))]
    for candidate in found:
        if candidate and subprocess.run([candidate, "-c", ""], check=False, capture_output=True).returncode == 0:
            return candidate
    return None


def pywebnn_microseconds():
    """Median of a call, or the reason why there is none."""
    interpreter = python_312()
    if interpreter is None:
        return "missing: no CPython 3.12 here, and pywebnn has no other wheels"
    python = PEER / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter, "-m", "venv", str(PEER)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER_PACKAGES], check=True)
    arguments = [json.dumps({name: values.tolist() for name, values in INPUTS.items()}), json.dumps(EXPECTED), "200"]
    finished = subprocess.run(
        [str(python), "-c", PEER_SCRIPT, *arguments], check=True, capture_output=True, text=True, timeout=300
    )
    return float(finished.stdout.splitlines()[-1])


def test_one_call_of_each_contender(optional, capsys):
    optional("webnn_kernels")
    calls = {
        "onnxruntime alone": onnxruntime_alone(optional),
        "compute, onnxruntime": compute("onnxruntime"),
        "compute, rust": compute("rust"),
        "compute, numpy": compute("numpy"),
    }
    times = {name: [] for name in calls}
    for call in calls.values():
        assert call().tolist() == EXPECTED
    for _ in range(CALLS):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    with capsys.disabled():
        print(f"\nrelu(a + b) on 2x3 float32, 1 thread, median of {CALLS} interleaved calls")
        for name, seconds in times.items():
            print(f"  {name:<22}{statistics.median(seconds) * 1e6:8.1f} us")
        peer = pywebnn_microseconds()
        print(f"  {'pywebnn 0.5.12':<22}{peer if isinstance(peer, str) else f'{peer:8.1f} us'}")
