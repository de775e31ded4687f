"""Every operator on ONNX Runtime against its definition, over all types, on random and awkward values."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from webnn_runtime.backends.numpy import BACKEND as NUMPY
from webnn_runtime.backends.onnxruntime import BACKEND
from webnn_runtime.backends.onnxruntime.lowering import LOWERINGS, UNSUPPORTED
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.ops import OPS

if TYPE_CHECKING:
    from collections.abc import Callable

    from webnn_runtime.format.graph import Array, Graph

F = (DataType.FLOAT32, DataType.FLOAT16)
TOLERANCE = {DataType.FLOAT32: 3e-6, DataType.FLOAT16: 2e-3}


@pytest.fixture(autouse=True)
def _needs_onnxruntime(optional: Callable[[str], Any]) -> None:
    optional("onnxruntime")


@dataclass(frozen=True)
class Case:
    """One call: operand shapes (None for an absent one), options, and what is special about the values."""

    op: str
    shapes: tuple[tuple[int, ...] | None, ...]
    options: dict[str, Any] = field(default_factory=dict)
    types: tuple[DataType | None, ...] = ()  # of operands whose type is not the first one's
    low: float = -4
    high: float = 4
    constants: tuple[int, ...] = ()
    only: tuple[DataType, ...] | None = None
    off_by: int = 0  # allowed difference of integers
    tag: str = ""

    @property
    def id(self) -> str:
        return "-".join(filter(None, [self.op, self.tag, *(f"{k}={v}" for k, v in self.options.items())]))


def _binary(op: str, **special: Any) -> list[Case]:
    return [
        Case(op, ((3, 4), (3, 4)), **special),
        Case(op, ((2, 1, 4), (3, 1)), tag="broadcast", **special),
        Case(op, ((), (5,)), tag="scalar", **special),
        Case(op, ((3, 4), (3, 4)), constants=(1,), tag="constant", **special),
    ]


I32, I64, U8, U32 = DataType.INT32, DataType.INT64, DataType.UINT8, DataType.UINT32

CASES = [
    *(case for op in ("add", "sub", "mul", "max", "min", "div") for case in _binary(op)),
    *(case for op in ("add", "sub", "mul", "div", "max", "min") for case in _binary(op, low=-(2**63), high=2**64)),
    *_binary("pow", low=-3, high=6),
    *(
        case
        for op in ("equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual")
        for case in [*_binary(op), *_binary(op, low=-(2**63), high=2**64)]
    ),
    *(case for op in ("logicalAnd", "logicalOr", "logicalXor") for case in _binary(op, low=0, high=3)),
    Case("logicalNot", ((3, 4),), low=0, high=3),
    *(Case(op, ((3, 5),)) for op in ("abs", "neg", "sign", "ceil", "floor", "roundEven", "isNaN", "isInfinite")),
    *(Case(op, ((3, 5),)) for op in ("cos", "sin", "tan", "erf", "exp", "identity", "reciprocal")),
    *(Case(op, ((3, 5),), low=0.1, high=9) for op in ("log", "sqrt")),
    *(Case(op, ((3, 5),)) for op in ("relu", "gelu", "sigmoid", "tanh", "softplus", "softsign", "hardSwish")),
    Case("elu", ((3, 5),), {"alpha": 0.7}),
    Case("leakyRelu", ((3, 5),), {"alpha": 0.3}),
    Case("hardSigmoid", ((3, 5),), {"alpha": 0.3, "beta": 0.4}),
    Case("linear", ((3, 5),), {"alpha": 2.5, "beta": -1}),
    Case("softmax", ((2, 3, 4),), {"axis": 1}),
    Case("softmax", ((2, 3, 4),), {"axis": 2}),
    Case("prelu", ((2, 3), (3,))),
    Case("prelu", ((3,), (2, 3)), tag="input stretches"),
    Case("clamp", ((3, 5),), {"minValue": -1.5, "maxValue": 2.5}),
    Case("clamp", ((3, 5),), {"minValue": 1}),
    Case("clamp", ((3, 5),), {"maxValue": 2}),
    Case("clamp", ((3, 5),)),
    Case("where", ((3, 4), (3, 4), (4,)), types=(U8, None, None), low=0, high=3),
    *(Case("cast", ((3, 5),), {"to": to.value}, low=0, high=100, tag=to.value) for to in DataType if to.bits >= 8),
    *(
        Case(
            "cast",
            ((3, 5),),
            {"to": to.value},
            low=-(2**63),
            high=2**64,
            tag="wraps",
            only=tuple(dtype for dtype in DataType if not dtype.is_float and dtype.bits >= 8),
        )
        for to in DataType
        if to.bits >= 8 and not to.is_float
    ),
    *(
        Case(f"reduce{name}", ((2, 3, 4),), options, low=0.5 if name.startswith("Log") else -3, high=3)
        for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Product", "Sum", "SumSquare")
        for options in ({}, {"axes": [1]}, {"axes": [2, 0], "keepDimensions": True}, {"axes": []})
    ),
    *(
        Case(f"reduce{name}", ((2, 3, 4),), {"axes": [1]}, low=-(2**63), high=2**64, tag="large")
        for name in ("L1", "Max", "Min", "Product", "Sum", "SumSquare")
    ),
    # int64 values whose upper halves agree: onnxruntime's own kernels compare the lower ones as signed.
    *(case for op in ("max", "min") for case in _binary(op, low=0, high=2**32 - 1)),
    Case("clamp", ((8, 9),), {"minValue": 2**31 - 9, "maxValue": 2**31 + 2**30}, low=0, high=2**32 - 1, tag="halves"),
    *(Case(op, ((8, 9),), low=0, high=2**32 - 1, tag="halves") for op in ("relu", "abs", "neg", "sign")),
    *(
        Case(op, ((8, 9), (8, 9)), low=0, high=2**32 - 1, tag="halves")
        for op in ("equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "add", "mul", "div")
    ),
    *(
        Case(f"reduce{name}", ((8, 9, 7),), {"axes": [1]}, low=0, high=2**32 - 1, tag="halves")
        for name in ("Max", "Min")
    ),
    Case("cumulativeSum", ((2, 3, 4),), {"axis": 1}, low=-(2**63), high=2**64, tag="large"),
    *(
        Case(op, ((8, 9),), {"axis": 1}, low=low, high=high, tag=f"large {low}")
        for op in ("argMin", "argMax")
        for low, high in ((0, 2**32), (-(2**63), 2**64))
    ),
    Case("reduceSum", ((),)),
    Case("reduceSumSquare", ((),)),
    *(
        Case(op, ((2, 3, 4),), {"axis": 1, **options})
        for op in ("argMin", "argMax")
        for options in ({}, {"keepDimensions": True}, {"outputDataType": "int64"})
    ),
    *(
        Case("cumulativeSum", ((2, 3, 4),), {"axis": 1, "exclusive": exclusive, "reversed": reverse})
        for exclusive in (False, True)
        for reverse in (False, True)
    ),
    Case("matmul", ((2, 3, 4), (4, 5))),
    Case("matmul", ((2, 1, 3, 4), (3, 4, 5)), tag="batches"),
    Case("gemm", ((3, 4), (4, 5))),
    Case("gemm", ((4, 3), (5, 4), (5,)), {"alpha": 0.5, "beta": 2, "aTranspose": True, "bTranspose": True}),
    Case("gemm", ((3, 4), (4, 5), ())),
    Case("layerNormalization", ((2, 3, 4),), tag="default"),
    Case("layerNormalization", ((2, 3, 4), (4,), (4,)), {"axes": [2], "epsilon": 1e-3}),
    Case("layerNormalization", ((2, 3, 4), (4, 2)), {"axes": [2, 0]}),
    Case("layerNormalization", ((2, 3, 4), None, (3,)), {"axes": [1]}),
    Case("layerNormalization", ((2, 3), None, ()), {"axes": []}),
    Case("layerNormalization", ((2, 3), (), None), {"axes": []}, tag="scale"),
    Case("instanceNormalization", ((2, 3, 4, 5), (3,), (3,))),
    Case("instanceNormalization", ((2, 4, 5, 3), None, (3,)), {"layout": "nhwc"}),
    Case("batchNormalization", ((2, 3, 4), (3,), (3,), (3,), (3,)), low=0.1),
    Case("batchNormalization", ((2, 3), (2,), (2,)), {"axis": 0}, low=0.1),
    Case("batchNormalization", ((2, 3, 4, 5), (5,), (5,), None, (5,)), {"axis": 3}, low=0.1),
    Case("conv2d", ((2, 4, 5, 6), (6, 2, 3, 2), (6,)), {"groups": 2, "padding": [1, 0, 0, 2], "strides": [2, 1]}),
    *(
        Case("conv2d", ((1, 5, 6, 3), shape), {"inputLayout": "nhwc", "filterLayout": layout, "dilations": [1, 2]})
        for layout, shape in (("hwio", (2, 2, 3, 4)), ("ohwi", (4, 2, 2, 3)), ("ihwo", (3, 2, 2, 4)))
    ),
    Case("convTranspose2d", ((1, 4, 3, 2), (4, 2, 3, 2), (4,)), {"groups": 2, "padding": [1, 0, 0, 1]}),
    Case("convTranspose2d", ((1, 2, 3, 4), (2, 4, 3, 2)), {"outputSizes": [11, 9], "strides": [3, 2]}, tag="sizes"),
    *(
        Case("convTranspose2d", ((1, 3, 4, 2), shape), {"inputLayout": "nhwc", "filterLayout": layout, **more})
        for layout, shape in (("hwoi", (2, 3, 4, 2)), ("ohwi", (4, 2, 3, 2)))
        for more in [{"strides": [2, 2], "outputPadding": [1, 0]}]
    ),
    *(
        Case(op, ((2, 5, 6, 3) if options.get("layout") == "nhwc" else (2, 3, 5, 6),), options, low=low, tag=tag)
        for op in ("averagePool2d", "l2Pool2d", "maxPool2d")
        for low, tag in [(-4, ""), *([(-(2**63), "large")] if op == "maxPool2d" else [])]
        for options in (
            {},
            {"layout": "nhwc"},
            {"windowDimensions": [2, 3], "padding": [1, 0, 0, 2], "strides": [2, 1]},
            {"windowDimensions": [2, 2], "dilations": [2, 1], "layout": "nhwc"},
            {"windowDimensions": [2, 2], "strides": [2, 4], "outputShapeRounding": "ceil"},
            {"windowDimensions": [2, 2], "strides": [3, 4], "outputSizes": [2, 2]},
            {"windowDimensions": [2, 2], "padding": [1, 2, 2, 3], "strides": [3, 3], "outputShapeRounding": "ceil"},
        )
        if not (op != "l2Pool2d" and options.get("padding") == [1, 2, 2, 3])
    ),
    Case("averagePool2d", ((1, 2, 5, 6),), {"windowDimensions": [3, 3], "padding": [2, 2, 1, 2]}),
    *(
        Case("resample2d", ((2, 3, 4, 5),), {"mode": mode, **options}, off_by=int(mode == "linear"))
        for mode in ("nearest-neighbor", "linear")
        for options in (
            {"scales": [2.0, 1.5]},
            {"sizes": [7, 3]},
            {"sizes": [2, 8], "axes": [1, 2]},
            {"scales": [0.5, 3.0], "axes": [3, 0]},
        )
    ),
    *(
        Case(
            "gru", ((3, 2, 4), (d, 15, 4), (d, 15, 5), *extra), {"steps": 3, "hiddenSize": 5, **options}, low=-1, high=1
        )
        for d, extra, options in [
            (1, (), {}),
            (1, ((1, 15), None, (1, 2, 5)), {"returnSequence": True, "layout": "rzn", "direction": "backward"}),
            (2, ((2, 15), (2, 15)), {"direction": "both", "resetAfter": False, "returnSequence": True}),
            (1, (None, (1, 15)), {"activations": ["tanh", "relu"]}),
        ]
    ),
    Case("gruCell", ((2, 4), (15, 4), (15, 5), (2, 5)), {"hiddenSize": 5}, low=-1, high=1),
    Case(
        "gruCell",
        ((2, 4), (15, 4), (15, 5), (2, 5), (15,), (15,)),
        {"hiddenSize": 5, "layout": "rzn", "resetAfter": False},
        low=-1,
        high=1,
    ),
    *(
        Case(
            "lstm",
            ((3, 2, 4), (d, 20, 4), (d, 20, 5), *extra),
            {"steps": 3, "hiddenSize": 5, **options},
            low=-1,
            high=1,
        )
        for d, extra, options in [
            (1, (), {}),
            (1, ((1, 20), None, None, (1, 2, 5)), {"returnSequence": True, "layout": "ifgo", "direction": "backward"}),
            (2, ((2, 20), (2, 20), (2, 15), (2, 2, 5), (2, 2, 5)), {"direction": "both", "returnSequence": True}),
            (1, (None, None, (1, 15)), {"activations": ["tanh", "relu", "sigmoid"], "direction": "backward"}),
        ]
    ),
    Case("lstmCell", ((2, 4), (20, 4), (20, 5), (2, 5), (2, 5)), {"hiddenSize": 5}, low=-1, high=1),
    Case(
        "lstmCell",
        ((2, 4), (20, 4), (20, 5), (2, 5), (2, 5), (20,), (20,), (15,)),
        {"hiddenSize": 5, "layout": "ifgo"},
        low=-1,
        high=1,
    ),
    Case("concat", ((2, 3), (2, 1), (2, 3)), {"axis": 1}),
    Case("split", ((4, 6),), {"splits": 3, "axis": 1}),
    Case("split", ((4, 6),), {"splits": [1, 3]}),
    Case("slice", ((4, 6),), {"starts": [1, 0], "sizes": [2, 6], "strides": [1, 4]}),
    Case("slice", ((4, 6),), {"starts": [0, 0], "sizes": [4, 6]}),
    Case("slice", ((),), {"starts": [], "sizes": []}),
    *(
        Case("pad", ((3, 4),), {"beginningPadding": [1, 0], "endingPadding": [2, 3], "mode": mode})
        for mode in ("constant", "edge", "reflection")
    ),
    Case("pad", ((3, 4),), {"beginningPadding": [1, 0], "endingPadding": [0, 2], "value": 7}),
    Case("expand", ((3, 1),), {"newShape": [2, 3, 4]}),
    Case("expand", ((),), {"newShape": [2]}),
    Case("reshape", ((3, 4),), {"newShape": [2, 6]}),
    Case("reshape", ((1, 1),), {"newShape": []}),
    Case("transpose", ((2, 3, 4),)),
    Case("transpose", ((2, 3, 4),), {"permutation": [0, 2, 1]}),
    Case("reverse", ((2, 3, 4),)),
    Case("reverse", ((2, 3, 4),), {"axes": [1]}),
    Case("reverse", ((2, 3, 4),), {"axes": []}),
    Case("tile", ((2, 3),), {"repetitions": [2, 2]}),
    Case("tile", ((),), {"repetitions": []}),
    *(
        Case("triangular", ((2, 3, 4),), {"upper": upper, "diagonal": diagonal})
        for upper in (False, True)
        for diagonal in (-1, 0, 2)
    ),
    *(
        Case(op, shapes, options, types=types, low=-9, high=9, constants=constants, tag=f"{index.value} {constants}")
        for index in (I32, U32, I64)
        for constants in ((), (1,))
        for op, shapes, options, types in [
            ("gather", ((4, 5), (2, 3)), {"axis": 1}, (None, index)),
            ("gather", ((4, 5), ()), {}, (None, index)),
            ("gatherElements", ((4, 5), (4, 2)), {"axis": 1}, (None, index)),
            ("gatherND", ((4, 5, 2), (3, 2)), {}, (None, index)),
            ("gatherND", ((4, 5, 2), (1,)), {}, (None, index)),
        ]
    ),
    *(
        Case(op, shapes, {}, types=(None, index, None), low=-2, high=2, tag=index.value)
        for index in (I32, U32, I64)
        for op, shapes in [("scatterElements", ((4, 5), (1, 5), (1, 5))), ("scatterND", ((4, 5), (1, 1), (1, 5)))]
    ),
    *(
        Case(
            "dequantizeLinear",
            ((4, 6), blocks, blocks),
            types=(None, scale, None),
            low=0,
            high=7,
            only=kinds,
            constants=constants,
            tag=f"{blocks} {scale.value} {constants}",
        )
        for blocks in ((1, 1), (4, 1), (1, 6), (2, 6), (4, 2), (2, 3), (4, 6))
        for constants in ((), (0, 1, 2))
        for scale in F
        for kinds in [(DataType.INT8, U8, U32, I32) if not constants else (DataType.INT4, DataType.UINT4, U8)]
    ),
    *(
        Case(
            "quantizeLinear",
            ((4, 6), blocks, blocks),
            types=(None, None, zero),
            low=0.5,
            high=9,
            constants=constants,
            tag=f"{blocks} {zero.value} {constants}",
        )
        for blocks in ((1, 1), (4, 1), (1, 6), (2, 6), (4, 2), (2, 3), (4, 6))
        for constants in ((), (1, 2))
        for zero in (DataType.INT8, U8, U32, I32)
    ),
]


def _array(random: np.random.Generator, dtype: DataType, shape: tuple[int, ...], low: float, high: float) -> Array:
    if dtype.is_float:
        limit = 6e4 if dtype is DataType.FLOAT16 else 1e9
        return random.uniform(max(low, -limit), min(high, limit), shape).astype(dtype.numpy)
    bounds = dtype.bounds
    lowest, highest = max(int(low), bounds[0]), max(min(int(high), bounds[1]), 1)
    return random.integers(lowest, highest, shape, dtype.numpy, endpoint=True)


def _types(case: Case) -> list[DataType]:
    if case.only is not None:
        return list(case.only)
    first = next(index for index, kind in enumerate(case.types or (None,) * len(case.shapes)) if kind is None)
    spec = OPS[case.op]
    allowed = spec.operands[0 if spec.is_variadic else first].allowed
    assert allowed is not None
    return sorted(allowed, key=lambda dtype: dtype.value)


def _build(case: Case, dtype: DataType) -> tuple[Graph, dict[str, Array]]:
    random = np.random.default_rng(zlib.crc32(f"{case.id} {dtype.value}".encode()))
    builder = GraphBuilder("case")
    feeds: dict[str, Array] = {}
    operands: list[Any] = []
    for index, shape in enumerate(case.shapes):
        if shape is None:
            operands.append(None)
            continue
        kind = (case.types[index] if index < len(case.types) else None) or dtype
        array = _array(random, kind, shape, case.low, case.high)
        if index in case.constants:
            operands.append(builder.constant(array, kind))
        else:
            feeds[f"in{index}"] = array
            operands.append(builder.input(f"in{index}", kind, shape))
    options = dict(case.options)
    results = builder.op_many(case.op, *operands, **options)
    return builder.build({f"out{index}": result for index, result in enumerate(results)}), feeds


def _assert_same(got: Array, want: Array, dtype: DataType, what: str, off_by: int) -> None:
    assert (got.dtype, got.shape) == (want.dtype, want.shape), what
    if not dtype.is_float:
        if off_by:
            np.testing.assert_allclose(got.astype(np.int64), want.astype(np.int64), rtol=0, atol=off_by, err_msg=what)
        else:
            np.testing.assert_array_equal(got, want, err_msg=what)
        return
    # Relative to the largest value: single elements may be what is left after large ones cancel.
    finite = np.abs(want[np.isfinite(want)].astype(np.float64))
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(
        got.astype(np.float64), want.astype(np.float64), rtol=0, atol=TOLERANCE[dtype] * scale, err_msg=what
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_an_operator_computes_what_its_definition_says(case: Case) -> None:
    for dtype in _types(case):
        if (case.op, dtype) in UNSUPPORTED:
            continue
        graph, feeds = _build(case, dtype)
        got = BACKEND.compile(graph).run(feeds)
        for name, want in NUMPY.compile(graph).run(feeds).items():
            _assert_same(got[name], want, graph.output_types[name].dtype, f"{case.id} {dtype.value}", case.off_by)


def test_every_operator_is_lowered_or_a_stated_gap() -> None:
    whole_gaps = {op for op, dtype in UNSUPPORTED if dtype is None}
    assert set(LOWERINGS) | whole_gaps == set(OPS)
    assert not set(LOWERINGS) & whole_gaps


def test_no_stated_gap_is_a_type_that_the_specification_requires() -> None:
    required = {(op, dtype) for op, spec in OPS.items() for dtype in spec.operands[0].required}
    assert not {key for key in UNSUPPORTED if key in required or key[1] is None}


def test_every_lowered_operator_has_a_case() -> None:
    assert {case.op for case in CASES} >= set(LOWERINGS)
