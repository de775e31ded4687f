"""How far a result may be from the expected one, per operator and type of the result.

The budgets are those of the web-platform-tests: a distance in units of the last place (ULP), or an
absolute difference. Operators of one graph add up. Integers are exact unless a budget says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node, TensorType

__all__ = ["BUDGETS", "Budget", "Tolerance", "tolerance_of"]


@dataclass(frozen=True, slots=True)
class Tolerance:
    """A result is close enough within either of the two.

    Attributes:
        ulp: distance in representable values.
        absolute: difference of the values.
    """

    ulp: float = 0.0
    absolute: float = 0.0

    def __add__(self, other: Tolerance) -> Tolerance:
        return Tolerance(self.ulp + other.ulp, self.absolute + other.absolute)

    def __str__(self) -> str:
        return f"{self.absolute:g} absolute" if self.absolute else f"{self.ulp:g} ULP"


# (node, shape of each operand) -> ULP
_Formula: TypeAlias = Callable[[Node, "tuple[tuple[int, ...], ...]"], float]


@dataclass(frozen=True, slots=True)
class Budget:
    """What one operator may be off.

    Attributes:
        float32: ULP, or a formula for it.
        float16: the same; as float32 where it is None.
        integer: difference of integer results.
        absolute: absolute differences (float32, float16) instead of ULP.
    """

    float32: float | _Formula = 0.0
    float16: float | _Formula | None = None
    integer: float = 0.0
    absolute: tuple[float, float] | None = None


def _exact(*names: str) -> dict[str, Budget]:
    return dict.fromkeys(names, Budget())


def _options(node: Node) -> Mapping[str, Any]:
    return node.options


def _reduced(node: Node, shapes: tuple[tuple[int, ...], ...]) -> int:
    """Number of elements that make one element of a reduction."""
    axes = _options(node)["axes"]
    return math.prod(shapes[0] if axes is None else (shapes[0][axis] for axis in axes))


def _window(node: Node, shapes: tuple[tuple[int, ...], ...]) -> float:
    window = _options(node)["windowDimensions"]
    spatial = shapes[0][1:3] if _options(node)["layout"] == "nhwc" else shapes[0][2:4]
    return float(math.prod(window or spatial)) + 2


def _convolution(node: Node, shapes: tuple[tuple[int, ...], ...]) -> float:
    options, (image, kernel) = _options(node), shapes[:2]
    channels = image[1] if options["inputLayout"] == "nchw" else image[3]
    layout: str = options["filterLayout"]
    groups: int = options["groups"]
    return 2.0 * kernel[layout.index("h")] * kernel[layout.index("w")] * channels / groups


def _gemm(node: Node, shapes: tuple[tuple[int, ...], ...]) -> float:
    options = _options(node)
    alpha: float = options["alpha"]
    beta: float = options["beta"]
    inner = shapes[0][0] if options["aTranspose"] else shapes[0][1]
    has_c = len(shapes) > 2 and beta != 0
    return 2.0 * inner + (alpha != 1) + has_c * (1 + (beta != 1))


def _resample(float_ulp: float) -> _Formula:
    return lambda node, _: float_ulp if _options(node)["mode"] == "linear" else 0.0


_COARSE: Final = (1 / 1024, 1 / 512)

BUDGETS: Final[Mapping[str, Budget]] = MappingProxyType(
    {
        **_exact("max", "min", "clamp", "relu", "abs", "ceil", "floor", "neg", "sign", "roundEven", "identity"),
        **_exact("equal", "notEqual", "greater", "greaterOrEqual", "lesser", "lesserOrEqual", "isNaN", "isInfinite"),
        **_exact("logicalNot", "logicalAnd", "logicalOr", "logicalXor", "where", "argMax", "argMin"),
        **_exact("concat", "expand", "pad", "reshape", "reverse", "slice", "split", "tile", "transpose", "triangular"),
        **_exact("gather", "gatherElements", "gatherND", "scatterElements", "scatterND"),
        **_exact("maxPool2d", "reduceMax", "reduceMin"),
        "add": Budget(1),
        "sub": Budget(1),
        "mul": Budget(1),
        "div": Budget(2),
        "pow": Budget(32, 2),
        "exp": Budget(32, 1),
        "sqrt": Budget(1),
        "reciprocal": Budget(2),
        "log": Budget(absolute=(1 / 1024, 1 / 1024)),
        "sin": Budget(absolute=_COARSE),
        "cos": Budget(absolute=_COARSE),
        "tan": Budget(absolute=_COARSE),
        "erf": Budget(absolute=_COARSE),
        "sigmoid": Budget(34, 10),
        "tanh": Budget(16),
        "elu": Budget(18),
        "gelu": Budget(18),
        "softplus": Budget(18),
        "softsign": Budget(3),
        "hardSigmoid": Budget(2),
        "hardSwish": Budget(4),
        "leakyRelu": Budget(1, 2),
        "linear": Budget(2),
        "prelu": Budget(1),
        "softmax": Budget(lambda node, shapes: 3.0 * shapes[0][_options(node)["axis"]] + 3),
        "cast": Budget(1),
        "quantizeLinear": Budget(1, integer=1),
        "dequantizeLinear": Budget(1, integer=1),
        "batchNormalization": Budget(6),
        "instanceNormalization": Budget(840, 8400),
        "layerNormalization": Budget(absolute=_COARSE),
        "matmul": Budget(lambda _, shapes: 2.0 * shapes[0][-1]),
        "gemm": Budget(_gemm),
        "conv2d": Budget(_convolution),
        "convTranspose2d": Budget(_convolution),
        "averagePool2d": Budget(_window),
        "l2Pool2d": Budget(_window),
        "reduceL1": Budget(_reduced),
        "reduceSum": Budget(_reduced),
        "reduceProduct": Budget(_reduced),
        "reduceL2": Budget(lambda node, shapes: 2.0 * _reduced(node, shapes) + 2),
        "reduceLogSum": Budget(lambda node, shapes: _reduced(node, shapes) + 18.0),
        "reduceLogSumExp": Budget(lambda node, shapes: 2.0 * _reduced(node, shapes) + 18),
        "reduceMean": Budget(lambda node, shapes: _reduced(node, shapes) + 2.0),
        "reduceSumSquare": Budget(lambda node, shapes: 2.0 * _reduced(node, shapes)),
        "cumulativeSum": Budget(lambda node, shapes: shapes[0][_options(node)["axis"]] - 1.0),
        "resample2d": Budget(_resample(84), _resample(10), integer=1),
        "gru": Budget(3),
        "gruCell": Budget(3),
        "lstm": Budget(1),
        "lstmCell": Budget(1),
    }
)


def tolerance_of(graph: Graph) -> Tolerance:
    """The sum of the budgets of all nodes; the graph's shapes must be static."""
    total = Tolerance()
    for node in graph.nodes:
        operands = tuple(graph.types[value].static_shape for value in node.inputs if value is not None)
        total += _node_tolerance(node, operands, graph.types[node.outputs[0]])
    return total


def _node_tolerance(node: Node, shapes: tuple[tuple[int, ...], ...], result: TensorType) -> Tolerance:
    budget = BUDGETS[node.op]
    if not result.dtype.is_float:
        return Tolerance(budget.integer)
    is_half = result.dtype is DataType.FLOAT16
    if budget.absolute is not None:
        return Tolerance(absolute=budget.absolute[is_half])
    ulp = budget.float16 if is_half and budget.float16 is not None else budget.float32
    return Tolerance(float(ulp if isinstance(ulp, (int, float)) else ulp(node, shapes)))
