"""A process that is forked after, or while, onnxruntime runs: the child computes, and comes to an end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

RUNTIME = Path(__file__).resolve().parents[3] / "runtime"
# Children end as those of gunicorn do: by taking the interpreter down, sessions and all.
CODE = """
import os, sys, threading, time
import numpy as np
from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.onnxruntime import BACKEND
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType

threads, is_busy, children = int(sys.argv[1]), sys.argv[2] == "busy", int(sys.argv[3])
builder = GraphBuilder("product")
x = builder.input("x", DataType.FLOAT32, (256, 256))
y = builder.op("matmul", x, x)
for _ in range(8):
    y = builder.op("matmul", builder.op("tanh", y), x)
model = BACKEND.compile(builder.build({"y": y}), CompileOptions(threads=threads))
value = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32) / 64
expected, stop = model.run({"x": value})["y"], threading.Event()

def loop():
    while not stop.is_set():
        model.run({"x": value})

busy = [threading.Thread(target=loop) for _ in range(2 * is_busy)]
for thread in busy:
    thread.start()
codes = []
for _ in range(children):
    child = os.fork()
    if child == 0:
        is_right = np.allclose(model.run({"x": value})["y"], expected)
        sys.exit(0 if is_right and model.describe()["providers"] else 3)
    end = time.monotonic() + 20
    while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        time.sleep(0.01)
    if not ended[0]:
        os.kill(child, 9)
        os.waitpid(child, 0)
    codes.append(os.waitstatus_to_exitcode(ended[1]) if ended[0] else "waits")
    if codes[-1] != 0:
        break
stop.set()
for thread in busy:
    thread.join()
assert np.array_equal(model.run({"x": value})["y"], expected)
print(codes)
"""


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("threads", "state", "children"), [(1, "idle", 1), (2, "idle", 2), (1, "busy", 20), (2, "busy", 20)]
)
def test_a_forked_child_computes_and_ends(threads, state, children, optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, str(threads), state, str(children)],
        env=os.environ | {"PYTHONPATH": str(RUNTIME)},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, str([0] * children)), done.stderr
