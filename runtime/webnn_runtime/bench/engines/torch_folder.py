"""Engines that read the source's transformers folder, in float32."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from webnn_runtime.bench.engines.base import CLASSIFICATION, Arrays, Engine, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["SentenceTransformersEngine", "TransformersEngine"]


class _TorchEngine(Engine):
    """What they share: tensors that borrow the arrays, and a number of threads for the process."""

    def __init__(self, spec: Spec) -> None:
        import torch

        self._torch = torch
        torch.set_num_threads(spec.threads)
        self._takes: set[str] = set()

    def prepare(self, arrays: Arrays) -> dict[str, Any]:
        # A copy: torch warns of arrays that it could write to and must not.
        return {name: self._torch.tensor(array) for name, array in arrays.items() if name in self._takes}


class TransformersEngine(_TorchEngine):
    """The model of transformers in inference mode, with torch's fused attention."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        import transformers

        is_classifier = spec.kind == CLASSIFICATION
        loader = transformers.AutoModelForSequenceClassification if is_classifier else transformers.AutoModel
        self._model = loader.from_pretrained(spec.folder, local_files_only=True).float().eval()
        self._field = "logits" if is_classifier else "last_hidden_state"
        self.gives = "output" if is_classifier else "tokens"
        self._takes = _inputs_of(self._model)
        self.note = f"transformers {transformers.__version__} on torch {self._torch.__version__}"

    def run(self, prepared: Any) -> npt.NDArray[np.float32]:
        with self._torch.inference_mode():
            found: npt.NDArray[np.float32] = getattr(self._model(**prepared), self._field).numpy()
        return found


class SentenceTransformersEngine(_TorchEngine):
    """The modules of sentence-transformers, its own pooling included."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        import sentence_transformers

        model = sentence_transformers.SentenceTransformer(spec.folder, device="cpu", local_files_only=True)
        self._model = model.float().eval()
        self.gives = "answer"
        self._takes = _inputs_of(self._model[0].auto_model)
        self.note = f"sentence-transformers {sentence_transformers.__version__} on torch {self._torch.__version__}"

    def run(self, prepared: Any) -> npt.NDArray[np.float32]:
        torch = self._torch
        with torch.inference_mode():
            vectors = self._model(dict(prepared))["sentence_embedding"]
            found: npt.NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).numpy()
        return found


def _inputs_of(model: Any) -> set[str]:
    """Inputs that a module's forward takes by name; positions are its own affair."""
    return set(inspect.signature(model.forward).parameters) & {"input_ids", "attention_mask", "token_type_ids"}
