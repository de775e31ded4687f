"""A few inputs with their outputs, kept in the manifest, so that a bundle can be checked without its source."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from webnn_runtime.format.errors import ManifestError
from webnn_runtime.format.graph import Array
from webnn_translator.verify.compare import Difference, compare

__all__ = ["compare_canary", "read_canary_inputs", "write_canary"]

# More values than this are thinned out: a manifest is read by people too.
_MAX_OUTPUT_VALUES: Final = 256
MAX_INPUT_VALUES: Final = 4096


def write_canary(inputs: Mapping[str, Array], outputs: Mapping[str, Array]) -> dict[str, object]:
    """All values of the inputs, and evenly spaced ones of the outputs."""
    return {
        "inputs": {
            name: {"dataType": str(array.dtype), "shape": list(array.shape), "values": array.ravel().tolist()}
            for name, array in inputs.items()
        },
        "outputs": {
            name: {"shape": list(array.shape), "values": _json(_thinned(array)), "largest": _largest(array)}
            for name, array in outputs.items()
        },
    }


def read_canary_inputs(canary: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays to run.

    Raises:
        ManifestError: the entry is not one that `write_canary` made.
    """
    try:
        return {
            name: np.asarray(entry["values"], dtype=np.dtype(entry["dataType"])).reshape(entry["shape"])
            for name, entry in canary["inputs"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise ManifestError("a canary's inputs are malformed; convert the model again") from exc


def compare_canary(canary: Mapping[str, Any], outputs: Mapping[str, Array], tolerance: float) -> dict[str, Difference]:
    """Output name -> difference from the recorded values.

    Raises:
        ManifestError: the entry is not one that `write_canary` made.
    """
    found = {}
    try:
        for name, entry in canary["outputs"].items():
            actual = outputs[name]
            if list(actual.shape) != list(entry["shape"]):
                raise ManifestError(f"canary of output '{name}' has another shape than the graph gives")
            thinned = _thinned(actual)
            expected = np.array([float(value) for value in entry["values"]]).astype(thinned.dtype)
            found[name] = compare(expected, thinned, tolerance, scale=float(entry["largest"]))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        raise ManifestError("a canary's outputs are malformed; convert the model again") from exc
    return found


def _thinned(array: Array) -> Array:
    flat = array.ravel()
    return flat[:: max(-(-flat.size // _MAX_OUTPUT_VALUES), 1)]


def _largest(array: Array) -> float:
    finite = np.abs(array.astype(np.float64))
    return float(finite[np.isfinite(finite)].max(initial=0.0))


def _json(array: Array) -> list[object]:
    # JSON has neither NaN nor infinity: those are kept as the words that float() reads.
    return [value if np.isfinite(value) else str(value) for value in array.tolist()]
