"""Runs that ask for more memory than there is: refused with an error, where an allocation would end the process."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ExecutionError

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32


def test_a_value_that_no_system_holds_is_refused_and_the_model_runs_on(rust):
    n = symbol("n")
    builder = GraphBuilder("cube", dims=[DynamicDim("n", 1 << 16)])
    x = builder.input("x", F32, (n,))
    y = builder.op("add", builder.op("reshape", x, new_shape=(n, 1, 1)), builder.op("reshape", x, new_shape=(1, n, 1)))
    y = builder.op("add", y, x)
    model = rust.compile(builder.build({"y": builder.op("reduceMax", y, keep_dimensions=False)}))
    with pytest.raises(ExecutionError, match="bytes are needed for values; the system does not have them"):
        model.run({"x": np.ones(1 << 16, np.float32)})
    assert model.run({"x": np.full(3, 2, np.float32)})["y"] == 6


@pytest.mark.parametrize("op", ["maxPool2d", "averagePool2d", "l2Pool2d"])
def test_a_window_that_is_nearly_all_padding_is_refused(rust, op):
    size = 1 << 20
    builder = GraphBuilder("window")
    x = builder.input("x", F32, (1, 1, 2, 2))
    y = builder.op(op, x, padding=(size,) * 4, window_dimensions=(2 * size,) * 2, strides=(size,) * 2)
    model = rust.compile(builder.build({"y": y}))
    with pytest.raises(ExecutionError, match="bytes are needed for values; the system does not have them"):
        model.run({"x": np.ones((1, 1, 2, 2), np.float32)})


# Weights of 64 MB; of numbers so far apart that tiles of bytes, for which there is memory at first, are given up.
_WEIGHTS = """
import resource, sys
import numpy as np
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.rust import BACKEND
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType

size = 4096
builder = GraphBuilder("wide")
x = builder.input("x", DataType.FLOAT32, (1, size))
weights = np.zeros((size, size), np.float32)
weights[0], weights[1, ::2] = 1, 1e-30
graph = builder.build({"y": builder.op("matmul", x, builder.constant(weights))})
options = CompileOptions(threads=int(sys.argv[1]))
compute = lambda: BACKEND.compile(graph, options).run({"x": np.ones((1, size), np.float32)})["y"][0, 0]
compute()
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
_, hard = limits = resource.getrlimit(resource.RLIMIT_AS)
for room in (40, 70, 100, 1000):
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (room << 20), hard))
    try:
        print(compute())
    except Exception as exc:
        print(type(exc).__name__, exc)
    resource.setrlimit(resource.RLIMIT_AS, limits)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are Linux's")
@pytest.mark.parametrize("threads", [1, 2])
def test_weights_that_the_system_has_no_memory_for_are_an_error_and_no_panic(rust, threads):
    done = subprocess.run([sys.executable, "-c", _WEIGHTS, str(threads)], capture_output=True, text=True, check=True)
    first, *others, last = done.stdout.splitlines()
    message = "bytes are needed for weights; the system does not have them"
    assert re.fullmatch(rf"MemoryError \d+ {message}", first)
    # Room for one packing or none, as the instruction set has it.
    assert all(line == "1.0" or line.endswith(message) for line in others)
    assert last == "1.0"
    assert done.stderr == ""
