"""Arithmetic of two or more tensors, and functions of one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dims import Dim, SymbolicDim, dim_max, dim_min, is_at_least, is_equal
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.registry import onnx_op
from webnn_translator.scaled_dims import combined, rounded
from webnn_translator.symbolic import Affine, Undecided, map_items, truncated_div
from webnn_translator.tensor import Known, Quantised, Symbols, Tensor

__all__ = ["arithmetic"]

# Infinities are above these: Clip's bounds are never absent. Those of double are infinite in float32, which carries it.
_LARGEST: Final = {Elem.FLOAT: 3.4028234663852886e38, Elem.FLOAT16: 65504.0, Elem.BFLOAT16: 3.3895313892515355e38}

_Exact = Callable[[Context, Dim, Dim], Dim]
_EXACT: Final[dict[str, _Exact]] = {
    "add": lambda _, a, b: a + b,
    "sub": lambda _, a, b: a - b,
    "mul": lambda _, a, b: a * b,
    "div": lambda ctx, a, b: _divided(ctx, a, b),
    "max": lambda ctx, a, b: dim_max(a, b, ctx.ranges),
    "min": lambda ctx, a, b: dim_min(a, b, ctx.ranges),
}


def arithmetic(ctx: Context, op: str, a: Tensor, b: Tensor) -> Tensor:
    """One of the binary operators: on dimension expressions where both sides are known, else in the graph."""
    if a.elem is not b.elem:
        raise Refused(
            f"operands are {a.elem.text} and {b.elem.text}: the operator takes them in one type; the model is not valid"
        )
    left, right = ctx.items(a), ctx.items(b)
    if left is not None and right is not None:
        try:
            return ctx.symbols(map_items(lambda x, y: _EXACT[op](ctx, x, y), left, right), a.elem)
        except Undecided:
            pass  # the graph computes it from the values of the dimensions
    return _grid(ctx, op, a, b) or combined(ctx, op, a, b) or ctx.elementwise(op, a, b)


def _divided(ctx: Context, a: Dim, b: Dim) -> Dim:
    if is_at_least(b, 1, ctx.ranges) and is_at_least(a, 0, ctx.ranges) is None and not is_at_least(0, a, ctx.ranges):
        # A quotient of sizes; below 0 it would be rounded up.
        ctx.demand(a, 0, f"{a} is divided by {b}")
    return truncated_div(a, b, ctx.ranges)


def _grid(ctx: Context, op: str, a: Tensor, b: Tensor) -> Tensor | None:
    """Sums and multiples of position grids are grids, and so is one size repeated as often as another says."""
    if op not in ("add", "sub", "mul") or not any(isinstance(one.content, (Affine, Symbols)) for one in (a, b)):
        return None
    left, right = ctx.affine(a), ctx.affine(b)
    if left is None or right is None:
        return None
    shape, certain = ctx.broadcast(a.shape, b.shape)
    if not certain:
        return None
    x, y = (_aligned(grid, tensor, len(shape)) for grid, tensor in ((left, a), (right, b)))
    if op == "mul":
        if any(stride != 0 for stride in y.strides):
            x, y = y, x
        if any(stride != 0 for stride in y.strides):
            return None
        return Tensor(a.elem, shape, Affine(x.offset * y.offset, tuple(s * y.offset for s in x.strides)))
    sign = 1 if op == "add" else -1
    strides = tuple(s + t * sign for s, t in zip(x.strides, y.strides, strict=True))
    return Tensor(a.elem, shape, Affine(x.offset + y.offset * sign, strides))


def _aligned(grid: Affine, tensor: Tensor, rank: int) -> Affine:
    strides = tuple(0 if dim == 1 else stride for stride, dim in zip(grid.strides, tensor.shape, strict=True))
    return Affine(grid.offset, (0,) * (rank - tensor.rank) + strides)


@onnx_op("Add", since=7)
def add(ctx: Context, node: OnnxNode) -> Tensor:
    """`a + b`."""
    return arithmetic(ctx, "add", node.input(0), node.input(1))


@onnx_op("Sub", since=7)
def sub(ctx: Context, node: OnnxNode) -> Tensor:
    """`a - b`; subtracting a constant zero point keeps weights quantised."""
    a, b = node.input(0), node.input(1)
    return _shifted(ctx, a, b) or arithmetic(ctx, "sub", a, b)


@onnx_op("Mul", since=7)
def mul(ctx: Context, node: OnnxNode) -> Tensor:
    """`a * b`; the scale of quantised weights becomes part of them."""
    a, b = node.input(0), node.input(1)
    return _scaled(ctx, a, b) or _scaled(ctx, b, a) or arithmetic(ctx, "mul", a, b)


@onnx_op("Div", since=7)
def div(ctx: Context, node: OnnxNode) -> Tensor:
    """`a / b`; integers truncate toward zero in both worlds."""
    return arithmetic(ctx, "div", node.input(0), node.input(1))


def _shifted(ctx: Context, a: Tensor, b: Tensor) -> Tensor | None:
    """(q - z) for constant quantised q without a scale and a constant z that its type can hold."""
    zero, weights = ctx.array(b), a.content
    if not isinstance(weights, Quantised) or zero is None or zero.size == 0:
        return None
    if weights.zero_point.any() or not (weights.scale == 1).all() or weights.scale.size != 1:
        return None
    low, high = weights.kind.integer_range
    if zero.ndim > a.rank or (zero != np.rint(zero)).any() or zero.min() < low or zero.max() > high:
        return None
    zero = zero.reshape((1,) * (a.rank - zero.ndim) + zero.shape)
    if not _divides(zero, a):
        return None
    ones = np.ones(zero.shape, weights.scale.dtype)
    whole = Quantised(weights.values, weights.kind, ones, zero.astype(weights.values.dtype), weights.name)
    return Tensor(a.elem, a.shape, whole)


def _scaled(ctx: Context, a: Tensor, b: Tensor) -> Tensor | None:
    """Q * s for constant quantised q that has no scale yet: exactly what dequantizeLinear computes."""
    scale, weights = ctx.array(b), a.content
    if not isinstance(weights, Quantised) or scale is None or a.elem is not b.elem or scale.ndim > a.rank:
        return None
    if not (weights.scale == 1).all() or not np.isfinite(scale).all() or scale.size == 0 or scale.min() <= 0:
        return None
    scale = scale.reshape((1,) * (a.rank - scale.ndim) + scale.shape)
    if not _divides(scale, a):
        return None
    shape = np.broadcast_shapes(scale.shape, weights.zero_point.shape)
    whole = Quantised(
        weights.values,
        weights.kind,
        np.broadcast_to(scale, shape),
        np.broadcast_to(weights.zero_point, shape),
        weights.name,
    )
    return Tensor(a.elem, a.shape, whole)


def _divides(part: Array, whole: Tensor) -> bool:
    """Whether each dimension of a scale or zero point is 1 or that of the weights."""
    return all(part.shape[axis] in (1, dim) for axis, dim in enumerate(whole.shape))


@onnx_op("Max", "Min", "Sum", "Mean", since=6)
def of_one_shape(ctx: Context, node: OnnxNode) -> Tensor:
    """Without broadcasting."""
    first, *others = (operand.shape for operand in node.operands)
    for shape in others:
        if len(shape) != len(first) or any(
            is_equal(*dims, ctx.ranges) is False for dims in zip(first, shape, strict=True)
        ):
            listed = " and ".join(map(str, node.operands))
            raise Refused(f"operands are {listed}, which are of one shape before opset 8; the model is not valid")
    return {"Sum": sum_, "Mean": mean}.get(node.op_type, extremum)(ctx, node)


@onnx_op("Max", "Min", since=8)
def extremum(ctx: Context, node: OnnxNode) -> Tensor:
    """Largest or smallest of any number of tensors."""
    return reduce(lambda a, b: arithmetic(ctx, node.op_type.lower(), a, b), node.operands)


@onnx_op("Sum", since=8)
def sum_(ctx: Context, node: OnnxNode) -> Tensor:
    """Sum of any number of tensors."""
    return reduce(lambda a, b: arithmetic(ctx, "add", a, b), node.operands)


@onnx_op("Mean", since=8)
def mean(ctx: Context, node: OnnxNode) -> Tensor:
    """Mean of any number of tensors."""
    total = sum_(ctx, node)
    return ctx.elementwise("div", total, ctx.scalar(len(node.operands), total.elem))


@onnx_op("Neg", since=6)
def neg(ctx: Context, node: OnnxNode) -> Tensor:
    """-x."""
    x = node.input(0)
    items = ctx.items(x)
    if items is not None:
        return ctx.symbols(map_items(lambda item: -item, items), x.elem)
    return ctx.elementwise("neg", x)


@onnx_op("Abs", since=6)
def abs_(ctx: Context, node: OnnxNode) -> Tensor:
    """Absolute value."""
    x = node.input(0)
    if x.elem.name.startswith("U"):
        return x
    items = ctx.items(x)
    if items is not None and not any(isinstance(item, SymbolicDim) for item in items.flat):
        return ctx.symbols(map_items(lambda item: abs(int(str(item))), items), x.elem)
    return ctx.elementwise("abs", x)


@onnx_op("Sign", since=9)
def sign(ctx: Context, node: OnnxNode) -> Tensor:
    """-1, 0 or 1."""
    x = node.input(0)
    if x.elem.is_integer and x.elem.integer_range[0] == 0:
        return ctx.elementwise("min", x, ctx.scalar(1, x.elem))
    return ctx.elementwise("sign", x)


_UNARY: Final = {
    "Ceil": "ceil",
    "Cos": "cos",
    "Erf": "erf",
    "Exp": "exp",
    "Floor": "floor",
    "Log": "log",
    "Reciprocal": "reciprocal",
    "Round": "roundEven",
    "Sin": "sin",
    "Sqrt": "sqrt",
    "Tan": "tan",
}


@onnx_op(*_UNARY)
def unary(ctx: Context, node: OnnxNode) -> Tensor:
    """Functions that WebNN has under another spelling of the same name."""
    op, x = _UNARY[node.op_type], node.input(0)
    return rounded(op, x) or ctx.elementwise(op, x)


@onnx_op("Clip", since=6)
def clip_before_11(ctx: Context, node: OnnxNode) -> Tensor:
    """Bounds are attributes; float types only. The largest finite numbers are bounds where none is given."""
    x = node.input(0)
    low, high = (node.number(name) if node.has(name) else _widest(x.elem, name) for name in ("min", "max"))
    return _clip(ctx, x, low, high)


@onnx_op("Clip", since=11)
def clip(ctx: Context, node: OnnxNode) -> Tensor:
    """Bounds are optional scalars, the largest finite numbers by default; an upper one below the lower one wins."""
    x = node.input(0)
    bounds: list[Tensor | None] = []
    for index, name in ((1, "min"), (2, "max")):
        bound, widest = node.optional(index), _widest(x.elem, name)
        bounds.append(ctx.scalar(widest, x.elem) if bound is None and widest is not None else bound)
    numbers = [None if bound is None else ctx.uniform(bound) for bound in bounds]
    if all(bound is None or number is not None for bound, number in zip(bounds, numbers, strict=True)):
        low, high = (None if number is None else number.item() for number in numbers)
        if low is None or high is None or low <= high:
            return _clip(ctx, x, low, high)
    for op, bound in zip(("max", "min"), bounds, strict=True):
        if bound is not None:
            x = ctx.elementwise(op, x, bound)
    return x


def _widest(elem: Elem, name: str) -> float | None:
    """What Clip takes for the bound of this name where the model gives none; None where that limits nothing."""
    if elem not in _LARGEST:
        return None
    return -_LARGEST[elem] if name == "min" else _LARGEST[elem]


def _clip(ctx: Context, x: Tensor, low: float | None, high: float | None) -> Tensor:
    options: dict[str, Any] = {
        name: bound for name, bound in (("minValue", low), ("maxValue", high)) if bound is not None
    }
    items = ctx.items(x)
    if items is not None and not isinstance(x.content, Known):
        for op, bound in (("max", low), ("min", high)):
            if bound is not None:
                x = arithmetic(ctx, op, x, ctx.scalar(bound, x.elem))
        return x
    return ctx.elementwise("clamp", x, **options) if options else x
