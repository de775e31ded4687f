"""Arrays that no one should pass: refused with an error of ours, or taken as they are, and never a panic."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WebnnError

pytestmark = pytest.mark.native

F32, I64 = DataType.FLOAT32, DataType.INT64
B, L = symbol("batch"), symbol("length")
WIDTH, WORDS, LONGEST = 8, 10, 16
RANDOM = np.random.default_rng(11)
TABLE, WEIGHTS = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((WORDS, WIDTH), (WIDTH, WIDTH)))


@pytest.fixture(scope="module")
def graph():
    """Words and numbers through a lookup, a layer and a softmax, with an empty batch allowed."""
    builder = GraphBuilder("arrays", dims=[DynamicDim("batch", 64, 0), DynamicDim("length", LONGEST)])
    ids, x = builder.input("ids", I64, (B, L)), builder.input("x", F32, (B, L, WIDTH))
    words = builder.op("gather", builder.constant(TABLE), ids, axis=0)
    layer = builder.op("relu", builder.op("matmul", builder.op("add", words, x), builder.constant(WEIGHTS)))
    return builder.build({"y": builder.op("softmax", layer, axis=2), "again": x})


def feeds(batch=2, length=5):
    random = np.random.default_rng(3)
    return {
        "ids": random.integers(0, WORDS, (batch, length)),
        "x": random.standard_normal((batch, length, WIDTH)).astype(np.float32),
    }


def turned(x):
    return np.asfortranarray(x)


def every_other(x):
    wide = np.repeat(x, 2, axis=-1)
    return wide[..., ::2]


def backwards(x):
    return x[..., ::-1].copy()[..., ::-1]


def read_only(x):
    own = x.copy()
    own.flags.writeable = False
    return own


def misaligned(x):
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    own = raw.view(x.dtype).reshape(x.shape)
    own[...] = x
    return own


def repeated(x):
    """Every row the same memory."""
    return np.lib.stride_tricks.as_strided(x[:1], x.shape, (0, *x.strides[1:]))


class Sub(np.ndarray):
    pass


LAYOUTS = {
    "columns first": turned,
    "every other element": every_other,
    "negative strides": backwards,
    "read-only": read_only,
    "misaligned": misaligned,
    "rows that overlap": repeated,
    "a subclass": lambda x: x.view(Sub),
}
REFUSED = {
    "float64": lambda f: {**f, "x": f["x"].astype(np.float64)},
    "int32 ids": lambda f: {**f, "ids": f["ids"].astype(np.int32)},
    "big-endian": lambda f: {**f, "x": f["x"].astype(">f4")},
    "objects": lambda f: {**f, "x": f["x"].astype(object)},
    "complex": lambda f: {**f, "x": f["x"].astype(np.complex64)},
    "text": lambda f: {**f, "x": f["x"].astype(str)},
    "records": lambda f: {**f, "x": np.zeros((2, 5, 8), [("a", "f4")])},
    "one dimension too many": lambda f: {**f, "x": f["x"][None]},
    "one dimension too few": lambda f: {**f, "x": f["x"][0]},
    "no dimension": lambda f: {**f, "x": np.float32(1)},
    "another width": lambda f: {**f, "x": f["x"][..., :7]},
    "sizes that disagree": lambda f: {**f, "ids": f["ids"][:, :4]},
    "batches that disagree": lambda f: {**f, "ids": f["ids"][:1]},
    "no length": lambda f: {"ids": f["ids"][:, :0], "x": f["x"][:, :0]},
    "too long": lambda _: feeds(1, LONGEST + 1),
    "too many": lambda _: feeds(65, 1),
    "huge and empty": lambda _: {"ids": np.empty((0, 2**40), np.int64), "x": np.empty((0, 2**40, 8), np.float32)},
    "huge by strides": lambda f: {**f, "x": np.broadcast_to(np.float32(1), (2**31, 2**20, 8))},
    "one missing": lambda f: {"x": f["x"]},
    "one unknown": lambda f: {**f, "z": f["x"]},
    "none": lambda f: {**f, "x": None},
    "a list": lambda f: {**f, "x": f["x"].tolist()},
    "a memoryview": lambda f: {**f, "x": memoryview(f["x"])},
    "no mapping": lambda f: [f["ids"], f["x"]],
    "names that are numbers": lambda f: {0: f["ids"], 1: f["x"]},
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("name", ["ids", "x"])
def test_any_memory_layout_gives_the_same_bits(rust, graph, name, layout):
    model, given = rust.compile(graph), feeds()
    given = {**given, name: layout(given[name])}
    found = model.run(given)
    plain = model.run({key: np.array(array, order="C", subok=False) for key, array in given.items()})
    assert {key: array.tobytes() for key, array in found.items()} == {k: a.tobytes() for k, a in plain.items()}
    assert all(type(array) is np.ndarray and array.flags.owndata for array in found.values())


@pytest.mark.parametrize("spoil", REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_with_an_error_of_ours(rust, graph, spoil):
    model = rust.compile(graph)
    with pytest.raises(WebnnError) as caught:
        model.run(spoil(feeds()))
    assert "internal" not in str(caught.value)
    assert model.run(feeds())["y"].shape == (2, 5, WIDTH)


def test_an_empty_batch_gives_empty_results(rust, graph):
    found = rust.compile(graph).run(feeds(0, 3))
    assert found["y"].shape == (0, 3, WIDTH)


@pytest.mark.parametrize("number", [-1, -(2**63), WORDS, 2**31, 2**63 - 1])
def test_an_index_beyond_its_table_reads_nothing_else(rust, graph, number):
    given = feeds()
    given["ids"][0, 0] = number
    expected = get_backend("numpy").compile(graph).run(given)
    np.testing.assert_allclose(rust.compile(graph).run(given)["y"], expected["y"], atol=1e-5)


def test_an_input_that_is_written_to_during_runs_changes_no_other_result(rust, graph):
    """Inputs are copied before the GIL is given up: a result is of one moment, whatever other threads do later."""
    model, given = rust.compile(graph), feeds()
    first = model.run(given)
    kept = {name: array.tobytes() for name, array in first.items()}
    given["x"][...] = 7
    model.run(given)
    assert {name: array.tobytes() for name, array in first.items()} == kept
    first["again"][...] = -1
    assert (given["x"] == 7).all()


@pytest.mark.parametrize(
    ("tokens", "lengths"),
    [
        (np.arange(3), [4]),
        (np.arange(3), [1, 1]),
        (np.arange(3), [3, 0]),
        (np.arange(3), [-1, 4]),
        (np.arange(3), []),
        (np.arange(3).astype(np.int32), [3]),
        (np.arange(6).reshape(2, 3), [3, 3]),
        (np.arange(LONGEST + 1), [LONGEST + 1]),
        (np.arange(3), [2**62, 2**62]),
    ],
    ids=str,
)
def test_texts_that_do_not_add_up_are_refused(rust, tokens, lengths):
    builder = GraphBuilder("texts", dims=[DynamicDim("batch", 64), DynamicDim("length", LONGEST)])
    ids = builder.input("ids", I64, (B, L))
    words = builder.op("gather", builder.constant(TABLE), ids, axis=0)
    runner = rust.compile(builder.build({"y": builder.op("tanh", words)})).texts()
    with pytest.raises(WebnnError):
        runner.run({"ids": tokens}, lengths)
