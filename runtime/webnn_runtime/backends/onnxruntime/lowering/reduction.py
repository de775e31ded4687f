"""Reductions, the index of the extreme, and the running sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webnn_runtime.backends.onnxruntime.emitter import Emitter, Tensor, kernel_type
from webnn_runtime.backends.onnxruntime.lowering._registry import lowering
from webnn_runtime.backends.onnxruntime.lowering.integers import reduce_extreme, reduce_product, reduce_sum
from webnn_runtime.backends.onnxruntime.types import DOUBLE
from webnn_runtime.format.dtypes import DataType

__all__: list[str] = []

_Axes = tuple[int, ...] | None
# What the function does to one element: ONNX kernels leave it out when no axis is reduced.
_EACH: Final = {
    "ReduceL1": ("Abs",),
    "ReduceL2": ("Abs",),
    "ReduceLogSum": ("Log",),
    "ReduceSumSquare": ("Square",),
}


def _demand_elements(g: Emitter, op: str, x: Tensor, axes: _Axes) -> None:
    along = range(x.rank) if axes is None else axes
    kept = [dim for axis, dim in enumerate(x.shape) if axis not in along]
    g.demand_elements(op, [x.shape[axis] for axis in along], kept, "reduces no elements; give it at least one")


def _reduce(g: Emitter, onnx_op: str, x: str, rank: int, axes: _Axes, keep: bool) -> str:
    if axes is None:
        axes = tuple(range(rank))
    if axes:
        return g.node(onnx_op, x, g.ints(sorted(axes)), keepdims=keep)
    for function in _EACH.get(onnx_op, ("Identity",)):
        x = g.node("Mul", x, x) if function == "Square" else g.node(function, x)
    return x


def _float(onnx_op: str) -> Callable[..., str]:
    def lower(g: Emitter, x: Tensor, *, axes: _Axes, keep_dimensions: bool) -> str:
        return _reduce(g, onnx_op, x.name, x.rank, axes, keep_dimensions)

    return lower


def _wrapping(onnx_op: str) -> Callable[..., str]:
    def lower(g: Emitter, x: Tensor, *, axes: _Axes, keep_dimensions: bool) -> str:
        if x.dtype.is_float:
            return _reduce(g, onnx_op, x.name, x.rank, axes, keep_dimensions)
        name = x.name if x.dtype is DataType.INT64 else g.cast(x, DataType.INT64)
        if onnx_op == "ReduceL1" and x.dtype in (DataType.INT32, DataType.INT64):
            # Unsigned values are their own absolutes, also where the int64 that carries them looks negative.
            name = g.node("Abs", name)
        elif onnx_op == "ReduceSumSquare":
            name = g.node("Mul", name, name)
        along = range(x.rank) if axes is None else axes
        if along and onnx_op == "ReduceProd":
            name = reduce_product(g, name, x.shape, along, keep=keep_dimensions)
        elif along and x.dtype.bits == 32 and onnx_op != "ReduceSumSquare":
            name = g.node("ReduceSum", name, g.ints(sorted(along)), keepdims=keep_dimensions)
        elif along:
            name = reduce_sum(g, name, along, keep=keep_dimensions)
        return g.node("Identity", x) if name == x.name else g.cast(name, x.dtype)

    return lower


def _log_sum_exp(g: Emitter, x: Tensor, *, axes: _Axes, keep_dimensions: bool) -> str:
    _demand_elements(g, "reduceLogSumExp", x, axes)
    return _reduce(g, "ReduceLogSumExp", x.name, x.rank, axes, keep_dimensions)


def _mean(g: Emitter, x: Tensor, *, axes: _Axes, keep_dimensions: bool) -> str:
    found = _reduce(g, "ReduceMean", x.name, x.rank, axes, keep_dimensions)
    reduced = [x.shape[axis] for axis in (range(x.rank) if axes is None else axes)]
    if all(map(g.is_positive, reduced)):
        return found
    # onnxruntime takes the mean of no elements for 0. It is 0 / 0, and 0 / n is nothing to add.
    count = g.cast(g.node("ReduceProd", g.dims(reduced), keepdims=False), DataType.FLOAT32)
    return g.node("Add", found, g.cast(g.node("Div", g.scalar(0, DataType.FLOAT32), count), x.dtype))


def _extreme(name: str) -> Callable[..., str]:
    onnx_op = f"Reduce{name}"

    def lower(g: Emitter, x: Tensor, *, axes: _Axes, keep_dimensions: bool) -> str:
        _demand_elements(g, f"reduce{name}", x, axes)
        along = tuple(range(x.rank)) if axes is None else axes
        if along and x.dtype is DataType.UINT32:
            found = _reduce(g, onnx_op, g.cast(x, DOUBLE), x.rank, axes, keep_dimensions)
            return g.cast(found, x.dtype)
        ordered = g.ordered(onnx_op, x)
        if along and x.dtype in (DataType.INT64, DataType.UINT64):
            found = reduce_extreme(g, onnx_op, ordered, along, keep=keep_dimensions)
        else:
            found = _reduce(g, onnx_op, ordered, x.rank, axes, keep_dimensions)
        return g.from_ordered(onnx_op, found, x.dtype)

    return lower


lowering("reduceLogSumExp")(_log_sum_exp)
lowering("reduceMean")(_mean)
for _name in ("L2", "LogSum"):
    lowering(f"reduce{_name}")(_float(f"Reduce{_name}"))
for _name, _onnx in {"L1": "L1", "Sum": "Sum", "SumSquare": "SumSquare", "Product": "Prod"}.items():
    lowering(f"reduce{_name}")(_wrapping(f"Reduce{_onnx}"))
for _name in ("Max", "Min"):
    lowering(f"reduce{_name}")(_extreme(_name))


def _arg(onnx_op: str) -> Callable[..., str]:
    def lower(g: Emitter, x: Tensor, *, axis: int, keep_dimensions: bool, output_data_type: DataType) -> str:
        found = g.node(onnx_op, g.ordered(onnx_op, x), axis=axis, keepdims=keep_dimensions)
        return found if output_data_type is DataType.INT64 else g.cast(found, output_data_type)

    return lower


lowering("argMin")(_arg("ArgMin"))
lowering("argMax")(_arg("ArgMax"))


@lowering("cumulativeSum")
def _cumulative_sum(g: Emitter, x: Tensor, *, axis: int, exclusive: bool, reversed: bool) -> str:
    wide = kernel_type("CumSum", x.dtype)
    name = x.name if wide is x.dtype else g.cast(x, wide)
    result = g.node("CumSum", name, g.scalar(axis, DataType.INT64), exclusive=exclusive, reverse=reversed)
    return result if wide is x.dtype else g.cast(result, x.dtype)
