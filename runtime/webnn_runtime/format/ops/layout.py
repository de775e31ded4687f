"""Shape, order and type: operators that move values or convert them, and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from webnn_runtime.format.dims import Dim, ceil_div, product
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import OptionError
from webnn_runtime.format.graph import TensorType
from webnn_runtime.format.ops.inference import Inference, shape_text
from webnn_runtime.format.ops.kinds import Axes, Axis, Bool, Choice, Dims, DType, Integer, Number, Splits
from webnn_runtime.format.ops.limits import (
    ANY,
    FLOATS,
    FLOATS_BYTES,
    FLOATS_INT32,
    MATRIX_UP,
    MATRIX_UP_REQUIRED,
    MAX_TENSORS,
    VECTOR_UP,
    VECTOR_UP_REQUIRED,
    operand,
    result,
)
from webnn_runtime.format.ops.spec import InferRule, Operands, OpSpec, Option, Options

__all__ = ["SPECS"]


def _cast(_: Inference, x: TensorType, *, to: DataType) -> TensorType:
    return TensorType(to, x.shape)


def _concat(context: Inference, inputs: tuple[TensorType, ...], *, axis: int) -> TensorType:
    first = inputs[0]
    shape = list(first.shape)
    for other in inputs[1:]:
        if other.rank != first.rank:
            raise context.error(f"ranks of the inputs differ, {first} and {other}")
        for place, dim in enumerate(other.shape):
            if place == axis:
                shape[axis] = shape[axis] + dim
            else:
                shape[place] = context.equal(shape[place], dim, f"dimensions {place} of the inputs")
    return first.with_shape(tuple(shape))


def _expand(context: Inference, x: TensorType, *, new_shape: tuple[Dim, ...]) -> TensorType:
    return x.with_shape(context.broadcast_to(x.shape, new_shape, "input"))


def _pad(
    context: Inference,
    x: TensorType,
    *,
    beginning_padding: tuple[Dim, ...],
    ending_padding: tuple[Dim, ...],
    mode: str,
    value: int | float,  # noqa: ARG001  # a rule takes every option of its row
) -> TensorType:
    shape: list[Dim] = []
    for axis, (dim, before, after) in enumerate(zip(x.shape, beginning_padding, ending_padding, strict=True)):
        for amount in (before, after):
            context.at_least(amount, 0, f"padding {amount} of dimension {axis}")
            if mode == "reflection":
                # A reflection leaves out the edge itself: there must be an element beyond it for each one added.
                context.at_least(dim, amount + 1, f"dimension {axis}, reflected by {amount},")
        if mode == "edge" and (before, after) != (0, 0):
            context.at_least(dim, 1, f"dimension {axis}, whose edge is repeated,")
        shape.append(dim + before + after)
    return x.with_shape(tuple(shape))


def _reshape(context: Inference, x: TensorType, *, new_shape: tuple[Dim, ...]) -> TensorType:
    shapes = f"element counts of {shape_text(x.shape)} and {shape_text(new_shape)}"
    context.equal(x.size, product(new_shape), shapes)
    return x.with_shape(new_shape)


def _same(_: Inference, x: TensorType, **_options: object) -> TensorType:
    return x


def _slice(
    context: Inference,
    x: TensorType,
    *,
    sizes: tuple[Dim, ...],
    starts: tuple[Dim, ...],
    strides: tuple[Dim, ...],
) -> TensorType:
    """Sizes count input elements: the result has ceil(size / stride)."""
    shape: list[Dim] = []
    for axis, (dim, start, size, stride) in enumerate(zip(x.shape, starts, sizes, strides, strict=True)):
        context.at_least(start, 0, f"start {start} of dimension {axis}")
        context.at_least(size, 0, f"size {size} of dimension {axis}")
        context.at_least(stride, 1, f"stride {stride} of dimension {axis}")
        context.at_least(dim, start + size, f"dimension {axis}, sliced from {start} by {size},")
        shape.append(ceil_div(size, stride))
    return x.with_shape(tuple(shape))


def _split(context: Inference, x: TensorType, *, axis: int, splits: int | tuple[Dim, ...]) -> tuple[TensorType, ...]:
    dim = x.shape[axis]
    count = splits if isinstance(splits, int) else len(splits)
    if not 1 <= count <= MAX_TENSORS:
        raise OptionError(
            f"split option 'splits' asks for {count} results; 1 to {MAX_TENSORS} are valid",
            node=context.node,
            op=context.op,
        )
    if isinstance(splits, int):
        context.multiple_of(dim, splits, f"dimension {axis}, split into equal parts,")
        sizes: tuple[Dim, ...] = (dim // splits,) * splits
    else:
        total: Dim = 0
        for size in splits:
            total = total + size
        context.equal(total, dim, f"sum of the splits and dimension {axis}")
        sizes = splits
    return tuple(x.with_shape((*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes)


def _tile(context: Inference, x: TensorType, *, repetitions: tuple[Dim, ...]) -> TensorType:
    for axis, count in enumerate(repetitions):
        context.at_least(count, 0, f"repetitions {count} of dimension {axis}")
    return x.with_shape(tuple(dim * count for dim, count in zip(x.shape, repetitions, strict=True)))


def _transpose(_: Inference, x: TensorType, *, permutation: tuple[int, ...]) -> TensorType:
    return x.with_shape(tuple(x.shape[axis] for axis in permutation))


def _rank(types: Sequence[TensorType | None]) -> int:
    first = types[0] if types else None
    return first.rank if first is not None else 0


def _all_axes(types: Operands, _: Options) -> tuple[int, ...]:
    return tuple(range(_rank(types)))


def _reversed_axes(types: Operands, _: Options) -> tuple[int, ...]:
    return tuple(reversed(range(_rank(types))))


def _ones(types: Operands, _: Options) -> tuple[int, ...]:
    return (1,) * _rank(types)


def _row(
    name: str,
    infer: InferRule,
    doc: str,
    *options: Option,
    required: frozenset[DataType] = FLOATS_INT32,
    refused: Mapping[str, str] | None = None,
) -> OpSpec:
    """A row for one operand of any type and any rank."""
    operands, results = (operand("input", ANY, required),), (result("input", required),)
    return OpSpec(name, operands, options, results, infer, doc, "layout", refused or {})


SPECS = (
    OpSpec(
        "cast",
        (operand("input", ANY, FLOATS_BYTES),),
        (Option("to", DType(), aliases=("dataType", "type"), positional=1),),
        (result(ANY, FLOATS_BYTES),),
        _cast,
        "x in another type: floats truncate toward zero, integers keep their low bits.",
        "layout",
    ),
    OpSpec(
        "concat",
        (operand("inputs", ANY, FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED, variadic=True),),
        (Option("axis", Axis(), positional=1),),
        (result("inputs", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        _concat,
        "The inputs one after another along axis.",
        "layout",
    ),
    _row(
        "expand",
        _expand,
        "x repeated along dimensions of size 1, and along new leading ones, up to newShape.",
        Option("newShape", Dims(), positional=1),
        refused={"axes": "give the whole target shape as 'newShape'"},
    ),
    _row("identity", _same, "A copy."),
    _row(
        "pad",
        _pad,
        "x with a border: of value, of its edge, or of its reflection.",
        Option("beginningPadding", Dims(0, per_axis=True), positional=1),
        Option("endingPadding", Dims(0, per_axis=True), positional=2),
        Option("mode", Choice(("constant", "edge", "reflection")), "constant"),
        Option("value", Number(), 0),
        required=FLOATS,
        refused=dict.fromkeys(
            ("padding", "pads"), "give 'beginningPadding' and 'endingPadding', each with one item per dimension"
        ),
    ),
    _row(
        "reshape",
        _reshape,
        "The same elements in row-major order in another shape.",
        Option("newShape", Dims(), positional=1),
        required=FLOATS_BYTES,
        refused={"axes": "give the whole result shape as 'newShape'"},
    ),
    _row(
        "reverse",
        _same,
        "x backwards along axes (all).",
        Option("axes", Axes(), default_for=_all_axes, default_text="all axes"),
    ),
    _row(
        "slice",
        _slice,
        "A window of sizes input elements from starts, every strides-th of them.",
        Option("sizes", Dims(per_axis=True), positional=2),
        Option("starts", Dims(0, per_axis=True), positional=1),
        Option(
            "strides", Dims(per_axis=True), default_for=_ones, default_text="1 for every dimension", aliases=("steps",)
        ),
        required=FLOATS_BYTES,
        refused={
            "ends": "give 'sizes', the number of input elements of each dimension (end - start)",
            "axes": "give 'starts', 'sizes' and 'strides' for every dimension",
        },
    ),
    OpSpec(
        "split",
        (operand("input", ANY, FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED),),
        (Option("axis", Axis(), 0), Option("splits", Splits(), positional=1)),
        (result("input", FLOATS_INT32, VECTOR_UP, VECTOR_UP_REQUIRED, name="outputs", variadic=True),),
        _split,
        "x cut along axis into splits equal parts, or into parts of the sizes in splits.",
        "layout",
    ),
    _row(
        "tile",
        _tile,
        "x repeated as a whole along every dimension.",
        Option("repetitions", Dims(per_axis=True), aliases=("repeats",), positional=1),
    ),
    _row(
        "transpose",
        _transpose,
        "x with its dimensions in the order of permutation (reversed).",
        Option("permutation", Axes(every=True), default_for=_reversed_axes, default_text="reversed order"),
    ),
    OpSpec(
        "triangular",
        (operand("input", ANY, FLOATS, MATRIX_UP, MATRIX_UP_REQUIRED),),
        (
            Option("diagonal", Integer(-(2**31), 2**31 - 1), 0, aliases=("k",)),
            Option("upper", Bool(), True),
        ),
        (result("input", FLOATS, MATRIX_UP, MATRIX_UP_REQUIRED),),
        _same,
        "The part of each matrix on and above (else below) a diagonal; the rest becomes 0.",
        "layout",
    ),
)
