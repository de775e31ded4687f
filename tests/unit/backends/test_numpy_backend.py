"""The numpy backend: ownership of results, memory while it runs, options it cannot honour."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from webnn_runtime.backends import CompileOptions, get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import (
    BackendUnavailable,
    ExecutionError,
    OperandError,
    ShapeError,
    UnsupportedByBackend,
)
from webnn_runtime.format.graph import Graph

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def views() -> Graph:
    """Outputs that the kernels give as views of an input, of a constant, and of one another."""
    builder = GraphBuilder()
    x = builder.input("x", DataType.FLOAT32, (2, 3))
    weights = builder.constant(X, name="weights")
    total = builder.op("add", x, x)
    return builder.build(
        {
            "same": builder.op("identity", x),
            "fixed": builder.op("identity", weights),
            "turned": builder.op("transpose", x),
            "stretched": builder.op("expand", x, new_shape=(2, 2, 3)),
            "total": total,
            "again": builder.op("reshape", total, new_shape=(6,)),
            "twice": total,
        }
    )


def test_results_own_their_memory() -> None:
    graph = views()
    x = X.copy()
    results = get_backend("numpy").compile(graph).run({"x": x})
    assert list(results) == ["same", "fixed", "turned", "stretched", "total", "again", "twice"]
    for name, result in results.items():
        assert result.flags.owndata, name
        assert result.flags.writeable, name
        assert result.flags.c_contiguous, name
        others = [x, graph.constants["weights"].values] if "weights" in graph.constants else [x]
        others += [array for other, array in results.items() if other != name]
        assert not any(np.shares_memory(result, other) for other in others), name
    assert np.array_equal(results["turned"], X.T)
    assert np.array_equal(results["again"], (2 * X).reshape(6))


def test_a_value_is_dropped_after_its_last_use() -> None:
    builder = GraphBuilder()
    value = builder.input("x", DataType.FLOAT32, (1_000_000,))
    for _ in range(20):
        value = builder.op("neg", value)
    executable = get_backend("numpy").compile(builder.build({"y": value}))
    x = np.ones(1_000_000, np.float32)
    tracemalloc.start()
    executable.run({"x": x})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Two values of 4 MB at a time, not twenty.
    assert peak < 9e6


def test_named_dimensions_are_bound_anew_in_each_run() -> None:
    builder = GraphBuilder(dims=[DynamicDim("batch", 8)])
    x = builder.input("x", DataType.FLOAT32, (symbol("batch"), 2))
    flat = builder.op("reshape", x, new_shape=(symbol("batch") * 2,))
    executable = get_backend("numpy").compile(builder.build({"y": flat}))
    assert [executable.run({"x": np.zeros((size, 2), np.float32)})["y"].shape for size in (1, 8, 3)] == [
        (2,),
        (16,),
        (6,),
    ]
    with pytest.raises(ShapeError, match="batch = 9"):
        executable.run({"x": np.zeros((9, 2), np.float32)})


def test_an_input_of_another_type_is_refused() -> None:
    with pytest.raises(OperandError, match="input 'x' is float64; the graph needs float32"):
        get_backend("numpy").compile(views()).run({"x": X.astype(np.float64)})


def test_one_executable_serves_many_threads() -> None:
    executable = get_backend("numpy").compile(views())
    with ThreadPoolExecutor(8) as pool:
        totals = pool.map(lambda k: executable.run({"x": X + k})["total"], range(64))
        assert all(np.array_equal(total, 2 * (X + k)) for k, total in enumerate(totals))


def test_it_says_what_runs_where() -> None:
    described = get_backend("numpy").compile(views()).describe()
    assert (described["backend"], described["device"], described["all_native"]) == ("numpy", "cpu", True)
    assert "BLAS" in str(described["threads"])


def test_it_has_no_gaps() -> None:
    assert get_backend("numpy").unsupported == {}


def test_another_device_is_refused() -> None:
    with pytest.raises(BackendUnavailable, match="there is no device 'gpu'; only 'cpu'"):
        get_backend("numpy").compile(views(), CompileOptions(device="gpu"))


def test_session_options_are_refused() -> None:
    with pytest.raises(UnsupportedByBackend, match="takes no session options, but got providers; leave them out"):
        get_backend("numpy").compile(views(), CompileOptions(session_options={"providers": []}))


def test_memory_that_there_is_not_is_an_error_of_the_backend(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError("Unable to allocate 7.45 GiB")

    runner = get_backend("numpy").compile(views())
    for part in ("evaluate", "own_results"):
        with monkeypatch.context() as patch:
            patch.setattr(f"webnn_runtime.backends.numpy._backend.{part}", refuse)
            with pytest.raises(ExecutionError, match="backend 'numpy': Unable to allocate"):
                runner.run({"x": X})
    assert runner.run({"x": X})["total"].tolist() == (X + X).tolist()
