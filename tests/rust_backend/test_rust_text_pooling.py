"""One vector of each text as the last step of a plan over texts: the bits that pooling the tokens' vectors gives."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.embed.pooling import POOLING_MODES, Pooling
from webnn_runtime.embed.stages import Normalize
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import OperandError
from webnn_runtime.model import Model

pytestmark = pytest.mark.native

F32, I64 = DataType.FLOAT32, DataType.INT64
B, L = symbol("batch"), symbol("length")
LENGTHS = [5, 1, 170, 2, 40, 9, 300, 3]
# Some that fill whole vectors, and some that do not.
WIDTHS = [48, 7]
NATIVE = ("mean", "cls", "max", "lasttoken")


def encoder(width, outputs=("y",), dtype=F32):
    """Vectors of words and places: numbers of many sizes, so that every order of a sum is another one."""
    random = np.random.default_rng(3)
    b = GraphBuilder("encoder", [DynamicDim("batch", 64), DynamicDim("length", 512)])
    ids = b.input("ids", I64, (B, L))
    table = b.constant(
        (random.standard_normal((50, width)) * 10.0 ** random.integers(-6, 6, (50, 1))).astype(np.float32)
    )
    words = b.op("gather", table, ids, axis=0)
    found = {"y": b.op("tanh", words) if dtype is F32 else b.op("cast", words, dataType=dtype)}
    if "vector" in outputs:
        found["vector"] = b.op("reduceMax", words, axes=[1])
    return b.build({name: found[name] for name in outputs})


@pytest.fixture
def given():
    return {"ids": np.random.default_rng(1).integers(0, 50, sum(LENGTHS))}


@pytest.mark.parametrize("mode", NATIVE)
@pytest.mark.parametrize("width", WIDTHS)
def test_pooled_vectors_have_the_bits_of_pooling_the_tokens(mode, width, rust, given):
    for threads in (1, 2, 3):
        model = rust.compile(encoder(width), CompileOptions(threads=threads))
        tokens = model.texts().run(given, LENGTHS)["y"]
        apart = np.split(tokens, np.cumsum(LENGTHS)[:-1])
        runner = model.texts(["y"], mode)
        found = runner.run(given, LENGTHS)["y"]
        assert found.shape == (len(LENGTHS), width)
        assert found.tobytes() == Pooling((mode,)).of_texts(apart, width).tobytes()
        alone = runner.run({"ids": given["ids"][6:176]}, LENGTHS[2:3])["y"]
        assert alone.tobytes() == found[2].tobytes()
        assert runner is model.texts(["y"], mode)


def test_pooled_vectors_get_length_one_as_the_embedder_scales_them(rust):
    model = rust.compile(encoder(48))
    given = {"ids": np.random.default_rng(2).integers(0, 50, sum(LENGTHS))}
    runner = model.texts(["y"], "mean", normalize=True)
    found = runner.run(given, LENGTHS)["y"]
    want = Normalize()(model.texts(["y"], "mean").run(given, LENGTHS)["y"])
    # Both round once, from sums of squares in float64 whose order differs.
    np.testing.assert_array_max_ulp(found, want, 1)
    assert (found == want).mean() > 0.99
    assert runner is not model.texts(["y"], "mean")


def test_what_no_step_pools_is_left_to_the_caller(rust):
    model = rust.compile(encoder(8))
    assert [mode for mode in POOLING_MODES if model.texts(["y"], mode) is not None] == sorted(
        NATIVE, key=POOLING_MODES.index
    )
    assert model.texts(["y"]) is not None
    assert rust.compile(encoder(8, dtype=DataType.FLOAT16)).texts(["y"], "mean") is None
    assert rust.compile(encoder(8, outputs=("y", "vector"))).texts(None, "mean") is None


def test_length_one_without_pooling_is_refused(rust):
    model = Model(SimpleNamespace(names={}), rust.compile(encoder(8)))
    with pytest.raises(OperandError, match="pass pooling= as well"):
        model.texts(["y"], normalize=True)
    assert model.texts(["y"], "mean", normalize=True) is not None
