"""One plan for every size of a named dimension, nothing included: against the definition, on two threads."""

from __future__ import annotations

import numpy as np
import pytest

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.backends.registry import get_backend
from webnn_runtime.format.binding import concrete_shape
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native

N = symbol("n")
RANDOM = np.random.default_rng(0)


def numbers(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


W = {"filter": numbers(4, 3, 3, 3), "depthwise": numbers(3, 1, 3, 3), "turned": numbers(3, 2, 2, 2)}
RECURRENT = {"steps": 2, "hidden_size": 4, "direction": "both", "return_sequence": True}
# Operator, shape of the first operand, further operands, options.
CALLS = [
    ("averagePool2d", (N, 3, 5, 5), [], {"window_dimensions": (2, 2), "padding": (1, 0, 0, 1)}),
    ("batchNormalization", (N, 3), [numbers(3), np.abs(numbers(3)), None, None], {"axis": 1}),
    ("concat", (N, 3), [numbers(2, 3)], {"axis": 0}),
    ("conv2d", (N, 3, 5, 5), [W["filter"], None], {}),
    ("conv2d", (1, 3, 5, N + 3), [W["filter"], numbers(4)], {"strides": (2, 2), "padding": (1, 1, 0, 1)}),
    ("conv2d", (N, 3, 6, 5), [W["depthwise"], None], {"groups": 3, "dilations": (2, 1)}),
    ("convTranspose2d", (N, 3, 4, 4), [W["turned"], None], {"strides": (2, 3)}),
    ("cumulativeSum", (N, 5), [], {"axis": 0, "exclusive": True}),
    ("expand", (1, N, 1), [], {"new_shape": (3, N, 4)}),
    ("gather", (N + 1, 3), [np.int32([0, -1, 5])], {"axis": 0}),
    ("gemm", (N, 3), [numbers(3, 4), numbers(4)], {"alpha": 0.5}),
    ("instanceNormalization", (N, 3, 4, 4), [None, None], {}),
    ("l2Pool2d", (N, 3, 5, 5), [], {"window_dimensions": (5, 5)}),
    ("layerNormalization", (N, 3, 5), [None, None], {"axes": (2, 1)}),
    ("lstm", (2, N, 3), [numbers(2, 16, 3), numbers(2, 16, 4), None, None, None, None, None], RECURRENT),
    ("gru", (2, N, 3), [numbers(2, 12, 3), numbers(2, 12, 4), None, None, None], {**RECURRENT, "reset_after": False}),
    ("matmul", (3, N, 4), [numbers(3, 4, 2)], {}),
    ("maxPool2d", (1, 3, 5, N + 3), [], {"window_dimensions": (2, 3), "strides": (1, 2)}),
    ("pad", (2, N), [], {"beginning_padding": (1, 2), "ending_padding": (0, 300), "value": 3.0}),
    ("quantizeLinear", (3, N), [np.float32([[0.1], [0.2], [0.3]]), np.int8([[0], [1], [2]])], {}),
    ("reduceLogSumExp", (N, 70), [], {"axes": (1,)}),
    ("reduceProduct", (70, N), [], {"axes": (0,)}),
    ("reduceSum", (3, N, 5), [], {"axes": (0, 2)}),
    ("resample2d", (N, 3, 4, 5), [], {"sizes": (7, 3), "mode": "linear"}),
    ("reverse", (N, 3), [], {"axes": (0,)}),
    ("softmax", (N, 5, 3), [], {"axis": 1}),
    ("split", (N, 6), [], {"splits": 3, "axis": 1}),
    ("tile", (N, 3), [], {"repetitions": (2, 3)}),
    ("triangular", (2, N, 5), [], {"diagonal": -1}),
]


@pytest.mark.parametrize(("op", "shape", "others", "options"), CALLS, ids=[f"{n}-{c[0]}" for n, c in enumerate(CALLS)])
def test_every_size_gives_what_the_definition_gives(rust, op, shape, others, options):
    builder = GraphBuilder("sizes", dims=[DynamicDim("n", 4096, 0)])
    x = builder.input("x", DataType.FLOAT32, shape)
    given = [other if other is None else builder.constant(other) for other in others]
    results = builder.op_many(op, x, *given, **options)
    graph = builder.build({f"y{number}": result for number, result in enumerate(results)})
    executable = rust.compile(graph, CompileOptions(threads=2, strict=True))
    definition = get_backend("numpy").compile(graph)
    for n in (0, 1, 7, 300):
        inputs = {"x": numbers(*concrete_shape(graph.inputs["x"], {"n": n}))}
        want = definition.run(inputs)
        for name, array in executable.run(inputs).items():
            np.testing.assert_allclose(array, want[name], rtol=2e-5, atol=2e-5, err_msg=f"n = {n}")
