"""Memory: a limit that changes no bit, plans that share their weights, and nothing that grows."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ExecutionError, UnsupportedByBackend

pytestmark = pytest.mark.native

WIDTH, INNER, LONGEST = 16, 512, 64
# What the widest value takes for one token; the values before and behind it come on top.
TOKEN = INNER * 4


def layers(inner=INNER):
    builder = GraphBuilder("layers", dims=[DynamicDim("batch", 4096), DynamicDim("length", LONGEST)])
    ids = builder.input("ids", DataType.INT64, (symbol("batch"), symbol("length")))
    random = np.random.default_rng(0)
    table, up, down = (
        builder.constant(random.standard_normal(shape).astype(np.float32) / 8)
        for shape in [(50, WIDTH), (WIDTH, inner), (inner, WIDTH)]
    )
    x = builder.op("matmul", builder.op("gather", table, ids, axis=0), up)
    return builder.build({"y": builder.op("matmul", builder.op("relu", x), down)})


@pytest.mark.parametrize("threads", [1, 3])
def test_a_limit_cuts_runs_and_changes_no_bit(threads, rust):
    free = rust.compile(layers(), CompileOptions(threads=threads))
    bounded = rust.compile(layers(), CompileOptions(threads=threads, max_memory=2 * LONGEST * TOKEN * threads))
    ids = np.random.default_rng(1).integers(0, 50, (40, LONGEST))
    assert bounded.run({"ids": ids})["y"].tobytes() == free.run({"ids": ids})["y"].tobytes()
    lengths = [1 + number % LONGEST for number in range(100)]
    flat = np.random.default_rng(2).integers(0, 50, sum(lengths))
    found = bounded.texts().run({"ids": flat}, lengths)["y"]
    assert found.tobytes() == free.texts().run({"ids": flat}, lengths)["y"].tobytes()


def test_a_run_that_cannot_be_cut_further_is_refused_with_both_numbers(rust):
    model = rust.compile(layers(), CompileOptions(threads=1, max_memory=4 * TOKEN))
    assert model.run({"ids": np.ones((9, 1), np.int64)})["y"].shape == (9, 1, WIDTH)
    for run in (
        lambda: model.run({"ids": np.ones((2, LONGEST), np.int64)}),
        lambda: model.texts().run({"ids": np.ones(LONGEST, np.int64)}, [LONGEST]),
    ):
        with pytest.raises(ExecutionError, match=rf"\d+ bytes.* {4 * TOKEN}"):
            run()


def test_who_cannot_keep_a_limit_refuses_it(backend_name):
    with pytest.raises(UnsupportedByBackend, match="cannot limit the memory of a run; backend 'rust' can"):
        get_backend(backend_name).compile(layers(), CompileOptions(max_memory=1 << 20))


@pytest.fixture(params=["numpy", "onnxruntime"])
def backend_name(request, optional):
    if request.param == "onnxruntime":
        optional("onnxruntime")
    return request.param


@pytest.mark.parametrize("most", [0, True, 1.5e9, "1GB", 10**30])
def test_a_limit_that_is_no_number_of_bytes_is_refused(most, rust):
    with pytest.raises(UnsupportedByBackend, match=re.escape(f"max_memory={most!r}; must be at least 1 byte")):
        rust.compile(layers(), CompileOptions(max_memory=most))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
def test_a_second_plan_shares_the_weights_and_runs_of_any_shape_leave_nothing_behind(rust):
    # 16 MB of weights.
    model = rust.compile(layers(1 << 17), CompileOptions(threads=2, max_memory=64 << 20))
    random = np.random.default_rng(3)
    model.run({"ids": random.integers(0, 50, (1, 1))})
    before = resident()
    runner = model.texts()
    runner.run({"ids": random.integers(0, 50, 2)}, [1, 1])
    assert resident() - before < 8 << 20

    def work():
        for _ in range(40):
            lengths = random.integers(1, 9, random.integers(1, 9)).tolist()
            runner.run({"ids": random.integers(0, 50, sum(lengths))}, lengths)

    # Which thread meets the longest texts first is chance, and each keeps room for its own.
    for _ in range(3):
        work()
    settled = resident()
    for _ in range(5):
        work()
    assert resident() < settled * 1.05 + (4 << 20)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from Linux's /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_the_file_is_let_go_once_it_is_packed(threads, rust, tmp_path):
    # 16 MB of weights, in pages that some other thread may still be reading when `compile` returns.
    model = load_bundle(save_bundle(layers(1 << 17), tmp_path / "layers"))
    before = resident("RssFile")
    texts = rust.compile(model.graph, CompileOptions(threads=threads)).texts()
    texts.run({"ids": np.ones(2, np.int64)}, [1, 1])
    assert resident("RssFile") - before < 8 << 20


def resident(what="RssAnon"):
    """Bytes of memory that belong to this process alone, or of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))
