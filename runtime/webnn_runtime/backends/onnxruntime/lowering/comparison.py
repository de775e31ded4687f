"""Comparisons, logic and selection: ONNX booleans inside, uint8 outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.format.dtypes import DataType

__all__: list[str] = []

_ORDER: Final = {
    "greater": "Greater",
    "greaterOrEqual": "GreaterOrEqual",
    "lesser": "Less",
    "lesserOrEqual": "LessOrEqual",
}
_LOGIC: Final = {"logicalAnd": "And", "logicalOr": "Or", "logicalXor": "Xor"}
_TESTS: Final = {"isNaN": "IsNaN", "isInfinite": "IsInf"}


def _order(onnx_op: str) -> Callable[[Emitter, Tensor, Tensor], str]:
    return lambda g, a, b: g.from_truth(g.node(onnx_op, g.ordered(onnx_op, a), g.ordered(onnx_op, b)))


def _logic(onnx_op: str) -> Callable[[Emitter, Tensor, Tensor], str]:
    return lambda g, a, b: g.from_truth(g.node(onnx_op, g.truth(a), g.truth(b)))


def _test(onnx_op: str) -> Callable[[Emitter, Tensor], str]:
    return lambda g, a: g.from_truth(g.node(onnx_op, a))


for _name, _onnx in _ORDER.items():
    lowering(_name)(_order(_onnx))
for _name, _onnx in _LOGIC.items():
    lowering(_name)(_logic(_onnx))
for _name, _onnx in _TESTS.items():
    lowering(_name)(_test(_onnx))


def _equality(g: Emitter, a: Tensor, b: Tensor) -> str:
    return g.node("Equal", g.ordered("Equal", a), g.ordered("Equal", b))


@lowering("equal")
def _equal(g: Emitter, a: Tensor, b: Tensor) -> str:
    return g.from_truth(_equality(g, a, b))


@lowering("notEqual")
def _not_equal(g: Emitter, a: Tensor, b: Tensor) -> str:
    return g.from_truth(g.node("Not", _equality(g, a, b)))


@lowering("logicalNot")
def _logical_not(g: Emitter, a: Tensor) -> str:
    return g.from_truth(g.node("Not", g.truth(a)))


@lowering("where")
def _where(g: Emitter, condition: Tensor, true_value: Tensor, false_value: Tensor) -> str:
    dtype = true_value.dtype
    wide = kernel_type("Where", dtype)
    if wide is DataType.INT32 or wide is DataType.INT64 or wide is dtype:
        branches = (value.name if wide is dtype else g.cast(value, wide) for value in (true_value, false_value))
        result = g.node("Where", g.truth(condition), *branches)
        return result if wide is dtype else g.cast(result, dtype)
    raise AssertionError(f"no wider type for {dtype}")
