"""Tree ensembles of ai.onnx.ml: all trees are walked at once, one level per round.

A row stands at one node of every tree. A round looks up what the nodes compare, compares, and moves on; leaves lead to
themselves, so that after as many rounds as the deepest tree has levels every row stands at its leaves.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx

from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.activation import softmax_along
from webnn_translator.ops.forest import LEAF, Forest, read_forest, read_named_forest
from webnn_translator.ops.formula import Formula
from webnn_translator.ops.layout import expand_to, reshape_to
from webnn_translator.ops.shape import convert
from webnn_translator.ops.slicing import slice_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__ = ["TRANSFORMS", "beside", "best_label", "class_labels", "of_two", "transformed"]

_DOMAIN: Final = "ai.onnx.ml"
TRANSFORMS: Final = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")
_AGGREGATES: Final = ("AVERAGE", "SUM", "MIN", "MAX")
_NODES: Final = (
    *("nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_hitrates_as_tensor"),
    *("nodes_missing_value_tracks_true", "nodes_modes", "nodes_nodeids", "nodes_treeids", "nodes_truenodeids"),
    *("nodes_values", "nodes_values_as_tensor", "base_values", "base_values_as_tensor", "post_transform"),
)
# How the modes of a forest are spelled as operators; not equal is written out.
_COMPARE: Final = ("lesserOrEqual", "lesser", "greaterOrEqual", "greater", "equal", "notEqual")


@onnx_op(
    "TreeEnsembleRegressor",
    domain=_DOMAIN,
    attributes=(
        *_NODES,
        "aggregate_function",
        "n_targets",
        "target_ids",
        "target_nodeids",
        "target_treeids",
        "target_weights",
        "target_weights_as_tensor",
    ),
)
def tree_ensemble_regressor(ctx: Context, node: OnnxNode) -> Tensor:
    """[rows, targets]: what the leaves of a row say, added up, averaged, or the smallest or largest of it."""
    targets = node.integer("n_targets", 1)
    forest = read_named_forest(node, "target", targets)
    aggregate = node.choice("aggregate_function", "SUM", *_AGGREGATES)
    x = convert(ctx, node.input(0), Elem.FLOAT)
    scores = _aggregated(ctx, forest, _leaves(ctx, forest, x), aggregate)
    scores = _with_base(ctx, node, scores, targets)
    return transformed(ctx, scores, node.choice("post_transform", "NONE", *TRANSFORMS))


@onnx_op(
    "TreeEnsemble",
    domain=_DOMAIN,
    since=5,
    attributes=(
        *("aggregate_function", "leaf_targetids", "leaf_weights", "membership_values", "n_targets", "nodes_falseleafs"),
        *("nodes_falsenodeids", "nodes_featureids", "nodes_hitrates", "nodes_missing_value_tracks_true", "nodes_modes"),
        *("nodes_splits", "nodes_trueleafs", "nodes_truenodeids", "post_transform", "tree_roots"),
    ),
)
def tree_ensemble(ctx: Context, node: OnnxNode) -> Tensor:
    """The regressor with its leaves in a list of their own, in the type of its input."""
    x = node.input(0)
    forest = read_forest(node, node.integer("n_targets", 1))
    aggregate, transform = node.integer("aggregate_function", 1), node.integer("post_transform", 0)
    if aggregate not in range(len(_AGGREGATES)) or transform not in range(len(TRANSFORMS)):
        raise Refused(
            f"aggregate_function {aggregate} and post_transform {transform}; "
            f"supported: {', '.join(_AGGREGATES)} and {', '.join(TRANSFORMS)}"
        )
    wide = convert(ctx, x, Elem.FLOAT)
    scores = _aggregated(ctx, forest, _leaves(ctx, forest, wide), _AGGREGATES[aggregate])
    return convert(ctx, transformed(ctx, scores, TRANSFORMS[transform]), x.elem)


@onnx_op(
    "TreeEnsembleClassifier",
    domain=_DOMAIN,
    attributes=(
        *_NODES,
        "class_ids",
        "class_nodeids",
        "class_treeids",
        "class_weights",
        "class_weights_as_tensor",
        "classlabels_int64s",
        "classlabels_strings",
    ),
)
def tree_ensemble_classifier(ctx: Context, node: OnnxNode) -> tuple[Tensor, Tensor]:
    """The label of the best class, and [rows, classes] scores."""
    labels = class_labels(node, "classlabels_int64s", "classlabels_strings")
    forest = read_named_forest(node, "class", len(labels))
    transform = node.choice("post_transform", "NONE", *TRANSFORMS)
    x = convert(ctx, node.input(0), Elem.FLOAT)
    named = np.flatnonzero(forest.given.any(axis=0))
    if not forest.always()[named].all():
        raise Refused(
            "which classes have a score at all depends on data; give every leaf a weight for its tree's classes"
        )
    scores = _aggregated(ctx, forest, _leaves(ctx, forest, x), "SUM")
    f = Formula(ctx, Elem.FLOAT)
    if len(labels) == 2 and named.size == 1:
        # One score for two classes: ONNX Runtime takes weights that are all positive for probabilities.
        score = f.reduce("reduceSum", scores, (1,), keep=True)
        base = _base(node)
        if base.size > 1:
            raise Refused(f"{base.size} base values for one score of two classes; give one")
        score = f("add", score, float(base[0])) if base.size else score
        if (forest.weights[forest.given] >= 0).all():
            sure, both = f("greater", score, 0.5), (f("sub", 1, score), score)
        else:
            sure, both = f("greater", score, 0), (f("neg", score), score)
            if transform == "LOGISTIC":
                both = (f("sigmoid", both[0]), f("sigmoid", both[1]))
            elif transform != "NONE":
                raise Refused(f"post_transform {transform} of one score for two classes; supported: NONE, LOGISTIC")
        return of_two(ctx, sure, labels), beside(ctx, *both)
    if len(labels) == 2 and named.size == 2:
        if _base(node).size or not np.array_equal(forest.weights[:, 0], -forest.weights[:, 1]):
            raise Refused(
                "both of two classes have weights, which are not each other's negatives: ONNX and ONNX Runtime choose"
                " the label in two ways; give weights for one class only"
            )
        # As CatBoost writes it. ONNX Runtime asks whether the second score is positive, ONNX which one is larger.
        second = slice_of(ctx, scores, {1: (1, 1, 1)})
        return of_two(ctx, f("greater", second, 0), labels), transformed(ctx, scores, transform)
    if named.size < len(labels):
        raise Refused(f"{named.size} of {len(labels)} classes have weights; all of them are needed, or one of two")
    scores = _with_base(ctx, node, scores, len(labels))
    return best_label(ctx, scores, labels), transformed(ctx, scores, transform)


def class_labels(node: OnnxNode, integers: str, texts: str) -> tuple[int, ...]:
    """The labels of a classifier.

    Raises:
        Refused: they are text.
    """
    if node.attributes.get(texts):
        raise Refused("its labels are text, and WebNN has numbers only; train it with integers for labels")
    labels = node.integers(integers, ())
    if not labels:
        raise Refused("it has no labels; the model is not valid")
    return labels


def best_label(ctx: Context, scores: Tensor, labels: tuple[int, ...]) -> Tensor:
    """[rows] the label of the largest score of each row."""
    best = ctx.emit.op("argMax", ctx.full(scores), axis=1, keepDimensions=False, outputDataType="int64")
    if labels == tuple(range(len(labels))):
        return ctx.tensor(best, Elem.INT64)
    return ctx.computed(Elem.INT64, "gather", ctx.value(ctx.known(np.array(labels, np.int64))), best, axis=0)


def of_two(ctx: Context, second: Tensor, labels: tuple[int, ...]) -> Tensor:
    """[rows] the second of two labels where `second` [rows, 1] holds, else the first."""
    first, other = (ctx.scalar(label, Elem.INT64) for label in labels)
    return reshape_to(ctx, Formula(ctx, Elem.INT64)("where", second, other, first), (second.shape[0],))


def beside(ctx: Context, left: Tensor, right: Tensor) -> Tensor:
    """Two columns as one table."""
    return ctx.tensor(ctx.emit.concat([ctx.full(left), ctx.full(right)], 1), Elem.FLOAT)


def transformed(ctx: Context, scores: Tensor, transform: str) -> Tensor:
    """Scores [rows, classes] as `post_transform` wants them."""
    f = Formula(ctx, Elem.FLOAT)
    if transform == "LOGISTIC":
        return f("sigmoid", scores)
    if transform == "SOFTMAX":
        return softmax_along(ctx, "Softmax", scores, 1)
    if transform == "SOFTMAX_ZERO":
        # A softmax in which scores of 0 stay 0.
        largest = f.reduce("reduceMax", scores, (1,), keep=True)
        powers = f("exp", f("sub", scores, largest))
        kept = f("where", f("greater", f("abs", scores), 1e-7), powers, f("mul", scores, f("exp", f("neg", largest))))
        return f("div", kept, f.reduce("reduceSum", kept, (1,), keep=True))
    return scores


def _leaves(ctx: Context, forest: Forest, x: Tensor) -> Tensor:
    """[rows, trees] the leaf that each row reaches in each tree."""
    if x.rank != 2:
        raise Refused(f"the input is {x}; rank 2 is needed")
    columns = ctx.size(x.shape[1], "the number of columns")
    if forest.feature.max(initial=0) >= columns:
        raise Refused(f"column {forest.feature.max()} of {x} is compared; the model is not valid")
    f = Formula(ctx, Elem.FLOAT)
    rows, trees = x.shape[0], forest.roots.size
    at = expand_to(ctx, ctx.known(forest.roots[None, :]), (rows, trees))
    inner = forest.mode != LEAF
    modes = sorted(set(forest.mode[inner].tolist()))

    def of_nodes(column: Array, elem: Elem) -> Tensor:
        if not level:
            # Every row stands at the roots: what they say is known.
            return ctx.known(column[forest.roots][None, :], elem)
        return ctx.computed(elem, "gather", ctx.value(ctx.known(column, elem)), ctx.full(at), axis=0)

    for level in range(forest.depth):
        if level:
            compared = ctx.computed(
                Elem.FLOAT, "gatherElements", ctx.full(x), ctx.full(of_nodes(forest.feature, Elem.INT32)), axis=1
            )
        else:
            first = ctx.known(forest.feature[forest.roots], Elem.INT32)
            compared = ctx.computed(Elem.FLOAT, "gather", ctx.full(x), ctx.full(first), axis=1)
        split = of_nodes(forest.split, Elem.FLOAT)
        holds = f(_COMPARE[modes[0]], compared, split)
        for other in modes[1:]:
            chosen = f("equal", of_nodes(forest.mode.astype(np.int32), Elem.INT32), ctx.scalar(other, Elem.INT32))
            holds = f("where", chosen, f(_COMPARE[other], compared, split), holds)
        if forest.nan_is_yes.any():
            lacks = f("logicalAnd", f("isNaN", compared), of_nodes(forest.nan_is_yes, Elem.BOOL))
            holds = f("logicalOr", holds, lacks)
        at = f("where", holds, of_nodes(forest.yes, Elem.INT32), of_nodes(forest.no, Elem.INT32))
    return at


def _aggregated(ctx: Context, forest: Forest, leaves: Tensor, aggregate: str) -> Tensor:
    """[rows, targets] what the leaves say together."""
    f = Formula(ctx, Elem.FLOAT)
    table = forest.weights
    if aggregate in ("MIN", "MAX"):
        if not forest.always().all():
            raise Refused(
                f"whether a target has a value at all depends on data, and {aggregate} of nothing is not defined"
            )
        table = np.where(forest.given, table, np.float32(np.inf if aggregate == "MIN" else -np.inf))
        op = "reduceMin" if aggregate == "MIN" else "reduceMax"
    else:
        op = "reduceSum"
    said = ctx.computed(Elem.FLOAT, "gather", ctx.value(ctx.known(table)), ctx.full(leaves), axis=0)
    total = f.reduce(op, said, (1,))
    return f("div", total, forest.roots.size) if aggregate == "AVERAGE" else total


def _base(node: OnnxNode) -> Array:
    value = node.attributes.get("base_values_as_tensor")
    if value is not None:
        return np.asarray(onnx.numpy_helper.to_array(value), np.float32)
    return np.asarray(node.numbers("base_values", ()), np.float32)


def _with_base(ctx: Context, node: OnnxNode, scores: Tensor, targets: int) -> Tensor:
    base = _base(node)
    if base.size not in (0, targets):
        raise Refused(f"{base.size} base values for {targets} scores; the model is not valid")
    return Formula(ctx, Elem.FLOAT)("add", scores, ctx.known(base)) if base.size else scores
