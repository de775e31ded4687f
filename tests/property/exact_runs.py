"""What a graph gives by its definitions, and how far a right implementation in float32 may be from that.

The published budgets are coarse (1/1024 for a layer normalisation), and would let a wrong epsilon pass. Here every
float on the way is moved by some units of its last place, and what that moves the results by is what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from webnn_runtime.format.graph import Array, Graph, Node
from webnn_runtime.passes.bind_dims import bind_dims
from webnn_runtime.reference import evaluate

__all__ = ["wrong_results"]

_RUNS: Final = 3
# A product of two dozen terms in another order, then an exponential: 4 units of the last place of float32.
_NOISE: Final = 2.0**-21
_PLACE: Final = 2.0**-24
_SUMS: Final = ("conv2d", "matmul", "gemm", "reduceSum", "reduceMean")
_ALLOWED: Final = 12.0
_LEAST: Final = 4e-6


def makes_no_number(node: Node, operands: Sequence[Array | None], results: Sequence[Array]) -> bool:
    """Whether NaN comes from here: the root of a negative number, infinity less infinity.

    The softmax of a row without a key is NaN too, and defined to be.
    """
    had = any(array is not None and has_nan(array) for array in operands)
    return node.op != "softmax" and not had and any(has_nan(array) for array in results)


def no_numbers(array: Array) -> Array:
    """Where NaN is, which integers have none of."""
    return np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)


def has_nan(array: Array) -> bool:
    return bool(no_numbers(array).any())


def results_of(
    graph: Graph, feeds: Mapping[str, Array], random: np.random.Generator | None
) -> tuple[dict[str, Array], bool]:
    """The definitions, each float result a little off where `random` is given; and whether NaN came up on the way."""
    no_number = False
    found = {name: constant.values for name, constant in graph.constants.items()} | dict(feeds)
    for node in graph.nodes:
        operands = [None if name is None else found[name] for name in node.inputs]
        kinds = [graph.types[name] for name in node.outputs]
        with np.errstate(all="ignore"):
            results = evaluate(node, operands, {}, kinds)
            no_number = no_number or makes_no_number(node, operands, results)
            for name, result in zip(node.outputs, results, strict=True):
                if random is not None and result.dtype.kind == "f":
                    # Sums whose terms cancel are off by the places of the terms, which are as large as others' sums.
                    largest = np.max(np.abs(result[np.isfinite(result)]), initial=0.0)
                    most = float(largest) * _PLACE if node.op in _SUMS else 0.0
                    off = [random.uniform(-scale, scale, result.shape) for scale in (_NOISE, most)]
                    result = (result * (1 + off[0]) + off[1]).astype(result.dtype)
                found[name] = result
    return {output: found[value] for output, value in graph.outputs.items()}, no_number


def wrong_results(
    graph: Graph, feeds: Mapping[str, Array], sizes: Mapping[str, int], actual: Mapping[str, Array]
) -> dict[str, str]:
    """Results that are not what the definitions allow, with what is wrong.

    Where NaN comes up in a hidden key or in padding, the definitions carry it into every text, and a backend that
    never looks there does not: what is NaN by definition may be anything then.
    """
    bound = bind_dims(graph, {name: size for name, size in sizes.items() if name in graph.dims})
    expected, no_number = results_of(bound, feeds, None)
    wrong = {name: told for name, array in expected.items() if (told := beyond(actual[name], array, _LEAST, 0.0))}
    if not wrong:
        return {}
    # The root of what would be zero but for rounding is a number or none; that it may be none takes many runs to see.
    surprise = any(has_nan(actual[name]) and not has_nan(array) for name, array in expected.items())
    seeds = range(8 * _RUNS if surprise else _RUNS)
    noisy = [results_of(bound, feeds, np.random.default_rng(seed)) for seed in seeds]
    no_number = no_number or any(other for _, other in noisy)
    wrong = {}
    for name, array in expected.items():
        moved = np.stack([distances(other[name], array) for other, _ in noisy])
        anything = np.isinf(moved).any(axis=0) | (no_number & (no_numbers(array) | no_numbers(actual[name])))
        finite = moved[np.isfinite(moved)]
        most = _ALLOWED * float(finite.max()) if finite.size else 0.0
        anything |= no_number and most > np.max(np.abs(array[np.isfinite(array)]), initial=0.0)
        told = beyond(actual[name], array, _LEAST, most, anything)
        if told:
            wrong[name] = told
    return wrong


def distances(a: Array, b: Array) -> Array:
    """|a - b|: nothing between equal ones, infinite where one of the two alone is a number."""
    with np.errstate(all="ignore"):
        found = np.abs(a.astype(np.float64) - b.astype(np.float64))
    same = (a == b) | (no_numbers(a) & no_numbers(b))
    return np.where(same, 0.0, np.where(np.isnan(found), np.inf, found))


def beyond(actual: Array, expected: Array, least: float, more: float, anything: Array | None = None) -> str:
    """What is wrong, or nothing. `anything` marks elements for which there is no right answer."""
    if (actual.dtype, actual.shape) != (expected.dtype, expected.shape):
        return f"{actual.dtype}{list(actual.shape)} instead of {expected.dtype}{list(expected.shape)}"
    finite = np.abs(expected[np.isfinite(expected)].astype(np.float64))
    allowed = more + (least * max(float(finite.max(initial=0.0)), 1e-30) if expected.dtype.kind == "f" else 0.0)
    off = np.atleast_1d(distances(actual, expected) > allowed)
    if anything is not None:
        off &= ~np.atleast_1d(anything)
    if not off.any():
        return ""
    first = int(np.argmax(off))
    return (
        f"{off.sum()} of {off.size} elements are off; element {first} is {actual.flat[first]!s}, "
        f"expected {expected.flat[first]!s} within {allowed:g}"
    )
