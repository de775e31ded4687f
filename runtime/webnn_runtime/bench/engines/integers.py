"""The source in 8 bits, as the quantisers of other projects make it.

A program of its own, `python -m webnn_runtime.bench.engines.integers QUANTISER SOURCE TARGET [INPUTS]`: those
libraries print, log and keep threads.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from webnn_runtime.bench.errors import BenchError

__all__ = ["DYNAMIC", "NNCF", "write_quantised"]

DYNAMIC: Final = "dynamic"
NNCF: Final = "nncf"


def write_quantised(
    quantiser: str, source: str, target: Path, inputs: Sequence[Mapping[str, npt.NDArray[Any]]] = ()
) -> Path:
    """Write `source` in 8 bits beside `target`, and say where.

    Args:
        quantiser: `DYNAMIC`, onnxruntime's, with a scale per channel and rows quantised at run time; `NNCF`, openvino's
            with its preset for transformers, which takes fixed ranges from `inputs`.
        source: ONNX file.
        target: file to write, without a suffix.
        inputs: what ranges are taken from.

    Raises:
        BenchError: it cannot do it.
    """
    with tempfile.TemporaryDirectory(prefix="webnn-bench-") as folder:
        given = Path(folder) / "inputs.npz"
        arrays = {f"{index} {name}": array for index, feed in enumerate(inputs) for name, array in feed.items()}
        np.savez(given, **arrays)  # type: ignore[arg-type]  # names are ours, and no option of it
        command = [sys.executable, "-m", __name__, quantiser, source, str(target), str(given)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise BenchError(f"{quantiser} cannot quantise {source}: {said[-1]}")
    return target.with_suffix(_SUFFIXES[quantiser])


def _dynamic(source: str, target: Path, _: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        source,
        target.with_suffix(_SUFFIXES[DYNAMIC]),
        per_channel=True,
        weight_type=QuantType.QInt8,
        # What lies behind its own operators has no type that it could infer.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )


def _nncf(source: str, target: Path, given: Path) -> None:
    import nncf
    import openvino

    feeds: dict[str, dict[str, npt.NDArray[Any]]] = {}
    with np.load(given) as arrays:
        for key, array in arrays.items():
            index, _, name = key.partition(" ")
            feeds.setdefault(index, {})[name] = array
    model = openvino.Core().read_model(source)
    names = [port.any_name for port in model.inputs]
    known = [{name: feed[name] for name in names} for feed in feeds.values()]
    made = nncf.quantize(
        model, nncf.Dataset(known), model_type=nncf.ModelType.TRANSFORMER, subset_size=max(len(known), 1)
    )
    openvino.save_model(made, str(target.with_suffix(_SUFFIXES[NNCF])), compress_to_fp16=False)


_SUFFIXES: Final = {DYNAMIC: ".onnx", NNCF: ".xml"}
_MAKERS: Final = {DYNAMIC: _dynamic, NNCF: _nncf}


if __name__ == "__main__":
    _, asked, read, written, sample = sys.argv
    _MAKERS[asked](read, Path(written), Path(sample))
