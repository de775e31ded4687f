"""Operators of ai.onnx.ml that are arithmetic on columns of numbers."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.dims import product
from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.trees import TRANSFORMS, beside, best_label, class_labels, of_two, transformed
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_DOMAIN = "ai.onnx.ml"
_SIZES = {"MAX": "reduceMax", "L1": "reduceL1", "L2": "reduceL2"}


@onnx_op("Binarizer", domain=_DOMAIN, attributes=("threshold",))
def binarizer(ctx: Context, node: OnnxNode) -> Tensor:
    """1 above the threshold, else 0."""
    x = node.input(0)
    f = Formula(ctx, x.elem)
    threshold = node.number("threshold", 0.0)
    if x.elem.is_integer:
        # The first integer that is not above it.
        threshold = float(np.floor(threshold))
    return f("where", f("greater", x, threshold), 1, ctx.scalar(0, x.elem))


@onnx_op("Scaler", domain=_DOMAIN, attributes=("offset", "scale"))
def scaler(ctx: Context, node: OnnxNode) -> Tensor:
    """(x - offset) * scale, per column or the same for all."""
    x = convert(ctx, node.input(0), Elem.FLOAT)
    offset, scale = (np.asarray(node.numbers(name), np.float32) for name in ("offset", "scale"))
    f = Formula(ctx, Elem.FLOAT)
    return f("mul", f("sub", x, _columns(ctx, x, offset, "offset")), _columns(ctx, x, scale, "scale"))


def _columns(ctx: Context, x: Tensor, numbers: Array, what: str) -> Tensor:
    if x.rank not in (1, 2) or (numbers.size != 1 and not ctx.same(x.shape[-1], numbers.size)):
        raise Refused(f"{what} has {numbers.size} numbers for {x}; one, or one for each column is needed")
    return ctx.known(numbers.reshape(()) if numbers.size == 1 else numbers)


@onnx_op("Normalizer", domain=_DOMAIN, attributes=("norm",))
def normalizer(ctx: Context, node: OnnxNode) -> Tensor:
    """Each row divided by its sum of sizes or its length; a row of zeros stays one."""
    x = convert(ctx, node.input(0), Elem.FLOAT)
    norm = node.choice("norm", "MAX", "MAX", "L1", "L2")
    f = Formula(ctx, Elem.FLOAT)
    size = f.reduce(_SIZES[norm], x, (x.rank - 1,), keep=True)
    return f("div", x, f("where", f("equal", size, 0), 1, size))


@onnx_op("LinearRegressor", domain=_DOMAIN, attributes=("coefficients", "intercepts", "post_transform", "targets"))
def linear_regressor(ctx: Context, node: OnnxNode) -> Tensor:
    """[rows, targets]: x times the coefficients of each target, plus its intercept."""
    x = convert(ctx, node.input(0), Elem.FLOAT)
    targets = node.integer("targets", 1)
    node.choice("post_transform", "NONE", "NONE")
    weights = np.asarray(node.numbers("coefficients"), np.float32)
    intercepts = np.asarray(node.numbers("intercepts", ()), np.float32)
    if x.rank == 1:
        x = reshape_to(ctx, x, (1, *x.shape))
    if x.rank != 2 or targets < 1 or weights.size % targets or not ctx.same(x.shape[1], weights.size // targets):
        raise Refused(f"{weights.size} coefficients for {x} and {targets} targets; the model is not valid")
    made = matmul_of(ctx, x, ctx.known(np.ascontiguousarray(weights.reshape(targets, -1).T)))
    if intercepts.size not in (0, targets):
        raise Refused(f"{intercepts.size} intercepts for {targets} targets; the model is not valid")
    return made if not intercepts.size else Formula(ctx, Elem.FLOAT)("add", made, ctx.known(intercepts))


@onnx_op(
    "LinearClassifier",
    domain=_DOMAIN,
    attributes=(
        *("classlabels_ints", "classlabels_strings", "coefficients", "intercepts"),
        *("multi_class", "post_transform"),
    ),
)
def linear_classifier(ctx: Context, node: OnnxNode) -> tuple[Tensor, Tensor]:
    """The label of the best class, and [rows, classes] scores: x times the coefficients of each class."""
    labels = class_labels(node, "classlabels_ints", "classlabels_strings")
    node.ignore("multi_class")
    transform = node.choice("post_transform", "NONE", *TRANSFORMS)
    x = convert(ctx, node.input(0), Elem.FLOAT)
    weights = np.asarray(node.numbers("coefficients"), np.float32)
    intercepts = np.asarray(node.numbers("intercepts", ()), np.float32)
    count = intercepts.size or len(labels)
    if x.rank != 2 or weights.size % count or not ctx.same(x.shape[1], weights.size // count):
        raise Refused(f"{weights.size} coefficients for {x} and {count} classes; the model is not valid")
    if len(labels) < 2 or count not in {len(labels), len(labels) - 1 if len(labels) == 2 else 0}:
        raise Refused(f"{count} scores for {len(labels)} classes; the model is not valid")
    scores = matmul_of(ctx, x, ctx.known(np.ascontiguousarray(weights.reshape(count, -1).T)))
    f = Formula(ctx, Elem.FLOAT)
    if intercepts.size:
        scores = f("add", scores, ctx.known(intercepts))
    if count > 1:
        return best_label(ctx, scores, labels), transformed(ctx, scores, transform)
    if transform not in ("NONE", "LOGISTIC"):
        raise Refused(f"post_transform {transform} of one score for two classes; supported: NONE, LOGISTIC")
    other = f("neg", scores) if transform == "LOGISTIC" else f("sub", 1, scores)
    return of_two(ctx, f("greater", scores, 0), labels), transformed(ctx, beside(ctx, other, scores), transform)


@onnx_op("ArrayFeatureExtractor", domain=_DOMAIN, attributes=())
def array_feature_extractor(ctx: Context, node: OnnxNode) -> Tensor:
    """Columns picked by their index."""
    x, picks = node.input(0), node.input(1)
    count = product(list(picks.shape))
    flat = reshape_to(ctx, picks, (count,))
    made = ctx.computed(x.elem, "gather", ctx.full(x), ctx.full(flat), axis=x.rank - 1)
    return reshape_to(ctx, made, (1, count)) if x.rank == 1 else made


@onnx_op("ZipMap", domain=_DOMAIN, attributes=("classlabels_int64s", "classlabels_strings"))
def zip_map(ctx: Context, node: OnnxNode) -> Tensor:
    """A dictionary of scores by label for each row: the scores, with the labels of their columns kept beside them."""
    x = node.input(0)
    labels = (*node.integers("classlabels_int64s", ()), *(node.attributes.get("classlabels_strings") or ()))
    if x.rank == 1:
        x = reshape_to(ctx, x, (1, *x.shape))
    if x.rank != 2 or not ctx.same(x.shape[1], len(labels)) or len(set(labels)) < len(labels):
        raise Refused(f"{len(labels)} labels, {len(set(labels))} of them different, for {x}; the model is not valid")
    ctx.labels[node.outputs[0]] = labels
    return x
