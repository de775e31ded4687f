"""What a process imports on its way to the first vector: start-up time is mostly that."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

NEEDED = {"numpy", "tokenizers", "webnn_kernels", "webnn_runtime"}
# Each takes a millisecond or more, by itself or by what it brings along.
NOT_ON_THE_WAY = [
    "asyncio",
    "ctypes",
    "dataclasses",
    "difflib",
    "email",
    "fractions",
    "hashlib",
    "importlib.metadata",
    "inspect",
    "ipaddress",
    "logging",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "tempfile",
    "threading",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "xml",
    "zipfile",
    "numpy.typing",
    "webnn_runtime.reference",
    "webnn_runtime.backends.rust._blocks",
    "webnn_runtime.embed.calls",
    "webnn_runtime.embed.identity",
    "webnn_runtime.embed.precision",
    "webnn_runtime.embed.ranges",
    "webnn_runtime.embed.search",
    "webnn_runtime.embed.similarity",
    "webnn_runtime.embed.static",
    "webnn_runtime.embed.unsupported",
    "webnn_runtime.embed.wordpiece",
    "webnn_runtime.format.file_hashes",
    "webnn_runtime.format.ops.conv",
    "webnn_runtime.format.ops.pool",
    "webnn_runtime.format.ops.quantize",
    "webnn_runtime.format.ops.recurrent",
    "webnn_runtime.format.ops.reduction",
    "webnn_runtime.format.printer",
    "webnn_runtime.format.safetensors",
    "webnn_runtime.format.staging",
    "webnn_runtime.format.json_graph",
    "webnn_runtime.conformance",
    "webnn_runtime.api",
]
SCRIPT = """
import sys
import numpy, tokenizers
before = set(sys.modules)
from webnn_runtime import WebNNEmbedder
vector = WebNNEmbedder(sys.argv[1], backend="rust", threads=1).encode("a b")
assert abs(float((vector * vector).sum()) - 1) < 1e-6
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.native
def test_the_way_to_the_first_vector_loads_nothing_that_it_does_not_need(folder, kit, optional, tmp_path) -> None:
    optional("webnn_kernels")
    builder = GraphBuilder("tiny", [DynamicDim("batch", 64), DynamicDim("length", 16)])
    shape = (symbol("batch"), symbol("length"))
    ids = builder.input("input_ids", DataType.INT64, shape)
    table = builder.constant(np.random.default_rng(1).standard_normal((len(kit.WORDS), kit.HIDDEN)).astype(np.float32))
    mixed = builder.op(
        "matmul", builder.op("gather", table, ids), builder.constant(np.eye(kit.HIDDEN, dtype=np.float32))
    )
    # As exported masks begin: what they do is proved without the definitions of the operators.
    nothing = builder.constant(np.zeros((), np.int64))
    is_text = builder.op("notEqual", builder.input("attention_mask", DataType.INT64, shape), nothing)
    hidden = builder.op("where", is_text, *(builder.constant(np.float32(number)) for number in (0, -1e38)))
    hidden = builder.op("reshape", hidden, new_shape=(*shape, 1))
    graph = builder.build({"last_hidden_state": builder.op("add", mixed, hidden)})
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*.json")}
    bundle = save_bundle(graph, tmp_path / "tiny-webnn", files=files)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(bundle)], check=True, capture_output=True, text=True, env=environment
    )
    loaded = done.stdout.split()
    foreign = {name.partition(".")[0] for name in loaded} - sys.stdlib_module_names - NEEDED
    assert foreign == set()
    assert sorted(set(loaded) & set(NOT_ON_THE_WAY)) == []
