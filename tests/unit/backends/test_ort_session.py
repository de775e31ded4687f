"""The session behind the backend: options, devices, errors, weights without copies, and what it says of itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import webnn_runtime
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.onnxruntime import BACKEND, proto, session, threads
from webnn_runtime.backends.onnxruntime.lower import lower
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import (
    BackendUnavailable,
    ExecutionError,
    OptionError,
    UnsupportedByBackend,
    WebnnError,
)
from webnn_runtime.format.graph import Constant, Graph, Node, TensorType

if TYPE_CHECKING:
    from collections.abc import Callable

F32 = DataType.FLOAT32


@pytest.fixture(autouse=True)
def _needs_onnxruntime(optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")


def _graph() -> Graph:
    builder = GraphBuilder("small")
    x = builder.input("x", F32, (2, 3))
    return builder.build({"y": builder.op("add", x, builder.constant(1, F32))})


X = {"x": np.zeros((2, 3), np.float32)}


def test_it_says_what_it_runs_on() -> None:
    said = BACKEND.compile(_graph(), CompileOptions(threads=3)).describe()
    assert said["backend"] == "onnxruntime"
    assert said["device"] == "cpu"
    assert said["threads"] == 3
    assert said["providers"] == ["CPUExecutionProvider"]
    assert said["all_native"] is True


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("gpu", "the installed onnxruntime has no provider for device 'gpu', only AbacusProvider"),
        ("quantum", "there is no device 'quantum'; one of cpu, gpu, npu"),
    ],
)
def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, device: str, message: str) -> None:
    monkeypatch.setattr(session.library(), "get_available_providers", lambda: ["AbacusProvider"])
    with pytest.raises(BackendUnavailable, match=message):
        BACKEND.compile(_graph(), CompileOptions(device=device))


def test_a_provider_that_does_not_start_is_no_silent_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    library = session.library()
    monkeypatch.setattr(library, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])

    class OnlyCpu:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr(library, "InferenceSession", OnlyCpu)
    with pytest.raises(BackendUnavailable, match="CUDAExecutionProvider did not start"):
        BACKEND.compile(_graph(), CompileOptions(device="gpu"))


def test_a_missing_library_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailable, match="pip install onnxruntime"):
        BACKEND.require()


def test_session_options_reach_the_session() -> None:
    options = {
        "graph_optimization_level": "disable",
        "execution_mode": "sequential",
        "enable_mem_pattern": False,
        "session.intra_op.allow_spinning": False,
        "providers": ["CPUExecutionProvider"],
    }
    executable = BACKEND.compile(_graph(), CompileOptions(session_options=options))
    np.testing.assert_array_equal(executable.run(X)["y"], np.ones((2, 3), np.float32))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"graph_optimisation": 1}, UnsupportedByBackend, "no session option 'graph_optimisation'"),
        ({"graph_optimization_level": "most"}, OptionError, "is 'most'; one of disable, basic, extended, all"),
        ({"add_initializer": 1}, UnsupportedByBackend, "no session option 'add_initializer'"),
        ({"enable_mem_pattern": "perhaps"}, OptionError, "session option 'enable_mem_pattern': "),
    ],
)
def test_an_unknown_session_option_is_refused(options: dict[str, Any], error: type[WebnnError], message: str) -> None:
    with pytest.raises(error) as caught:
        BACKEND.compile(_graph(), CompileOptions(session_options=options))
    assert message in str(caught.value)


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="AbacusProvider"):
        BACKEND.compile(_graph(), CompileOptions(session_options={"providers": ["AbacusProvider"]}))


def test_what_onnxruntime_raises_crosses_as_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(proto, "OPSET", 10_000)
        with pytest.raises(ExecutionError, match="onnxruntime refuses the model") as caught:
            BACKEND.compile(_graph())
    assert caught.value.__cause__ is not None
    executable = BACKEND.compile(_graph())
    with pytest.raises(ExecutionError, match="onnxruntime failed") as failed:
        executable.execute({"x": np.zeros((2, 4), np.float32)}, {})
    assert failed.value.__cause__ is not None


def test_what_must_be_an_integer_names_the_node() -> None:
    from webnn_runtime.format.dims import DynamicDim, symbol

    builder = GraphBuilder("symbolic", dims=[DynamicDim("n", 4)])
    x = builder.input("x", F32, (1, 1, symbol("n"), 3))
    graph = builder.build({"y": builder.op("averagePool2d", x, window_dimensions=(symbol("n"), 2))})
    with pytest.raises(UnsupportedByBackend, match=r"node 'y': windowDimensions \[n, 2\]"):
        BACKEND.compile(graph)


def test_weights_stay_in_the_file_they_are_mapped_from(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    values = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    values.tofile(path)
    mapped = np.memmap(path, np.float32, "r", shape=(64, 64))
    kind = TensorType(F32, (64, 64))
    graph = Graph.create(
        "mapped",
        dims={},
        inputs={"x": TensorType(F32, (2, 64))},
        constants={"w": Constant(kind, mapped, "w")},
        nodes=(Node("matmul", ("x", "w"), {}, ("y",)),),
        outputs={"y": "y"},
    )
    (held,) = lower(graph).weights.values()
    assert np.shares_memory(held, mapped)
    x = np.ones((2, 64), np.float32)
    np.testing.assert_allclose(BACKEND.compile(graph).run({"x": x})["y"], x @ values, atol=1e-5)


@pytest.mark.parametrize("dtype", [DataType.INT4, DataType.UINT4])
def test_4_bit_constants_of_odd_length_are_packed(dtype: DataType) -> None:
    low, high = dtype.bounds
    values = np.arange(low, high, dtype=dtype.numpy)
    builder = GraphBuilder("packed")
    scale, zero = np.ones(1, np.float32), np.zeros(1, dtype.numpy)
    x = builder.op(
        "dequantizeLinear",
        builder.constant(values, dtype),
        builder.constant(scale),
        builder.constant(zero, dtype),
    )
    graph = builder.build({"y": builder.op("add", x, builder.input("x", F32, ()))})
    got = BACKEND.compile(graph).run({"x": np.array(0, np.float32)})["y"]
    np.testing.assert_array_equal(got, values.astype(np.float32))


def test_the_written_model_is_what_the_onnx_checker_accepts() -> None:
    import onnx

    builder = GraphBuilder("ünïcode \n name")
    x = builder.input("数 \u202e", F32, (1, 2, 5, 5))
    y = builder.op("conv2d", x, builder.constant(np.ones((3, 2, 2, 2), np.float32)), padding=[1, 0, 0, 1])
    graph = builder.build({"z z": builder.op("leakyRelu", y, alpha=0.5)})
    model = onnx.load_from_string(lower(graph).data)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == proto.OPSET
    assert list(BACKEND.compile(graph).run({"数 \u202e": np.ones((1, 2, 5, 5), np.float32)})) == ["z z"]


def test_running_a_graph_never_imports_onnx() -> None:
    code = (
        "import sys, numpy as np\n"
        "from webnn_runtime.backends import compile_graph\n"
        "from webnn_runtime.format.builder import GraphBuilder\n"
        "from webnn_runtime.format.dtypes import DataType\n"
        "b = GraphBuilder()\n"
        "graph = b.build({'y': b.op('relu', b.input('x', DataType.FLOAT32, (1,)))})\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "compile_graph(graph, 'onnxruntime').run({'x': np.ones(1, np.float32)})\n"
        "assert 'onnx' not in sys.modules\n"
    )
    path = str(Path(webnn_runtime.__file__).parent.parent)
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": path})


@pytest.mark.parametrize(
    ("cpus", "quota", "expected"),
    [(8, "max 100000", 8), (8, "150000 100000", 2), (8, "50000 100000", 1), (2, "800000 100000", 2), (8, None, 8)],
)
def test_threads_follow_affinity_and_quota(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpus: int, quota: str | None, expected: int
) -> None:
    path = tmp_path / "cpu.max"
    if quota is not None:
        path.write_text(quota)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(cpus)), raising=False)
    monkeypatch.setattr(threads, "_CGROUP_QUOTAS", ((path, None),))
    assert threads.usable_cpus() == expected


@pytest.mark.parametrize(("dtype", "blocks"), [(DataType.INT8, 1), (DataType.UINT8, 1), (DataType.UINT4, 2)])
@pytest.mark.parametrize("quantizes", [False, True])
def test_a_product_with_quantised_weights_does_not_quantise_the_activations(
    dtype: DataType, blocks: int, quantizes: bool
) -> None:
    random = np.random.default_rng(0)
    weights = random.integers(*dtype.bounds, (64, 64), dtype.numpy)
    scale = random.uniform(0.01, 0.02, (blocks, 64)).astype(np.float32)
    zero = np.full((blocks, 64), sum(dtype.bounds) // 2 + 1, dtype.numpy)
    builder = GraphBuilder("quantised")
    x = builder.input("x", F32, (8, 64))
    dense = builder.op(
        "dequantizeLinear",
        builder.constant(weights, dtype),
        builder.constant(scale),
        builder.constant(zero, dtype),
    )
    outputs = {"y": builder.op("matmul", x, dense)}
    if quantizes:
        step = builder.constant(np.full((1, 1), 0.1, np.float32))
        outputs["q"] = builder.op("quantizeLinear", x, step, builder.constant(np.zeros((1, 1), np.int8)))
    graph = builder.build(outputs)
    given = {"x": random.normal(size=(8, 64)).astype(np.float32)}
    want = given["x"].astype(np.float64) @ (
        (weights.astype(np.float64) - np.repeat(zero, 64 // blocks, 0)) * np.repeat(scale, 64 // blocks, 0)
    )
    np.testing.assert_allclose(BACKEND.compile(graph).run(given)["y"], want, atol=1e-5 * np.abs(want).max())


def test_a_quantised_softmax_of_one_element_is_one() -> None:
    builder = GraphBuilder("softmax")
    scale, zero = builder.constant(np.full((1, 1), 1 / 256, np.float32)), builder.constant(np.zeros((1, 1), np.uint8))
    x = builder.op("dequantizeLinear", builder.input("x", DataType.UINT8, (3, 1)), scale, zero)
    y = builder.op("quantizeLinear", builder.op("softmax", x, axis=1), scale, zero)
    found = BACKEND.compile(builder.build({"y": y})).run({"x": np.array([[0], [7], [200]], np.uint8)})
    np.testing.assert_array_equal(found["y"], 255)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="private memory is read from /proc")
def test_a_table_of_embeddings_is_not_copied() -> None:
    table = np.random.default_rng(0).normal(size=(16384, 512)).astype(np.float32)
    builder = GraphBuilder("table")
    ids = builder.input("ids", DataType.INT64, (3,))
    rows = builder.op("gather", builder.constant(table, name="table"), ids)
    weights = builder.constant(np.ascontiguousarray(table[:512]))
    graph = builder.build({"y": builder.op("matmul", rows, weights), "rows": rows})
    model = lower(graph)
    assert [model.weights[name].shape for name in model.tables] == [(16384, 512)]
    before = _private_bytes()
    executable = BACKEND.compile(graph)
    assert _private_bytes() - before < table.nbytes // 2
    got = executable.run({"ids": np.array([16383, -1, 7])})["rows"]
    np.testing.assert_array_equal(got, table[[16383, -1, 7]])


def _private_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("RssAnon"))) * 1024
