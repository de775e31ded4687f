"""Linear layers and whole encoders' attention: the native engine, ONNX Runtime and NumPy on the same threads.

Every contender's answer is checked before it is timed. `make bench` prints the table.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType

pytestmark = [pytest.mark.bench, pytest.mark.native]

ROUNDS = 15
THREADS = (1, 2)
F32 = DataType.FLOAT32
CONTENDERS = ("rust", "onnxruntime")

# The layers of all-MiniLM-L6-v2 at three numbers of tokens, and one ugly shape.
LAYERS = {
    f"{tokens} tokens, {inner} to {columns}": (tokens, inner, columns)
    for tokens in (16, 128, 2048)
    for inner, columns in ((384, 384), (384, 1536), (1536, 384))
} | {"37 tokens, 123 to 77": (37, 123, 77)}
ATTENTIONS = {f"{batch} x 12 heads of {length}": (batch, length) for batch, length in ((1, 16), (8, 128), (2, 256))}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def layer(tokens, inner, columns):
    builder = GraphBuilder("layer")
    x = builder.input("x", F32, (tokens, inner))
    product = builder.op("matmul", x, builder.constant(numbers(inner, columns, seed=1)))
    graph = builder.build({"y": builder.op("add", product, builder.constant(numbers(columns, seed=2)))})
    return graph, {"x": numbers(tokens, inner)}, 2 * tokens * inner * columns


def attention(batch, length, heads=12, depth=32):
    builder = GraphBuilder("attention")
    shape = (batch, heads, length, depth)
    q, k, v = (builder.input(name, F32, shape) for name in "qkv")
    scores = builder.op("matmul", q, builder.op("transpose", k, permutation=(0, 1, 3, 2)))
    scaled = builder.op("mul", scores, builder.constant(depth**-0.5, F32))
    graph = builder.build({"y": builder.op("matmul", builder.op("softmax", scaled, axis=3), v)})
    return graph, {name: numbers(*shape, seed=ord(name)) for name in "qkv"}, 4 * batch * heads * length**2 * depth


CASES = {
    **{name: (layer, sizes) for name, sizes in LAYERS.items()},
    **{n: (attention, s) for n, s in ATTENTIONS.items()},
}


def machine():
    info = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


@pytest.fixture(scope="module", autouse=True)
def _header(optional):
    print(f"\n{machine()}, {optional('webnn_kernels').isa}, {os.cpu_count()} CPUs; median (best) of {ROUNDS} rounds")


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("case", CASES)
def test_contenders_agree_and_are_timed(case, threads, optional, capsys):
    build, sizes = CASES[case]
    graph, inputs, flops = build(*sizes)
    expected = get_backend("numpy").compile(graph).run(inputs)["y"]
    runs = {}
    for name in CONTENDERS:
        optional({"rust": "webnn_kernels"}.get(name, name))
        executable = get_backend(name).compile(graph, CompileOptions(threads=threads))
        np.testing.assert_allclose(executable.run(inputs)["y"], expected, atol=1e-3, rtol=1e-4)
        runs[name] = executable
    times = {name: [] for name in runs}
    # Interleaved, so that a slow moment of the machine hits all of them, with a pause for pools that still spin.
    for _ in range(ROUNDS):
        for name, executable in runs.items():
            time.sleep(0.002)
            start = time.perf_counter()
            executable.run(inputs)
            times[name].append(time.perf_counter() - start)
    with capsys.disabled():
        print(f"{case:28s} {threads} threads", end="")
        for name, seconds in times.items():
            middle, best = statistics.median(seconds), min(seconds)
            print(f"  {name} {middle * 1e3:8.3f} ({best * 1e3:8.3f}) ms {flops / best / 1e9:6.1f} GFLOP/s", end="")
        print()
