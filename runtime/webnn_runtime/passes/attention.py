"""Scaled dot-product attention, as exporters write it out.

    softmax(mask(scale * (q @ k^T) + bias)) @ v

The scale may be a product or a quotient, on the scores or on q and k separately; the bias is an addition (positions
relative to one another); the mask another addition, or a `where` that replaces scores; between softmax and the last
product there may be the `where(isNaN(w), 0, w)` of newer exports, or the `where(reduceMax(mask) == -infinity, 0, w)` of
the operator that ONNX defines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.graph import Graph, Node
from webnn_runtime.format.records import dataclass, replace
from webnn_runtime.passes.relative_terms import RelativeTerm, find_relative_terms
from webnn_runtime.passes.uses import Uses

__all__ = ["AttentionMatch", "find_attention"]


@dataclass(frozen=True, slots=True)
class AttentionMatch:
    """One attention, its operands [batch, heads, rows, columns] or [batch, rows, columns].

    Attributes:
        q: queries.
        k: keys, as `k_transposed` says.
        v: values.
        k_transposed: whether `k` is [..., columns, rows], as the product takes it.
        scale: multiplied with the scores before the mask.
        bias: value that is added to the scores before the mask; broadcasts to their shape.
        mask: value that is added to the scores or chooses among them; broadcasts to their shape.
        fill: where set, `mask` is a condition, and scores become this where it does not hold.
        keep_if: truth of the condition under which a score stays.
        undefined_is_zero: rows whose softmax is NaN have weights of zero.
        empty_is_zero: rows whose mask is minus infinity for all keys have weights of zero.
        result: value that holds the result.
        nodes: names of the nodes it replaces.
        relative: what is added to the scores, in place of a bias, for the distance of query and key.
    """

    q: str
    k: str
    v: str
    k_transposed: bool
    scale: float
    bias: str | None
    mask: str | None
    fill: float | None
    keep_if: bool
    undefined_is_zero: bool
    empty_is_zero: bool
    result: str
    nodes: frozenset[str]
    relative: tuple[RelativeTerm, ...] = ()

    @property
    def operands(self) -> tuple[str, ...]:
        """Values it reads."""
        over = (value for term in self.relative for value in (term.source, term.columns))
        return (*(value for value in (self.q, self.k, self.v, self.bias, self.mask) if value is not None), *over)

    @property
    def label(self) -> str:
        """What was fused, for reports."""
        mask = "" if self.mask is None else "+mask" if self.fill is None else "+where"
        bias = "+bias" if self.bias is not None else "+relative" if self.relative else ""
        return f"attention{bias}{mask}"


@dataclass(slots=True)
class _Scores:
    """What lies between the product of queries and keys and the softmax."""

    product: Node
    scale: float = 1.0
    bias: str | None = None
    mask: str | None = None
    fill: float | None = None
    keep_if: bool = True


def find_attention(graph: Graph | Uses) -> Iterator[AttentionMatch]:
    """All attentions in float32 whose intermediates nothing else reads."""
    uses = Uses.of(graph)
    graph = uses.graph
    for node in graph.nodes:
        kind = graph.types[node.name]
        if node.op == "softmax" and kind.dtype is DataType.FLOAT32 and node.options["axis"] == kind.rank - 1:
            match = _around(uses, node)
            if match is not None:
                yield match


def _around(uses: Uses, softmax: Node) -> AttentionMatch | None:
    nodes = {softmax.name}
    found = _weighted_sum(uses, softmax, nodes)
    scores = _scores(uses, softmax, nodes)
    if found is None or scores is None:
        return None
    last, guard = found
    if isinstance(guard, str):
        is_own = _unexpanded(uses, guard) == _unexpanded(uses, scores.mask)
        if not is_own or scores.bias is not None or scores.fill is not None:
            # Rows are set to zero by another mask than theirs, or by a part of it.
            return None
    (weights, values), (queries, keys) = last.inputs, scores.product.inputs
    if values is None or queries is None or keys is None or values == weights:
        return None
    q, scale = _scaled(uses, queries)
    scores.scale *= scale
    k, scale = _scaled(uses, keys)
    scores.scale *= scale
    source = _untransposed(uses, k)
    if source is not None:
        k, scale = _scaled(uses, source)
        scores.scale *= scale
    match = AttentionMatch(
        q,
        k,
        values,
        source is None,
        scores.scale,
        _unexpanded(uses, scores.bias),
        _unexpanded(uses, scores.mask),
        scores.fill,
        scores.keep_if,
        guard is True,
        isinstance(guard, str),
        last.name,
        frozenset(nodes),
    )
    if not _fits(uses.graph, match) or not _is_closed(uses, match):
        return None
    found_terms = find_relative_terms(uses, match.bias) if match.bias is not None else None
    if found_terms is None:
        return match
    terms, made_of = found_terms
    types = uses.graph.types
    # A term that repeats for every item or head stays a bias.
    has_parts = all(types[term.source].shape[:2] == types[match.q].shape[:2] for term in terms)
    whole = replace(match, bias=None, relative=terms, nodes=match.nodes | made_of)
    return whole if has_parts and _is_closed(uses, whole) else match


def _weighted_sum(uses: Uses, softmax: Node, nodes: set[str]) -> tuple[Node, str | bool | None] | None:
    """The product with the values; adds what lies between to `nodes`.

    Also whether rows that are undefined get weights of zero: None for no, and the mask where that alone says which.
    """
    weights = softmax.name
    guard: str | bool | None = None
    last = uses.only_reader(weights)
    choice = last if last is not None and last.op == "where" else None
    if last is None:
        # where(isNaN(weights), 0, weights): two readers that only the product behind them sees.
        readers = {reader.op: reader for reader in uses.readers(weights)}
        test, choice = readers.get("isNaN"), readers.get("where")
        if test is None or choice is None or len(uses.readers(weights)) != 2 or choice.inputs[0] != test.name:
            return None
        nodes.add(test.name)
        guard = True
    elif choice is not None:
        guard = _without_keys(uses, choice.inputs[0])
        if guard is None:
            return None
    if choice is not None:
        if uses.number(choice.inputs[1]) != 0.0 or choice.inputs[2] != weights:
            return None
        nodes.add(choice.name)
        weights = choice.name
        last = uses.only_reader(weights)
    if last is None or last.op != "matmul" or last.inputs[0] != weights:
        return None
    nodes.add(last.name)
    return last, guard or None


def _without_keys(uses: Uses, value: str | None) -> str | bool | None:
    """The mask of which a value says where a row of it hides all keys; False for nowhere."""
    test = uses.maker(value, "equal")
    for least, bound in (test.inputs, test.inputs[::-1]) if test is not None else ():
        top = uses.maker(least, "reduceMax")
        if top is None or top.inputs[0] is None or uses.number(bound) != -math.inf:
            continue
        rank = uses.graph.types[top.inputs[0]].rank
        if top.options["axes"] != (rank - 1,) or not top.options["keepDimensions"]:
            continue
        stretched = uses.maker(top.inputs[0], "expand")
        number = uses.number(stretched.inputs[0] if stretched is not None else top.inputs[0])
        if number is not None:
            return False if number > -math.inf else None
        return top.inputs[0]
    return None


def _scores(uses: Uses, softmax: Node, nodes: set[str]) -> _Scores | None:
    """Walks from the softmax up to the product: a mask, a bias, then scales."""
    readings = (
        (masked, biased) for masked in _masks(uses, softmax.inputs[0]) for biased in _biases(uses, masked.scores)
    )
    for masked, biased in readings:
        scale, seen, value = 1.0, {*masked.seen, *biased.seen}, biased.scores
        while True:
            node = uses.maker(value)
            if node is None or uses.only_reader(node.name) is None:
                break
            seen.add(node.name)
            if node.op == "matmul":
                nodes |= seen
                return _Scores(node, scale, biased.mask, masked.mask, masked.fill, masked.keep_if)
            factor = uses.factor(node)
            if factor is None:
                break
            scale *= factor[0]
            value = factor[1]
    return None


@dataclass(frozen=True, slots=True)
class _Masked:
    """One reading of a value: these scores under this mask."""

    scores: str
    mask: str | None = None
    fill: float | None = None
    keep_if: bool = True
    seen: frozenset[str] = frozenset()


def _masks(uses: Uses, value: str | None) -> Iterator[_Masked]:
    node = uses.maker(value)
    if value is None or node is None or uses.only_reader(value) is None:
        return
    if node.op == "add":
        left, right = node.inputs
        known = uses.number_and_other(node)
        if known is not None and known[0] == 0.0:
            # Nothing is added.
            yield from (replace(reading, seen=reading.seen | {node.name}) for reading in _masks(uses, known[1]))
            return
        for scores, mask in ((left, right), (right, left)):
            if scores is not None and mask is not None and scores != mask:
                yield _Masked(scores, mask, seen=frozenset({node.name}))
    elif node.op == "where":
        condition, yes, no = node.inputs
        for scores, other, keep_if in ((yes, no, True), (no, yes, False)):
            fill = uses.number(other)
            if scores is not None and fill is not None:
                yield _Masked(scores, condition, fill, keep_if, frozenset({node.name}))
    yield _Masked(value)


def _biases(uses: Uses, value: str) -> Iterator[_Masked]:
    """As `_masks`, of what is added alone."""
    return (reading for reading in _masks(uses, value) if reading.fill is None)


def _unexpanded(uses: Uses, value: str | None) -> str | None:
    """What `value` repeats, if it does and has all keys: the engine repeats everything else without writing out."""
    stretched = uses.maker(value, "expand")
    source = stretched.inputs[0] if stretched is not None else None
    if value is None or source is None:
        return value
    own, whole = uses.graph.types[source].shape, uses.graph.types[value].shape
    return source if own and own[-1] == whole[-1] else value


def _scaled(uses: Uses, value: str) -> tuple[str, float]:
    """`value` without its constant factor, and the factor; the node between is read past, not taken away."""
    node = uses.maker(value)
    factor = uses.factor(node) if node is not None else None
    return (factor[1], factor[0]) if factor is not None else (value, 1.0)


def _untransposed(uses: Uses, value: str) -> str | None:
    """What `value` is the transpose of, in its last two dimensions; the nodes between may have other readers."""
    node, kinds = uses.maker(value), uses.graph.types
    if node is None:
        return None
    if node.op == "transpose":
        permutation = node.options["permutation"]
        rank = kinds[value].rank
        return node.inputs[0] if permutation == (*range(rank - 2), rank - 1, rank - 2) else None
    # Some exporters go through three dimensions: reshape, transpose, reshape.
    inner = uses.maker(node.inputs[0], "transpose") if node.op == "reshape" else None
    outer = uses.maker(inner.inputs[0], "reshape") if inner is not None else None
    if inner is None or outer is None or inner.options["permutation"] != (0, 2, 1):
        return None
    source = str(outer.inputs[0])
    flat, whole = kinds[outer.name].shape, kinds[source].shape
    swapped = (*whole[:-2], whole[-1], whole[-2])
    return source if flat[-2:] == whole[-2:] and kinds[value].shape == swapped else None


def _fits(graph: Graph, match: AttentionMatch) -> bool:
    """Whether only bias and mask are broadcast, neither along the keys, and neither stretches the scores."""
    q, k, v = (graph.types[value].shape for value in (match.q, match.k, match.v))
    if match.k_transposed:
        k = (*k[:-2], k[-1], k[-2])
    if len(q) not in (3, 4) or not len(q) == len(k) == len(v):
        return False
    if not (q[:-2] == k[:-2] == v[:-2] and q[-1] == k[-1] and k[-2] == v[-2]):
        return False
    scores = (*q[:-1], k[-2])
    for value in (match.bias, match.mask):
        if value is None:
            continue
        own = graph.types[value].shape
        sizes = zip(reversed(own), reversed(scores), strict=False)
        if not 0 < len(own) <= len(scores) or own[-1] != scores[-1]:
            return False
        if not all(size in (1, score) for size, score in sizes):
            return False
    return True


def _is_closed(uses: Uses, match: AttentionMatch) -> bool:
    """Whether nothing outside sees an intermediate, and none of the operands is one."""
    inner = match.nodes - {match.result}
    return all(uses.is_private(value, match.nodes) for value in inner) and match.nodes.isdisjoint(match.operands)
