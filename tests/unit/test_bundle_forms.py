"""24 MiB of weights through every form the files may take: small on disk, and the same bits back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import save_bundle
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.json_graph import print_json_graph

MIB = 2**20


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Six layers of 1024 x 1024 float32 with every bit pattern that random bits give, NaNs among them."""
    builder = GraphBuilder("mlp")
    value = builder.input("x", DataType.FLOAT32, (1, 1024))
    for seed in range(6):
        bits = np.random.default_rng(seed).integers(0, 2**32, (1024, 1024), np.uint32)
        value = builder.op("matmul", value, builder.constant(bits.view(np.float32), name=f"w{seed}"))
    return builder.build({"y": value})


@pytest.fixture
def bundle(graph: Graph, tmp_path: Path) -> Path:
    return save_bundle(graph, tmp_path / "mlp-webnn")


def same_bits(found: Graph, graph: Graph) -> bool:
    return found.nodes == graph.nodes and all(
        found.constants[name].values.tobytes() == constant.values.tobytes()
        for name, constant in graph.constants.items()
    )


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_text_form(graph, bundle):
    assert size(bundle) < 25 * MIB
    assert same_bits(load_bundle(bundle).graph, graph)


def test_the_json_form(graph, bundle):
    (bundle / "model.webnn").write_bytes(print_json_graph(graph, inline=False))
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    # Another tool's manifest has nothing of ours, and the hash of the text is ours.
    del manifest["x-webnn-runtime"]
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert size(bundle) < 25 * MIB
    assert same_bits(load_bundle(bundle).graph, graph)


def test_the_safetensors_form(graph, bundle, optional):
    save_file = optional("safetensors.numpy").save_file
    save_file({name: np.array(c.values) for name, c in graph.constants.items()}, str(bundle / "model.safetensors"))
    (bundle / "model.weights").unlink()
    (bundle / "manifest.json").unlink()
    assert size(bundle) < 25 * MIB
    assert same_bits(load_bundle(bundle).graph, graph)


def test_a_moved_bundle_is_the_same(graph, bundle, tmp_path):
    moved = Path(shutil.move(bundle, tmp_path / "elsewhere"))
    assert same_bits(load_bundle(moved, verify=True).graph, graph)
