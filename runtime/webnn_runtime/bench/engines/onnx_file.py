"""Engines that read the source's ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.bench.engines.base import GRAPH, Arrays, Engine, Spec
from webnn_runtime.bench.errors import BenchError
from webnn_runtime.format.utf8_paths import in_utf8

__all__ = ["OnnxRuntimeEngine", "OpenVinoEngine", "write_optimised"]


class OnnxRuntimeEngine(Engine):
    """onnxruntime on the source file, with all of its own optimisations."""

    def __init__(self, spec: Spec) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = spec.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            in_utf8(spec.onnx or ""), options, providers=["CPUExecutionProvider"]
        )
        self._types = {entry.name: _TYPES.get(entry.type) for entry in self._session.get_inputs()}
        outputs = [entry.name for entry in self._session.get_outputs()]
        chosen = _choose(outputs, spec)
        # Of a graph of any kind the bundle computes every output, and so does this; of a text encoder what is used.
        self._asked = outputs if spec.kind == GRAPH else [chosen]
        self._place = self._asked.index(chosen)
        self.note = f"onnxruntime {onnxruntime.__version__}"

    def prepare(self, arrays: Arrays) -> Arrays:
        return _select(arrays, self._types)

    def run(self, prepared: Any) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = self._session.run(self._asked, prepared)[self._place]
        return found


class OpenVinoEngine(Engine):
    """openvino on the source file, or on its own form of it in 8 bits; float32 otherwise, and tuned for latency."""

    def __init__(self, spec: Spec) -> None:
        import openvino

        core = openvino.Core()
        settings = {
            "INFERENCE_NUM_THREADS": spec.threads,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = core.compile_model(core.read_model(in_utf8(spec.onnx or "")), "CPU", settings)
        self._types = {port.any_name: port.element_type.to_dtype() for port in compiled.inputs}
        self._output = compiled.output(_choose([port.any_name for port in compiled.outputs], spec))
        self._request = compiled.create_infer_request()
        self.note = f"openvino {openvino.__version__.partition('-')[0]}"

    def prepare(self, arrays: Arrays) -> Arrays:
        return _select(arrays, self._types)

    def run(self, prepared: Any) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = self._request.infer(prepared, share_inputs=True)[self._output]
        return found


def write_optimised(source: str, target: Path, *, heads: int, hidden: int) -> None:
    """The source after onnxruntime's transformer optimiser, written to `target`; 0 lets it find the sizes itself.

    Raises:
        BenchError: it cannot do it.
    """
    from onnxruntime.transformers import optimizer

    try:
        model = optimizer.optimize_model(source, model_type="bert", num_heads=heads, hidden_size=hidden)
        model.save_model_to_file(str(target), use_external_data_format=False)
    # It is a collection of scripts, and raises whatever a graph that it does not expect leads to.
    except Exception as exc:
        raise BenchError(f"onnxruntime's transformer optimiser cannot read {source}: {exc}") from exc


_TYPES: Final = {
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(uint8)": np.dtype(np.uint8),
    "tensor(int8)": np.dtype(np.int8),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}


def _select(arrays: Arrays, types: dict[str, Any]) -> dict[str, npt.NDArray[Any]]:
    missing = [name for name in types if name not in arrays]
    if missing:
        raise BenchError(f"the ONNX file takes '{missing[0]}', and the bundle has {', '.join(arrays)}; pass its source")
    return {name: np.ascontiguousarray(arrays[name], dtype=kind) for name, kind in types.items()}


def _choose(names: list[str], spec: Spec) -> str:
    for name in (spec.original_output, spec.output):
        if name in names:
            return name
    if len(names) == 1:
        return names[0]
    raise BenchError(
        f"{spec.onnx}: has no output '{spec.original_output}', only {', '.join(names)}; "
        "pass the file that the bundle was made from as --onnx"
    )
