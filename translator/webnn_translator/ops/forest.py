"""Decision trees as tables: what the tree ensembles of ai.onnx.ml say, in one form for all of their versions.

Knows nothing of WebNN; `trees` walks these tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx

from webnn_runtime.format.graph import Array
from webnn_translator._errors import Refused
from webnn_translator.node import OnnxNode

__all__ = ["LEAF", "MODES", "Forest", "read_forest", "read_named_forest"]

# By the numbers of TreeEnsemble; BRANCH_MEMBER is written out as equalities.
LEAF: Final = -1
MODES: Final = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
_MEMBER: Final = len(MODES)
_EQUAL: Final = MODES.index("BRANCH_EQ")


@dataclass(frozen=True, slots=True)
class Forest:
    """All nodes of all trees in one table; a leaf is followed by itself.

    Attributes:
        roots: [trees] the first node of each tree.
        feature: [nodes] the column that is compared; 0 at a leaf.
        split: [nodes] what it is compared with.
        mode: [nodes] how, as an index into BRANCH_LEQ, LT, GTE, GT, EQ, NEQ; -1 at a leaf.
        yes: [nodes] where to go when the comparison holds.
        no: [nodes] where to go when it does not.
        nan_is_yes: [nodes] whether a missing value counts as yes.
        weights: [nodes, targets] what a leaf adds to each target.
        given: [nodes, targets] whether it says something about the target, be it 0.
        depth: the longest way from a root to a leaf.
    """

    roots: Array
    feature: Array
    split: Array
    mode: Array
    yes: Array
    no: Array
    nan_is_yes: Array
    weights: Array
    given: Array
    depth: int

    def trees(self) -> Array:
        """[nodes] the tree that each node belongs to, the last one that reaches it; -1 for none."""
        owner = np.full(self.mode.size, -1)
        owner[self.roots] = np.arange(self.roots.size)
        for _ in range(self.depth):
            inner = np.flatnonzero((self.mode != LEAF) & (owner >= 0))
            owner[self.yes[inner]] = owner[self.no[inner]] = owner[inner]
        return owner

    def always(self) -> Array:
        """[targets] whether some tree says something about the target whichever of its leaves is reached."""
        found = np.zeros(self.given.shape[1], bool)
        for root in self.roots:
            reached, said = np.array([root]), np.ones(self.given.shape[1], bool)
            for _ in range(self.depth + 1):
                inner = self.mode[reached] != LEAF
                said &= self.given[reached[~inner]].all(axis=0)
                reached = np.unique(np.concatenate([self.yes[reached[inner]], self.no[reached[inner]]]))
            found |= said
        return found


def read_named_forest(node: OnnxNode, kind: str, targets: int) -> Forest:
    """TreeEnsembleRegressor ("target") and TreeEnsembleClassifier ("class"): nodes have names in their trees."""
    trees, ids = node.integers("nodes_treeids"), node.integers("nodes_nodeids")
    place = {key: position for position, key in enumerate(zip(trees, ids, strict=True))}
    if len(place) != len(trees):
        raise Refused("two nodes of a tree have the same name; the model is not valid")
    modes = [str(mode) for mode in node.attributes.get("nodes_modes", ())]
    unknown = sorted(set(modes) - {*MODES, "LEAF"})
    if unknown:
        raise Refused(f"its nodes compare by {unknown[0]}; supported: {', '.join(MODES)}")
    if len(modes) != len(place):
        raise Refused("its lists of nodes differ in length; the model is not valid")
    mode = np.array([LEAF if name == "LEAF" else MODES.index(name) for name in modes])
    leaf = mode == LEAF
    count = len(place)
    itself = np.arange(count)

    def child(name: str) -> Array:
        wanted = node.integers(name)
        found = [
            position if leaf[position] else place.get((trees[position], wanted[position]), -1) for position in itself
        ]
        return _checked(np.array(found), count)

    weights, given = np.zeros((count, targets), np.float32), np.zeros((count, targets), bool)
    owners = zip(node.integers(f"{kind}_treeids"), node.integers(f"{kind}_nodeids"), strict=True)
    for owner, target, weight in zip(
        owners, node.integers(f"{kind}_ids"), _numbers(node, f"{kind}_weights"), strict=True
    ):
        if owner not in place or not 0 <= target < targets or not leaf[place[owner]]:
            raise Refused(f"a weight of node {owner[1]} in tree {owner[0]} belongs to no leaf; the model is not valid")
        weights[place[owner], target] += np.float32(weight)
        given[place[owner], target] = True
    node.ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
    yes, no = child("nodes_truenodeids"), child("nodes_falsenodeids")
    # A node that no other one leads to starts a tree.
    led_to = np.zeros(count, bool)
    led_to[np.concatenate([yes[~leaf], no[~leaf]])] = True
    roots = np.flatnonzero(~led_to)
    forest = _forest(
        roots,
        np.where(leaf, 0, np.array(node.integers("nodes_featureids"))),
        _numbers(node, "nodes_values"),
        mode,
        (yes, no),
        node.integers("nodes_missing_value_tracks_true", (0,) * count),
        (weights, given),
    )
    if (forest.trees() < 0).any():
        raise Refused("a node belongs to no tree; the model is not valid")
    return forest


def read_forest(node: OnnxNode, targets: int) -> Forest:
    """TreeEnsemble: inner nodes and leaves are two lists; sets that a value may be in are chains of equalities."""
    feature, split = list(node.integers("nodes_featureids")), [float(x) for x in _numbers(node, "nodes_splits")]
    mode = [int(x) for x in _numbers(node, "nodes_modes")]
    count, leaves = len(feature), len(node.integers("leaf_targetids"))
    tracks = list(node.integers("nodes_missing_value_tracks_true", (0,) * count))
    node.ignore("nodes_hitrates")

    def children(ids: Sequence[int], are_leaves: Sequence[int]) -> list[int]:
        return [-1 - where if is_leaf else where for where, is_leaf in zip(ids, are_leaves, strict=True)]

    yes = children(node.integers("nodes_truenodeids"), node.integers("nodes_trueleafs"))
    no = children(node.integers("nodes_falsenodeids"), node.integers("nodes_falseleafs"))
    sets = _sets(node)
    for position in [k for k in range(count) if mode[k] == _MEMBER]:
        members: list[float] = next(sets, [])
        if not members:
            raise Refused("a set that a value may be in is missing; the model is not valid")
        otherwise = no[position]
        mode[position], split[position] = _EQUAL, members[0]
        last = position
        for member in members[1:]:
            no[last] = last = len(feature)
            split.append(member)
            mode.append(_EQUAL)
            no.append(otherwise)
            for column in (feature, tracks, yes):
                column.append(column[position])
    inner = len(feature)
    ends = list(range(inner, inner + leaves))

    def placed(ids: list[int]) -> Array:
        return _checked(np.array([where if where >= 0 else inner - 1 - where for where in ids] + ends), inner + leaves)

    weights, given = np.zeros((inner + leaves, targets), np.float32), np.zeros((inner + leaves, targets), bool)
    for position, (target, weight) in enumerate(
        zip(node.integers("leaf_targetids"), _numbers(node, "leaf_weights"), strict=True)
    ):
        if not 0 <= target < targets:
            raise Refused(f"a leaf belongs to target {target} of {targets}; the model is not valid")
        weights[inner + position, target], given[inner + position, target] = weight, True
    still = [0] * leaves
    return _forest(
        _checked(np.array(node.integers("tree_roots")), inner),
        np.array(feature + still),
        np.array(split + still),
        np.array(mode + [LEAF] * leaves),
        (placed(yes), placed(no)),
        tracks + still,
        (weights, given),
    )


def _forest(
    roots: Array,
    feature: Array,
    split: Array,
    mode: Array,
    children: tuple[Array, Array],
    tracks: Sequence[int],
    said: tuple[Array, Array],
) -> Forest:
    count = mode.size
    if not roots.size or any(len(column) != count for column in (feature, split, *children, tracks)):
        raise Refused("its lists of nodes differ in length; the model is not valid")
    yes, no = children
    reached, depth = roots, 0
    while (mode[reached] != LEAF).any():
        inner = reached[mode[reached] != LEAF]
        reached = np.unique(np.concatenate([yes[inner], no[inner]]))
        depth += 1
        if depth > count:
            raise Refused("its trees go round in circles; the model is not valid")
    return Forest(
        roots.astype(np.int32),
        feature.astype(np.int32),
        split.astype(np.float32),
        mode,
        yes.astype(np.int32),
        no.astype(np.int32),
        np.array(tracks, bool) & (mode != LEAF),
        *said,
        depth,
    )


def _checked(places: Array, count: int) -> Array:
    if ((places < 0) | (places >= count)).any():
        raise Refused("a branch leads to no node; the model is not valid")
    return places


def _numbers(node: OnnxNode, name: str) -> Array:
    """A list of numbers, written as floats or as a tensor."""
    attributes: Mapping[str, Any] = node.attributes
    value = attributes.get(f"{name}_as_tensor", attributes.get(name))
    if value is None:
        raise Refused(f"attribute {name} is missing; the model is not valid")
    array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value, np.float32)
    # Doubles count as their nearest float: that is what carries them in a graph.
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _sets(node: OnnxNode) -> Any:
    """The sets of TreeEnsemble, which NaN ends each of, in the order of the nodes that use them."""
    values = _numbers(node, "membership_values") if node.has("membership_values") else np.zeros(0, np.float32)
    ends = np.flatnonzero(np.isnan(values))
    return iter([[float(x) for x in part if not np.isnan(x)] for part in np.split(values, ends)][: len(ends) or None])
