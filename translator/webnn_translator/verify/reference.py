"""ONNX Runtime on the source model: what the translation is measured against."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn_runtime.format.dims import Dim, evaluate, names_of
from webnn_runtime.format.errors import BackendUnavailable, ExecutionError, FormatError
from webnn_runtime.format.graph import Array
from webnn_runtime.format.utf8_paths import in_utf8
from webnn_translator.naming import names_within
from webnn_translator.verify.as_meant import as_meant

__all__ = ["AVOIDED", "OnnxReference", "Ranking", "SourceFailed", "value_names"]

_NO_MEMORY: Final = ("std::bad_alloc", "bad allocation", "Failed to allocate memory")
_NO_KERNEL: Final = "NOT_IMPLEMENTED"
_REUSED: Final = "attempting to re-use buffer"
# Before 1.31 ONNX Runtime ends the process here, at a weight in 8 bits that is read both transposed and as it is.
AVOIDED: Final = [] if sys.version_info >= (3, 11) else ["TransposeOptimizer"]
# GroupQueryAttention, of several tokens behind a past.
_ONE_ROW: Final = "batch_size must be 1"
_NUMPY_TYPES: Final = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(uint16)": "uint16",
    "tensor(int32)": "int32",
    "tensor(uint32)": "uint32",
    "tensor(int64)": "int64",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
}


class SourceFailed(ExecutionError):
    """The model itself does not run, so that there is nothing to compare a graph with."""


class OnnxReference:
    """A session on the original file.

    Args:
        file: the model.
        watched: names of values inside of it that are given out as well.
        bound: inputs that the translation made constants of -> their values.
        empty: inputs without elements, which the graph lacks -> their shapes.
        is_meant: whether operators compute what they mean (`as_meant`), and not what ONNX Runtime's kernels do.

    Attributes:
        name: ONNX Runtime and its version, and what of the file it was given otherwise.
        is_widened: whether it runs a copy with float32 for bfloat16.
        inputs: names in the file's order.
        outputs: names in the file's order.
        empty: as given.
    """

    def __init__(
        self,
        file: Path,
        watched: Collection[str] = (),
        bound: Mapping[str, Array] | None = None,
        empty: Mapping[str, Sequence[Dim]] | None = None,
        *,
        is_meant: bool = True,
    ) -> None:
        self._bound = dict(bound or {})
        self.empty = dict(empty or {})
        try:
            import onnxruntime
        except ImportError as exc:
            raise BackendUnavailable(
                "checking against the source needs ONNX Runtime; pip install onnxruntime, or pass --no-verify",
                backend="onnxruntime",
            ) from exc
        self._options = options = onnxruntime.SessionOptions()
        # Initialisers that its optimiser removes are no news to the user, and an error is raised besides.
        options.log_severity_level = 4
        # Its fusions approximate (GELU by tanh at some levels); the plain graph is the meaning of the model.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        self._errors = _error_types()
        try:
            source, folder, self.is_widened = as_meant(file, watched) if is_meant else (str(file), file.parent, False)
            if isinstance(source, str):
                in_utf8(source)
            else:
                named = "session.model_external_initializers_file_folder_path"
                options.add_session_config_entry(named, in_utf8(folder))
            self._source = source
            self._session: Any = self._opened()
        except self._errors as exc:
            if any(sign in str(exc) for sign in _NO_MEMORY):
                # No fault of the file.
                raise MemoryError(_first_line(exc)) from exc
            if _NO_KERNEL in str(exc):
                # Nor this: of the operators that it made for GPUs its CPU has none.
                raise SourceFailed(
                    "its CPU cannot run the source, so there is nothing to compare with: "
                    f"{_first_line(exc)}; export without that operator, or write it unchecked with --no-verify",
                    backend="onnxruntime",
                ) from exc
            raise FormatError(f"ONNX Runtime cannot load the model: {_first_line(exc)}", path=str(file)) from exc
        self.name = f"onnxruntime {onnxruntime.__version__}{', float32 for bfloat16' if self.is_widened else ''}"
        self._types = {item.name: item.type for item in self._session.get_inputs()}
        self._shapes = {item.name: item.shape for item in self._session.get_inputs()}
        self.inputs = list(self._types)
        self.outputs = [item.name for item in self._session.get_outputs()]

    def _opened(self) -> Any:
        import onnxruntime

        return onnxruntime.InferenceSession(
            self._source, self._options, providers=["CPUExecutionProvider"], disabled_optimizers=AVOIDED
        )

    def run(self, inputs: Mapping[str, Array], outputs: Sequence[str], bindings: Mapping[str, int]) -> dict[str, Array]:
        """Run with inputs by their original names; integers 0 and 1 stand for booleans.

        Args:
            inputs: arrays; an input that the translation found to be without effect may be left out.
            outputs: names of the outputs to return.
            bindings: named dimensions, for the shapes of inputs that are left out.

        Raises:
            SourceFailed: ONNX Runtime refuses the inputs.
        """
        fed = {
            name: _as_declared(inputs[name] if name in inputs else self._without_effect(name, bindings), kind)
            for name, kind in self._types.items()
        }
        try:
            results = self._session.run(list(outputs), fed)
        except self._errors as exc:
            if _REUSED in str(exc) and self._options.enable_mem_reuse:
                # It shares memory by shapes that it infers: of the inverse of half a spectrum that of the half.
                self._options.enable_mem_reuse = False
                self._session = self._opened()
                return self.run(inputs, outputs, bindings)
            batch, rows = self._rows(fed, outputs)
            if _ONE_ROW in str(exc) and rows > 1:
                return self._row_by_row(fed, outputs, bindings, batch, rows)
            sizes = ", ".join(f"{name} = {size}" for name, size in bindings.items())
            advice = "; --dim NAME=VALUE fixes a size, --min-dim and --max-dim the range of one" if sizes else ""
            raise SourceFailed(
                f"the source model itself does not run{f' at {sizes}' if sizes else ''}: {_first_line(exc)}{advice}",
                backend="onnxruntime",
            ) from exc
        return dict(zip(outputs, results, strict=True))

    def _rows(self, fed: Mapping[str, Array], outputs: Sequence[str]) -> tuple[str, int]:
        """The name that all these outputs have as their first dimension, and its size; 0 where there is none."""
        shapes = {item.name: item.shape for item in self._session.get_outputs()}
        (first, *others) = {str(shapes[name][0]) if shapes[name] else "" for name in outputs}
        sizes = {array.shape[0] for name, array in fed.items() if self._shapes[name][:1] == [first]}
        return first, sizes.pop() if not others and len(sizes) == 1 else 0

    def _row_by_row(
        self, fed: Mapping[str, Array], outputs: Sequence[str], bindings: Mapping[str, int], batch: str, rows: int
    ) -> dict[str, Array]:
        """What a kernel that takes one row makes of several; where rows see one another, the graph's differ."""
        found = [
            self.run(
                {
                    name: array[row : row + 1] if self._shapes[name][:1] == [batch] else array
                    for name, array in fed.items()
                },
                outputs,
                {**bindings, batch: 1},
            )
            for row in range(rows)
        ]
        return {name: np.concatenate([one[name] for one in found]) for name in outputs}

    def _without_effect(self, name: str, bindings: Mapping[str, int]) -> Array:
        if name in self._bound:
            return self._bound[name]
        if name in self.empty:
            # A name that the graph lacks has no effect: 1 is as good as any size.
            sizes = {one: bindings.get(one, 1) for dim in self.empty[name] for one in names_of(dim)}
            return np.zeros([evaluate(dim, sizes) for dim in self.empty[name]])
        shape = [dim if isinstance(dim, int) else bindings.get(str(dim), 1) for dim in self._shapes[name]]
        return np.zeros(shape)


