"""The short way in: `load(path).run({name: array})`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from webnn_runtime.backends.base import CompileOptions, Executable, TextRunner
from webnn_runtime.format.bundle import Bundle, load_bundle
from webnn_runtime.format.errors import OperandError, UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph, TensorType
from webnn_runtime.format.manifest import Manifest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Model", "load", "stated_arithmetic"]


class Model:
    """A bundle, compiled for one backend; make one with `load`.

    Attributes:
        bundle: the files and what they hold.

    Example:
        >>> import numpy as np
        >>> from webnn_runtime import load
        >>> model = load("model-webnn")
        >>> ids = np.array([[2, 12, 3]])
        >>> results = model.run({"input_ids": ids, "attention_mask": np.ones_like(ids)})
        >>> results["last_hidden_state"].shape
        (1, 3, 6)
    """

    # A model takes no other attributes: whoever sets max_seq_length on it means an embedder.
    __slots__ = ("__weakref__", "_executable", "_identifiers", "bundle")

    def __init__(self, bundle: Bundle, executable: Executable) -> None:
        self.bundle = bundle
        self._executable = executable
        self._identifiers = {original: name for name, original in bundle.names.items() if name in bundle.graph.inputs}

    @property
    def graph(self) -> Graph:
        """The graph, inputs and outputs in declared order."""
        return self.bundle.graph

    @property
    def manifest(self) -> Manifest:
        """The manifest; empty when the bundle has none."""
        return self.bundle.manifest

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        """Input name -> type, in declared order."""
        return self.graph.inputs

    @property
    def outputs(self) -> Mapping[str, TensorType]:
        """Output name -> type, in declared order."""
        return self.graph.output_types

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; inputs are known by the graph's names and by those of the source model.

        Raises:
            OperandError: an input is missing, unknown, given twice, or of another type.
            ShapeError: shapes that do not fit.
            ExecutionError: the library behind the backend failed.
        """
        if not hasattr(inputs, "items"):
            names = ", ".join(self.inputs)
            raise OperandError(f"run: inputs are a {type(inputs).__name__}; give a dict from name to array, of {names}")
        given: dict[str, Array] = {}
        for name, array in inputs.items():
            known = name if name in self.inputs else self._identifiers.get(name, name)
            if known in given:
                raise OperandError(f"input '{known}' is given twice, once under its original name")
            given[known] = array
        results = self._executable.run(given)
        return {name: results[name] for name in self.graph.outputs}

    def texts(
        self, outputs: Iterable[str] | None = None, pooling: str | None = None, *, normalize: bool = False
    ) -> TextRunner | None:
        """What runs texts of different lengths without padding, or None where they have to be padded.

        Args:
            outputs: the outputs to compute; None for all.
            pooling: makes one vector of the tokens of each text: "mean", "cls", "max" or "lasttoken". None gives the
                outputs as they are, and is what is left where a runner that pools is None.
            normalize: scales each pooled vector to length 1.

        Raises:
            OperandError: `normalize` without `pooling`, which would change nothing, or an unknown `pooling`.
        """
        if normalize and pooling is None:
            raise OperandError("texts: normalize=True scales pooled vectors; pass pooling= as well")
        if pooling is not None:
            from webnn_runtime.embed.pooling import POOLING_MODES

            if pooling not in POOLING_MODES:
                raise OperandError(f"texts: no pooling mode {pooling!r}; the modes are {', '.join(POOLING_MODES)}")
        return self._executable.texts(outputs, pooling, normalize=normalize)

    def describe(self) -> dict[str, object]:
        """What runs where, as the backend says it."""
        return self._executable.describe()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "Model: holds threads and mapped files, which cannot be copied or pickled; one model serves many threads, "
            f"and another process opens its own: load({self.bundle.graph_file!r})"
        )

    def __repr__(self) -> str:
        return f"Model({self.bundle.graph_file!r}, backend={self.describe().get('backend')!r})"


def load(
    path: str | Path,
    backend: str = "auto",
    *,
    threads: int | None = None,
    device: str = "cpu",
    strict: bool = False,
    max_memory: int | None = None,
    session_options: Mapping[str, Any] | None = None,
    compute: str | None = None,
) -> Model:
    """Open a bundle and compile it.

    Args:
        path: a bundle's folder, its `.webnn` file, or a JSON graph.
        backend: "numpy", "onnxruntime", "rust", or "auto": the fastest that runs all of the graph itself.
        threads: number of threads; chosen by the backend when absent.
        device: "cpu", or "gpu" or "npu" where the backend has one.
        strict: refuse what the backend cannot run natively.
        max_memory: bytes that the values of one run may take; None for no limit.
        session_options: for the library behind the backend.
        compute: "exact", as the graph is written; "int8", where layers with weights of 8 bits may quantise what they
            multiply them by, which only the rust backend does. None takes the manifest's word, and the graph's where
            the manifest has none or the backend knows no other; `describe()` says which it is.

    Raises:
        FormatError: files that are missing or malformed.
        GraphError: a graph that WebNN does not allow.
        BackendError: the backend is not installed, or cannot run the graph.

    Example:
        >>> from webnn_runtime import load
        >>> model = load("model-webnn", threads=2)
        >>> for name, kind in model.inputs.items():
        ...     print(name, kind)
        input_ids i64[batch, length]
        attention_mask i64[batch, length]
    """
    from webnn_runtime.backends.registry import compile_graph

    if not isinstance(session_options, Mapping | None):
        raise UnsupportedByBackend(f"session_options={session_options!r}; expected a dict", backend=backend)
    bundle = load_bundle(path)
    options = CompileOptions(
        threads=threads,
        device=device,
        strict=strict,
        max_memory=max_memory,
        session_options=dict(session_options or {}),
        compute=compute,
        stated=stated_arithmetic(bundle.manifest),
        bundle=bundle,
    )
    return Model(bundle, compile_graph(bundle.graph, backend, options))


def stated_arithmetic(manifest: Manifest) -> str:
    """The arithmetic that whoever quantised the model measured it with."""
    quantization = manifest.extension.more.get("quantization")
    stated = quantization.get("compute") if isinstance(quantization, Mapping) else None
    return "int8" if stated == "int8" else "exact"
