"""A batch that is cut into chunks for the threads: what may be cut, and that nobody can tell from the numbers."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.rust._plan import rows_of_an_item
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import TensorType
from webnn_runtime.passes.batch import find_items

F32 = DataType.FLOAT32
B, L = symbol("batch"), symbol("length")
RANDOM = np.random.default_rng(11)


class Sketch:
    def __init__(self):
        self.builder = GraphBuilder("sketch", dims=[DynamicDim("batch", 512), DynamicDim("length", 512)])
        self.op = self.builder.op
        self.x = self.builder.input("x", F32, (B, L, 12))
        self.ids = self.builder.input("ids", DataType.INT64, (B, L))
        self.other = self.builder.input("other", F32, (L, 12))

    def constant(self, *shape):
        return self.builder.constant(RANDOM.standard_normal(shape).astype(np.float32))


def heads(s):
    x = s.op("transpose", s.op("reshape", s.x, new_shape=(B, L, 3, 4)), permutation=(0, 2, 1, 3))
    scores = s.op("softmax", s.op("matmul", x, s.op("transpose", x, permutation=(0, 1, 3, 2))), axis=3)
    return s.op("reshape", s.op("matmul", scores, x), new_shape=(B * 3, L, 4))


KEPT = {
    "a layer": lambda s: s.op("matmul", s.x, s.constant(12, 5)),
    "a layer on flat rows": lambda s: s.op(
        "gemm", s.op("reshape", s.x, new_shape=(B * L, 12)), s.constant(12, 5), s.constant(5)
    ),
    "attention": heads,
    "rows of a table": lambda s: s.op("add", s.op("gather", s.constant(50, 12), s.ids, axis=0), s.other),
    "a mean of each item": lambda s: s.op("reduceMean", s.x, axes=(1,), keep_dimensions=False),
    "an input for all": lambda s: s.op("mul", s.x, s.op("tanh", s.other)),
    "the same for each item": lambda s: s.op("expand", s.constant(1, 12), new_shape=(B, 12)),
    "the first of each item": lambda s: s.op("slice", s.x, starts=(0, 0, 0), sizes=(B, 1, 12), strides=(1, 1, 1)),
}
LOST = {
    "a sum over the batch": lambda s: s.op("reduceSum", s.x, axes=(0,), keep_dimensions=False),
    "a softmax over the batch": lambda s: s.op("softmax", s.x, axis=0),
    "the batch turned inside": lambda s: s.op("transpose", s.x, permutation=(1, 0, 2)),
    "the batch reversed": lambda s: s.op("reverse", s.x, axes=(0,)),
    "a running sum over the batch": lambda s: s.op("cumulativeSum", s.x, axis=0),
    "items twice": lambda s: s.op("concat", s.x, s.x, axis=0),
    "items read by index": lambda s: s.op("gather", s.x, s.builder.constant(np.int64([0])), axis=0),
    "items against items": lambda s: s.op(
        "matmul",
        s.op("reshape", s.x, new_shape=(B, 12 * L)),
        s.op("transpose", s.op("reshape", s.x, new_shape=(B, 12 * L)), permutation=(1, 0)),
    ),
    "tiles": lambda s: s.op("tile", s.x, repetitions=(2, 1, 1)),
    "nothing of the batch": lambda s: s.op("relu", s.other),
}


@pytest.mark.parametrize("name", KEPT)
def test_items_that_do_not_see_one_another_are_found(name):
    sketch = Sketch()
    graph = sketch.builder.build({"y": KEPT[name](sketch)})
    items = find_items(graph)
    assert items is not None
    assert items.name == "batch"
    assert graph.outputs["y"] in items.values


@pytest.mark.parametrize("name", LOST)
def test_what_looks_across_the_batch_is_not_claimed(name):
    sketch = Sketch()
    graph = sketch.builder.build({"y": LOST[name](sketch), "x_too": sketch.op("relu", sketch.x)})
    items = find_items(graph)
    assert items is not None
    assert graph.outputs["y"] not in items.values
    assert graph.outputs["x_too"] in items.values


def test_of_two_batches_one_is_found():
    builder = GraphBuilder("two", dims=[DynamicDim("batch", 8), DynamicDim("rows", 8)])
    a, b = builder.input("a", F32, (B, 3)), builder.input("b", F32, (symbol("rows"), 3))
    graph = builder.build({"y": builder.op("relu", a), "z": builder.op("relu", b), "also": builder.op("tanh", b)})
    items = find_items(graph)
    assert items is not None
    assert items.name == "rows"
    assert items.values.isdisjoint({"a", graph.outputs["y"]})


def test_without_names_there_is_no_batch():
    builder = GraphBuilder("fixed")
    assert find_items(builder.build({"y": builder.op("relu", builder.input("x", F32, (4, 3)))})) is None


@pytest.mark.parametrize(
    ("dtype", "shape", "rows"),
    [
        (DataType.INT64, (B, L), (L,)),
        (F32, (B, L, 384), (L,)),
        (F32, (B, 784), ()),
        (F32, (B, 3, 32, 32), (3, 32)),
        (DataType.INT32, (B,), ()),
    ],
)
def test_a_hidden_state_or_features_are_one_row(dtype, shape, rows):
    """Chunks are sized by rows: with each number of a hidden state counted, every text would be a chunk by itself."""
    assert rows_of_an_item(TensorType(dtype, shape)) == rows


@pytest.mark.native
def test_chunks_change_no_bit(rust):
    """Against the numbers of one item at a time, over batches around the size of a chunk, on one to three threads."""
    sketch = Sketch()
    graph = sketch.builder.build({name.replace(" ", "_"): build(sketch) for name, build in KEPT.items()})
    executables = [rust.compile(graph, CompileOptions(threads=threads)) for threads in (1, 2, 3)]
    for batch, length in [(1, 9), (2, 81), (7, 40), (33, 13), (200, 1)]:
        inputs = {
            "x": RANDOM.standard_normal((batch, length, 12)).astype(np.float32),
            "ids": RANDOM.integers(0, 50, (batch, length)),
            "other": RANDOM.standard_normal((length, 12)).astype(np.float32),
        }
        alone = [
            executables[0].run({"x": inputs["x"][i : i + 1], "ids": inputs["ids"][i : i + 1], "other": inputs["other"]})
            for i in range(batch)
        ]
        for executable in executables:
            for name, array in executable.run(inputs).items():
                assert array.tobytes() == np.concatenate([item[name] for item in alone]).tobytes(), name
