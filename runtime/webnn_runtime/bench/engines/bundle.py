"""The bundle itself, on one of this project's backends."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from webnn_runtime.bench.engines.base import EMBEDDING, Arrays, Engine, Spec
from webnn_runtime.embed.modules import chosen_modules
from webnn_runtime.embed.stages import Normalize
from webnn_runtime.model import load

__all__ = ["BundleEngine"]


_MASK: Final = "attention_mask"


class BundleEngine(Engine):
    """The bundle on `spec.backend`; as the embedder runs it, without padding where the backend can."""

    def __init__(self, spec: Spec) -> None:
        self._model = load(spec.bundle, backend=spec.backend, threads=spec.threads)
        self._output = spec.output
        # Of a graph without a mask, the padding of a batch could not be told.
        can_tell = spec.kind == EMBEDDING and _MASK in self._model.inputs
        modules = chosen_modules(Path(spec.bundle), spec.pooling) if can_tell and not spec.is_pooled else None
        mode = None if modules is None else modules.pooling.of_whole_texts
        is_all = modules is not None and [type(stage) for stage in modules.stages] in ([], [Normalize])
        self._runner = None if mode is None else self._model.texts([spec.output], mode, normalize=is_all)
        if self._runner is not None:
            self.gives = "answer" if is_all else "vectors"
        elif can_tell:
            self._runner = self._model.texts([spec.output])
            self.gives = "output" if self._runner is None or spec.is_pooled else "texts"
        described = self._model.describe()
        self.note = f"the bundle, backend {described['backend']}"
        if "isa" in described:
            self.note += f", {described['isa']}"
        if self._runner is not None:
            self.note += ", without padding"

    def prepare(self, arrays: Arrays) -> Any:
        if self._runner is None:
            return {name: arrays[name].astype(kind.dtype.numpy) for name, kind in self._model.inputs.items()}
        kept = arrays[_MASK] != 0
        tokens = {name: arrays[name][kept].astype(kind.numpy) for name, kind in self._runner.inputs.items()}
        return tokens, kept.sum(axis=1).tolist()

    def run(self, prepared: Any) -> Any:
        if self._runner is None:
            return self._model.run(prepared)[self._output]
        tokens, lengths = prepared
        found = self._runner.run(tokens, lengths)[self._output]
        if self.gives != "texts":
            return found
        # As the embedder cuts them: `np.split` takes 5 us for one text.
        ends = list(accumulate(lengths))
        return [found[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    def describe(self) -> dict[str, object]:
        return dict(self._model.describe())