@dataclass(frozen=True, slots=True)
class Ranking:
    """A TopK of a model: names of what it chooses by and of the places that it gives."""

    scores: str
    places: str
    axis: int
    is_sorted: bool


def value_names(file: Path) -> tuple[list[str], list[Ranking]]:
    """Names of what nodes of the main graph make, also within them, and which of it are the best places of others."""
    import onnx

    nodes = onnx.load(file, load_external_data=False).graph.node
    names, rankings = [name for node in nodes for name in node.output if name], []
    for node in nodes:
        if node.op_type == "DynamicQuantizeMatMul":
            names.extend(names_within(node.output[0]))
        if node.op_type == "TopK" and node.domain in ("", "ai.onnx") and len(node.output) > 1 and node.output[1]:
            settings = {one.name: one.i for one in node.attribute}
            is_sorted = settings.get("sorted", 1) != 0
            rankings.append(Ranking(node.input[0], node.output[1], settings.get("axis", -1), is_sorted))
    return names, rankings


def _as_declared(array: Array, declared: str) -> Array:
    name = _NUMPY_TYPES.get(declared)
    if name is None:
        raise SourceFailed(
            f"the source has an input of type {declared}, which NumPy lacks, so it cannot be run to compare with; "
            "export with a wider type there, or write it unchecked with --no-verify",
            backend="onnxruntime",
        )
    return array.astype(np.dtype(name), copy=False)


def _error_types() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    # One class per status code, with no common base below Exception.
    found = [value for value in vars(state).values() if isinstance(value, type) and issubclass(value, Exception)]
    return (*found, RuntimeError, ValueError)


def _first_line(exc: Exception) -> str:
    return str(exc).strip().partition("\n")[0]
