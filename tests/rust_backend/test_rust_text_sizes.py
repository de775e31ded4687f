"""Which sizes of texts a run without padding takes: those that the graph takes of each text alone."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.numpy import BACKEND as REFERENCE
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ShapeError

pytestmark = pytest.mark.native


def test_a_text_that_no_node_would_take_alone_is_refused_among_others(rust):
    b = GraphBuilder("g", [DynamicDim("batch", 8), DynamicDim("length", 16)])
    length = symbol("length")
    random = np.random.default_rng(0)
    words, places = (b.constant(random.standard_normal((rows, 8)).astype(np.float32)) for rows in (20, 6))
    ids = b.input("ids", DataType.INT64, (symbol("batch"), length))
    row = b.op("slice", places, starts=(0, 0), sizes=(length, 8))
    graph = b.build({"y": b.op("add", b.op("gather", words, ids, axis=0), row)})
    runner = rust.compile(graph).texts()
    given = random.integers(0, 20, 10)
    wanted = [REFERENCE.compile(graph).run({"ids": part[None]})["y"][0] for part in (given[:4], given[4:])]
    np.testing.assert_array_equal(runner.run({"ids": given}, [4, 6])["y"], np.concatenate(wanted))
    for refused in (
        lambda: REFERENCE.compile(graph).run({"ids": given[None, :7]}),
        lambda: runner.run({"ids": given}, [3, 7]),
    ):
        with pytest.raises(ShapeError, match="needs 6 >= length, but here they are 6 and 7"):
            refused()


def test_a_text_that_is_shorter_than_the_graphs_least_length_runs_with_its_padding(rust):
    b = GraphBuilder("g", [DynamicDim("batch", 8), DynamicDim("length", 16, 2)])
    batch, length = symbol("batch"), symbol("length")
    ids, mask = (b.input(name, DataType.INT64, (batch, length)) for name in ("ids", "mask"))
    table = b.constant(np.random.default_rng(0).standard_normal((20, 8)).astype(np.float32))
    weights = b.op("reshape", b.op("cast", mask, dataType=DataType.FLOAT32), newShape=(batch, length, 1))
    weights = b.op("expand", weights, newShape=(batch, length, 8))
    total = b.op("reduceSum", b.op("mul", b.op("gather", table, ids, axis=0), weights), axes=[1])
    count = b.op("max", b.op("reduceSum", weights, axes=[1]), b.constant(1e-9, DataType.FLOAT32))
    graph = b.build({"y": b.op("div", total, count)})
    model = rust.compile(graph)
    assert model.describe()["unpadded"] is True
    feeds = {"ids": np.array([[1, 0, 0], [2, 3, 4]]), "mask": np.array([[1, 0, 0], [1, 1, 1]])}
    np.testing.assert_allclose(model.run(feeds)["y"], REFERENCE.compile(graph).run(feeds)["y"], rtol=1e-6)
    with pytest.raises(ShapeError, match="1 to 3 tokens; the graph takes texts of 2 to 16"):
        model.texts().run({"ids": np.array([1, 2, 3, 4])}, [1, 3])
    with pytest.raises(ShapeError, match=r"^17 tokens; the graph takes texts of 2 to 16"):
        model.texts().run({"ids": np.ones(17, np.int64)}, [17])
