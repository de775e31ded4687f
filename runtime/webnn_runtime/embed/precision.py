"""Smaller forms of vectors: half floats, bytes between learnt bounds, and one bit per feature.

Bytes and bits are those of sentence-transformers' `quantize_embeddings`, bit for bit, so that an index that one
of the two has filled is searched by the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from webnn_runtime.embed.ranges import Ranges
from webnn_runtime.format.counts import is_count
from webnn_runtime.format.errors import EmbedError, EmbedMisuse

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["BITS", "BYTES", "PRECISIONS", "check_precision", "dequantize_embeddings", "quantize_embeddings"]

Vectors: TypeAlias = "npt.NDArray[Any]"

BYTES: Final = ("int8", "uint8")
BITS: Final = ("binary", "ubinary")
PRECISIONS: Final = ("float32", "float16", *BYTES, *BITS)
# int8 is uint8 moved by this, and binary is ubinary moved by it.
_SIGNED_OFFSET: Final = 128


def check_precision(precision: str, *, has_ranges: bool) -> None:
    """Refuse what `encode` cannot honour.

    Raises:
        EmbedError: an unknown precision, or bounds for one that counts between none.
    """
    if precision not in PRECISIONS:
        raise EmbedMisuse(f"encode: precision={precision!r}; expected one of {', '.join(PRECISIONS)}")
    if has_ranges and precision not in BYTES:
        raise EmbedMisuse(f"encode: ranges= are for {' and '.join(BYTES)}, not for {precision}; leave them out")


def quantize_embeddings(
    embeddings: npt.ArrayLike, precision: str, ranges: Ranges | npt.ArrayLike | None = None
) -> Vectors:
    """Vectors in another precision.

    Args:
        embeddings: floats, [features] or [rows, features].
        precision: "float32"; "float16"; "int8" or "uint8": 256 steps between the bounds of each feature, values
            outside taken for the bound; "binary" or "ubinary": a bit per feature, 1 where it is above 0, eight to
            a byte, the first in the highest bit, the last byte filled up with 0.
        ranges: bounds of each feature, for int8 and uint8: `Ranges`, or an array [2, features] of lowest and
            highest.

    Returns:
        Of the precision's type; binary is int8 and ubinary uint8 of [..., ceil(features / 8)].

    Raises:
        EmbedError: an unknown precision, bounds that are missing or do not fit, embeddings that are no floats, or
            values that are not finite, also after rounding to half floats.

    Example:
        >>> from webnn_runtime.embed import quantize_embeddings
        >>> quantize_embeddings([[0.5, -0.5, 0.1, -0.1, 0, 0, 0, 0.3]], "ubinary").tolist()
        [[161]]
    """
    if precision not in PRECISIONS:
        raise EmbedMisuse(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    vectors = np.asarray(embeddings)
    if vectors.dtype.kind != "f":
        raise EmbedError(f"quantize_embeddings: embeddings are {vectors.dtype}; expected floats, as encode gives them")
    if vectors.ndim not in (1, 2):
        raise EmbedError(f"quantize_embeddings: embeddings of {vectors.ndim} dimensions; expected a vector or rows")
    if not np.isfinite(vectors).all():
        raise EmbedError("quantize_embeddings: embeddings hold values that are not finite")
    if precision in BITS:
        packed: Vectors = np.packbits(vectors > 0, axis=-1)
        if precision == "ubinary":
            return packed
        moved: Vectors = np.bitwise_xor(packed, np.uint8(_SIGNED_OFFSET)).view(np.int8)
        return moved
    if precision in BYTES:
        bounds = _bounds(ranges, vectors.shape[-1], precision)
        # Bounds that are all but equal take a quotient past what floats hold; the clip puts it where it belongs.
        with np.errstate(over="ignore"):
            steps: Vectors = np.clip(np.floor((vectors - bounds[0]) / _step(bounds)), 0, 255)
        return steps.astype(np.uint8) if precision == "uint8" else (steps - _SIGNED_OFFSET).astype(np.int8)
    with np.errstate(over="ignore"):
        rounded = vectors.astype(precision)
    if not np.isfinite(rounded).all():
        most, way = np.finfo(precision).max, "use float32 or normalise" if precision == "float16" else "normalise"
        raise EmbedError(f"quantize_embeddings: a value is beyond what {precision} holds, {most:g}; {way}")
    return rounded


def dequantize_embeddings(
    embeddings: npt.ArrayLike,
    precision: str,
    ranges: Ranges | npt.ArrayLike | None = None,
    *,
    dimension: int | None = None,
) -> Vectors:
    """Floats again: the lower end of each byte's step, as sentence-transformers rescores, or 0 and 1 of bits.

    Args:
        embeddings: what `quantize_embeddings` gave.
        precision: the one it was given.
        ranges: the bounds it was given.
        dimension: number of features, for bits that do not fill their last byte; None for all that there are.

    Returns:
        float64 for bytes, else float32; [..., features].

    Raises:
        EmbedError: the type is not that of the precision, bounds are missing or do not fit, or so many features are
            not what is stored.

    Example:
        >>> import numpy as np
        >>> from webnn_runtime.embed import dequantize_embeddings
        >>> dequantize_embeddings(np.array([161], np.uint8), "ubinary", dimension=8).tolist()
        [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    """
    if precision not in PRECISIONS:
        raise EmbedMisuse(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}")
    stored = np.asarray(embeddings)
    wanted = {"binary": "int8", "ubinary": "uint8"}.get(precision, precision)
    if not stored.ndim:
        raise EmbedError("dequantize_embeddings: one number is no vector; expected [features] or [rows, features]")
    if stored.dtype != wanted:
        raise EmbedError(f"embeddings are {stored.dtype}, which '{precision}' is not; expected {wanted}")
    if precision in BITS:
        most = 8 * stored.shape[-1]
        if dimension is not None and not is_count(dimension, max(most - 7, 0), most):
            raise EmbedMisuse(
                f"dequantize_embeddings: dimension={dimension!r}; {stored.shape[-1]} bytes hold "
                f"{max(most - 7, 0)} to {most} features"
            )
        bits = np.unpackbits(stored.view(np.uint8) ^ np.uint8(_SIGNED_OFFSET if precision == "binary" else 0), axis=-1)
        return bits[..., :dimension].astype(np.float32)
    if precision in BYTES:
        bounds = _bounds(ranges, stored.shape[-1], precision)
        steps = stored.astype(np.float64) + (_SIGNED_OFFSET if precision == "int8" else 0)
        restored: Vectors = steps * _step(bounds) + bounds[0]
        return restored
    return stored.astype(np.float32)


def _bounds(ranges: Ranges | npt.ArrayLike | None, features: int, precision: str) -> npt.NDArray[np.float32]:
    """[2, features]: the lowest and the highest value of each feature.

    Raises:
        EmbedError: there are none, or of another shape, or they are no bounds.
    """
    if ranges is None:
        raise EmbedMisuse(
            f"precision='{precision}' needs the bounds of each feature; learn them from a few hundred typical texts by "
            "calibrate(texts) of an embedder, and pass ranges="
        )
    try:
        bounds = ranges.array if isinstance(ranges, Ranges) else np.asarray(ranges, np.float32)
    except (TypeError, ValueError) as exc:
        raise EmbedError(f"ranges are no numbers ({exc}); expected [2, {features}], lowest and highest values") from exc
    if bounds.shape != (2, features):
        raise EmbedError(f"ranges of shape {list(bounds.shape)}; expected [2, {features}], lowest and highest values")
    if not isinstance(ranges, Ranges):
        # An array brings none of the checks along: swapped bounds would turn every vector round.
        Ranges(bounds[0], bounds[1], is_unit=False)
    return bounds


def _step(bounds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    steps = (bounds[1] - bounds[0]) / np.float32(255)
    # A feature that never changed has no step; anything but 0 maps it to one value.
    fixed: npt.NDArray[np.float32] = np.where(steps == 0, np.float32(1), steps)
    return fixed
