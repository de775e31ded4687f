"""The part of an embedder that knows bounds: what vectors of 8 bits are counted between."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from webnn_runtime.embed.arguments import strings_of
from webnn_runtime.format.errors import EmbedMisuse

if TYPE_CHECKING:
    from pathlib import Path

    from webnn_runtime.embed.calls import EncodeMethod
    from webnn_runtime.embed.pipeline import Pipeline
    from webnn_runtime.embed.ranges import Ranges, RangeStore
    from webnn_runtime.format.locks import Lock
    from webnn_runtime.hub import ModelFolder

__all__ = ["Calibrated"]


class Calibrated:
    """Learns, keeps and reads the bounds of the vectors that `encode` gives."""

    if TYPE_CHECKING:
        encode: EncodeMethod

        @property
        def identity(self) -> str: ...
        @property
        def _source(self) -> ModelFolder: ...
        @property
        def _folder(self) -> str: ...
        @property
        def _lock(self) -> Lock: ...
        @property
        def _pipeline(self) -> Pipeline: ...

    _store: RangeStore | None = None

    def calibrate(self, texts: Iterable[str], **options: Any) -> Ranges:
        """Learn the bounds that `encode(precision="int8")` counts between, and know them from now on.

        Args:
            texts: typical of what will be embedded; a few hundred, better thousands.
            options: arguments of `encode`: bounds hold for one `truncate_dim` and one `normalize`.

        Raises:
            EmbedError: fewer than two texts, or as for `encode`.
        """
        if "precision" in options or "ranges" in options:
            raise EmbedMisuse("calibrate: bounds are learnt in float32; leave precision= and ranges= out")
        vectors = self.encode(strings_of(texts), **options)
        asked = options.get("normalize_embeddings")
        normalize = options.get("normalize", True) if asked is None else asked
        asked = options.get("truncate_dim")
        truncate_dim = self._pipeline.truncate_dim if asked is None else asked
        return self._ranges.learn(vectors, self._gives_unit(normalize, truncate_dim))

    def save_ranges(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write all bounds that are known to a file; by default beside the model, where they are found again.

        Raises:
            EmbedError: nothing was learnt, or the place cannot be written.
        """
        if path is None and self._source.revision is not None:
            raise EmbedMisuse("save_ranges: the model is in the Hub's cache, which is not ours to change; pass a path")
        from pathlib import Path

        target = self._ranges.path if path is None else Path(path)
        self._ranges.save(target, self.identity)
        return target

    def load_ranges(self, path: str | os.PathLike[str]) -> None:
        """Know the bounds of a file that `save_ranges` wrote.

        Raises:
            EmbedError: the file is missing, malformed, or belongs to another model.
        """
        from pathlib import Path

        self._ranges.load(Path(path), self.identity)

    @property
    def _ranges(self) -> RangeStore:
        from webnn_runtime.embed.ranges import RangeStore

        with self._lock:
            self._store = self._store or RangeStore(self._folder)
            return self._store

    def _gives_unit(self, normalize: bool, truncate_dim: int | None) -> bool:
        return normalize or (self._pipeline.is_normalized and truncate_dim is None)
