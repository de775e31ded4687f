"""A file of packed weights is in memory once for all processes."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from webnn_runtime import load_bundle, save_bundle
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps"), reason="memory is read from Linux's /proc")
def test_two_processes_share_the_pages(tmp_path, write):
    builder = GraphBuilder("wide", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("batch"), 1024))
    weights = builder.constant(np.ones((1024, 2048), np.float32))
    folder = save_bundle(builder.build({"y": builder.op("matmul", x, weights)}), tmp_path / "wide")
    program = (
        "import sys, numpy as np\n"
        "from webnn_runtime import load\n"
        f"model = load({str(folder)!r}, 'rust', threads=1)\n"
        "model.run({'x': np.ones((1, 1024), np.float32)})\n"
        "print('ready', flush=True); sys.stdin.read(1)\n"
        "lines = open('/proc/self/smaps').read().splitlines()\n"
        "private = sum(int(l.split()[1]) for l in lines if l.startswith(('Private_Clean:', 'Private_Dirty:')))\n"
        "print(private)\n"
    )

    def private_of_two():
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        processes = [subprocess.Popen([sys.executable, "-c", program], **pipes) for _ in range(2)]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 2
        found = []
        for process in processes:
            # Both are there while each is looked at.
            process.stdin.write("x")
            process.stdin.flush()
            found.append(int(process.stdout.readline()))
        for process in processes:
            process.communicate()
        return max(found)

    without = private_of_two()
    write(load_bundle(folder))
    # 8 MB of weights.
    assert private_of_two() < without - 7 * 1024
