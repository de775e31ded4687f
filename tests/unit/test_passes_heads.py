"""Heads merged with the batch are set apart again: the same numbers, whatever reads the merged ones."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.passes.split_heads import split_heads

F32, I64 = DataType.FLOAT32, DataType.INT64
HEADS, DEPTH, FAR = 3, 4, 6
B, L = symbol("batch"), symbol("length")


class Sketch:
    """Queries and keys whose heads are merged with the batch."""

    def __init__(self):
        self.builder = GraphBuilder("sketch", dims=[DynamicDim("batch", 8), DynamicDim("length", 32)])
        self.op = self.builder.op
        self.q, self.k = (self.merged(self.builder.input(name, F32, (B, HEADS, L, DEPTH))) for name in "qk")

    def merged(self, x, cols=DEPTH):
        return self.op("reshape", x, new_shape=(B * HEADS, L, cols))

    def apart(self, x, cols=L):
        return self.op("reshape", x, new_shape=(B, HEADS, L, cols))

    def turned(self, x):
        return self.op("transpose", x, permutation=(0, 2, 1))

    def scores(self):
        return self.op("matmul", self.q, self.turned(self.k))

    def number(self, value, dtype=F32):
        return self.builder.constant(value, dtype)

    def table(self, *shape):
        count = int(np.prod(shape))
        return self.builder.constant(np.sin(np.arange(count, dtype=np.float32)).reshape(shape), F32)

    def columns(self):
        """Which distance a query and a key have: 0 to 5."""
        row = self.op("slice", self.builder.constant(np.arange(32), I64), starts=(0,), sizes=(L,))
        both = self.op("reshape", row, new_shape=(L, 1)), self.op("reshape", row, new_shape=(1, L))
        far = self.op("clamp", self.op("sub", *both), min_value=-3, max_value=2)
        return self.op("reshape", self.op("add", far, self.number(3, I64)), new_shape=(1, L, L))


def scores(s):
    return s.apart(s.op("div", s.scores(), s.number(2.0)))


def softmax(s):
    return s.apart(s.op("softmax", s.scores(), axis=2))


def broadcast(s):
    """One matrix for all items and heads, and one row for all queries."""
    table = s.op("slice", s.table(1, 32, 32), starts=(0, 0, 0), sizes=(1, L, L))
    row = s.op("slice", s.table(32), starts=(0,), sizes=(L,))
    return s.apart(s.op("add", s.op("mul", s.scores(), table), row))


def condition(s):
    seen = s.op("greater", s.scores(), s.number(0.0))
    return s.apart(s.op("where", seen, s.scores(), s.number(-1.0)))


def tiled(s):
    """A matrix for each head, repeated for each item."""
    each = s.turned(s.op("tile", s.table(HEADS, FAR, DEPTH), repetitions=(B, 1, 1)))
    return s.apart(s.op("matmul", s.q, each), FAR)


def tiled_alone(s):
    """Nothing but what is repeated: there is no whole batch to read."""
    each = s.op("tile", s.table(HEADS, FAR, DEPTH), repetitions=(B, 1, 1))
    both = s.op("add", each, each)
    return s.op("add", s.apart(s.scores()), s.op("reduceSum", both))


def gathered(s):
    far = s.op("matmul", s.q, s.op("tile", s.table(HEADS, DEPTH, FAR), repetitions=(B, 1, 1)))
    columns = s.op("expand", s.columns(), new_shape=(B * HEADS, L, L))
    return s.apart(s.op("add", s.scores(), s.turned(s.op("gatherElements", far, columns, axis=2))))


def read_elsewhere(s):
    """What reads the merged heads may be anything."""
    merged = s.scores()
    total = s.op("reduceSum", merged, axes=(0,), keep_dimensions=True)
    return s.op("add", s.apart(merged), s.op("reshape", total, new_shape=(1, 1, L, L)))


def repeated_otherwise(s):
    """Each head of the first item again and again, and not the items."""
    each = s.op(
        "reshape",
        s.op("expand", s.table(HEADS, 1, DEPTH, FAR), new_shape=(HEADS, B, DEPTH, FAR)),
        new_shape=(B * HEADS, DEPTH, FAR),
    )
    return s.apart(s.op("matmul", s.q, each), FAR)


SPLIT = [scores, softmax, broadcast, condition, tiled, tiled_alone, gathered, read_elsewhere]


def numbers(batch, length):
    random = np.random.default_rng(batch * 100 + length)
    return {name: random.standard_normal((batch, HEADS, length, DEPTH)).astype(np.float32) for name in "qk"}


def assert_same(graph, other):
    assert other.dims == graph.dims
    assert other.outputs == graph.outputs
    for batch, length in [(1, 1), (2, 5), (3, 32)]:
        given = numbers(batch, length)
        given = {name: given[name] for name in graph.inputs}
        wanted, found = (REFERENCE.compile(each).run(given)["y"] for each in (graph, other))
        assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("build", SPLIT, ids=lambda build: build.__name__)
def test_what_is_taken_apart_again_was_never_merged(build):
    sketch = Sketch()
    graph = sketch.builder.build({"y": build(sketch)})
    other = split_heads(graph)
    products = [other.types[node.name].rank for node in other.nodes if node.op == "matmul"]
    assert set(products) == {4}
    assert not any(node.op == "tile" for node in other.nodes if build is tiled)
    assert_same(graph, other)


def test_what_is_not_known_to_repeat_items_stays_merged():
    sketch = Sketch()
    graph = sketch.builder.build({"y": repeated_otherwise(sketch)})
    assert split_heads(graph) is graph


def test_a_graph_that_takes_nothing_apart_is_the_same_object():
    sketch = Sketch()
    graph = sketch.builder.build({"y": sketch.scores()})
    assert split_heads(graph) is graph


def test_a_result_of_the_graph_keeps_its_three_dimensions():
    sketch = Sketch()
    merged = sketch.scores()
    graph = sketch.builder.build({"y": merged, "z": sketch.apart(sketch.op("mul", merged, sketch.number(2.0)))})
    other = split_heads(graph)
    assert other.output_types == graph.output_types
    given = numbers(2, 7)
    wanted, found = (REFERENCE.compile(each).run(given) for each in (graph, other))
    assert {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in wanted.items()
    }


def test_another_number_of_heads_is_another_shape():
    """Two reshapes that cut the batch differently do not undo one another."""
    builder = GraphBuilder("sketch", dims=[DynamicDim("batch", 8)])
    x = builder.input("x", F32, (B, 4, 3, 3))
    merged = builder.op("reshape", x, new_shape=(B * 4, 3, 3))
    doubled = builder.op("mul", merged, builder.constant(2.0, F32))
    graph = builder.build({"y": builder.op("reshape", doubled, new_shape=(B * 2, 2, 3, 3))})
    assert split_heads(graph) is graph
