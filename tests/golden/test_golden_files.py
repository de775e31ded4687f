"""The exact bytes of files, for graphs built here; `make golden` writes them again for review."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.bundle import load_bundle
from webnn_runtime.format.bundle_writing import staged_bundle
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph
from webnn_runtime.format.json_graph import print_json_graph
from webnn_runtime.format.names import safe_graph

HERE: Final = Path(__file__).resolve().parent
UPDATE: Final = os.environ.get("UPDATE_GOLDEN") == "1"


def static_graph() -> Graph:
    """One layer with fixed sizes: what existing tools read. Names as exporters make them."""
    builder = GraphBuilder("main_graph")
    ids = builder.input("input_ids", DataType.INT64, (1, 4))
    mask = builder.input("attention.mask", DataType.INT64, (1, 4))
    table = builder.constant(np.arange(12, dtype=np.float32).reshape(6, 2) / 8, name="embeddings.word.weight")
    scale = builder.constant(np.array([1.5, -0.25], np.float16), name="/encoder/layer.0/norm::weight")
    words = builder.op("gather", table, ids, axis=0, name="/embeddings/Gather_output_0")
    norm = builder.op(
        "layerNormalization",
        words,
        None,
        builder.op("cast", scale, to=DataType.FLOAT32),
        axes=[2],
        epsilon=1e-12,
        name="true_norm",
    )
    keep = builder.op("cast", builder.op("reshape", mask, newShape=[1, 4, 1]), to=DataType.FLOAT32)
    masked = builder.op("mul", norm, keep)
    pooled = builder.op("reduceSum", masked, axes=[1], keepDimensions=False)
    left, right = builder.op_many("split", pooled, splits=[1, 1], axis=1)
    both = builder.op("concat", right, left, axis=1)
    return builder.build({"sentence_embedding": both, "last.hidden": norm})


def dynamic_graph() -> Graph:
    """Named dimensions, expressions, an empty cache, and inline constants of all kinds."""
    dims = [DynamicDim("batch"), DynamicDim("past", 511, 0)]
    builder = GraphBuilder('a "quoted" name', dims=dims)
    batch, past = symbol("batch"), symbol("past")
    x = builder.input("x", DataType.FLOAT32, (batch, past + 1, 6))
    cache = builder.input("cache", DataType.FLOAT32, (batch, past, 6))
    small = builder.op("mul", x, builder.constant(0.1, DataType.FLOAT32, name="tenth"))
    low = builder.constant(-np.inf, DataType.FLOAT32, name="lowest")
    whole = builder.op("concat", cache, builder.op("max", small, low), axis=1)
    heads = builder.op("reshape", whole, newShape=[batch * (2 * past + 1), 2, 3])
    turned = builder.op("transpose", heads, permutation=[0, 2, 1])
    return builder.build({"y": turned})


def quantized_graph() -> Graph:
    """4-bit and 8-bit weights: nibbles packed, offsets unaligned."""
    builder = GraphBuilder("quantized")
    x = builder.input("x", DataType.FLOAT32, (1, 3))
    scale = builder.constant(np.full((3, 1), 0.5, np.float32), name="scale")
    total = x
    for name, dtype, values in (
        ("a_int4", DataType.INT4, [[-8], [7], [-1]]),
        ("b_uint4", DataType.UINT4, [[15], [0], [3]]),
        ("c_int8", DataType.INT8, [[-128], [127], [0]]),
    ):
        weight = builder.constant(np.array(values, dtype.numpy), dtype, name=name)
        zero = builder.constant(np.zeros((3, 1), dtype.numpy), dtype, name=f"{name}_zero")
        total = builder.op("matmul", total, builder.op("dequantizeLinear", weight, scale, zero))
        total = builder.op("expand", total, newShape=[1, 3])
    return builder.build({"y": total})


GRAPHS: Final[dict[str, Callable[[], Graph]]] = {
    "static": static_graph,
    "dynamic": dynamic_graph,
    "quantized": quantized_graph,
}


def hex_lines(data: bytes) -> bytes:
    """Weights in a form whose differences can be read."""
    return "".join(f"{data[at : at + 16].hex(' ', 4)}\n" for at in range(0, len(data), 16)).encode()


@pytest.mark.parametrize("name", GRAPHS)
def test_files_are_byte_for_byte_as_expected(name: str, tmp_path: Path) -> None:
    graph = GRAPHS[name]()
    with staged_bundle(graph, tmp_path / name, tool="golden", manifest_extra={"source": {"file": "m.onnx"}}) as staged:
        folder = staged.commit()
    written = {
        "model.webnn": (folder / "model.webnn").read_bytes(),
        "manifest.json": (folder / "manifest.json").read_bytes(),
        "model.weights.hex": hex_lines((folder / "model.weights").read_bytes()),
        "model.json": print_json_graph(graph),
    }
    assert load_bundle(folder, verify=True).graph == safe_graph(graph)[0]
    for file, data in written.items():
        expected = HERE / name / file
        if UPDATE:
            expected.parent.mkdir(exist_ok=True)
            expected.write_bytes(data)
        assert data.decode() == expected.read_text(encoding="utf-8")
