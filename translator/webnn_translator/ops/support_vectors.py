"""Support vector machines of ai.onnx.ml: how near a row is to each of some stored ones, weighed and added up."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import reshape_to
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.ops.shape import convert
from webnn_translator.ops.trees import beside, best_label, class_labels, of_two
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []

_DOMAIN: Final = "ai.onnx.ml"
_COMMON: Final = ("coefficients", "kernel_params", "kernel_type", "post_transform", "rho", "support_vectors")


@onnx_op("SVMRegressor", domain=_DOMAIN, attributes=(*_COMMON, "n_supports", "one_class"))
def svm_regressor(ctx: Context, node: OnnxNode) -> Tensor:
    """[rows, 1]: the weighed sum plus rho; for one class 1 above 0, else -1."""
    x, weights = _rows(ctx, node), _floats(node, "coefficients")
    node.choice("post_transform", "NONE", "NONE")
    rho = _floats(node, "rho")
    supports = node.integer("n_supports", 0)
    vectors = _floats(node, "support_vectors", ()) if supports else weights
    near = _kernel(ctx, node, x, vectors.reshape(max(supports, 1), -1))
    f = Formula(ctx, Elem.FLOAT)
    total = f("add", matmul_of(ctx, near, ctx.known(weights.reshape(-1, 1))) if supports else near, float(rho[0]))
    return f("where", f("greater", total, 0), 1, ctx.scalar(-1, Elem.FLOAT)) if node.flag("one_class", 0) else total


@onnx_op(
    "SVMClassifier",
    domain=_DOMAIN,
    attributes=(*_COMMON, "classlabels_ints", "classlabels_strings", "prob_a", "prob_b", "vectors_per_class"),
)
def svm_classifier(ctx: Context, node: OnnxNode) -> tuple[Tensor, Tensor]:
    """The label that wins most of the pairs of classes, and a score for each pair."""
    labels = class_labels(node, "classlabels_ints", "classlabels_strings")
    node.choice("post_transform", "NONE", "NONE")
    if node.attributes.get("prob_a") or node.attributes.get("prob_b"):
        raise Refused(
            "its probabilities are found by rounds that data ends; "
            "train it without (scikit-learn: SVC(probability=False)), or calibrate outside"
        )
    x, counts = _rows(ctx, node), node.integers("vectors_per_class", ())
    classes, supports = len(labels), sum(counts)
    if classes < 2 or len(counts) != classes:
        raise Refused(
            f"{len(counts)} groups of support vectors for {classes} classes; "
            "each of two or more classes needs its own (a linear one is a LinearClassifier)"
        )
    weights = _floats(node, "coefficients").reshape(classes - 1, supports)
    near = _kernel(ctx, node, x, _floats(node, "support_vectors").reshape(supports, -1))
    starts = np.cumsum([0, *counts])
    pairs = list(combinations(range(classes), 2))
    table = np.zeros((supports, len(pairs)), np.float32)
    votes = np.zeros((2, len(pairs), classes), np.float32)
    for pair, (one, other) in enumerate(pairs):
        for mine, against in ((one, other - 1), (other, one)):
            part = slice(starts[mine], starts[mine + 1])
            table[part, pair] = weights[against, part]
        votes[0, pair, one] = votes[1, pair, other] = 1
    f = Formula(ctx, Elem.FLOAT)
    scores = f("add", matmul_of(ctx, near, ctx.known(table)), ctx.known(_floats(node, "rho")))
    if classes == 2:
        # Above 0 the first class wins, and the table has the score of the second one as well.
        if (weights >= 0).all():
            raise Refused("its coefficients are all positive, which runtimes read as probabilities")
        return of_two(ctx, f("lesserOrEqual", scores, 0), labels), beside(ctx, f("neg", scores), scores)
    wins = convert(ctx, f("greater", scores, 0), Elem.FLOAT)
    won = f(
        "add",
        matmul_of(ctx, wins, ctx.known(votes[0])),
        matmul_of(ctx, f("sub", 1, wins), ctx.known(votes[1])),
    )
    return best_label(ctx, won, labels), scores


def _rows(ctx: Context, node: OnnxNode) -> Tensor:
    x = convert(ctx, node.input(0), Elem.FLOAT)
    if x.rank == 1:
        x = reshape_to(ctx, x, (1, *x.shape))
    if x.rank != 2:
        raise Refused(f"the input is {x}; rank 2 is needed")
    return x


def _floats(node: OnnxNode, name: str, default: tuple[float, ...] | None = None) -> Array:
    return np.asarray(node.numbers(name, default), np.float32)


def _kernel(ctx: Context, node: OnnxNode, x: Tensor, vectors: Array) -> Tensor:
    """[rows, vectors] how near each row is to each of the vectors."""
    kind = node.choice("kernel_type", "LINEAR", "LINEAR", "POLY", "RBF", "SIGMOID")
    gamma, shift, degree = (*node.numbers("kernel_params", ()), 0.0, 0.0, 0.0)[:3]
    if not ctx.same(x.shape[1], vectors.shape[1]):
        raise Refused(f"support vectors of {vectors.shape[1]} numbers for {x}; the model is not valid")
    f = Formula(ctx, Elem.FLOAT)
    if kind == "RBF":
        # Differences, not squares and products: those would cancel.
        apart = f("sub", reshape_to(ctx, x, (x.shape[0], 1, x.shape[1])), ctx.known(vectors))
        return f("exp", f("mul", f.reduce("reduceSumSquare", apart, (2,)), -gamma))
    along = matmul_of(ctx, x, ctx.known(np.ascontiguousarray(vectors.T)))
    if kind == "LINEAR":
        return along
    along = f("add", f("mul", along, gamma), shift)
    return f("tanh", along) if kind == "SIGMOID" else f("pow", along, degree)
