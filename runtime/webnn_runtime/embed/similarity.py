"""Comparing embeddings: cosine similarity, and how far two sets of the same texts lie apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "FUNCTIONS",
    "Comparison",
    "check_function",
    "compare",
    "compute_similarity",
    "similarity",
    "similarity_pairwise",
]

Vectors: TypeAlias = "npt.ArrayLike"
Doubles: TypeAlias = "npt.NDArray[np.float64]"
FUNCTIONS: Final = ("cosine", "dot", "euclidean", "manhattan")


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """Two sets of vectors, row by row.

    Attributes:
        cosine: cosine similarity of each pair of rows.
        euclidean: Euclidean distance of each pair.
        mse: mean squared difference of each pair.
        mae: mean absolute difference of each pair.
        max_abs: largest absolute difference of all.
    """

    cosine: Doubles
    euclidean: Doubles
    mse: Doubles
    mae: Doubles
    max_abs: float

    @property
    def average_cosine(self) -> float:
        """Average over the rows."""
        return float(self.cosine.mean())

    @property
    def min_cosine(self) -> float:
        """The worst row."""
        return float(self.cosine.min())


def check_function(call: str, function: object) -> None:
    """Refuse what `similarity` does not compute.

    Raises:
        EmbedError: it is none of `FUNCTIONS`.
    """
    if function not in FUNCTIONS:
        raise EmbedMisuse(f"{call}: no function {function!r}; expected one of {', '.join(FUNCTIONS)}")


def compute_similarity(a: Vectors, b: Vectors) -> float | npt.NDArray[np.float32]:
    """Cosine similarity of every vector of `a` with every vector of `b`.

    Two single vectors give a float, a vector and a matrix a 1-D array, two matrices a 2-D array
    [rows of a, rows of b]. A vector of zeros has similarity 0 with everything.

    Raises:
        EmbedError: the vectors differ in size, or an argument has more than two dimensions or holds something else.

    Example:
        >>> from webnn_runtime.embed import compute_similarity
        >>> compute_similarity([1.0, 0.0], [3.0, 4.0])
        0.6
    """
    left, right = _matrix(a, "a"), _matrix(b, "b")
    if left.shape[-1] != right.shape[-1]:
        raise EmbedError(
            f"compute_similarity: vectors of {left.shape[-1]} and {right.shape[-1]} features; "
            "they must come from one model"
        )
    cosines: npt.NDArray[np.float64] = _unit(left) @ _unit(right).T
    if cosines.ndim == 0:
        return float(cosines)
    return cosines.astype(np.float32)


def similarity(a: Vectors, b: Vectors, function: str = "cosine") -> npt.NDArray[np.float32]:
    """How similar every vector of `a` is to every vector of `b`; more is more similar.

    Args:
        a: a vector, or rows of them.
        b: the same.
        function: "cosine", "dot", or "euclidean" or "manhattan", which are negative distances.

    Returns:
        [rows of a, rows of b]; a vector alone is one row, as in sentence-transformers.

    Raises:
        EmbedError: there is no such function, the vectors differ in size, or an argument has more than two dimensions
            or holds something else.
    """
    left, right = _operands("similarity", a, b, function)
    found = np.empty((len(left), len(right)), np.float32)
    if function in ("cosine", "dot"):
        found[:] = _unit(left) @ _unit(right).T if function == "cosine" else left @ right.T
        return found
    # Row by row: all differences at once are as many numbers as rows times rows times features.
    for row, vector in zip(found, left, strict=True):
        gap = np.abs(right - vector)
        row[:] = -np.sqrt((gap * gap).sum(axis=1)) if function == "euclidean" else -gap.sum(axis=1)
    return found


def similarity_pairwise(a: Vectors, b: Vectors, function: str = "cosine") -> npt.NDArray[np.float32]:
    """How similar each vector of `a` is to the one of `b` in its place: [rows], by the functions of `similarity`.

    Raises:
        EmbedError: as for `similarity`, or the numbers of vectors differ.
    """
    left, right = _operands("similarity_pairwise", a, b, function)
    if len(left) != len(right):
        raise EmbedError(f"similarity_pairwise: {len(left)} and {len(right)} vectors; expected as many of each")
    if function in ("cosine", "dot"):
        found: Doubles = (_unit(left) * _unit(right) if function == "cosine" else left * right).sum(axis=1)
    else:
        gap = np.abs(left - right)
        found = -np.sqrt((gap * gap).sum(axis=1)) if function == "euclidean" else -gap.sum(axis=1)
    return found.astype(np.float32)


def compare(a: Vectors, b: Vectors) -> Comparison:
    """Measure how two sets of vectors of the same texts differ.

    Raises:
        EmbedError: the sets have different shapes, or are empty.

    Example:
        >>> from webnn_runtime.embed import compare
        >>> compare([[1, 0]], [[0.8, 0.6]]).average_cosine
        0.8
    """
    left, right = np.atleast_2d(_matrix(a, "a")), np.atleast_2d(_matrix(b, "b"))
    if left.shape != right.shape or not left.size:
        raise EmbedError(f"compare: shapes {list(left.shape)} and {list(right.shape)}; they must be equal, not empty")
    gap = np.abs(left - right)
    return Comparison(
        cosine=(_unit(left) * _unit(right)).sum(axis=1),
        euclidean=np.sqrt((gap * gap).sum(axis=1)),
        mse=(gap * gap).mean(axis=1),
        mae=gap.mean(axis=1),
        max_abs=float(gap.max()),
    )


def _operands(call: str, a: Vectors, b: Vectors, function: str) -> tuple[Doubles, Doubles]:
    check_function(call, function)
    left, right = np.atleast_2d(_matrix(a, "a")), np.atleast_2d(_matrix(b, "b"))
    if left.shape[1] != right.shape[1]:
        raise EmbedError(
            f"{call}: vectors of {left.shape[1]} and {right.shape[1]} features; they must come from one model"
        )
    return left, right


def _matrix(values: Vectors, name: str) -> Doubles:
    if getattr(values, "dtype", None) in (np.dtype(np.int8), np.dtype(np.uint8)):
        raise EmbedError(
            f"argument '{name}' holds {np.asarray(values).dtype}, steps or bits and not numbers to multiply; "
            "search them by semantic_search, or make floats of them by dequantize_embeddings"
        )
    try:
        if np.iscomplexobj(values):
            raise TypeError("they are complex")
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as exc:
        raise EmbedError(f"argument '{name}' holds no vectors of numbers ({exc}); encode makes some of texts") from exc
    if array.ndim not in (1, 2):
        raise EmbedError(f"argument '{name}' has {array.ndim} dimensions; expected a vector or a matrix of rows")
    return array


def _unit(vectors: Doubles) -> Doubles:
    norms = np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))
    unit: Doubles = vectors / np.where(norms > 0, norms, 1.0)
    return unit
