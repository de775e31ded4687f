"""Classifiers and regressors of ai.onnx.ml - trees, lines, support vectors - and codes, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from webnn_translator._errors import UnsupportedOp
from webnn_translator.translate import translate

ML = [("ai.onnx.ml", 3)]
MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
COLUMNS = 4
# Values on both sides of every split, and right on it.
SPLITS = np.array([-1.0, -0.25, 0.0, 0.25, 1.0], np.float32)
RANDOM = np.random.default_rng(11)
X = np.concatenate([RANDOM.choice(SPLITS, (12, COLUMNS)), RANDOM.normal(size=(12, COLUMNS))]).astype(np.float32)
WITH_GAPS = np.where(RANDOM.random(X.shape) < 0.3, np.nan, X).astype(np.float32)


def grown(kind, targets, *, modes=MODES[:1], trees=5, depth=4, seed=0, low=-1.0, named=None):
    """Random trees of uneven depth, a lone leaf among them; each leaf says something about `named`."""
    random = np.random.default_rng(seed)
    names = ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    nodes: dict[str, list] = {key: [] for key in (*names, "missing_value_tracks_true")}
    leaves: dict[str, list] = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def grow(tree, name, level):
        is_leaf = level == depth or (tree == 1 and level == 0) or (level > 1 and random.random() < 0.3)
        row = [tree, name, int(random.integers(COLUMNS)), float(random.choice(SPLITS)), "LEAF", 0, 0, 0]
        if not is_leaf:
            yes, no = grow.next, grow.next + 1
            grow.next += 2
            row[4:] = [str(random.choice(modes)), yes, no, int(random.integers(2))]
        for column, value in zip(nodes.values(), row, strict=True):
            column.append(value)
        if is_leaf:
            for target in range(targets) if named is None else named:
                for column, value in zip(leaves.values(), (tree, name, target, random.uniform(low, 1)), strict=True):
                    column.append(value)
            return
        grow(tree, yes, level + 1)
        grow(tree, no, level + 1)

    for tree in range(trees):
        grow.next = 1
        grow(tree, 0, 0)
    return {f"nodes_{key}": column for key, column in nodes.items()} | {
        f"{kind}_{key}": column for key, column in leaves.items()
    }


def regressor(**attributes):
    return helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)


def classifier(op_type, **attributes):
    return helper.make_node(op_type, ["x"], ["label", "y"], domain="ai.onnx.ml", **attributes)


@pytest.mark.parametrize("modes", [[mode] for mode in MODES] + [MODES], ids=lambda modes: "-".join(modes))
def test_every_way_to_compare_and_missing_values(build, agree, modes) -> None:
    trees = regressor(n_targets=2, **grown("target", 2, modes=modes))
    agree(build([trees], {"x": (np.float32, ["n", COLUMNS])}, domains=ML), {"x": X}, {"x": WITH_GAPS}, {"x": X[:1]})


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"])
def test_what_the_leaves_say_together(build, agree, aggregate, transform) -> None:
    settings = {"aggregate_function": aggregate, "post_transform": transform, "base_values": [0.5, -0.25, 1.0]}
    trees = regressor(n_targets=3, **settings, **grown("target", 3))
    agree(build([trees], {"x": (np.float32, ["n", COLUMNS])}, domains=ML), {"x": X})


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
def test_two_classes_whose_weights_are_opposite(build, agree, transform) -> None:
    """As CatBoost writes a classifier; any other pair of weights is read in two ways."""
    trees = grown("class", 2)
    trees["class_weights"][1::2] = [-weight for weight in trees["class_weights"][::2]]
    settings = {"classlabels_int64s": [0, 1], "post_transform": transform}
    inputs = {"x": (np.float32, ["n", COLUMNS])}
    node = classifier("TreeEnsembleClassifier", **settings, **trees)
    agree(build([node], inputs, ("label", "y"), domains=ML), {"x": X}, {"x": X[:1]})
    trees["class_weights"][0] += 1.0
    node = classifier("TreeEnsembleClassifier", **settings, **trees)
    with pytest.raises(UnsupportedOp, match="not each other's negatives"):
        translate(build([node], inputs, ("label", "y"), domains=ML))


@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_whole_numbers_are_compared_with_splits(build, agree, dtype) -> None:
    settings = {"classlabels_int64s": [0, 1, 2]}
    trees = classifier("TreeEnsembleClassifier", **settings, **grown("class", 3))
    model = build([trees], {"x": (dtype, [24, COLUMNS])}, ("label", "y"), domains=ML)
    agree(labelled(model), {"x": (X * 2).astype(dtype)})


def labelled(model):
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("label", 7, None))
    return model


CLASSIFIERS = {
    "three classes": ("TreeEnsembleClassifier", {"classlabels_int64s": [4, 2, 9], **grown("class", 3)}),
    "a tree a class, softmax": (
        "TreeEnsembleClassifier",
        {
            "classlabels_int64s": [0, 1, 2],
            "post_transform": "SOFTMAX",
            "base_values": [0.5, 0.0, -0.5],
            **grown("class", 3),
        },
    ),
    "one score of two, a probability": (
        "TreeEnsembleClassifier",
        {"classlabels_int64s": [3, 7], **grown("class", 2, named=[0], low=0.0, trees=2)},
    ),
    "one score of two, boosted": (
        "TreeEnsembleClassifier",
        {
            "classlabels_int64s": [0, 1],
            "post_transform": "LOGISTIC",
            "base_values": [0.25],
            **grown("class", 2, named=[0]),
        },
    ),
    "one score of two, plain": (
        "TreeEnsembleClassifier",
        {"classlabels_int64s": [0, 1], **grown("class", 2, named=[0])},
    ),
    "lines": (
        "LinearClassifier",
        {
            "classlabels_ints": [5, 6, 8],
            "coefficients": RANDOM.normal(size=3 * COLUMNS).tolist(),
            "intercepts": [0.5, 0.0, -0.5],
            "post_transform": "SOFTMAX",
        },
    ),
    "one line for two": (
        "LinearClassifier",
        {"classlabels_ints": [5, 6], "coefficients": [1.0, -2.0, 0.5, 0.25], "intercepts": [0.5]},
    ),
    "one line for two, logistic": (
        "LinearClassifier",
        {
            "classlabels_ints": [5, 6],
            "coefficients": [1.0, -2.0, 0.5, 0.25],
            "intercepts": [0.5],
            "post_transform": "LOGISTIC",
        },
    ),
    "vectors of two": (
        "SVMClassifier",
        {
            "classlabels_ints": [3, 8],
            "coefficients": [0.5, 1.0, -0.5, -1.0, -0.25],
            "kernel_params": [0.3, 0.0, 3.0],
            "kernel_type": "RBF",
            "rho": [0.125],
            "support_vectors": RANDOM.normal(size=5 * COLUMNS).tolist(),
            "vectors_per_class": [2, 3],
        },
    ),
    "vectors of four": (
        "SVMClassifier",
        {
            "classlabels_ints": [3, 8, 1, 5],
            "coefficients": RANDOM.normal(size=3 * 9).tolist(),
            "kernel_params": [0.3, 0.5, 3.0],
            "kernel_type": "SIGMOID",
            "rho": RANDOM.normal(size=6).tolist(),
            "support_vectors": RANDOM.normal(size=9 * COLUMNS).tolist(),
            "vectors_per_class": [2, 3, 1, 3],
        },
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_give_labels_and_scores(build, agree, name) -> None:
    op_type, settings = CLASSIFIERS[name]
    model = build([classifier(op_type, **settings)], {"x": (np.float32, ["n", COLUMNS])}, ("label", "y"), domains=ML)
    made = agree(labelled(model), {"x": X}, {"x": X[:1]})
    assert len(made.graph.outputs) == 2


@pytest.mark.parametrize("kernel", ["LINEAR", "POLY", "RBF", "SIGMOID"])
@pytest.mark.parametrize("one_class", [0, 1])
def test_support_vectors_of_a_regressor(build, agree, kernel, one_class) -> None:
    vectors = helper.make_node(
        "SVMRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        coefficients=RANDOM.normal(size=3).tolist(),
        kernel_params=[0.5, 1.0, 3.0],
        kernel_type=kernel,
        n_supports=3,
        one_class=one_class,
        rho=[0.25],
        support_vectors=RANDOM.normal(size=3 * COLUMNS).tolist(),
    )
    agree(build([vectors], {"x": (np.float32, ["n", COLUMNS])}, domains=ML), {"x": X}, tolerance=1e-4)


CODES = {
    "numbers": ({"keys_int64s": [3, 1, 3, 8], "values_floats": [0.5, 1.5, 9.0, -2.0], "default_float": 7.0}, np.int64),
    "floats": ({"keys_floats": [0.5, float("nan"), 2.0], "values_int64s": [4, 5, 6]}, np.float32),
}


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("name", CODES)
def test_codes_are_replaced_by_their_values(build, agree, name, version) -> None:
    settings, dtype = CODES[name]
    node = helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **settings)
    model = build([node], {"x": (dtype, ["n", 2])}, domains=[("ai.onnx.ml", version)])
    if "values_int64s" in settings:
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 7, None))
    data = np.array([[3, 1], [0, 8], [0.5, 2.0], [np.nan, 1e9]])
    agree(model, {"x": (np.nan_to_num(data) if dtype is np.int64 else data).astype(dtype)})


def test_categories_become_columns_and_gaps_are_filled(build, agree) -> None:
    filled = helper.make_node(
        "Imputer", ["x"], ["f"], domain="ai.onnx.ml", imputed_value_floats=[1.0, 2.0], replaced_value_float=float("nan")
    )
    columns = helper.make_node("OneHotEncoder", ["f"], ["y"], domain="ai.onnx.ml", cats_int64s=[2, 0, 1])
    model = build([filled, columns], {"x": (np.float32, ["n", 2])}, domains=ML)
    agree(model, {"x": np.array([[np.nan, np.nan], [0, 2], [5, 1.5]], np.float32)})


def test_scores_that_only_some_leaves_have_are_refused(build) -> None:
    settings = grown("class", 3)
    kept = [k for k, node in enumerate(settings["class_nodeids"]) if settings["class_ids"][k] or node % 2]
    settings |= {key: [settings[key][k] for k in kept] for key in settings if key.startswith("class_")}
    model = build(
        [classifier("TreeEnsembleClassifier", classlabels_int64s=[0, 1, 2], **settings)],
        {"x": (np.float32, ["n", COLUMNS])},
        ("label", "y"),
        domains=ML,
    )
    with pytest.raises(UnsupportedOp, match="which classes have a score at all depends on data"):
        translate(model)


def test_labels_that_are_text_are_refused_with_what_helps(build) -> None:
    trees = classifier("TreeEnsembleClassifier", classlabels_strings=["a", "b", "c"], **grown("class", 3))
    with pytest.raises(UnsupportedOp, match="its labels are text, and WebNN has numbers only"):
        translate(build([trees], {"x": (np.float32, ["n", COLUMNS])}, ("label", "y"), domains=ML))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"nodes_truenodeids": [0] * 3}, "a node belongs to no tree"),
        ({"nodes_truenodeids": [9, 0, 0]}, "a branch leads to no node"),
        ({"nodes_featureids": [7, 0, 0]}, "column 7 of"),
        ({"nodes_modes": ["BRANCH_ODD", "LEAF", "LEAF"]}, "compare by BRANCH_ODD"),
        ({"nodes_values": [0.0]}, "differ in length"),
        ({"target_nodeids": [0, 2]}, "belongs to no leaf"),
    ],
)
def test_broken_trees_are_refused(build, change, reason) -> None:
    tree = {
        "nodes_treeids": [0] * 3,
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0] * 3,
        "nodes_values": [0.0] * 3,
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "target_treeids": [0, 0],
        "target_nodeids": [1, 2],
        "target_ids": [0, 0],
        "target_weights": [1.0, 2.0],
    }
    with pytest.raises(UnsupportedOp, match=reason):
        translate(build([regressor(**{**tree, **change})], {"x": (np.float32, ["n", COLUMNS])}, domains=ML))
