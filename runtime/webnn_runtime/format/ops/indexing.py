"""Gathering and scattering by index tensors.

Indices are values, so their range is a matter of the run: -n to -1 count from the end, and what lies
outside is clamped by the kernels.
"""

from __future__ import annotations

from webnn_runtime.format.dims import Dim
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference, shape_text
from webnn_runtime.format.ops.kinds import Axis
from webnn_runtime.format.ops.limits import (
    ANY,
    ANY_RANK,
    FLOATS_BYTES,
    FLOATS_INT32,
    INDICES,
    INT32,
    SCALAR_UP,
    VECTOR_UP,
    VECTOR_UP_REQUIRED,
    operand,
    result,
)
from webnn_runtime.format.ops.spec import Operand, OpSpec, Option

__all__ = ["SPECS"]

_AXIS = Option("axis", Axis(), 0)


def _gather(_: Inference, x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    # The limit table gives the result a rank of at least 1, but a vector by a scalar index is a scalar.
    return x.with_shape((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _gather_elements(context: Inference, x: TensorType, indices: TensorType, *, axis: int) -> TensorType:
    _match_but_axis(context, x, indices, axis)
    return x.with_shape(indices.shape)


def _gather_nd(context: Inference, x: TensorType, indices: TensorType) -> TensorType:
    return x.with_shape(_slices(context, x, indices))


def _scatter_elements(
    context: Inference, x: TensorType, indices: TensorType, updates: TensorType, *, axis: int
) -> TensorType:
    _match_but_axis(context, x, indices, axis)
    context.same_shape(updates.shape, indices.shape, "shapes of updates and indices")
    return x


def _scatter_nd(context: Inference, x: TensorType, indices: TensorType, updates: TensorType) -> TensorType:
    wanted = _slices(context, x, indices)
    context.same_shape(updates.shape, wanted, "shape of updates and the shape that input and indices ask for")
    return x


def _match_but_axis(context: Inference, x: TensorType, indices: TensorType, axis: int) -> None:
    if indices.rank != x.rank:
        raise context.error(f"ranks of input and indices differ, {x} and {indices}")
    for place, (dim, index_dim) in enumerate(zip(x.shape, indices.shape, strict=True)):
        if place != axis:
            context.equal(index_dim, dim, f"dimensions {place} of indices and input")


def _slices(context: Inference, x: TensorType, indices: TensorType) -> tuple[Dim, ...]:
    """Shape of what the rows of `indices` point at: indices.shape[:-1] + input.shape[k:]."""
    depth = indices.shape[-1]
    if not isinstance(depth, int):
        raise context.error(f"last dimension of indices {shape_text(indices.shape)} must be an integer")
    if depth > x.rank:
        raise context.error(f"indices {shape_text(indices.shape)} have {depth} coordinates for {x}")
    return (*indices.shape[:-1], *x.shape[depth:])


def _data(required: str = "") -> Operand:
    types = FLOATS_BYTES if required == "bytes" else FLOATS_INT32
    return operand("input", ANY, types, VECTOR_UP, VECTOR_UP_REQUIRED)


SPECS = (
    OpSpec(
        "gather",
        (_data("bytes"), operand("indices", INDICES, INT32)),
        (_AXIS,),
        (result("input", FLOATS_BYTES),),
        _gather,
        "Slices of the input at indices along axis.",
        "indexing",
        restated=frozenset({"shape"}),
    ),
    OpSpec(
        "gatherElements",
        (_data(), operand("indices", INDICES, INT32, VECTOR_UP, VECTOR_UP_REQUIRED)),
        (_AXIS,),
        (result("input", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        _gather_elements,
        "One element per index: its own position, with the coordinate of axis replaced by the index.",
        "indexing",
    ),
    OpSpec(
        "gatherND",
        (_data("bytes"), operand("indices", INDICES, INT32, VECTOR_UP, VECTOR_UP_REQUIRED)),
        (),
        (result("input", FLOATS_BYTES, ANY_RANK, SCALAR_UP),),
        _gather_nd,
        "Slices of the input at the coordinates in the last dimension of indices.",
        "indexing",
    ),
    OpSpec(
        "scatterElements",
        (
            _data(),
            operand("indices", INDICES, INT32, VECTOR_UP, VECTOR_UP_REQUIRED),
            operand("updates", "input", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),
        ),
        (_AXIS,),
        (result("input", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        _scatter_elements,
        "The input with each update written where gatherElements would have read it.",
        "indexing",
    ),
    OpSpec(
        "scatterND",
        (
            _data(),
            operand("indices", INDICES, INT32, VECTOR_UP, VECTOR_UP_REQUIRED),
            operand("updates", "input", FLOATS_INT32, ANY_RANK, SCALAR_UP),
        ),
        (),
        (result("input", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        _scatter_nd,
        "The input with each update written where gatherND would have read it.",
        "indexing",
    ),
)
