"""Einsum: operands are joined one after the other, each time by a matmul between transposes and reshapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from webnn_runtime.format.dims import Dim, is_equal, product
from webnn_translator._errors import Refused
from webnn_translator.context import Context
from webnn_translator.elements import Elem
from webnn_translator.node import OnnxNode
from webnn_translator.ops.formula import Formula, positions
from webnn_translator.ops.layout import held_to, reshape_to, transposed
from webnn_translator.ops.matmul import matmul_of
from webnn_translator.registry import onnx_op
from webnn_translator.tensor import Tensor

__all__: list[str] = []


@dataclass(frozen=True, slots=True)
class _Labelled:
    """A tensor with a label for each axis; no label twice."""

    tensor: Tensor
    labels: tuple[str, ...]

    def at(self, label: str) -> Dim:
        """Size of an axis."""
        return self.tensor.shape[self.labels.index(label)]


@onnx_op("Einsum", since=12)
def einsum(ctx: Context, node: OnnxNode) -> Tensor:
    """Any number of operands, with repeated letters and an ellipsis."""
    operands = node.operands
    terms, output = _parsed(node.text("equation"), operands)
    parts = [_diagonal(ctx, operand, labels) for operand, labels in zip(operands, terms, strict=True)]
    sizes: dict[str, Dim] = {}
    for part in parts:
        for label, dim in zip(part.labels, part.tensor.shape, strict=True):
            if sizes.setdefault(label, dim) == 1:
                sizes[label] = dim
            elif dim != 1 and is_equal(dim, sizes[label], ctx.ranges) is False:
                raise Refused(f"its letter {label} is {sizes[label]} and {dim}")
    # What has several names is held to be one size at the run.
    parts = [_named_alike(ctx, part, sizes) for part in parts]
    # A size of 1 that others stretch is left out; what has it is the same for all of them.
    parts = [
        _without(ctx, part, [label for label in part.labels if part.at(label) == 1 and sizes[label] != 1])
        for part in parts
    ]
    total, *others = parts
    for index, part in enumerate(others):
        needed = {*output, *(label for later in others[index + 1 :] for label in later.labels)}
        total = _joined(ctx, total, part, needed)
    total = _summed(ctx, total, set(output))
    return transposed(ctx, total.tensor, [total.labels.index(label) for label in output])


def _parsed(equation: str, operands: Sequence[Tensor]) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Labels of each operand and of the result; the axes of an ellipsis are 0, 1, ... from the last one on."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    texts = inputs.split(",")
    if len(texts) != len(operands):
        raise Refused(f"equation '{equation}' has {len(texts)} terms for {len(operands)} operands")
    spread = 0
    terms = []
    for text, operand in zip(texts, operands, strict=True):
        before, dots, after = text.partition("...")
        free = operand.rank - len(before) - len(after)
        if free < 0 or (not dots and free) or not all(letter.isalpha() for letter in before + after):
            raise Refused(f"equation '{equation}' does not fit {operand}; the model is not valid")
        terms.append((*before, *(str(k) for k in range(free - 1, -1, -1)), *after))
        spread = max(spread, free)
    ellipsis = tuple(str(k) for k in range(spread - 1, -1, -1))
    letters = [letter for text in texts for letter in text.replace("...", "")]
    if not arrow:
        return terms, (*ellipsis, *sorted(letter for letter in set(letters) if letters.count(letter) == 1))
    before, dots, after = output.partition("...")
    named = before + after
    if len(set(named)) != len(named) or not set(named) <= set(letters) or (spread and not dots):
        raise Refused(f"equation '{equation}' has no such result; the model is not valid")
    return terms, (*before, *(ellipsis if dots else ()), *after)


def _named_alike(ctx: Context, part: _Labelled, sizes: Mapping[str, Dim]) -> _Labelled:
    dims = [1 if part.at(label) == 1 else sizes[label] for label in part.labels]
    return _Labelled(held_to(ctx, part.tensor, dims), part.labels)


def _diagonal(ctx: Context, x: Tensor, labels: tuple[str, ...]) -> _Labelled:
    """Of a label that occurs twice, only where both indices are equal."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            size, rank = x.shape[first], x.rank
            x = held_to(ctx, x, [size if axis == second else dim for axis, dim in enumerate(x.shape)])
            f = Formula(ctx, x.elem)
            on = f("equal", positions(size, first, rank), positions(size, second, rank))
            kept = f("where", on, x, ctx.scalar(0, x.elem))
            x = f.reduce("reduceSum", kept, (second,))
            labels = (*labels[:second], *labels[second + 1 :])
    return _Labelled(x, labels)


def _without(ctx: Context, part: _Labelled, dropped: Sequence[str]) -> _Labelled:
    kept = tuple(label for label in part.labels if label not in dropped)
    return _Labelled(reshape_to(ctx, part.tensor, [part.at(label) for label in kept]), kept)


def _summed(ctx: Context, part: _Labelled, needed: set[str]) -> _Labelled:
    axes = tuple(axis for axis, label in enumerate(part.labels) if label not in needed)
    labels = tuple(label for label in part.labels if label in needed)
    return _Labelled(Formula(ctx, part.tensor.elem).reduce("reduceSum", part.tensor, axes), labels)


def _joined(ctx: Context, left: _Labelled, right: _Labelled, needed: set[str]) -> _Labelled:
    """The product of two, summed over the labels that nothing else needs."""
    left = _summed(ctx, left, {*needed, *right.labels})
    right = _summed(ctx, right, {*needed, *left.labels})
    batch = [label for label in left.labels if label in right.labels and label in needed]
    inner = [label for label in left.labels if label in right.labels and label not in needed]
    rows = [label for label in left.labels if label not in right.labels]
    columns = [label for label in right.labels if label not in left.labels]
    labels = (*batch, *rows, *columns)
    if not inner or left.tensor.elem not in (Elem.FLOAT, Elem.FLOAT16, Elem.DOUBLE, Elem.BFLOAT16):
        return _multiplied(ctx, left, right, labels, inner)
    a = _grouped(ctx, left, batch, rows, inner)
    b = _grouped(ctx, right, batch, inner, columns)
    shape = [left.at(label) for label in (*batch, *rows)] + [right.at(label) for label in columns]
    return _Labelled(reshape_to(ctx, matmul_of(ctx, a, b), shape), labels)


def _multiplied(
    ctx: Context, left: _Labelled, right: _Labelled, labels: tuple[str, ...], inner: Sequence[str]
) -> _Labelled:
    """Without a matmul: nothing is summed, or WebNN has no matmul of this type."""
    order = (*labels, *inner)
    sides = []
    for side in (left, right):
        own = [label for label in order if label in side.labels]
        turned = transposed(ctx, side.tensor, [side.labels.index(label) for label in own])
        sides.append(reshape_to(ctx, turned, [side.at(label) if label in side.labels else 1 for label in order]))
    f = Formula(ctx, left.tensor.elem)
    return _Labelled(f.reduce("reduceSum", f("mul", *sides), tuple(range(len(labels), len(order)))), labels)


def _grouped(ctx: Context, part: _Labelled, batch: Sequence[str], *groups: Sequence[str]) -> Tensor:
    """[batch..., group, group]."""
    order = [*batch, *(label for group in groups for label in group)]
    moved = transposed(ctx, part.tensor, [part.labels.index(label) for label in order])
    shape = [part.at(label) for label in batch]
    shape += [product([part.at(label) for label in group]) for group in groups]
    return reshape_to(ctx, moved, shape)
