"""The backend as a backend: what it says, what it refuses, who owns its arrays."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from webnn_runtime.api import ML, NotSupportedError
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.registry import compile_graph, get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import BackendUnavailable, UnsupportedByBackend

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32


def layer():
    """A linear layer behind an operator whose native kernel some tests hide."""
    builder = GraphBuilder("layer", dims=[DynamicDim("rows", 4096)])
    x = builder.input("x", F32, (symbol("rows"), 16))
    weights = np.random.default_rng(0).standard_normal((16, 300)).astype(np.float32)
    y = builder.op("matmul", builder.op("reverse", x, axes=(1,)), builder.constant(weights))
    return builder.build({"y": y, "same": builder.op("identity", x)})


def test_strict_refuses_and_names_what_the_reference_would_run(rust, without):
    without("reverse")
    with pytest.raises(UnsupportedByBackend, match=r"no native kernel for reverse \(1\)"):
        rust.compile(layer(), CompileOptions(strict=True))


def test_it_says_what_runs_where(rust, optional, without):
    kernels = optional("webnn_kernels")
    without("reverse")
    facts = rust.compile(layer(), CompileOptions(threads=3)).describe()
    assert facts == {
        "backend": "rust",
        "device": "cpu",
        "isa": kernels.isa,
        "threads": 3,
        "compute": "exact",
        "integer_sums": kernels.Engine().integers,
        "fused": {"linear": 1},
        "native": {"identity": 1},
        "on_reference": {"reverse": 1},
        "all_native": False,
        "segments": 2,
        "packed_weights": {
            "from": "memory",
            "reason": "the graph does not come from a bundle with a weights file",
        },
        "unpadded": "the inputs are not all [batch, length] with both free",
        "webnn_kernels": kernels.__version__,
        "build_profile": kernels.build_profile,
    }


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (CompileOptions(device="gpu"), BackendUnavailable, "no device 'gpu'"),
        (CompileOptions(session_options={"fast": 1}), UnsupportedByBackend, "no session option fast"),
        (CompileOptions(session_options={"isa": "sse9"}), UnsupportedByBackend, "'sse9' is not available"),
        (CompileOptions(threads=0), UnsupportedByBackend, "threads: 0"),
        (CompileOptions(threads=-1), UnsupportedByBackend, "threads: -1"),
    ],
)
def test_options_it_does_not_have_are_refused(rust, options, kind, message):
    with pytest.raises(kind, match=message):
        rust.compile(layer(), options)


def test_without_the_native_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "webnn_kernels", None)
    with pytest.raises(BackendUnavailable, match=r"pip install \./rust"):
        get_backend("rust")


def test_a_native_package_of_another_version_is_refused_and_no_other_backend_taken(monkeypatch):
    import webnn_kernels

    monkeypatch.setattr(webnn_kernels, "plan_revision", webnn_kernels.plan_revision + 1)
    for name in ("rust", "auto"):
        with pytest.raises(UnsupportedByBackend, match=r"plans of revision \d+.*pip install \./rust"):
            compile_graph(layer(), name)
    with pytest.raises(NotSupportedError, match="plans of revision"):
        ML().create_context(backend="rust")


def test_a_step_on_the_reference_gives_what_the_kernel_gives(rust, without):
    x = np.random.default_rng(2).standard_normal((5, 16)).astype(np.float32)
    native = rust.compile(layer(), CompileOptions(strict=True)).run({"x": x})
    without("reverse")
    mixed = rust.compile(layer()).run({"x": x})
    assert {name: value.tobytes() for name, value in mixed.items()} == {
        name: value.tobytes() for name, value in native.items()
    }


def test_results_belong_to_the_caller(rust):
    executable = rust.compile(layer())
    x = np.ones((3, 16), np.float32)
    first = executable.run({"x": x})
    assert not np.shares_memory(first["same"], x)
    first["y"][:] = 0
    first["same"][:] = 0
    assert (x == 1).all()
    again = executable.run({"x": x})
    assert (again["same"] == 1).all()
    assert (again["y"] != 0).any()


def test_any_layout_of_an_input_is_taken(rust):
    executable = rust.compile(layer())
    whole = np.random.default_rng(1).standard_normal((40, 32)).astype(np.float32)
    for x in (
        whole[::-2, ::2],
        whole[:, :16],
        np.asfortranarray(whole[:, :16]),
        np.broadcast_to(whole[0, :16], (5, 16)),
    ):
        plain = np.ascontiguousarray(x)
        assert executable.run({"x": x})["y"].tobytes() == executable.run({"x": plain})["y"].tobytes()


def test_runs_from_many_threads_agree_to_the_bit(rust):
    executable = rust.compile(layer(), CompileOptions(threads=2))
    batches = [np.random.default_rng(n).standard_normal((n, 16)).astype(np.float32) for n in (1, 7, 300, 1500)] * 4
    expected = [executable.run({"x": batch})["y"].tobytes() for batch in batches]
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(lambda batch: executable.run({"x": batch})["y"].tobytes(), batches))
    assert found == expected


def test_one_plan_serves_every_batch(rust):
    executable = rust.compile(layer(), CompileOptions(threads=2))
    x = np.random.default_rng(3).standard_normal((2000, 16)).astype(np.float32)
    whole = executable.run({"x": x})["y"]
    for rows in (1, 2, 13, 500):
        assert executable.run({"x": x[:rows]})["y"].tobytes() == whole[:rows].tobytes()
