"""Bounds of each feature, learnt from texts: what int8 and uint8 vectors are counted between.

They lie beside the model as `embedding_ranges.json` and name it by its identity, because bytes that were made with
other bounds, or with another model's, look like any others and compare as nonsense.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.embed.configuration import expect, read_object
from webnn_runtime.format.errors import EmbedError, EmbedMisuse
from webnn_runtime.format.records import dataclass
from webnn_runtime.hub.files import RANGES_FILE

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["FEW_TEXTS", "RangeStore", "Ranges", "kind_of", "read_ranges", "write_ranges"]

# With fewer texts than this many vectors of other texts lie outside the bounds; sentence-transformers warns there too.
FEW_TEXTS: Final = 100
_SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True, eq=False)
class Ranges:
    """Lowest and highest value of each feature.

    Attributes:
        low: float32 [features].
        high: float32 [features].
        is_unit: whether the vectors had length 1.
        count: number of vectors that they were learnt from; 0 when not known.

    Example:
        >>> from webnn_runtime.embed import Ranges, quantize_embeddings
        >>> bounds = Ranges.of([[0.0, 1.0], [1.0, 3.0]], is_unit=False)
        >>> quantize_embeddings([[0.5, 1.5]], "uint8", bounds).tolist()
        [[127, 63]]
    """

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    is_unit: bool
    count: int = 0

    def __post_init__(self) -> None:
        if self.low.ndim != 1 or self.low.shape != self.high.shape or not self.low.size:
            raise EmbedError(
                f"ranges: bounds of shapes {list(self.low.shape)} and {list(self.high.shape)}; expected one each per "
                "feature"
            )
        if not (np.isfinite(self.low).all() and np.isfinite(self.high).all()) or (self.low > self.high).any():
            raise EmbedError("ranges: a lower bound is above its upper one, or not finite; learn them again")

    @classmethod
    def of(cls, vectors: npt.ArrayLike, *, is_unit: bool) -> Ranges:
        """The bounds of float vectors [rows, features].

        Raises:
            EmbedError: fewer than two rows, or values that are not finite.
        """
        rows = np.asarray(vectors, np.float32)
        if rows.ndim != 2 or len(rows) < 2:
            raise EmbedError(
                f"ranges: vectors of shape {list(rows.shape)} have no bounds to learn; expected rows of at least 2 "
                f"texts, better {FEW_TEXTS} or more"
            )
        return cls(rows.min(axis=0), rows.max(axis=0), is_unit, len(rows))

    @property
    def dimension(self) -> int:
        """Number of features."""
        return len(self.low)

    @property
    def array(self) -> npt.NDArray[np.float32]:
        """[2, features], as sentence-transformers takes them."""
        return np.stack([self.low, self.high])

    @property
    def sha256(self) -> str:
        """Names these bounds; bytes of equal hashes, made by one model, are comparable."""
        import hashlib

        return hashlib.sha256(self.array.astype("<f4").tobytes()).hexdigest()


class RangeStore:
    """The bounds that an embedder knows, by number of features and whether vectors have length 1.

    Args:
        folder: of the model; its file is read when bounds are first asked for, and may be missing.
    """

    def __init__(self, folder: str) -> None:
        self.path: Final = Path(folder, RANGES_FILE)
        self._known: dict[tuple[int, bool], Ranges] = {}
        self._is_read = False

    def add(self, ranges: Ranges) -> None:
        """Know these too, in place of others of the same kind."""
        self._known[ranges.dimension, ranges.is_unit] = ranges

    def learn(self, vectors: npt.NDArray[np.float32], is_unit: bool) -> Ranges:
        """Know the bounds of these vectors from now on.

        Raises:
            EmbedError: fewer than two rows, only equal ones, or values that are not finite.
        """
        ranges = Ranges.of(vectors, is_unit=is_unit)
        if (ranges.low == ranges.high).all():
            # Every value of other texts would be outside, and all their bytes the same.
            raise EmbedError(
                f"ranges: the {len(vectors)} vectors are one and the same; expected those of different texts"
            )
        if ranges.count < FEW_TEXTS:
            import logging

            logging.getLogger(__name__).warning(
                "calibrate: bounds of %d texts; vectors of others will lie outside, pass %d or more",
                ranges.count,
                FEW_TEXTS,
            )
        self.add(ranges)
        return ranges

    def load(self, path: Path, identity: str) -> None:
        """Know the bounds of a file.

        Raises:
            EmbedError: it is missing, malformed, or belongs to another model.
        """
        for ranges in read_ranges(path, identity):
            self.add(ranges)

    def choose(
        self, given: Ranges | npt.ArrayLike | None, dimension: int, is_unit: bool, identity: Any
    ) -> Ranges | npt.ArrayLike:
        """The caller's own bounds, or those that are known for such vectors; `identity()` names the model.

        Raises:
            EmbedError: the caller's are for other vectors, or none are known.
        """
        if given is None:
            return self.find(dimension, is_unit, identity)
        if isinstance(given, Ranges) and (given.dimension, given.is_unit) != (dimension, is_unit):
            raise EmbedMisuse(
                f"encode: ranges= are for {kind_of(given.dimension, given.is_unit)} and these are "
                f"{kind_of(dimension, is_unit)}; learn others by calibrate with the same arguments"
            )
        return given

    def find(self, dimension: int, is_unit: bool, identity: Any) -> Ranges:
        """The bounds for such vectors; `identity()` names the model.

        Raises:
            EmbedError: there are none; or the file is another model's.
        """
        key = dimension, is_unit
        if key not in self._known and not self._is_read and self.path.is_file():
            for ranges in read_ranges(self.path, identity()):
                self._known.setdefault((ranges.dimension, ranges.is_unit), ranges)
            self._is_read = True
        if key in self._known:
            return self._known[key]
        others = ", ".join(kind_of(*each) for each in sorted(self._known))
        same = " with the same truncate_dim= and normalize=" if others else ""
        switches = ", with the same --truncate-dim and --no-normalize" if others else ""
        raise EmbedMisuse(
            f"encode: no bounds are known for {kind_of(*key)}{f', only for {others}' if others else ''}, and int8 and "
            "uint8 count between the lowest and highest value of each feature; learn them once from a few hundred "
            f"typical texts by calibrate(texts){same} and save_ranges(), or `webnn calibrate MODEL texts.txt`{switches}"
            ", or pass ranges="
        )

    def save(self, path: Path, identity: str) -> None:
        """Write everything that is known, beside what the file holds already of this model.

        Raises:
            EmbedError: nothing is known, or the place cannot be written.
        """
        if not self._known:
            raise EmbedError("save_ranges: no bounds are known yet; learn them by calibrate(texts)")
        known = dict(self._known)
        # A file of another model is out of date: the model in this folder was replaced.
        if path.is_file() and read_object(path).get("model") == identity:
            known = {(each.dimension, each.is_unit): each for each in read_ranges(path, identity)} | known
        write_ranges(path, [known[key] for key in sorted(known)], identity)


def read_ranges(path: Path, identity: str) -> list[Ranges]:
    """Bounds from a file.

    Raises:
        EmbedError: it is malformed, was damaged, or belongs to a model with another identity.
    """
    found = read_object(path)
    if found.get("schemaVersion") != _SCHEMA_VERSION:
        raise EmbedError(f"{path}: schemaVersion {found.get('schemaVersion')!r}; expected {_SCHEMA_VERSION}")
    model = expect(path, found, "model", str, "")
    if model != identity:
        raise EmbedError(
            f"{path}: learnt for the model {model[:12] or 'without identity'} and this one is {identity[:12]} (graph, "
            "weights, tokenizer, modules, prompts or maximum length differ); learn them again by calibrate(texts)"
        )
    entries = expect(path, found, "ranges", list, [])
    return [_read_entry(path, entry) for entry in entries]


def write_ranges(path: Path, ranges: Iterable[Ranges], identity: str) -> None:
    """Write a file, or leave what was there.

    Raises:
        EmbedError: the place cannot be written.
    """
    entries = [
        {
            "dimension": each.dimension,
            "normalized": each.is_unit,
            "texts": each.count,
            "sha256": each.sha256,
            "low": _numbers(each.low),
            "high": _numbers(each.high),
        }
        for each in ranges
    ]
    content = {"schemaVersion": _SCHEMA_VERSION, "model": identity, "ranges": entries}
    from webnn_runtime.format.staged_file import staged_file

    try:
        with staged_file(path) as staged:
            staged.write_text(json.dumps(content) + "\n", encoding="utf-8", newline="\n")
    except OSError as exc:
        raise EmbedMisuse(f"{path}: cannot be written: {exc.strerror or exc}; choose another place") from exc


def _read_entry(path: Path, entry: object) -> Ranges:
    if not isinstance(entry, Mapping):
        raise EmbedError(f"{path}: an entry of 'ranges' is no object; learn them again")
    low, high = (_floats(path, entry, key) for key in ("low", "high"))
    is_unit, count = expect(path, entry, "normalized", bool, False), expect(path, entry, "texts", int, 0)
    try:
        ranges = Ranges(low, high, is_unit, count)
    except EmbedError as exc:
        raise EmbedError(f"{path}: {exc}") from exc
    if ranges.sha256 != entry.get("sha256"):
        raise EmbedError(
            f"{path}: the bounds for {kind_of(ranges.dimension, ranges.is_unit)} do not have their SHA-256"
        )
    return ranges


def _floats(path: Path, entry: Mapping[str, Any], key: str) -> npt.NDArray[np.float32]:
    values = expect(path, entry, key, list, [])
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        raise EmbedError(f"{path}: '{key}' holds something that is no number; learn them again")
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float64).astype(np.float32)


def _numbers(values: npt.NDArray[np.float32]) -> list[float]:
    # Nine digits are what a float32 needs to come back as the same bits.
    return [float(f"{value:.9g}") for value in values]


def kind_of(dimension: int, is_unit: bool) -> str:
    """Which vectors bounds are for, in words."""
    return f"vectors of {dimension} features {'of length 1' if is_unit else 'not scaled to length 1'}"
