"""Contenders by name: what each needs, and how it is opened."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import Final

from webnn_runtime.bench.engines.base import CLASSIFICATION, EMBEDDING, GRAPH, Engine, Spec
from webnn_runtime.bench.engines.integers import DYNAMIC, NNCF
from webnn_runtime.bench.errors import BenchError

__all__ = ["OURS", "RIVALS", "Rival", "choose_rivals", "open_engine"]

OURS: Final = "webnn"
_POOLS_ITSELF: Final = "sentence-transformers"
_TEXTS: Final = (EMBEDDING, CLASSIFICATION)


@dataclass(frozen=True, slots=True)
class Rival:
    """What a rival needs.

    Attributes:
        modules: Python modules that must be there.
        install: what pip installs for it.
        source: "onnx" for an ONNX file, "folder" for a transformers folder.
        kinds: what it can be compared on.
        falls_back: whether without a source it runs the bundle's graph.
        is_optimised: whether the source goes through onnxruntime's transformer optimiser first.
        quantiser: what makes 8 bits of the source; none for float32.
    """

    modules: tuple[str, ...]
    install: str
    source: str
    kinds: tuple[str, ...] = (*_TEXTS, GRAPH)
    falls_back: bool = False
    is_optimised: bool = False
    quantiser: str | None = None

    @property
    def missing(self) -> str | None:
        """The first module that is not installed."""
        return next((name for name in self.modules if importlib.util.find_spec(name) is None), None)


RIVALS: Final = {
    "onnxruntime": Rival(("onnxruntime",), "onnxruntime", "onnx", falls_back=True),
    "onnxruntime-optimised": Rival(("onnxruntime", "onnx"), "onnxruntime onnx", "onnx", _TEXTS, is_optimised=True),
    "openvino": Rival(("openvino",), "openvino", "onnx"),
    "transformers": Rival(("torch", "transformers"), "torch transformers", "folder", _TEXTS),
    "sentence-transformers": Rival(
        ("torch", "sentence_transformers"), "torch sentence-transformers", "folder", (EMBEDDING,)
    ),
    "onnxruntime-int8": Rival(("onnxruntime", "onnx"), "onnxruntime onnx", "onnx", _TEXTS, quantiser=DYNAMIC),
    "onnxruntime-optimised-int8": Rival(
        ("onnxruntime", "onnx"), "onnxruntime onnx", "onnx", _TEXTS, is_optimised=True, quantiser=DYNAMIC
    ),
    "openvino-int8": Rival(("openvino", "nncf"), "openvino nncf", "onnx", _TEXTS, quantiser=NNCF),
}


def choose_rivals(asked: str | None, spec: Spec, *, is_quantised: bool = False) -> tuple[list[str], dict[str, str]]:
    """Names of the rivals to run, and why the others do not.

    Args:
        asked: names with commas between them, "none", or None for all that can run.
        spec: the sources that are there.
        is_quantised: whether the bundle is, so that rivals in 8 bits are asked for as well.

    Raises:
        BenchError: one that was asked for cannot run.
    """
    if asked is not None and asked.strip() == "none":
        return [], {}
    if asked is not None and not asked.strip(" ,"):
        raise BenchError(f"--against: names no contender; expected some of {', '.join(RIVALS)}, or none")
    usual = [name for name, rival in RIVALS.items() if is_quantised or rival.quantiser is None]
    names = usual if asked is None else [name.strip() for name in asked.split(",") if name.strip()]
    chosen: list[str] = []
    left_out: dict[str, str] = {}
    for name in dict.fromkeys(names):
        reason = _obstacle(name, spec)
        if reason is None:
            chosen.append(name)
        elif asked is None:
            left_out[name] = reason
        else:
            raise BenchError(f"--against {name}: {reason}")
    return chosen, left_out


def _obstacle(name: str, spec: Spec) -> str | None:
    rival = RIVALS.get(name)
    if rival is None:
        return f"there is no such contender; expected some of {', '.join(RIVALS)}, or none"
    if spec.kind not in rival.kinds:
        what = "inputs that are not texts" if spec.kind == GRAPH else spec.kind
        return f"it is no contender for {what}; leave it out"
    if rival.missing is not None:
        return f"the package {rival.missing.replace('_', '-')} is not installed; pip install {rival.install}"
    if rival.source == "onnx" and spec.onnx is None and not rival.falls_back:
        return "it needs the model as an ONNX file; pass --onnx model.onnx"
    if name == _POOLS_ITSELF and spec.pooling is not None:
        return "it pools as the files of its folder say, whatever --pooling does; leave one of them out"
    if rival.source == "folder" and spec.folder is None:
        return "it needs the model's own folder, with config.json and weights; pass --model-folder FOLDER"
    return None


def open_engine(spec: Spec) -> Engine:
    """Open the contender that `spec` names; loads its library."""
    if spec.name not in RIVALS or (spec.name == "onnxruntime" and spec.onnx is None):
        from webnn_runtime.bench.engines.bundle import BundleEngine

        if spec.name not in RIVALS:
            return BundleEngine(spec)
        engine = BundleEngine(replace(spec, backend="onnxruntime"))
        engine.note += ": no --onnx was given"
        return engine
    if RIVALS[spec.name].source == "onnx":
        from webnn_runtime.bench.engines import onnx_file

        return (
            onnx_file.OpenVinoEngine(spec)
            if "openvino" in RIVALS[spec.name].modules
            else onnx_file.OnnxRuntimeEngine(spec)
        )
    from webnn_runtime.bench.engines import torch_folder

    if spec.name == "transformers":
        return torch_folder.TransformersEngine(spec)
    return torch_folder.SentenceTransformersEngine(spec)
