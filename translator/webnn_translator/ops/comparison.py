"""Comparisons, logic and selection. bool is uint8 holding 0 or 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from webnn_runtime.format.dims import Dim, bounds, is_at_least, is_equal
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.registry import onnx_op
from webnn_translator.symbolic import Affine, Relation, Undecided, compare, map_items
from webnn_translator.tensor import Tensor

_COMPARISONS: Final = {
    "Equal": "equal",
    "Greater": "greater",
    "GreaterOrEqual": "greaterOrEqual",
    "Less": "lesser",
    "LessOrEqual": "lesserOrEqual",
}
_RELATIONS: Final[dict[str, Relation]] = {
    "Equal": is_equal,
    "GreaterOrEqual": is_at_least,
    "LessOrEqual": lambda a, b, ranges: is_at_least(b, a, ranges),
    "Greater": lambda a, b, ranges: is_at_least(a, b + 1, ranges),
    "Less": lambda a, b, ranges: is_at_least(b, a + 1, ranges),
}


@onnx_op("Equal", "Greater", "Less", since=7)
@onnx_op("GreaterOrEqual", "LessOrEqual", since=12)
def comparison(ctx: Context, node: OnnxNode) -> Tensor:
    """Decided here where the ranges of dimensions suffice, else computed."""
    a, b = node.input(0), node.input(1)
    left, right = ctx.items(a), ctx.items(b)
    relation = _RELATIONS[node.op_type]
    if left is not None and right is not None:
        try:
            decided = map_items(lambda x, y: int(compare(relation, x, y, ctx.ranges)), left, right)
            return ctx.symbols(decided, Elem.BOOL)
        except Undecided:
            pass  # the graph compares the values of the dimensions
    return _uniform_verdict(ctx, node.op_type, a, b) or ctx.elementwise(
        _COMPARISONS[node.op_type], a, b, elem=Elem.BOOL
    )


def _uniform_verdict(ctx: Context, op_type: str, a: Tensor, b: Tensor) -> Tensor | None:
    """One verdict for all pairs, where the extremes of two grids decide it (positions >= 0)."""
    if op_type == "Equal" or not (isinstance(a.content, Affine) or isinstance(b.content, Affine)):
        return None
    left, right = ctx.affine(a), ctx.affine(b)
    if left is None or right is None:
        return None
    ends_a, ends_b = left.extremes(a.shape, ctx.ranges), right.extremes(b.shape, ctx.ranges)
    if ends_a is None or ends_b is None or any(bounds(dim, ctx.ranges)[0] < 1 for dim in (*a.shape, *b.shape)):
        return None
    relation = _RELATIONS[op_type]
    verdicts = {relation(x, y, ctx.ranges) for x in ends_a for y in ends_b}
    if len(verdicts) != 1 or None in verdicts:
        return None
    shape, certain = ctx.broadcast(a.shape, b.shape)
    return ctx.known(np.asarray(verdicts.pop()), Elem.BOOL, shape) if certain else None


@onnx_op("Not")
def not_(ctx: Context, node: OnnxNode) -> Tensor:
    """Logical not."""
    x = node.input(0)
    array = ctx.uniform(x)
    if array is not None:
        return ctx.known(np.asarray(not array), Elem.BOOL, x.shape)
    return ctx.elementwise("logicalNot", x)


@onnx_op("And", "Or", "Xor", since=7)
def logic(ctx: Context, node: OnnxNode) -> Tensor:
    """Logic of two; a side that is the same everywhere decides or drops out."""
    a, b = node.input(0), node.input(1)
    for one, other in ((a, b), (b, a)):
        same = ctx.uniform(one)
        if same is None or node.op_type == "Xor":
            continue
        shape, certain = ctx.broadcast(a.shape, b.shape)
        if not certain:
            continue
        if bool(same) == (node.op_type == "And"):
            return Tensor(Elem.BOOL, shape, other.content) if shape != other.shape else other
        return ctx.known(np.asarray(bool(same)), Elem.BOOL, shape)
    return ctx.elementwise(f"logical{node.op_type}", a, b)


@onnx_op("Where", since=9)
def where(ctx: Context, node: OnnxNode) -> Tensor:
    """Elements of one tensor or the other."""
    condition, a, b = (node.input(index) for index in range(3))
    if a.elem is not b.elem:
        raise Refused(f"branches are {a.elem.text} and {b.elem.text}; the model is not valid")
    known = [ctx.items(tensor) for tensor in (condition, a, b)]
    if all(items is not None for items in known):
        return ctx.symbols(map_items(_chosen, *(items for items in known if items is not None)), a.elem)
    verdict = ctx.uniform(condition)
    chosen = a if verdict else b
    shape, certain = ctx.broadcast(condition.shape, a.shape, b.shape)
    if verdict is not None and certain and chosen.shape == shape:
        return chosen
    return ctx.elementwise("where", condition, a, b, elem=a.elem)


def _chosen(condition: Dim, yes: Dim, no: Dim) -> Dim:
    return yes if condition == 1 else no


@onnx_op("IsNaN", since=9)
def is_nan(ctx: Context, node: OnnxNode) -> Tensor:
    """NaN or not."""
    return ctx.elementwise("isNaN", node.input(0), elem=Elem.BOOL)


@onnx_op("IsInf", since=10)
def is_inf(ctx: Context, node: OnnxNode) -> Tensor:
    """Infinite or not; each sign can be left out."""
    x = node.input(0)
    positive, negative = node.flag("detect_positive", 1), node.flag("detect_negative", 1)
    if positive and negative:
        return ctx.elementwise("isInfinite", x, elem=Elem.BOOL)
    if not positive and not negative:
        return ctx.known(np.asarray(False), Elem.BOOL, x.shape)
    infinity = ctx.scalar(np.inf if positive else -np.inf, x.elem)
    return ctx.elementwise("equal", x, infinity, elem=Elem.BOOL)
