"""Weights of the modules after pooling, from safetensors.

Pickles are never read: `pytorch_model.bin` can run code when it is loaded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from webnn_runtime.embed.configuration import StrPath
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import EmbedError
from webnn_runtime.format.graph import TensorType

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["read_tensors"]

Floats: TypeAlias = "npt.NDArray[np.float32]"

_FILE: Final = "model.safetensors"
_PICKLE: Final = "pytorch_model.bin"


def read_tensors(folder: StrPath, *, module: str) -> dict[str, Floats]:
    """All tensors of `folder/model.safetensors` as float32.

    Raises:
        EmbedError: the file is missing, or only a pickle is there.
        WeightsError: the file is malformed, or holds a type other than float32, float16 and bfloat16.
    """
    path, pickle = Path(folder) / _FILE, Path(folder) / _PICKLE
    if not path.is_file():
        if pickle.exists():
            raise EmbedError(
                f"{pickle}: weights of module '{module}' in a pickle, which is never read because it can "
                f"run code; save the model again with sentence-transformers, which writes {_FILE}"
            )
        raise EmbedError(f"{path}: missing; module '{module}' needs its weights in safetensors")
    from webnn_runtime.format.safetensors import open_safetensors

    source = open_safetensors(path)
    tensors: dict[str, Floats] = {}
    for name, entry in source.entries.items():
        stored = DataType.FLOAT16 if entry.type == "F16" else DataType.FLOAT32
        tensors[name] = source.read(name, TensorType(stored, entry.shape)).astype(np.float32)
    return tensors
