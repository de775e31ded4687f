"""What a backend is: it compiles a graph once and runs it many times.

A backend is small on purpose: a name, `compile`, and its gaps as data. Third parties add one through the
entry-point group `webnn_runtime.backends` (a callable without arguments that returns a `Backend`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from webnn_runtime.format.binding import bind_shapes, check_inputs, plain_array
from webnn_runtime.format.counts import is_count, is_flag
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import UnsupportedByBackend
from webnn_runtime.format.graph import Array, Graph, TensorType
from webnn_runtime.format.records import dataclass, field

if TYPE_CHECKING:
    from webnn_runtime.format.bundle import Bundle

__all__ = [
    "Backend",
    "CompileOptions",
    "Executable",
    "TextRunner",
    "Unsupported",
    "check_threads",
    "own_results",
    "refuse_impossible",
    "refuse_max_memory",
    "refuse_unsupported",
]

# Batches and lengths of a text encoder come again and again; a server sees a few hundred pairs of them.
_MAX_SOLVED: Final = 1024

# More than one computation can use. Engines start as many as they are told: 5,000 took minutes and most of the memory.
_MOST_THREADS: Final = 1024

# (operator, type of its first operand or None for all types) -> reason
Unsupported = Mapping[tuple[str, DataType | None], str]


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """How a graph is to be compiled.

    Attributes:
        threads: number of threads, 1 to 1024; None lets the backend choose from what the process may use.
        device: "cpu", or "gpu" / "npu" where a backend has such a device. Never a silent substitute.
        strict: refuse what the backend cannot run natively instead of running it on the reference.
        max_memory: bytes that the values of one run may take, apart from weights, inputs and results; larger runs are
            cut where that changes nothing, and refused where not. None for no limit.
        session_options: passed through to the library behind the backend, as it understands them.
        compute: "exact", as the graph says; "int8", where layers with weights of 8 bits may quantise what they multiply
            them by; None takes the word of whoever wrote the graph, as far as the backend can.
        stated: that word.
        bundle: what the graph was read from, where a backend may find files of its own.
    """

    threads: int | None = None
    device: str = "cpu"
    strict: bool = False
    max_memory: int | None = None
    session_options: Mapping[str, Any] = field(default_factory=dict)
    compute: str | None = None
    stated: str = "exact"
    bundle: Bundle | None = None

    @property
    def arithmetic(self) -> str:
        """What is to be used where the backend can."""
        return self.stated if self.compute is None else self.compute


class TextRunner(ABC):
    """A compiled graph of texts, run over texts of different lengths without padding.

    Attributes:
        inputs: inputs that hold a number for each token, and their types; the attention mask is not among them.
    """

    inputs: Mapping[str, DataType]

    @abstractmethod
    def run(self, inputs: Mapping[str, Array], lengths: Sequence[int]) -> dict[str, Array]:
        """Compute texts, each as if it were alone.

        Args:
            inputs: [tokens] each, the texts' tokens one after another.
            lengths: tokens of each text.

        Returns:
            for an output [batch, length, ...] of the graph [tokens, ...], for an output [batch, ...] [texts, ...].

        Raises:
            OperandError: an input is missing, unknown, or of another type or size.
            ShapeError: a text is shorter or longer than the graph takes.
            ExecutionError: the library behind the backend failed.
        """


class Executable(ABC):
    """A compiled graph. `run` may be called from many threads at once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._solved: dict[tuple[tuple[int, ...], ...], Mapping[str, int]] = {}

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        """Input name -> type, in declared order."""
        return self.graph.inputs

    @property
    def outputs(self) -> Mapping[str, TensorType]:
        """Output name -> type, in declared order."""
        return self.graph.output_types

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once; results have the declared types and their arrays belong to the caller.

        Raises:
            OperandError: an input is missing, unknown or of another type.
            ShapeError: shapes that do not fit.
            ExecutionError: the library behind the backend failed.
        """
        shapes = check_inputs(self.graph, inputs)
        for array in inputs.values():
            if type(array) is not np.ndarray:
                inputs = {name: plain_array(f"input '{name}'", each) for name, each in inputs.items()}
                break
        return self.execute(inputs, self._bindings(shapes))

    def _bindings(self, shapes: tuple[tuple[int, ...], ...]) -> Mapping[str, int]:
        """Named dimensions for these input shapes; solved once for shapes that come again.

        Solving costs 21 of the 38 microseconds of a call of add + relu with one free dimension.
        """
        known = self._solved.get(shapes)
        if known is None:
            known = MappingProxyType(bind_shapes(self.graph, dict(zip(self.graph.inputs, shapes, strict=True))))
            if len(self._solved) >= _MAX_SOLVED:
                self._solved.clear()
            self._solved[shapes] = known
        return known

    @abstractmethod
    def execute(self, inputs: Mapping[str, Array], bindings: Mapping[str, int]) -> dict[str, Array]:
        """Run on checked inputs; `bindings` has every named dimension."""

    def texts(
        self, outputs: Iterable[str] | None = None, pooling: str | None = None, *, normalize: bool = False
    ) -> TextRunner | None:
        """What runs texts of different lengths without padding, where the backend can prove that no text then changes.

        Args:
            outputs: the outputs to compute; None for all.
            pooling: makes one vector of the tokens of each text, as `webnn_runtime.embed.pooling` defines it; None
                gives the outputs as they are. A backend that has no step for it returns None.
            normalize: scales each pooled vector to length 1.
        """
        del outputs, pooling, normalize
        return None

    @property
    def all_native(self) -> bool:
        """Whether the backend computes every operator itself: what "auto" chooses by."""
        return self.describe().get("all_native") is True

    @abstractmethod
    def describe(self) -> dict[str, object]:
        """What runs where: at least `backend`, `device`, `threads` and `all_native`."""


class Backend(ABC):
    """A way to run graphs.

    Attributes:
        name: as in `load(..., backend=name)`.
        unsupported: stated gaps, each with its reason.
        arithmetics: what `CompileOptions.compute` may be.
    """

    name: str
    unsupported: Unsupported
    arithmetics: tuple[str, ...] = ("exact",)

    @abstractmethod
    def require(self) -> None:
        """Return if the library behind the backend can be used.

        Raises:
            BackendUnavailable: with the command that installs it.
        """

    @abstractmethod
    def compile(self, graph: Graph, options: CompileOptions | None = None) -> Executable:
        """Prepare a graph for running; the result keeps what it needs of the graph.

        Raises:
            UnsupportedByBackend: a stated gap.
            BackendUnavailable: the library or the device is not there.
        """


def own_results(results: dict[str, Array], shared: set[int]) -> dict[str, Array]:
    """The results in arrays of their own: kernels return views, and identity returns its operand.

    `shared` are the ids of arrays that somebody else has as well.
    """
    for output, array in results.items():
        fresh = array.base is None and array.flags.writeable and array.flags.c_contiguous
        if not fresh or id(array) in shared:
            results[output] = np.array(array, order="C", copy=True)
        shared.add(id(array))
    return results


def refuse_max_memory(backend: Backend, options: CompileOptions) -> None:
    """Refuse a limit that this backend could not keep.

    Raises:
        UnsupportedByBackend: there is one.
    """
    if options.max_memory is not None:
        raise UnsupportedByBackend("cannot limit the memory of a run; backend 'rust' can", backend=backend.name)


def refuse_impossible(backend: Backend, options: CompileOptions) -> None:
    """Refuse a number of threads that makes no sense, and arithmetic that the backend does not have.

    Raises:
        UnsupportedByBackend: one of the two.
    """
    check_threads(backend.name, options.threads)
    if not is_flag(options.strict):
        raise UnsupportedByBackend(f"strict={options.strict!r}; expected True or False", backend=backend.name)
    if options.compute in (None, *backend.arithmetics):
        return
    if options.compute == "int8":
        message = "computes exactly what the graph says; for compute='int8' take backend='rust', or leave compute out"
    else:
        message = f"there is no compute='{options.compute}'; one of {', '.join(backend.arithmetics)}"
    raise UnsupportedByBackend(message, backend=backend.name)


def check_threads(backend: str, threads: object) -> None:
    """Refuse a number of threads that makes no sense.

    Raises:
        UnsupportedByBackend: neither None nor 1 to 1024.
    """
    if threads is not None and not is_count(threads, 1, _MOST_THREADS):
        raise UnsupportedByBackend(f"threads: {threads!r}; must be 1 to {_MOST_THREADS}, or None", backend=backend)


def refuse_unsupported(backend: Backend, graph: Graph) -> None:
    """Refuse a graph that uses a stated gap, naming every node concerned.

    Raises:
        UnsupportedByBackend: at least one node is a stated gap.
    """
    found: list[str] = []
    for node in graph.nodes:
        first = next((graph.types[value] for value in node.inputs if value is not None), None)
        for key in ((node.op, None), (node.op, first.dtype if first else None)):
            if key in backend.unsupported:
                found.append(f"node '{node.name}' ({node.op}): {backend.unsupported[key]}")
                break
    if found:
        raise UnsupportedByBackend("; ".join(found), backend=backend.name)
