"""Parse, validate, build and run WebNN graphs; embed and classify texts with them.

- `WebNNEmbedder` and `WebNNClassifier` take texts.
- `load` takes any bundle that `webnn-convert` wrote, and runs it on arrays.
- `ML` and `MLGraphBuilder` build graphs call by call, as the W3C specification has them.
- `load_bundle`, `save_bundle` and `Graph` are for files and graphs that are not run.
- Every error that is raised on purpose is a `WebnnError`; `webnn_runtime.format.errors` has the kinds.

Importing this package is cheap: each name below is loaded when it is first used.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Final

from webnn_runtime.format.version import VERSION

__version__ = VERSION

# ONNX Runtime 1.31 reports on its use to its makers unless this is set before it is loaded; who wants that sets 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from webnn_runtime.api import (
        ML,
        AsyncMLContext,
        InvalidStateError,
        MLContext,
        MLGraph,
        MLGraphBuilder,
        MLOperand,
        MLTensor,
        MLTypeError,
        NotSupportedError,
        OperationError,
        UnknownError,
    )
    from webnn_runtime.classify import WebNNClassifier
    from webnn_runtime.embed import WebNNEmbedder
    from webnn_runtime.format.bundle import load_bundle
    from webnn_runtime.format.bundle_writing import save_bundle
    from webnn_runtime.format.errors import WebnnError
    from webnn_runtime.format.graph import Graph
    from webnn_runtime.model import Model, load

__all__ = [
    "ML",
    "AsyncMLContext",
    "Graph",
    "InvalidStateError",
    "MLContext",
    "MLGraph",
    "MLGraphBuilder",
    "MLOperand",
    "MLTensor",
    "MLTypeError",
    "Model",
    "NotSupportedError",
    "OperationError",
    "UnknownError",
    "WebNNClassifier",
    "WebNNEmbedder",
    "WebnnError",
    "__version__",
    "load",
    "load_bundle",
    "save_bundle",
]

_HOMES: Final = {
    **dict.fromkeys(
        (
            "AsyncMLContext",
            "InvalidStateError",
            "ML",
            "MLContext",
            "MLGraph",
            "MLGraphBuilder",
            "MLOperand",
            "MLTensor",
            "MLTypeError",
            "NotSupportedError",
            "OperationError",
            "UnknownError",
        ),
        "webnn_runtime.api",
    ),
    "Graph": "webnn_runtime.format.graph",
    "Model": "webnn_runtime.model",
    "WebNNClassifier": "webnn_runtime.classify",
    "WebNNEmbedder": "webnn_runtime.embed",
    "WebnnError": "webnn_runtime.format.errors",
    "load": "webnn_runtime.model",
    "load_bundle": "webnn_runtime.format.bundle",
    "save_bundle": "webnn_runtime.format.bundle_writing",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'", name=name, obj=sys.modules[__name__])
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(__all__)
