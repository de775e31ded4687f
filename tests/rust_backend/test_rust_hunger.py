"""Runs that ask for more memory than there is: refused with an error, where an allocation would end the process."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import ExecutionError

pytestmark = pytest.mark.native

F32 = DataType.FLOAT32


def test_a_value_that_no_system_holds_is_refused_and_the_model_runs_on(rust):
    n = symbol("n")
    builder = GraphBuilder("cube", dims=[DynamicDim("n", 1 << 16)])
    x = builder.input("x", F32, (n,))
    y = builder.op("add", builder.op("reshape", x, new_shape=(n, 1, 1)), builder.op("reshape", x, new_shape=(1, n, 1)))
    y = builder.op("add", y, x)
    model = rust.compile(builder.build({"y": builder.op("reduceMax", y, keep_dimensions=False)}))
    with pytest.raises(ExecutionError, match="bytes are needed for values; the system does not have them"):
        model.run({"x": np.ones(1 << 16, np.float32)})
    assert model.run({"x": np.full(3, 2, np.float32)})["y"] == 6


@pytest.mark.parametrize("op", ["maxPool2d", "averagePool2d", "l2Pool2d"])
def test_a_window_that_is_nearly_all_padding_is_refused(rust, op):
    size = 1 << 20
    builder = GraphBuilder("window")
    x = builder.input("x", F32, (1, 1, 2, 2))
    y = builder.op(op, x, padding=(size,) * 4, window_dimensions=(2 * size,) * 2, strides=(size,) * 2)
    model = rust.compile(builder.build({"y": y}))
    with pytest.raises(ExecutionError, match="bytes are needed for values; the system does not have them"):
        model.run({"x": np.ones((1, 1, 2, 2), np.float32)})
