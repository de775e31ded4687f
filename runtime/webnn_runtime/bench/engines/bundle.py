"""The bundle itself, on one of this project's backends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webnn_runtime.bench.engines.base import Arrays, Engine, Spec
from webnn_runtime.model import load

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["BundleEngine"]


class BundleEngine(Engine):
    """The bundle on `spec.backend`."""

    def __init__(self, spec: Spec) -> None:
        self._model = load(spec.bundle, backend=spec.backend, threads=spec.threads)
        self._output = spec.output
        described = self._model.describe()
        self.note = f"the bundle, backend {described['backend']}"
        if "isa" in described:
            self.note += f", {described['isa']}"

    def prepare(self, arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        return {name: arrays[name].astype(kind.dtype.numpy) for name, kind in self._model.inputs.items()}

    def run(self, prepared: Any) -> npt.NDArray[np.float32]:
        return self._model.run(prepared)[self._output]

    def describe(self) -> dict[str, object]:
        return dict(self._model.describe())
